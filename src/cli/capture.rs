//! `tracehop capture`: what the probe would see on an interface, without judging or keeping anything.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use caps::CapSet;
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};
use signal_hook::consts::{SIGINT, SIGTERM};

use super::output::{self, say};
use super::{Failure, Outcome, load};
use crate::base::text::escape;
use crate::capture::Event;
use crate::capture::live::{
    self, Backend, InterfaceSettings, LiveCounters, LiveError, LiveSettings, LiveSource,
};
use crate::engine::{AssembleCounters, AssembleLimits, Assembler};
use crate::host::clock;
use crate::wire::Message;
use crate::wire::sip::{self, HeaderName, StartLine};

/// Shows what would be captured on an interface: frames, drops, SIP messages. Needs CAP_NET_RAW
#[derive(Debug, Args)]
pub struct Capture {
    /// Configuration: its section capture says what to read, and how
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Interface to read, in the place of those in the configuration; may be given several times
    #[arg(long, short, value_name = "NAME")]
    interface: Vec<String>,
    /// Threads that share each interface given by --interface
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..65))]
    threads: u16,
    /// What reads each interface given by --interface
    #[arg(long, value_enum, default_value_t)]
    backend: BackendName,
    /// Don't look at what this host sends, on interfaces given by --interface
    #[arg(long)]
    ignore_outgoing: bool,
    /// SIP port, in the place of those in the configuration; may be given several times
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Vec<u16>,
    /// Memory of each thread's ring
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..4096))]
    ring_megabytes: Option<u16>,
    /// How long to look
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..86_401))]
    seconds: u32,
    /// Also list the messages, up to 10,000
    #[arg(long)]
    list: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum BackendName {
    #[default]
    Auto,
    Ring,
    Pnet,
}

/// Most messages that are listed.
const LISTED: usize = 10_000;

/// How long a thread waits for frames before it looks at the clock.
const WAIT: Duration = Duration::from_millis(50);

impl Capture {
    pub(super) fn run(self) -> Outcome {
        let settings = self.settings()?;
        let sources = live::open(&settings, 0).map_err(|e| match e {
            // EX_NOPERM and EX_UNAVAILABLE.
            LiveError::NotAllowed { .. } => Failure::new(77, e),
            LiveError::NoInterface { .. } | LiveError::LinkType { .. } => Failure::no_input(e),
            LiveError::System { .. } => Failure::new(69, e),
        })?;
        drop_capabilities()?;
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&stop))
                .map_err(|e| Failure::new(71, format!("signals: {e}")))?;
        }
        for source in &sources {
            if let Some(note) = source.note() {
                output::complain(format_args!("{note}"));
            }
        }
        let names: Vec<_> = settings.interfaces.iter().map(|i| &*i.name).collect();
        output::complain(format_args!(
            "capturing on {} for {} s; ^C ends it",
            names.join(", "),
            self.seconds
        ));
        let begin = Instant::now();
        let until = begin + Duration::from_secs(self.seconds.into());
        let sensors = settings.sensors();
        let readers: Vec<_> = sources
            .into_iter()
            .map(|source| {
                let (stop, sensors) = (Arc::clone(&stop), sensors.clone());
                let listed = if self.list { LISTED } else { 0 };
                thread::spawn(move || read(source, sensors, listed, until, &stop))
            })
            .collect();
        let mut seen = Vec::new();
        for reader in readers {
            let done = reader
                .join()
                .map_err(|_| Failure::software("a reading thread panicked"))?;
            seen.push(done.map_err(|e| Failure::new(71, e))?);
        }
        let report = Report::of(seen, begin.elapsed());
        if self.json {
            output::json(&report.as_json())?;
        } else {
            report.print();
        }
        Ok(ExitCode::SUCCESS)
    }

    fn settings(&self) -> Result<LiveSettings, Failure> {
        let mut settings = match &self.config {
            Some(path) => load(path)?.capture,
            None => LiveSettings::default(),
        };
        if !self.interface.is_empty() {
            let of = |name: &String| InterfaceSettings {
                threads: self.threads,
                backend: match self.backend {
                    BackendName::Auto => Backend::Auto,
                    BackendName::Ring => Backend::Ring,
                    BackendName::Pnet => Backend::Pnet,
                },
                ignore_outgoing: self.ignore_outgoing,
                ..InterfaceSettings::new(name)
            };
            settings.interfaces = self.interface.iter().map(of).collect();
        }
        if settings.interfaces.is_empty() {
            return Err(Failure::usage(
                "no interface: give --interface NAME, or --config with a [[capture.interface]]",
            ));
        }
        if !self.port.is_empty() {
            settings.filter.sip_ports = self.port.clone();
        }
        if let Some(n) = self.ring_megabytes {
            settings.ring_octets = usize::from(n) << 20;
        }
        Ok(settings)
    }
}

