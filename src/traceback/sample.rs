//! Calls for tests: everything at one instant of November 2026, between five neighbours.

use std::sync::Arc;
use std::time::Duration;

use crate::base::Timestamp;
use crate::base::digest::IdDigest;
use crate::call::classify::Flags;
use crate::call::peer::{Peer, PeerKind, PeerRule, PeerTable};
use crate::call::record::{
    Begin, Clock, ClockSource, Coverage, Direction, End, Ids, Numbers, State, StoredCall, Verdict,
};
use crate::number::Tn;
use crate::traceback::request::{HopRequest, Priority, ProviderIds, RequestIds, TracedCall};
use crate::wire::{Provenance, Transport};

/// The instant that requests name: 2026-11-24T09:30:07Z.
pub(crate) const T0: Timestamp = Timestamp::from_secs(1_795_512_607);

#[allow(non_snake_case)]
pub(crate) fn C() -> Tn {
    Tn::from_canonical(b"12025550123").unwrap()
}

#[allow(non_snake_case)]
pub(crate) fn A() -> Tn {
    Tn::from_canonical(b"13035550147").unwrap()
}

/// A call under construction.
#[derive(Clone)]
pub(crate) struct Sample {
    pub uid: u64,
    pub upstream: Option<Arc<str>>,
    pub downstream: Arc<str>,
    pub at: Timestamp,
    pub numbers: Numbers,
    pub ingress: End,
    pub egress: Option<End>,
}

/// A call from A to C that `downstream` answered, `offset` seconds after [`T0`].
pub(crate) fn call(uid: u64, upstream: &str, downstream: &str, offset: i64) -> Sample {
    let at = Timestamp::from_secs(T0.secs() + offset);
    let end = answered(12);
    Sample {
        uid,
        upstream: Some(upstream.into()),
        downstream: downstream.into(),
        at,
        numbers: Numbers {
            called: Some(C()),
            from: Some(A()),
            ..Numbers::default()
        },
        ingress: end.clone(),
        egress: Some(end),
    }
}

fn answered(seconds: u32) -> End {
    End {
        uid: 0,
        begun_at: T0,
        called: None,
        state: State::Answered,
        code: 200,
        cause: None,
        stir_cause: None,
        disagrees: false,
        ringing_ms: Some(900),
        final_ms: Some(4_000),
        duration_ms: Some(seconds * 1000),
        released_by: None,
        retransmissions: 0,
        forks: 0,
        one_way: false,
        auth_retries: 0,
    }
}

fn failed(code: u16) -> End {
    End {
        state: State::Failed,
        code,
        ringing_ms: None,
        final_ms: Some(300),
        duration_ms: None,
        ..answered(0)
    }
}

impl Sample {
    pub fn never_passed(mut self) -> Self {
        self.ingress = failed(503);
        self.egress = None;
        self
    }

    pub fn refused(mut self) -> Self {
        self.ingress = failed(503);
        self.egress = Some(failed(503));
        self
    }

    pub fn from(mut self, number: &str) -> Self {
        self.numbers.from = Tn::from_canonical(number.as_bytes());
        self
    }

    pub fn records(&self) -> Vec<StoredCall> {
        let leg = |uid: u64, direction, peer: Option<Arc<str>>, after, end: &End| {
            let at = self.at.plus(Duration::from_millis(after));
            let (own, other) = ("192.0.2.1:5060", address(peer.as_deref()));
            let (source, destination) = match direction {
                Direction::Egress => (own, other),
                _ => (other, own),
            };
            StoredCall {
                begin: Begin {
                    uid,
                    at,
                    clock: Clock {
                        source: ClockSource::Synchronised,
                        error_ns: 50_000_000,
                    },
                    sensor: "edge1".into(),
                    provenance: Provenance::File,
                    config: 1,
                    direction,
                    peer_rule: peer.clone(),
                    attribution: Default::default(),
                    pair: None,
                    peer,
                    transport: Transport::Udp,
                    source: source.parse().unwrap(),
                    destination: destination.parse().unwrap(),
                    vlan: None,
                    trunk: None,
                    numbers: self.numbers,
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
                },
                end: Some(End {
                    uid,
                    begun_at: at,
                    called: self.numbers.called,
                    ..end.clone()
                }),
            }
        };
        let mut records = vec![leg(
            self.uid,
            Direction::Ingress,
            self.upstream.clone(),
            0,
            &self.ingress,
        )];
        if let Some(end) = &self.egress {
            let peer = Some(self.downstream.clone());
            records.push(leg(self.uid + 1, Direction::Egress, peer, 20, end));
        }
        records
    }
}

