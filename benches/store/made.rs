//! The records that the store is measured with: calls of a mid-size provider, each out of its number alone, so that nothing has to be kept to ask about them.
//!
//! 600 calls a second with two legs each. Callers by a Zipf-Mandelbrot law over two million numbers, called numbers by chance; 24 neighbours; the egress leg is nearly always
//! paired; six of ten calls are signed, every call has an SDP, half an icid, a fifth a Session-ID; a tenth of the origids is unique to the call.
//! Second halves come when the call was answered and again when it ended.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tracehop::base::Timestamp;
use tracehop::base::digest::{Digest128, IdDigest};
use tracehop::call::classify::{Flag, Flags};
use tracehop::call::leg::{Pair, Pairing};
use tracehop::call::peer::PeerKey;
use tracehop::call::record::{
    Begin, Clock, ClockSource, Coverage, Direction, End, Ids, Numbers, State, Verdict,
};
use tracehop::number::Tn;
use tracehop::stir::verify::{Attestation, Rule, Validation};
use tracehop::wire::{Provenance, Transport};

/// 2026-11-01T00:00:00Z.
const START: i64 = 1_793_491_200;
/// A mid-size provider: 10^8 records are a day.
pub const RECORDS_PER_SECOND: u64 = 1_200;
/// Numbers that call.
const CALLERS: f64 = 2e6;
/// Flattens the head of the law: the busiest caller makes one of 2,600 calls, half of all calls come from 24,000 numbers.
const SHIFT: f64 = 300.0;
/// Calls longer than this end at it.
const LONGEST_S: usize = 4_000;

/// What a store is given.
pub enum Event {
    Begin(Box<Begin>),
    End(End),
    Coverage(Coverage),
}

/// Records from 1 to a last one, with their second halves and what was covered, in the order of time as good as.
pub struct Events {
    next: u64,
    last: u64,
    with_ends: bool,
    second: i64,
    /// Second halves to come, by the second.
    to_come: VecDeque<Vec<End>>,
    ready: VecDeque<Event>,
}

impl Events {
    pub fn new(last: u64, with_ends: bool) -> Self {
        Self {
            next: 1,
            last,
            with_ends,
            second: START,
            to_come: VecDeque::new(),
            ready: VecDeque::new(),
        }
    }

    fn later(&mut self, after_ms: u64, end: End) {
        let second = end.begun_at.secs() - self.second;
        let place = usize::try_from(second).unwrap_or(0) + (after_ms / 1_000) as usize;
        let place = place.min(LONGEST_S);
        if self.to_come.len() <= place {
            self.to_come.resize_with(place + 1, Vec::new);
        }
        self.to_come[place].push(end);
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        if let Some(event) = self.ready.pop_front() {
            return Some(event);
        }
        if self.next > self.last {
            let due = self.to_come.pop_front()?;
            self.ready.extend(due.into_iter().map(Event::End));
            return self.next();
        }
        let begin = begin(self.next);
        if begin.at.secs() > self.second {
            if begin.at.secs() % 60 == 0 {
                self.ready
                    .push_back(Event::Coverage(covered(begin.at.secs() - 60)));
            }
            while self.second < begin.at.secs() {
                self.second += 1;
                let due = self.to_come.pop_front().unwrap_or_default();
                self.ready.extend(due.into_iter().map(Event::End));
            }
        }
        self.next += 1;
        if self.with_ends {
            let end = end(&begin);
            let final_ms = u64::from(end.final_ms.unwrap_or(0));
            if let Some(duration) = end.duration_ms {
                let ringing = End {
                    duration_ms: None,
                    ..end
                };
                self.later(final_ms, ringing);
                self.later(final_ms + u64::from(duration), end);
            } else {
                self.later(final_ms, end);
            }
        }
        self.ready.push_back(Event::Begin(Box::new(begin)));
        self.next()
    }
}

/// What repeats, made once.
static NAMES: LazyLock<Names> = LazyLock::new(|| Names {
    sensor: "edge-1".into(),
    peers: (0..24).map(|p| format!("carrier-{p:02}").into()).collect(),
    rules: (0..48)
        .map(|r| format!("carrier-{:02}-sbc-{}", r / 2, r % 2).into())
        .collect(),
});

struct Names {
    sensor: Arc<str>,
    peers: Vec<Arc<str>>,
    rules: Vec<Arc<str>>,
}

