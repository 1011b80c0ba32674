//! What became of requests: by route and status, both of a fixed set.

use std::sync::atomic::{AtomicU64, Ordering};

use super::routes::ROUTES;
use crate::portal::docket::Received;
use crate::web::WebCounters;

/// Statuses that are told apart; any other is the last.
const STATUSES: [u16; 15] = [
    200, 201, 204, 400, 401, 404, 405, 408, 409, 410, 413, 422, 429, 503, 0,
];
/// Words for what became of answers.
const ANSWERS: [&str; 5] = ["new", "known", "rejected", "conflict", "withdrawn"];
/// What the API did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiCounters {
    /// Connections.
    pub web: WebCounters,
    /// Replies by route and status; what never happened is left out. Route `none` is any other path or method.
    pub replies: Vec<(&'static str, String, u64)>,
    /// Answers by what became of them.
    pub answers: Vec<(&'static str, u64)>,
}

/// Counted here.
#[derive(Debug)]
pub(crate) struct Counters {
    /// Routes of ours and, in the end, what is none.
    replies: Vec<[AtomicU64; STATUSES.len()]>,
    answers: [AtomicU64; ANSWERS.len()],
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            replies: (0..=ROUTES.len())
                .map(|_| std::array::from_fn(|_| AtomicU64::new(0)))
                .collect(),
            answers: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

fn more(counter: Option<&AtomicU64>) {
    if let Some(counter) = counter {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Counters {
    /// Counts a reply.
    pub fn reply(&self, route: Option<usize>, status: u16) {
        let place = route.unwrap_or(ROUTES.len());
        let column = STATUSES.iter().position(|s| *s == status);
        let column = column.unwrap_or(STATUSES.len() - 1);
        more(self.replies.get(place).and_then(|row| row.get(column)));
    }

    /// Counts an answer.
    pub fn answer(&self, received: &Received) {
        let place = match received {
            Received::New => 0,
            Received::Known => 1,
            Received::Rejected(_) => 2,
            Received::Conflict(_) => 3,
            Received::Withdrawn => 4,
        };
        more(self.answers.get(place));
    }

    /// All of them.
    pub fn read(&self, web: WebCounters) -> ApiCounters {
        let mut replies = Vec::new();
        for (place, row) in self.replies.iter().enumerate() {
            let route = ROUTES.get(place).map_or("none", |r| r.path);
            for (status, n) in STATUSES.iter().zip(row) {
                let n = n.load(Ordering::Relaxed);
                if n > 0 {
                    let status = match status {
                        0 => "other".to_owned(),
                        s => s.to_string(),
                    };
                    replies.push((route, status, n));
                }
            }
        }
        let answers = ANSWERS.iter().zip(&self.answers);
        ApiCounters {
            web,
            replies,
            answers: answers
                .map(|(w, n)| (*w, n.load(Ordering::Relaxed)))
                .collect(),
        }
    }
}