/// What is open stays open; whatever a packet may do to us, no new socket comes of it.
fn drop_capabilities() -> Result<(), Failure> {
    for set in [CapSet::Effective, CapSet::Permitted, CapSet::Inheritable] {
        caps::clear(None, set)
            .map_err(|e| Failure::new(71, format!("capabilities can't be dropped: {e}")))?;
    }
    Ok(())
}

/// What one thread saw.
struct Seen {
    source: LiveSource,
    assemble: AssembleCounters,
    kinds: Kinds,
    listed: Vec<(Message, u16)>,
    /// When the interface came and went.
    links: Vec<Value>,
}

/// Messages by what they are.
#[derive(Clone, Copy, Debug, Default)]
struct Kinds {
    invites: u64,
    signed_invites: u64,
    other_requests: u64,
    responses: u64,
    unreadable: u64,
    cut: u64,
}

impl Kinds {
    fn count(&mut self, m: &Message) {
        self.cut += u64::from(m.cut.is_some());
        match sip::Message::scan(&m.bytes) {
            Ok(s) if s.start.is_method("INVITE") => {
                self.invites += 1;
                let signed = s.headers.first(HeaderName::Identity).is_some();
                self.signed_invites += u64::from(signed);
            }
            Ok(s) if matches!(s.start, StartLine::Request { .. }) => self.other_requests += 1,
            Ok(_) => self.responses += 1,
            Err(_) => self.unreadable += 1,
        }
    }

    fn add(&mut self, o: Self) {
        self.invites += o.invites;
        self.signed_invites += o.signed_invites;
        self.other_requests += o.other_requests;
        self.responses += o.responses;
        self.unreadable += o.unreadable;
        self.cut += o.cut;
    }

    fn total(&self) -> u64 {
        self.invites + self.other_requests + self.responses + self.unreadable
    }
}

fn read(
    mut source: LiveSource,
    sensors: Vec<Arc<str>>,
    listed: usize,
    until: Instant,
    stop: &AtomicBool,
) -> Result<Seen, LiveError> {
    let mut assembler = Assembler::new(AssembleLimits::default()).with_sensors(sensors);
    let (mut kinds, mut list, mut links) = (Kinds::default(), Vec::new(), Vec::new());
    let thread = source.thread();
    loop {
        source.poll(WAIT, &mut |event| {
            let told = match event {
                Event::Opened { at, .. } => Some(("up", at)),
                Event::Closed { at, .. } => Some(("down", at)),
                Event::Frame(_) | Event::Dropped { .. } => None,
            };
            links.extend(told.map(|(what, at)| json!({ what: at.to_string() })));
            event.feed(&mut assembler);
        })?;
        let over = stop.load(Ordering::Relaxed) || Instant::now() >= until;
        if over {
            source.ask_drops(&mut |event| event.feed(&mut assembler));
            assembler.finish();
        } else {
            assembler.handle_time(source.upto(clock::now()));
        }
        while let Some(m) = assembler.poll_message() {
            kinds.count(&m);
            if list.len() < listed {
                list.push((m, thread));
            }
        }
        while assembler.poll_coverage().is_some() {}
        if over {
            return Ok(Seen {
                source,
                assemble: assembler.counters(),
                kinds,
                listed: list,
                links,
            });
        }
    }
}

struct Report {
    seen: Vec<Seen>,
    took: Duration,
    kinds: Kinds,
    totals: LiveCounters,
}

impl Report {
    fn of(seen: Vec<Seen>, took: Duration) -> Self {
        let (mut kinds, mut totals) = (Kinds::default(), LiveCounters::default());
        for s in &seen {
            kinds.add(s.kinds);
            totals.add(&s.source.counters());
        }
        Self {
            seen,
            took,
            kinds,
            totals,
        }
    }

