//! Events go to providers that are pushed to, signed with the portal's key (Standard Webhooks, `v1a`).
//!
//! ```text
//! docket: due ─► lease ─► one try of one provider at a time ─► taken, again, refused ─► docket
//! ```
//!
//! Each provider's events go out one after the other. [`TRIES`] tries run at once, of which [`LAME`] at most are to providers whose last one failed: those who
//! are slow or dead wait for each other, and never hold up the rest. A failure is tried again after 1 s, then twice as long each time up to 15 min, by full
//! jitter. A reply is read up to 64 KiB and thrown away. What is refused for good (400, 410, 413, 415, 422) is given up: the provider finds it by pull. Any other refusal is tried again,
//! because a provider refuses everything alike while our key is not in its file.
//!
//! Refused as an address: anything inside, unless the operator allows it (a name in the directory may be led anywhere by who owns it); plain HTTP beyond this host.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::Method;
use hyper::header::{HeaderName, HeaderValue};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::docket::Docket;
use super::docket::wire::{Due, Pushed};
use super::settings::PushSettings;
use crate::base::Timestamp;
use crate::host::trouble::Trouble;
use crate::web::client::{Ask, BaseUrl, Client, ClientError, ClientSettings};

/// Tries at once.
const TRIES: usize = 16;
/// Of these to providers whose last try failed.
const LAME: usize = 4;
/// For one try, connecting included: a provider makes a question durable in milliseconds.
const TRY: Duration = Duration::from_secs(10);
/// Octets of a reply that are read.
const REPLY: usize = 64 * 1024;
/// First and longest wait after a failure.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(900);
/// How often it is looked where nothing told us to: another process may have written.
const LOOK: Duration = Duration::from_secs(1);
/// Statuses that say that this event will never be taken.
const FOR_GOOD: [u16; 5] = [400, 410, 413, 415, 422];

macro_rules! counters {
    ($($name:ident $what:literal;)*) => {
        /// What became of pushes.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct PushCounters { $( #[doc = $what] pub $name: u64, )* }

        impl PushCounters {
            /// Every counter by its stable name.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$( (stringify!($name), self.$name) ),*].into_iter()
            }
        }

        /// Counted here.
        #[derive(Debug, Default)]
        pub(crate) struct Counters { $( $name: AtomicU64, )* }

        impl Counters {
            pub fn read(&self) -> PushCounters {
                PushCounters { $( $name: self.$name.load(Ordering::Relaxed), )* }
            }
        }
    };
}

counters! {
    taken "events that a provider took";
    again "tries that failed and come again";
    refused "events that a provider refused for good, and that are left for pull";
    unreadable "addresses in the directory that are not pushed to: inside, or without TLS";
}

