//! A portal of our own protocol with a vice, which may be well for a while.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::house::{PortalLines, token};
use crate::web::{Asked, Say, Server};

/// What a portal was brought: bodies by request and answer id.
pub type Brought = Mutex<BTreeMap<String, BTreeMap<String, BTreeSet<String>>>>;

/// A portal with a vice, which may be well for a while.
pub struct Portal {
    pub name: &'static str,
    pub server: Server,
    well: Arc<AtomicBool>,
    pub polls: Arc<AtomicUsize>,
    pub brought: Arc<Brought>,
}

impl Portal {
    /// `vice` sees how many times it was asked before.
    pub fn new(name: &'static str, vice: fn(&Asked, usize) -> Say) -> Self {
        let (well, polls) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let brought = Arc::<Brought>::default();
        let (w, p, b) = (well.clone(), polls.clone(), brought.clone());
        let server = Server::start(Arc::new(move |asked: &Asked| {
            let n = match &*asked.method {
                "GET" => p.fetch_add(1, Ordering::Relaxed),
                _ => 0,
            };
            if asked.authorization != Some(format!("Bearer {}", token(name))) {
                return Say::Reply(401, String::new());
            }
            match w.load(Ordering::Relaxed) {
                true => good(asked, &b),
                false => vice(asked, n),
            }
        }));
        Self {
            name,
            server,
            well,
            polls,
            brought,
        }
    }

    /// Whether it does as it should from now on.
    pub fn is_well(&self, well: bool) {
        self.well.store(well, Ordering::Relaxed);
    }

    pub fn lines(&self) -> PortalLines {
        PortalLines::asked(self.name, &self.server.url())
    }

    /// Answers to a request so far.
    pub fn answers(&self, id: &str) -> usize {
        self.brought
            .lock()
            .unwrap()
            .get(id)
            .map_or(0, BTreeMap::len)
    }

    pub fn wait_for(&self, id: &str, answers: usize, patience: Duration) -> Option<Duration> {
        let begun = Instant::now();
        while self.answers(id) < answers {
            if begun.elapsed() > patience {
                return None;
            }
            thread::sleep(Duration::from_millis(5));
        }
        Some(begun.elapsed())
    }

    /// Id of the only answer, or the last one of several.
    pub fn answer_ids(&self, id: &str) -> Vec<String> {
        let brought = self.brought.lock().unwrap();
        brought
            .get(id)
            .into_iter()
            .flat_map(|a| a.keys().cloned())
            .collect()
    }
}

/// What a portal that is well does; it has nothing to ask.
fn good(asked: &Asked, brought: &Brought) -> Say {
    let parts: Vec<&str> = asked.path.split('/').skip(2).collect();
    match (&*asked.method, &*parts) {
        ("GET", ["providers", _, list]) => {
            thread::sleep(Duration::from_millis(500));
            let list = if *list == "events" {
                "events"
            } else {
                "requests"
            };
            Say::Reply(200, format!("{{\"{list}\":[]}}"))
        }
        ("PUT", ["hop-requests", id, "answers", answer]) => {
            let mut brought = brought.lock().unwrap();
            let of = brought.entry((*id).to_owned()).or_default();
            let body = String::from_utf8(asked.body.clone()).unwrap();
            of.entry((*answer).to_owned()).or_default().insert(body);
            Say::Reply(200, String::new())
        }
        _ => Say::Reply(204, String::new()),
    }
}
