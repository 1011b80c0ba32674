//! Look-ups: what the desk has received is looked up, matched and filed. Each on a thread that may block, a few at once.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::Shared;
use crate::base::text::Masked;
use crate::responder::desk::{DeskError, Waiting};
use crate::responder::{self, Answered};
use crate::store::StoreError;
use crate::store::embedded::StoreReader;
use crate::store::engine;
use crate::traceback::request::HopRequest;

/// Look-ups at once. They share the disk with the daemon, so few.
const AT_ONCE: usize = 4;

/// How often the desk is asked unbidden: a request may have come through another process.
const TICK: Duration = Duration::from_secs(1);

/// How long after the store, or the desk, could not be read.
const PAUSE: Duration = Duration::from_millis(250);

/// How often a look-up is tried while the store is being opened anew: it takes seconds. After that the desk gives the request out again by itself.
const TRIES: u32 = 8;

/// Looks requests up until it is told to stop; those under way are finished.
pub(super) async fn work(shared: Shared, mut stopped: watch::Receiver<bool>) {
    let mut trouble = crate::host::trouble::Trouble::new("taking requests from the desk");
    while !*stopped.borrow() {
        // Nothing is taken up that could not be looked up.
        let Some(reader) = shared.reader.load_full() else {
            pause(&mut stopped, PAUSE).await;
            continue;
        };
        let waiting = shared
            .at_desk(|desk, now| desk.received(AT_ONCE, now))
            .await;
        trouble.handle(&waiting.as_ref().map(|_| ()).map_err(ToString::to_string));
        let Ok(waiting) = waiting else {
            pause(&mut stopped, PAUSE).await;
            continue;
        };
        if waiting.is_empty() {
            tokio::select! {
                () = shared.bell.work.notified() => {}
                () = sleep(TICK) => {}
                _ = stopped.wait_for(|stop| *stop) => {}
            }
            continue;
        }
        let mut under_way = JoinSet::new();
        for one in waiting {
            let (shared, reader) = (shared.clone(), reader.as_ref().clone());
            under_way.spawn_blocking(move || look(&shared, reader, &one));
        }
        while under_way.join_next().await.is_some() {}
        shared.bell.ring_out();
    }
}

async fn pause(stopped: &mut watch::Receiver<bool>, span: Duration) {
    tokio::select! {
        () = sleep(span) => {}
        _ = stopped.wait_for(|stop| *stop) => {}
    }
}

/// One look-up. A defect costs this one, which goes to a person; what the store could not do is tried again, and the deadline has its alarms.
fn look(shared: &Shared, mut reader: StoreReader, one: &Waiting) {
    let key = &one.key;
    for tries in 0.. {
        let answered = catch_unwind(AssertUnwindSafe(|| answer(shared, &reader, one)));
        match answered {
            Ok(Ok(answered)) => {
                let now = (shared.now)();
                match shared.desk.matched(key, &answered, now) {
                    Ok(_) => return,
                    Err(e) if tries >= TRIES => return file_failed(shared, one, &e),
                    Err(e) => {
                        tracing::debug!(request = %Masked(key), "not filed, tried again: {e}");
                        std::thread::sleep(PAUSE);
                    }
                }
            }
            Ok(Err(e)) if tries < TRIES => {
                tracing::debug!(request = %Masked(key), "not looked up, tried again: {e}");
                std::thread::sleep(PAUSE);
                if let Some(now) = shared.reader.load_full() {
                    reader = now.as_ref().clone();
                }
            }
            Ok(Err(e)) => {
                shared.view.count_failed_lookup();
                tracing::error!(request = %Masked(key), "could not be looked up, and comes again later: {e}");
                return;
            }
            Err(_) => {
                shared.view.count_panic();
                tracing::error!(request = %Masked(key), "a defect in its look-up; a person must answer it. Please report this with the log");
                return for_a_person(shared, one);
            }
        }
    }
}

/// It would break again: a person gets it, and starts from an answer that says nothing.
fn for_a_person(shared: &Shared, one: &Waiting) {
    let world = shared.world.load_full();
    let read = || HopRequest::parse(&one.octets, &world.plan).ok();
    // One that breaks already when it is read stays where it is, with its alarms.
    let Ok(Some(request)) = catch_unwind(AssertUnwindSafe(read)) else {
        return;
    };
    let settings = world.traceback_for(&one.key.portal);
    let why = "the look-up broke by a defect of tracehop";
    let answered = responder::unanswered(&request, why, &settings, world.peers.version);
    if let Err(e) = shared.desk.matched(&one.key, &answered, (shared.now)()) {
        file_failed(shared, one, &e);
    }
}

fn file_failed(shared: &Shared, one: &Waiting, why: &DeskError) {
    shared.view.count_failed_lookup();
    tracing::error!(request = %Masked(&one.key), "its answer could not be filed, and it comes again later: {why}");
}

fn answer(shared: &Shared, reader: &StoreReader, one: &Waiting) -> Result<Answered, StoreError> {
    let world = shared.world.load_full();
    let settings = world.traceback_for(&one.key.portal);
    let request = match HopRequest::parse(&one.octets, &world.plan) {
        Ok(request) => request,
        Err(refused) => {
            let version = world.peers.version;
            return Ok(responder::insufficient(&refused, &settings, version));
        }
    };
    let begun = Instant::now();
    let store = engine::ask(shared.engine.as_ref(), reader)?;
    let answered = responder::answer(&request, &*store, &world.peers, &settings, (shared.now)());
    shared.view.looked_up(begun.elapsed());
    answered
}
