//! What we tell the one who started us, by the protocol of sd_notify(3). Without a supervisor nothing is sent.

use std::time::Duration;

use sd_notify::NotifyState;

/// All is open: calls are being watched.
pub fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The configuration is being read again.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => send(&[NotifyState::Reloading, now]),
        Err(_) => send(&[NotifyState::Reloading]),
    }
}

/// The end has come, and is orderly.
pub fn stopping() {
    send(&[NotifyState::Stopping]);
}

/// One line on how it goes.
pub fn status(line: &str) {
    send(&[NotifyState::Status(line)]);
}

/// We turn.
pub fn alive() {
    send(&[NotifyState::Watchdog]);
}

/// How often [`alive`] must be said, at the least; `None` where nobody waits for it.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

fn send(states: &[NotifyState<'_>]) {
    // Nobody listens, or the one who does is gone: neither is any reason to stop.
    let _ = sd_notify::notify(states);
}