    fn print(&self) {
        let header = [
            "interface",
            "thread",
            "link",
            "passed",
            "dropped",
            "frames",
            "cut",
            "fragments",
            "messages",
        ];
        let rows = self.seen.iter().map(|s| {
            let c = s.source.counters();
            let link = match (c.retired, c.link_up) {
                (1, _) => "retired",
                (_, 1) => "up",
                _ => "down",
            };
            let mut row = vec![
                s.source.interface().to_string(),
                s.source.thread().to_string(),
                link.to_owned(),
            ];
            let numbers = [
                c.packets_passed,
                c.packets_dropped,
                c.frames,
                c.frames_truncated,
                s.assemble.frames_fragment,
                s.assemble.messages_out,
            ];
            row.extend(numbers.map(|n| n.to_string()));
            row
        });
        say!("{}", output::table(&header, rows.collect(), 3));
        let k = &self.kinds;
        let seconds = self.took.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = k.total() as f64 / seconds;
        say!(
            "\n{} SIP messages in {seconds:.1} s ({rate:.1} a second): {} INVITE, of them {} with Identity; {} other requests, {} responses, {} unreadable",
            k.total(),
            k.invites,
            k.signed_invites,
            k.other_requests,
            k.responses,
            k.unreadable,
        );
        if k.cut > 0 {
            say!("{} messages are not whole", k.cut);
        }
        if self.totals.packets_dropped > 0 {
            say!(
                "the kernel dropped {} packets: more threads, or ring_megabytes",
                self.totals.packets_dropped
            );
        }
        for (m, _) in self.listed() {
            say!("{} {}", m.at, line(m));
        }
    }

    fn listed(&self) -> Vec<&(Message, u16)> {
        let mut all: Vec<_> = self.seen.iter().flat_map(|s| &s.listed).collect();
        all.sort_by_key(|(m, _)| m.at);
        all.truncate(LISTED);
        all
    }

    fn as_json(&self) -> Value {
        let k = &self.kinds;
        let sources = self.seen.iter().map(|s| {
            let c = s.source.counters();
            json!({
                "interface": &**s.source.interface(),
                "thread": s.source.thread(),
                "note": s.source.note(),
                "trouble": s.source.trouble(),
                "links": s.links,
                "live": numbers(c.iter().chain(c.gauges())),
                "assembled": numbers(s.assemble.iter().chain(s.assemble.gauges())),
                "imbalance": s.assemble.imbalance(),
            })
        });
        let mut out = json!({
            "seconds": self.took.as_secs_f64(),
            "sources": sources.collect::<Vec<_>>(),
            "messages": {
                "total": k.total(),
                "invites": k.invites,
                "signed_invites": k.signed_invites,
                "other_requests": k.other_requests,
                "responses": k.responses,
                "unreadable": k.unreadable,
                "cut": k.cut,
            },
        });
        let listed = self.listed().into_iter().map(|(m, thread)| {
            let scanned = sip::Message::scan(&m.bytes).ok();
            let all = |name| {
                let values = scanned.iter().flat_map(|s| s.headers.all(name));
                values.map(escape).collect::<Vec<_>>()
            };
            json!({
                "at_ns": m.at.nanos(),
                "sensor": m.sensor,
                "thread": thread,
                "source": m.flow.source.to_string(),
                "destination": m.flow.destination.to_string(),
                "transport": m.flow.transport.label(),
                "vlans": m.flow.vlans.as_slice(),
                "octets": m.bytes.len(),
                "cut": m.cut,
                "first_line": first_line(m),
                "call_id": all(HeaderName::CallId).first(),
                "identity": all(HeaderName::Identity),
            })
        });
        let listed: Vec<_> = listed.collect();
        if let Some(object) = out.as_object_mut().filter(|_| !listed.is_empty()) {
            object.insert("list".to_owned(), Value::Array(listed));
        }
        out
    }
}

fn numbers(all: impl Iterator<Item = (&'static str, u64)>) -> Value {
    let pairs = all.map(|(name, n)| (name.to_owned(), n.into()));
    Value::Object(pairs.collect::<Map<_, _>>())
}

fn first_line(m: &Message) -> String {
    let line = m.bytes.split(|b| matches!(b, b'\r' | b'\n')).next();
    escape(line.unwrap_or_default())
}

fn line(m: &Message) -> String {
    format!(
        "{} → {} {} {}",
        m.flow.source,
        m.flow.destination,
        m.flow.transport.label(),
        first_line(m)
    )
}
