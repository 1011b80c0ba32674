//! Calls that are made while one watches: each carrier's switch mirrors its messages to the carrier's daemon, in HEP over a connection of loopback.
//!
//! They are recorded as they pass, and no case is opened about them: a daemon is sure of a call when it has looked for two minutes before and after it
//! ([`crate::traceback::window::MAIN_S`]), and only where something keeps this host's clock in step. Whoever wants to may hand one in, in the console.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::stage::Doors;
use crate::base::Timestamp;
use crate::host::clock;
use crate::lab::carriers::plan::{Call, ROUTES};
use crate::lab::carriers::sip::{self, Passing};
use crate::lab::pki::Signer;
use crate::wire::hep::{self, HepPacket, Payload};

/// Between two calls.
const BETWEEN: Duration = Duration::from_secs(3);
/// Lines of each route that are called live: those before are in the captures.
const LINES: std::ops::Range<usize> = 3..10;
/// The number by which a switch names itself in HEP.
pub const AGENT: u32 = 2001;
/// IP protocol of UDP.
const UDP: u8 = 17;

/// The calls under way.
pub struct Live {
    stop: Arc<AtomicBool>,
    placed: Arc<AtomicUsize>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Live {
    /// Connects to all daemons and begins to call.
    pub fn start(doors: &[Doors], signers: Vec<Signer>) -> io::Result<Self> {
        let streams = doors
            .iter()
            .map(|d| TcpStream::connect((Ipv4Addr::LOCALHOST, d.mirror)));
        let streams = streams.collect::<io::Result<Vec<_>>>()?;
        let (stop, placed) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let thread = thread::Builder::new().name("live calls".into()).spawn({
            let (stop, placed) = (stop.clone(), placed.clone());
            move || call(streams, &signers, &stop, &placed)
        })?;
        Ok(Self {
            stop,
            placed,
            thread: Some(thread),
        })
    }

    /// Calls so far.
    pub fn placed(&self) -> usize {
        self.placed.load(Ordering::Relaxed)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // A daemon that has gone away is said elsewhere.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// What is to be sent, by its time and in order of writing.
type Queue = BinaryHeap<Reverse<(i64, u64, usize, Vec<u8>)>>;

fn call(
    mut streams: Vec<TcpStream>,
    signers: &[Signer],
    stop: &AtomicBool,
    placed: &AtomicUsize,
) -> io::Result<()> {
    let mut queue = Queue::new();
    let (mut count, mut number) = (0u64, 0usize);
    let mut next = clock::now();
    while !stop.load(Ordering::Relaxed) {
        let now = clock::now();
        if now >= next {
            next = now.plus(BETWEEN);
            let (place, line) = (number % ROUTES.len(), number / ROUTES.len());
            let line = LINES.start + line % LINES.len();
            number += 1;
            if let Some(call) = Call::new(place, line, now.nanos()) {
                for (carrier, passing) in sip::messages(&call, signers) {
                    count += 1;
                    queue.push(Reverse((passing.at, count, carrier, mirrored(&passing))));
                }
                placed.fetch_add(1, Ordering::Relaxed);
            }
        }
        while let Some(due) = queue.peek().filter(|Reverse((at, ..))| *at <= now.nanos()) {
            let Reverse((_, _, carrier, octets)) = due;
            if let Some(stream) = streams.get_mut(*carrier) {
                stream.write_all(octets)?;
            }
            queue.pop();
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn mirrored(passing: &Passing) -> Vec<u8> {
    let packet = HepPacket {
        version: 3,
        between: Some((passing.source, passing.destination)),
        protocol: Some(UDP),
        kind: hep::SIP,
        at: Some(Timestamp::from_nanos(passing.at)),
        agent: Some(AGENT),
        key: None,
        vlan: None,
        payload: Some(Payload::Plain(&passing.bytes)),
    };
    // Nothing of it is longer than the format can say.
    hep::write::v3(&packet).unwrap_or_default()
}
