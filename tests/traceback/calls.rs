//! The records of one call, as a provider in the middle has them.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use tracehop::base::Timestamp;
use tracehop::base::digest::IdDigest;
use tracehop::call::classify::Flags;
use tracehop::call::record::{
    Begin, Clock, ClockSource, Coverage, Direction, End, Ids, Numbers, State, Verdict,
};
use tracehop::config::Config;
use tracehop::number::Tn;
use tracehop::store::Store;
use tracehop::store::embedded::{EmbeddedStore, StoreSettings};
use tracehop::wire::{Provenance, Transport};

/// Who was called.
pub const CALLED: &str = "12025550123";
/// Who called.
pub const CALLING: &str = "13035550147";

/// A store that was looking for half a day on either side of the call, and holds its two legs.
pub fn fill(config: &Config, at: Timestamp) {
    fs::create_dir_all(&config.store.path).unwrap();
    let mut store = EmbeddedStore::open(&config.store.path, StoreSettings::default()).unwrap();
    let first = at.minute().secs() - 13 * 3_600;
    for i in 0..26 * 60 {
        let row = Coverage {
            sensor: "edge1".into(),
            from: Timestamp::from_secs(first + i * 60),
            until: Timestamp::from_secs(first + (i + 1) * 60),
            packets: 400,
            messages: 200,
            ..Coverage::default()
        };
        store.append_coverage(&row).unwrap();
    }
    for (uid, direction, peer, after) in [
        (1, Direction::Ingress, "up", 0),
        (2, Direction::Egress, "down", 20),
    ] {
        let begin = leg(
            uid,
            direction,
            peer,
            at.plus(Duration::from_millis(after)),
            config.version,
        );
        store.append_begin(&begin).unwrap();
        store.append_end(&end(&begin)).unwrap();
    }
    store.commit().unwrap();
    store.close().unwrap();
}

fn leg(uid: u64, direction: Direction, peer: &str, at: Timestamp, config: u32) -> Begin {
    let (own, other) = match direction {
        Direction::Egress => ("192.0.2.1:5060", "203.0.113.1:5060"),
        _ => ("192.0.2.1:5060", "198.51.100.1:5060"),
    };
    let (source, destination) = match direction {
        Direction::Egress => (own, other),
        _ => (other, own),
    };
    let peer: Arc<str> = peer.into();
    Begin {
        uid,
        at,
        clock: Clock {
            source: ClockSource::Synchronised,
            error_ns: 20_000_000,
        },
        sensor: "edge1".into(),
        provenance: Provenance::File,
        config,
        direction,
        peer_rule: Some(peer.clone()),
        attribution: Default::default(),
        pair: None,
        peer: Some(peer),
        transport: Transport::Udp,
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
        vlan: None,
        trunk: None,
        numbers: Numbers {
            called: Tn::from_canonical(CALLED.as_bytes()),
            from: Tn::from_canonical(CALLING.as_bytes()),
            ..Numbers::default()
        },
        called_text: None,
        ids: Ids {
            call_id: IdDigest(uid),
            session_id: None,
            icid: None,
            sdp_origin: None,
        },
        verdict: Verdict::default(),
        verstat: None,
        flags: Flags::default(),
        notes: Default::default(),
    }
}

fn end(begin: &Begin) -> End {
    End {
        uid: begin.uid,
        begun_at: begin.at,
        called: begin.numbers.called,
        state: State::Answered,
        code: 200,
        cause: None,
        stir_cause: None,
        disagrees: false,
        ringing_ms: Some(900),
        final_ms: Some(4_000),
        duration_ms: Some(12_000),
        released_by: None,
        retransmissions: 0,
        forks: 0,
        one_way: false,
        auth_retries: 0,
    }
}