/// The record with this uid: odd ones are ingress legs, the next one is the egress leg of the same call.
pub fn begin(uid: u64) -> Begin {
    let egress = uid.is_multiple_of(2);
    let call = (uid - 1) / 2;
    // What both legs share.
    let mut c = Random::of(call);
    let nanos = call * 2_000_000_000 / RECORDS_PER_SECOND + c.below(30_000);
    let begun = Timestamp::from_secs(START).plus(Duration::from_nanos(nanos));
    let called = number(c.below(9_999_999_999));
    let caller = number(c.caller().wrapping_mul(7_368_787_661) % 9_000_000_000);
    let asserted = c.percent(60).then_some(caller);
    let diverted_from = c.percent(2).then(|| number(c.below(9_999_999_999)));
    let signed = c.percent(60);
    let (call_id, sdp, icid, session) = (c.next(), c.next(), c.next(), c.next());
    let (has_icid, has_session) = (c.percent(50), c.percent(20));
    let after = Duration::from_micros(500 + c.below(20_000));
    let mut verdict = Verdict::default();
    let mut flags = Flags::default();
    if signed {
        sign(&mut verdict, &mut flags, call, caller, begun, &mut c);
    } else {
        flags.insert(Flag::Unsigned);
    }
    // What the leg has of its own.
    let mut r = Random::of(uid | 1 << 63);
    let peer = (r.unit() * r.unit() * 24.0) as u64;
    let other = format_address(198, 51, 100, peer * 4 + r.below(4));
    let own = format_address(192, 0, 2, r.below(4));
    let trunk = r.percent(30).then(|| format!("TG-{}", peer * 7).into());
    let mut attribution = tracehop::call::peer::Attribution {
        keys: [PeerKey::Vlan, PeerKey::Networks].into_iter().collect(),
        ..Default::default()
    };
    if trunk.is_some() {
        attribution.keys.insert(PeerKey::TrunkGroup);
        attribution.shared = true;
    }
    let how = match c.percent(60) {
        true => Pairing::CallId,
        false => Pairing::Icid,
    };
    let pair = (egress && r.percent(97)).then_some(Pair {
        uid: uid - 1,
        at: begun,
        how,
    });
    let same = how == Pairing::CallId || !egress;
    Begin {
        uid,
        at: if egress { begun.plus(after) } else { begun },
        clock: Clock {
            source: ClockSource::Synchronised,
            error_ns: 1_000,
        },
        sensor: NAMES.sensor.clone(),
        provenance: Provenance::Wire,
        config: 7,
        direction: match egress {
            true => Direction::Egress,
            false => Direction::Ingress,
        },
        peer: NAMES.peers.get(peer as usize).cloned(),
        peer_rule: NAMES.rules.get((peer * 2 + r.below(2)) as usize).cloned(),
        attribution,
        pair,
        transport: Transport::Udp,
        source: if egress { own } else { other },
        destination: if egress { other } else { own },
        vlan: u16::try_from(100 + peer).ok(),
        trunk,
        numbers: Numbers {
            called: Some(called),
            from: Some(caller),
            asserted,
            diverted_from,
            ..Numbers::default()
        },
        called_text: None,
        ids: Ids {
            call_id: IdDigest(if same { call_id } else { r.next() }),
            session_id: has_session.then_some(IdDigest(session)),
            icid: has_icid.then_some(IdDigest(icid)),
            sdp_origin: Some(IdDigest(if egress { r.next() } else { sdp })),
        },
        verdict,
        verstat: None,
        flags,
        notes: Default::default(),
    }
}

fn sign(
    v: &mut Verdict,
    flags: &mut Flags,
    call: u64,
    caller: Tn,
    begun: Timestamp,
    c: &mut Random,
) {
    v.identities = 1;
    v.passport = Some(Digest128::of(&call.to_le_bytes()));
    v.orig = Some(caller);
    v.iat = Some(begun.secs() - i64::from(c.percent(30)));
    v.attest = Some([Attestation::A, Attestation::B, Attestation::C][c.below(3) as usize]);
    let signer = (c.unit() * c.unit() * 300.0) as u64;
    v.spc = Some(format!("{:04}", 1000 + signer).into());
    v.x5u_host = Some(format!("cr{}.example.net", signer / 4).into());
    let origid = if c.percent(10) {
        c.next()
    } else {
        signer * 5 + c.below(5)
    };
    let (low, high) = (origid & 0xffff_ffff, origid >> 32);
    v.origid = Some(format!("{low:08x}-0000-4000-8000-{high:012x}").into());
    if c.percent(4) {
        v.validation = Validation::Failed;
        v.decided_by = Some(Rule::F1);
        v.failed.insert(Rule::F1);
        flags.insert(Flag::Stale);
    } else {
        v.validation = Validation::Passed;
        flags.insert(Flag::AttestA);
    }
}

/// How the record ends: both legs of a call alike.
pub fn end(b: &Begin) -> End {
    let mut r = Random::of(((b.uid - 1) / 2) | (1 << 62));
    let ringing = 800 + r.below(4_000) as u32;
    let answered = r.percent(55);
    End {
        uid: b.uid,
        begun_at: b.at,
        called: b.numbers.called,
        state: if answered {
            State::Answered
        } else {
            State::Failed
        },
        code: if answered {
            200
        } else {
            [486, 404, 480][r.below(3) as usize]
        },
        cause: None,
        stir_cause: None,
        disagrees: false,
        ringing_ms: Some(ringing),
        final_ms: Some(ringing + r.below(25_000) as u32),
        duration_ms: answered.then(|| (-r.unit().max(1e-9).ln() * 170_000.0) as u32),
        released_by: None,
        one_way: false,
        retransmissions: u8::from(r.percent(2)),
        forks: 0,
        auth_retries: 0,
    }
}

fn covered(from: i64) -> Coverage {
    Coverage {
        sensor: NAMES.sensor.clone(),
        from: Timestamp::from_secs(from),
        until: Timestamp::from_secs(from + 60),
        packets: RECORDS_PER_SECOND * 60 * 7,
        messages: RECORDS_PER_SECOND * 60 * 7,
        ..Coverage::default()
    }
}

fn format_address(a: u8, b: u8, c: u8, d: u64) -> std::net::SocketAddr {
    ([a, b, c, d as u8], 5060).into()
}

fn number(n: u64) -> Tn {
    Tn::from_u64(12_000_000_000 + n % 9_999_999_999).unwrap()
}

/// SplitMix64 (Steele, Lea, Flood 2014).
pub struct Random(u64);

impl Random {
    pub fn of(seed: u64) -> Self {
        Self(seed.wrapping_mul(0xd134_2543_de82_ef95))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn percent(&mut self, p: u64) -> bool {
        self.below(100) < p
    }

    /// Rank of a caller.
    fn caller(&mut self) -> u64 {
        let whole = (CALLERS + SHIFT) / SHIFT;
        (SHIFT * whole.powf(self.unit()) - SHIFT) as u64
    }
}
