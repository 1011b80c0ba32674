//! Floor 5: the provider's side of a traceback. A hop request comes in, the store is asked, an answer goes out.
//!
//! ```text
//! push ─► api ───┐                                        ┌─► review ─► a person decides ─┐
//! pull, file,    ├─► desk: durable ─► look, match, answer ┴─► certain, and allowed ───────┴─► sign ─► outbox ─► outlet ─► portal
//! mail ─► inlet ─┘      └ audit: each step, in the same transaction (`proof::audit`)
//! ```
//!
//! - [`look`]: the look-ups, bounded; a window that is too full is named, never cut silently
//! - [`case`]: the words that the rooms below share
//! - [`settings`]: what the operator decides
//! - [`desk`]: requests under way, decisions, the outbox
//! - [`adapter`]: ways from and to portals
//! - [`report`]: campaigns that are reported unasked
//! - [`api`]: our side over HTTP, for portals and for people of this house
//! - [`service`]: all of it on a thread

pub mod adapter;
pub mod api;
pub mod case;
pub mod desk;
pub mod look;
pub mod report;
pub mod service;
pub mod settings;

#[cfg(test)]
mod disclosure;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use crate::base::Timestamp;
use crate::call::peer::PeerTable;
use crate::store::{Lookup, StoreError};
use crate::traceback::TracebackSettings;
use crate::traceback::answer::{HopAnswer, Resolution};
use crate::traceback::background::Background;
use crate::traceback::candidate::{self, Downstream};
use crate::traceback::explain::Explanation;
use crate::traceback::matching::{decide, decide_unseen};
use crate::traceback::request::{HopRequest, Insufficient, Problem};
use crate::traceback::window::{BACKGROUND, Window};

/// An answer, and how it came about.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// For the portal.
    pub answer: HopAnswer,
    /// For an engineer of this house only: it names every candidate.
    pub explanation: Explanation,
    /// Id of the neighbour that the answer names.
    pub peer: Option<Arc<str>>,
}

/// Answers a hop request out of the store. `now` is the wall clock's time; it decides what is out of retention and what lies
/// in the future, nothing else.
///
/// # Errors
///
/// Only what the store could not do. A request that can't be answered is an answer.
pub fn answer(
    request: &HopRequest,
    store: &dyn Lookup,
    peers: &PeerTable,
    settings: &TracebackSettings,
    now: Timestamp,
) -> Result<Answered, StoreError> {
    let call = &request.call;
    // The requester's clock may be ahead of ours by as much as the main window forgives.
    if Window::main(call.at, call.precision_s).from > now {
        let refused = Insufficient {
            id: Some(request.id.clone()),
            sha256: request.sha256.clone(),
            problems: vec![Problem {
                field: "call.time.value",
                wanted: format!("lies in the future (it is {now} now); perhaps its zone is wrong"),
            }],
        };
        let mut answered = insufficient(&refused, settings, peers.version);
        answered.answer.case_id = Some(request.case_id.clone());
        answered.answer.previous_hop_digest = request.previous_hop_digest.clone();
        return Ok(answered);
    }
    let horizon = horizon(call.at, store, settings, now)?;
    if let Some(resolution) = decide_unseen(request, peers, settings, horizon) {
        let note = match resolution {
            Resolution::OutOfRetention => format!("records are kept from {horizon} on"),
            _ => "no neighbour in peers.toml has an id that the request names".to_owned(),
        };
        return Ok(Answered {
            answer: HopAnswer::unseen(request, resolution, settings, peers.version),
            explanation: Explanation::unseen(resolution, note),
            peer: None,
        });
    }
    let seen = look::up(request, store)?;
    let downstream = Downstream::find(request.downstream.as_ref(), peers, &settings.own_ids);
    let attempts = candidate::collect(&seen.records, call);
    let background = Background::measure(request, &downstream, &attempts, &seen.counted);
    let mut decision = decide(
        request,
        &attempts,
        &background,
        &seen.coverage,
        peers,
        settings,
    );
    if candidate::is_internal(&seen.records, call, peers) {
        decision.stayed_inside();
    }
    Ok(Answered {
        answer: HopAnswer::from_decision(
            request,
            &decision,
            &seen.coverage,
            settings,
            peers.version,
        ),
        peer: decision.named().map(|p| p.id.clone()),
        explanation: Explanation::of(&decision, peers, seen.notes),
    })
}

/// Before this point nothing is kept: what retention has deleted, and what it would have by now. Where sensors are known to have looked
/// around the call, its day is kept all the same: a capture of long ago that was replayed.
fn horizon(
    at: Timestamp,
    store: &dyn Lookup,
    settings: &TracebackSettings,
    now: Timestamp,
) -> Result<Timestamp, StoreError> {
    let forgotten = store.forgotten_before().unwrap_or(Timestamp::MIN);
    let kept = Duration::from_secs(u64::from(settings.retention_days) * 86_400);
    let by_age = forgotten.max(now.minus(kept));
    if at >= by_age {
        return Ok(by_age);
    }
    let seen = store.coverage(at.minus(BACKGROUND), at.plus(BACKGROUND))?;
    let looked = seen.iter().any(|row| row.down.is_none());
    Ok(if looked { forgotten } else { by_age })
}

/// What a person starts from where the look-up itself broke: no answer, and why there is none.
pub fn unanswered(
    request: &HopRequest,
    why: &str,
    settings: &TracebackSettings,
    config: u32,
) -> Answered {
    Answered {
        answer: HopAnswer::pending(request, settings, config),
        explanation: Explanation::unseen(Resolution::Pending, why.to_owned()),
        peer: None,
    }
}

/// The question back to a request that could not be read or lacks something. `config` is the version of configuration and neighbours.
pub fn insufficient(refused: &Insufficient, settings: &TracebackSettings, config: u32) -> Answered {
    Answered {
        answer: HopAnswer::insufficient(refused, settings, config),
        explanation: Explanation::unseen(Resolution::InsufficientRequest, refused.to_string()),
        peer: None,
    }
}