/// One try that has ended.
struct Tried {
    due: Due,
    outcome: Outcome,
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Taken,
    Again(String, Option<Duration>),
    Refused(String),
    Forbidden(&'static str),
}

/// Pushes until it is told to stop; what is under way then is tried again by the next start.
pub(crate) async fn run(
    docket: Arc<Docket>,
    counters: Arc<Counters>,
    now: fn() -> Timestamp,
    mut stopped: watch::Receiver<bool>,
) {
    let mut changes = docket.changes();
    let mut under_way: JoinSet<Tried> = JoinSet::new();
    let mut busy: HashMap<Arc<str>, bool> = HashMap::new();
    let mut lame: HashSet<Arc<str>> = HashSet::new();
    let mut trouble = Trouble::new("pushing events");
    loop {
        // Those who are well first; with room left also some of the others.
        let mut started = 0;
        for lame_too in [false, true] {
            let lame_now = busy.values().filter(|lame| **lame).count();
            let mut left_alone: Vec<Arc<str>> = busy.keys().cloned().collect();
            let mut room = TRIES.saturating_sub(busy.len());
            match lame_too {
                true => room = room.min(LAME.saturating_sub(lame_now)),
                false => left_alone.extend(lame.iter().cloned()),
            }
            let due = take(&docket, left_alone, room, now()).await;
            trouble.handle(&due);
            for one in due.unwrap_or_default() {
                let is_lame = lame.contains(&one.provider);
                busy.insert(one.provider.clone(), is_lame);
                started += 1;
                let (docket, now) = (docket.clone(), now());
                under_way.spawn(async move {
                    let settings = docket.settings().push.clone();
                    let outcome = one_try(&docket, &settings, &one, now).await;
                    Tried { due: one, outcome }
                });
            }
        }
        // There may be more behind what was just taken.
        let wait = if started > 0 && busy.len() < TRIES {
            Duration::from_millis(1)
        } else {
            LOOK
        };
        tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => return,
            Some(done) = under_way.join_next() => {
                let Ok(tried) = done else {
                    // A panic of ours: its lease runs out, and nobody may be busy for ever.
                    busy.clear();
                    continue;
                };
                busy.remove(&tried.due.provider);
                match tried.outcome {
                    Outcome::Again(..) => lame.insert(tried.due.provider.clone()),
                    _ => lame.remove(&tried.due.provider),
                };
                let noted = note(&docket, &counters, tried, now()).await;
                trouble.handle(&noted);
            }
            _ = changes.recv() => {
                // However many came: one look serves all.
                while changes.try_recv().is_ok() {}
            }
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn take(
    docket: &Arc<Docket>,
    busy: Vec<Arc<str>>,
    most: usize,
    now: Timestamp,
) -> Result<Vec<Due>, String> {
    let docket = docket.clone();
    let due = tokio::task::spawn_blocking(move || docket.due_pushes(&busy, most, now)).await;
    due.map_err(|e| e.to_string())?.map_err(|e| e.to_string())
}

async fn note(
    docket: &Arc<Docket>,
    counters: &Counters,
    tried: Tried,
    now: Timestamp,
) -> Result<(), String> {
    let Tried { due, outcome } = tried;
    let count = |counter: &AtomicU64| {
        counter.fetch_add(1, Ordering::Relaxed);
    };
    let pushed = match outcome {
        Outcome::Taken => {
            count(&counters.taken);
            Pushed::Taken
        }
        Outcome::Refused(why) => {
            count(&counters.refused);
            Pushed::Refused { why }
        }
        Outcome::Forbidden(why) => {
            count(&counters.unreadable);
            let at = now.plus(LONGEST);
            Pushed::Again {
                why: why.to_owned(),
                at,
            }
        }
        Outcome::Again(why, after) => {
            count(&counters.again);
            let wait = after.unwrap_or_default().max(backoff(due.tries));
            tracing::debug!(provider = %due.provider, event = due.seq, "a push failed: {why}");
            let at = now.plus(wait);
            Pushed::Again { why, at }
        }
    };
    let docket = docket.clone();
    let noted = tokio::task::spawn_blocking(move || docket.pushed(&[(due.seq, pushed)], now)).await;
    noted.map_err(|e| e.to_string())?.map_err(|e| e.to_string())
}

/// Full jitter (anything up to twice as much each time), so that those who failed together don't come again together; half a second at least.
fn backoff(tries: u32) -> Duration {
    let most = FIRST.saturating_mul(1u32.checked_shl(tries.min(20)).unwrap_or(u32::MAX));
    let most = most.min(LONGEST);
    let mut chance = [0u8; 4];
    // Without chance: the longest wait.
    let share = match SystemRandom::new().fill(&mut chance) {
        Ok(()) => f64::from(u32::from_le_bytes(chance)) / f64::from(u32::MAX),
        Err(_) => 1.0,
    };
    most.mul_f64(share).max(FIRST / 2)
}

async fn one_try(docket: &Docket, settings: &PushSettings, due: &Due, now: Timestamp) -> Outcome {
    let Some(url) = BaseUrl::parse(&due.url) else {
        return Outcome::Forbidden("push_url is no URL with https");
    };
    if !settings.inside && !url.is_tls() {
        return Outcome::Forbidden("push_url has no TLS");
    }
    let id = format!("portal-event-{}", due.seq);
    let Some(signature) = docket.signer().sign_webhook(&id, now.secs(), &due.body) else {
        return Outcome::Forbidden("the portal's key is not of Ed25519: nothing can be pushed");
    };
    let header = |name: &'static str, value: &str| {
        Some((
            HeaderName::from_static(name),
            HeaderValue::from_str(value).ok()?,
        ))
    };
    let headers = [
        header("webhook-id", &id),
        header("webhook-timestamp", &now.secs().to_string()),
        header("webhook-signature", &signature),
    ];
    let mut ask = Ask::new(Method::POST, "", due.body.clone());
    ask.headers.extend(headers.into_iter().flatten());
    let client = Client::new(ClientSettings {
        url,
        secret: None,
        roots: settings.roots.clone(),
        identity: None,
        timeout: TRY,
        most: REPLY,
        inside: settings.inside,
    });
    let mut client = match client {
        Ok(client) => client,
        Err(e) => return Outcome::Again(e.to_string(), None),
    };
    match timeout(TRY, client.send(&ask)).await {
        Err(_) => Outcome::Again(ClientError::Slow(TRY).to_string(), None),
        // It has answered more than we read: what it thinks of the event stays unknown.
        Ok(Err(e)) => Outcome::Again(e.to_string(), None),
        Ok(Ok(answer)) => {
            let status = answer.status;
            match status.as_u16() {
                200..300 => Outcome::Taken,
                s if FOR_GOOD.contains(&s) => Outcome::Refused(format!("it answers {status}")),
                _ => Outcome::Again(format!("it answers {status}"), answer.retry_after()),
            }
        }
    }
}
