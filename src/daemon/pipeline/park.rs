//! The thread on which calls wait for certificates: [`Park`] between collect and the fetcher.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, select};

use super::{FetchLink, Live};
use crate::base::Timestamp;
use crate::engine::judge::Judge;
use crate::engine::park::{Answer, Park, Parked, Released, Why};

/// How often time passes here: a call waits that much longer than it may, at most.
const TICK: Duration = Duration::from_millis(100);

/// Runs until collect is gone.
pub(super) fn run(
    mut judge: Judge,
    link: &FetchLink,
    live: Option<&Live>,
    calls: &Receiver<Parked>,
    released: &Sender<Released>,
) {
    let mut park = Park::new(link.limits.wait);
    let began = Instant::now();
    // How long a call waits is counted by a clock that nobody sets.
    let now = || Timestamp::default().plus(began.elapsed());
    loop {
        select! {
            recv(calls) -> call => match call {
                Ok(call) => park.handle_call(call, now()),
                Err(_) => return,
            },
            recv(link.client.answers()) -> answer => match answer {
                Ok((url, answer)) => park.handle_answer(&url, answer),
                // The fetcher is gone, and nobody will answer: calls wait their time out.
                Err(_) => std::thread::sleep(TICK),
            },
            default(TICK) => {}
        }
        park.handle_timeout(now());
        if live.is_some_and(|l| l.hurry.load(Ordering::Relaxed)) {
            park.handle_timeout(Timestamp::MAX);
        }
        while let Some(want) = park.poll_ask() {
            let url: Box<str> = want.url().into();
            if !link.client.ask(want) {
                park.handle_answer(&url, Answer::Nothing(Why::QueueFull));
            }
        }
        // After the answer: what it speaks of was published before it.
        judge.handle_credentials(link.client.credentials());
        if let Some(live) = live {
            judge.handle_settings(live.verify.load_full());
        }
        while let Some(call) = park.poll_released(&mut judge) {
            if released.send(call).is_err() {
                return;
            }
        }
    }
}
