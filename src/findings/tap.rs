//! The telling end, and what is behind it: sinks are begun, kept over a reload where nothing about them changed, and ended.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use crossbeam_channel::{Sender, TrySendError};

use super::counters::{Counters, Outcome, SinkCounts};
use super::event::{Event, Facts};
use super::render::Renderer;
use super::writer::{Running, start};
use super::{Filter, FindingsSettings, SinkSettings};
use crate::call::classify::{Campaign, Finding};
use crate::call::record::Begin;

/// How long a sink that is ended may take for what waits still.
pub const DRAIN: Duration = Duration::from_secs(3);

/// One sink, seen from the telling end.
#[derive(Debug)]
struct Outlet {
    filter: Filter,
    queue: Sender<Event>,
    counters: Arc<Counters>,
}

impl Outlet {
    /// Puts an event into the queue if there is room. It never waits.
    fn tell(&self, event: &Event) {
        let kind = event.kind();
        self.counters.tell(kind);
        match self.queue.try_send(event.clone()) {
            Ok(()) => {}
            // A thread that is gone has been counted and said; what comes still is lost all the same.
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.counters.add(kind, Outcome::Dropped);
            }
        }
    }
}

/// Tells sinks of events. Clones are cheap and tell the same sinks, over reloads too.
#[derive(Clone, Debug, Default)]
pub struct Tap {
    outlets: Arc<ArcSwap<Vec<Outlet>>>,
}

impl Tap {
    /// Tells of a call, if it is flagged and somebody wants it.
    pub fn tell_call(&self, begin: Box<Begin>) {
        let outlets = self.outlets.load();
        let wanted = |o: &&Outlet| o.filter.wants(Facts::of_call(&begin));
        if !outlets.iter().any(|o| wanted(&o)) {
            return;
        }
        let wanting: Vec<&Outlet> = outlets.iter().filter(wanted).collect();
        let event = Event::Call(Arc::from(begin));
        wanting.iter().for_each(|o| o.tell(&event));
    }

    /// Tells of a behaviour.
    pub fn tell_behaviour(&self, finding: Box<Finding>) {
        let finding = Arc::from(finding);
        let outlets = self.outlets.load();
        let wanting = outlets
            .iter()
            .filter(|o| o.filter.wants(Facts::of_behaviour(&finding)));
        wanting.for_each(|o| o.tell(&Event::Behaviour(Arc::clone(&finding))));
    }

    /// Tells of a campaign.
    pub fn tell_campaign(&self, campaign: Box<Campaign>) {
        let campaign = Arc::from(campaign);
        let outlets = self.outlets.load();
        let wanting = outlets
            .iter()
            .filter(|o| o.filter.wants(Facts::of_campaign(&campaign)));
        wanting.for_each(|o| o.tell(&Event::Campaign(Arc::clone(&campaign))));
    }
}

/// All sinks.
#[derive(Debug)]
pub struct Findings {
    tap: Tap,
    host: Arc<str>,
    running: Vec<(SinkSettings, Running)>,
    /// Of each name, from the start of the process.
    counters: BTreeMap<Arc<str>, Arc<Counters>>,
    /// Ended by a reload, and perhaps not done yet.
    ending: Vec<Running>,
    shown: Arc<Mutex<Vec<Shown>>>,
}

#[derive(Debug)]
struct Shown {
    name: Arc<str>,
    counters: Arc<Counters>,
    queue: Option<Sender<Event>>,
}

/// What the sinks show.
#[derive(Clone, Debug, Default)]
pub struct FindingsView(Arc<Mutex<Vec<Shown>>>);

impl FindingsView {
    /// Each sink that there is or was, by name.
    pub fn sinks(&self) -> Vec<SinkCounts> {
        let shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let one = |s: &Shown| {
            let (waiting, capacity) = s
                .queue
                .as_ref()
                .map_or((0, 0), |q| (q.len(), q.capacity().unwrap_or(0)));
            s.counters.show(s.name.clone(), waiting, capacity)
        };
        shown.iter().map(one).collect()
    }
}

