//! What the daemon shows over HTTP: what its threads have published, and whether that is in order.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::intake::IntakeCounters;
use super::keeper::StoreHealth;
use super::metrics;
use super::pipeline::Board;
use super::source::Reading;
use crate::web::{Check, Status};

/// What the daemon's threads show.
#[derive(Clone)]
pub struct Views {
    /// The stages.
    pub board: Arc<Board>,
    /// Intake.
    pub intake: Arc<ArcSwap<IntakeCounters>>,
    /// Reading threads.
    pub readings: Vec<Arc<ArcSwap<Reading>>>,
    /// The store.
    pub store: Arc<ArcSwap<StoreHealth>>,
}

impl Status for Views {
    fn metrics(&self) -> String {
        metrics::render(&self.board.report())
    }

    fn health(&self) -> Vec<Check> {
        let (intake, collect) = self.board.beats();
        vec![
            Check::good("intake", format!("turned {intake} times")),
            Check::good("collect", format!("turned {collect} times")),
        ]
    }

    fn readiness(&self) -> Vec<Check> {
        let mut checks = Vec::new();
        for reading in &self.readings {
            let reading = reading.load();
            let name = format!("capture {}", reading.interface);
            checks.push(match &reading.trouble {
                Some(why) => Check::bad(name, why.clone()),
                None => Check::good(name, "read"),
            });
        }
        let store = self.store.load();
        checks.push(match &store.trouble {
            Some(why) => Check::bad("store", why.clone()),
            None => Check::good("store", "takes records"),
        });
        checks
    }
}