/// A further egress leg of a call, answered, `after` seconds in; its ingress leg is then answered too.
pub(crate) fn advance(records: &mut Vec<StoredCall>, uid: u64, to: &str, after: u64) {
    let mut leg = records.last().unwrap().clone();
    leg.begin.uid = uid;
    leg.begin.ids.call_id = records[0].begin.ids.call_id;
    leg.begin.at = records[0].begin.at.plus(Duration::from_secs(after));
    leg.begin.peer = Some(to.into());
    leg.begin.destination = address(Some(to)).parse().unwrap();
    leg.end = Some(answered(5));
    records[0].end = Some(End {
        final_ms: u32::try_from(1000 * after + 4000).ok(),
        ..answered(5)
    });
    records.push(leg);
}

fn address(peer: Option<&str>) -> &'static str {
    match peer {
        Some("north") => "198.51.100.1:5060",
        Some("south") => "198.51.100.17:5060",
        Some("abroad") => "198.51.100.33:5060",
        Some("shop") => "198.51.100.49:5060",
        Some("east") => "203.0.113.1:5060",
        Some("west") => "203.0.113.17:5060",
        _ => "203.0.113.99:5060",
    }
}

pub(crate) fn peers() -> PeerTable {
    let peer = |id: &str, kind, portal: &str| Peer {
        name: format!("{id} Voice LLC").into(),
        country: if kind == PeerKind::Foreign {
            "CA"
        } else {
            "US"
        }
        .into(),
        portal_id: Some(portal.into()),
        rmd: Some("RMD0001234".into()),
        contact: Some("traceback@example.net".into()),
        ..Peer::new(id, kind)
    };
    let peers = vec![
        peer("north", PeerKind::Provider, "NO-01"),
        peer("south", PeerKind::Provider, "SO-01"),
        peer("abroad", PeerKind::Foreign, "AB-01"),
        peer("shop", PeerKind::Customer, "SH-01"),
        peer("east", PeerKind::Provider, "EA-01"),
        peer("west", PeerKind::Provider, "WE-01"),
        peer("us", PeerKind::Own, "EV-01"),
    ];
    let rules = peers
        .iter()
        .enumerate()
        .map(|(i, p)| {
            let ip = address(Some(&p.id)).rsplit_once(':').unwrap().0;
            PeerRule {
                networks: vec![format!("{ip}/32").parse().unwrap()],
                ..PeerRule::new(&p.id, i)
            }
        })
        .collect();
    PeerTable::new(peers, rules, 1)
}

/// Coverage without a hole from 13 hours before [`T0`] to 13 hours after, 20,000 calls a day.
pub(crate) fn coverage() -> Vec<Coverage> {
    let first = T0.minute().secs() - 13 * 3600;
    (0..26 * 60)
        .map(|i| Coverage {
            sensor: "edge1".into(),
            from: Timestamp::from_secs(first + i * 60),
            until: Timestamp::from_secs(first + (i + 1) * 60),
            packets: 400,
            messages: 200,
            ..Coverage::default()
        })
        .collect()
}

/// The call that requests ask about: A to C at [`T0`], to the second.
pub(crate) fn traced() -> TracedCall {
    TracedCall {
        called: C(),
        calling: Some(A()),
        at: T0,
        precision_s: 1.0,
        answered: None,
        duration_s: None,
        ids: RequestIds::default(),
    }
}

/// A request about it, with `east` as the downstream.
pub(crate) fn request() -> HopRequest {
    HopRequest {
        id: "HR-1".into(),
        case_id: "C-1".into(),
        hop_no: None,
        issued_at: None,
        previous_hop_digest: None,
        due_at: None,
        priority: Priority::Routine,
        downstream: Some(ProviderIds {
            provider_ids: vec!["EA-01".into()],
            ..ProviderIds::default()
        }),
        call: traced(),
        sha256: "0".repeat(64).into(),
    }
}