impl Findings {
    /// Starts the sinks.
    ///
    /// # Errors
    ///
    /// When there is no thread to be had.
    pub fn start(settings: &FindingsSettings) -> std::io::Result<Self> {
        let mut findings = Self {
            tap: Tap::default(),
            host: host(settings),
            running: Vec::new(),
            counters: BTreeMap::new(),
            ending: Vec::new(),
            shown: Arc::default(),
        };
        findings.take(settings)?;
        Ok(findings)
    }

    /// The telling end.
    pub fn tap(&self) -> Tap {
        self.tap.clone()
    }

    /// What the sinks show.
    pub fn view(&self) -> FindingsView {
        FindingsView(self.shown.clone())
    }

    /// Takes other settings: sinks that are as before go on, others are ended and begun.
    ///
    /// # Errors
    ///
    /// When there is no thread to be had: everything stays as it was.
    pub fn reload(&mut self, settings: &FindingsSettings) -> std::io::Result<()> {
        self.take(settings)
    }

    fn take(&mut self, settings: &FindingsSettings) -> std::io::Result<()> {
        let host = host(settings);
        let same_host = host == self.host;
        let goes_on = |s: &SinkSettings| same_host && settings.sinks.contains(s);
        let mut begun = Vec::new();
        for sink in &settings.sinks {
            if same_host && self.running.iter().any(|(s, _)| s == sink) {
                continue;
            }
            let known = self.counters.get(&sink.name).cloned();
            let renderer = Renderer {
                host: host.clone(),
                masking: sink.masking,
            };
            begun.push((
                sink.clone(),
                start(sink, renderer, known.unwrap_or_default())?,
            ));
        }
        // Nothing can fail any more.
        self.host = host;
        let (kept, ended): (Vec<_>, Vec<_>) = self.running.drain(..).partition(|(s, _)| goes_on(s));
        self.running = kept;
        self.running.extend(begun);
        for (sink, running) in &self.running {
            self.counters
                .insert(sink.name.clone(), running.counters.clone());
        }
        let outlets = self.running.iter().map(|(sink, running)| Outlet {
            filter: sink.filter.clone(),
            queue: running.queue.clone(),
            counters: running.counters.clone(),
        });
        self.tap.outlets.store(Arc::new(outlets.collect()));
        let now = Instant::now();
        self.ending.retain(|r| !r.is_finished());
        self.ending.extend(
            ended
                .into_iter()
                .map(|(_, running)| running.end(now + DRAIN)),
        );
        self.show();
        Ok(())
    }

    fn show(&self) {
        let shown = self.counters.iter().map(|(name, counters)| Shown {
            name: name.clone(),
            counters: counters.clone(),
            queue: self
                .running
                .iter()
                .find(|(s, _)| s.name == *name)
                .map(|(_, r)| r.queue.clone()),
        });
        let shown = shown.collect();
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = shown;
    }

    /// Ends the sinks: what waits is delivered until then, and the rest counted as unsent. Gives how many events were not delivered by it.
    pub fn stop(mut self, until: Instant) -> u64 {
        self.tap.outlets.store(Arc::default());
        let running = self.running.drain(..).map(|(_, r)| r.end(until));
        self.ending.extend(running);
        // Queues that are shown hold threads up.
        self.show();
        let unsent = |all: &BTreeMap<Arc<str>, Arc<Counters>>| -> u64 {
            let each = all.iter().map(|(n, c)| c.show(n.clone(), 0, 0));
            each.map(|c| c.of(Outcome::Unsent)).sum()
        };
        let before = unsent(&self.counters);
        for running in std::mem::take(&mut self.ending) {
            if let Some(name) = running.join(until + Duration::from_millis(500)) {
                tracing::warn!(sink = %name, "this sink of findings did not end in time");
            }
        }
        unsent(&self.counters).saturating_sub(before)
    }
}

/// This host's name, as configured or as the kernel has it.
fn host(settings: &FindingsSettings) -> Arc<str> {
    if let Some(host) = &settings.host {
        return host.clone();
    }
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "localhost".into(),
        name => name.into(),
    }
}
