//! A call as the legs that carriers see, and each leg as SIP messages with the time at which they pass.

use std::net::{Ipv4Addr, SocketAddr};

use super::plan::{self, ALL, Call, PREFIX, Source, Writing};
use crate::lab::message::reason;
use crate::lab::passport::{Claims, Token};
use crate::lab::pki::Signer;
use crate::stir::verify::Attestation;

/// Nanoseconds from one carrier to the next, its switch included.
const HOP: i64 = 28_000_000;
/// From the last carrier until it rings, and from there until it is answered.
const RINGS: i64 = 600_000_000;
const ANSWERED: i64 = 4_000_000_000;

/// A message on its way from one socket to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passing {
    /// When, nanoseconds since 1970.
    pub at: i64,
    /// Sender.
    pub source: SocketAddr,
    /// Receiver.
    pub destination: SocketAddr,
    /// The message.
    pub bytes: Vec<u8>,
}

/// A leg: who sends the INVITE, who gets it.
struct Leg {
    from: End,
    to: End,
    call_id: String,
    called: u64,
    diverted: Option<u64>,
    calling: u64,
    identity: Option<String>,
    at: i64,
    /// Whether it is refused, or rings after so long and lasts.
    refused: bool,
    rings: i64,
    lasts: i64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Carrier(usize),
    Customer(usize),
    Phone(usize),
    Abroad,
}

impl End {
    fn socket(self) -> SocketAddr {
        let address: Ipv4Addr = match self {
            Self::Carrier(n) => plan::address(n),
            Self::Customer(n) => plan::customer(n),
            Self::Phone(n) => plan::phone(n),
            Self::Abroad => plan::ABROAD,
        };
        (address, 5060).into()
    }

    fn carrier(self) -> Option<usize> {
        match self {
            Self::Carrier(n) => Some(n),
            _ => None,
        }
    }
}

/// Gives what each carrier sees of a call, as carrier and message.
pub fn messages(call: &Call, signers: &[Signer]) -> Vec<(usize, Passing)> {
    let mut out = Vec::new();
    for leg in legs(call, signers) {
        let passing = leg.messages();
        for carrier in [leg.from.carrier(), leg.to.carrier()].into_iter().flatten() {
            out.extend(passing.iter().map(|p| (carrier, p.clone())));
        }
    }
    out
}

fn legs(call: &Call, signers: &[Signer]) -> Vec<Leg> {
    let route = call.route;
    let path = route.path;
    let (Some(first), Some(last)) = (path.first(), path.last()) else {
        return Vec::new();
    };
    let forwarded = route.forwarded_at.unwrap_or(0);
    let mut at = call.at;
    let rings_at = call.at + HOP * path.len() as i64 + RINGS;
    let mut legs: Vec<Leg> = Vec::new();
    let mut leg = Leg {
        from: match route.source {
            Source::Customer => End::Customer(*first),
            Source::Abroad => End::Abroad,
        },
        to: End::Carrier(*first),
        call_id: format!("{:016x}", mixed(call, 0)),
        called: call.dialled,
        diverted: None,
        calling: call.calling,
        identity: None,
        at,
        refused: false,
        rings: rings_at - at,
        lasts: call.lasts,
    };
    for (place, here) in path.iter().copied().enumerate() {
        let carrier = &ALL[here];
        let next = match path.get(place + 1) {
            Some(next) => End::Carrier(*next),
            None => End::Phone(*last),
        };
        legs.push(leg.again());
        if route.forwarded_at == Some(place) {
            (leg.diverted, leg.called) = (Some(leg.called), call.called);
        }
        if place == 0
            && let Some(attested) = route.attested
            && let Some(signer) = carrier.signer.and_then(|s| signers.get(s))
        {
            leg.identity = Some(signed(call, attested, signer));
        }
        if !carrier.passes_identity {
            leg.identity = None;
        }
        if carrier.agent || forwarded > 0 && forwarded == place {
            leg.call_id = format!("{:016x}", mixed(call, place + 1));
        }
        at += HOP;
        if let Some((_, tries)) = route.first_tries.filter(|(p, _)| *p == place) {
            let mut from = here;
            for (n, to) in tries.iter().copied().enumerate() {
                let mut tried = leg.again();
                (tried.from, tried.to) = (End::Carrier(from), End::Carrier(to));
                tried.at = at + HOP * n as i64;
                tried.refused = true;
                tried.call_id = format!("{:016x}", mixed(call, 100 + n));
                legs.push(tried);
                from = to;
            }
            at += HOP * 2 * tries.len() as i64;
        }
        (leg.from, leg.to) = (End::Carrier(here), next);
        (leg.at, leg.rings) = (at, rings_at - at);
    }
    legs.push(leg);
    legs
}

fn signed(call: &Call, attested: bool, signer: &Signer) -> String {
    let claims = Claims {
        attest: if attested {
            Attestation::A
        } else {
            Attestation::C
        },
        orig: call.calling.to_string(),
        dest: call.dialled.to_string(),
        iat: call.at.div_euclid(1_000_000_000),
        origid: format!("00000000-0000-4000-8000-{:012x}", call.route.areas.1),
    };
    Token::shaken(&claims, &signer.url).sign(&signer.key)
}

/// A number that looks random and is the same each time.
fn mixed(call: &Call, salt: usize) -> u64 {
    let mut x = (call.called ^ (call.at as u64).rotate_left(17)).wrapping_add(salt as u64);
    // SplitMix64.
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

impl Leg {
    fn again(&self) -> Self {
        Self {
            call_id: self.call_id.clone(),
            identity: self.identity.clone(),
            ..*self
        }
    }

    /// All of its messages, in order.
    fn messages(&self) -> Vec<Passing> {
        let back = |at: i64, code: u16| self.passing(at, false, self.response(code, "1 INVITE"));
        let mut out = vec![self.passing(self.at, true, self.request("INVITE"))];
        if self.refused {
            let refused = self.at + 2 * HOP;
            out.push(back(refused, 503));
            out.push(self.passing(refused + HOP / 2, true, self.request("ACK")));
            return out;
        }
        let rings = self.at + self.rings;
        let answered = rings + ANSWERED;
        let ended = answered + self.lasts;
        out.push(back(rings, 180));
        out.push(back(answered, 200));
        out.push(self.passing(answered + HOP, true, self.request("ACK")));
        out.push(self.passing(ended, true, self.request("BYE")));
        out.push(self.passing(ended + HOP, false, self.response(200, "2 BYE")));
        out
    }

    fn passing(&self, at: i64, forward: bool, text: String) -> Passing {
        let (mut source, mut destination) = (self.from.socket(), self.to.socket());
        if !forward {
            std::mem::swap(&mut source, &mut destination);
        }
        Passing {
            at,
            source,
            destination,
            bytes: text.into_bytes(),
        }
    }

    fn request(&self, method: &str) -> String {
        let (here, there) = (self.from.socket().ip(), self.to.socket().ip());
        let writing = match (self.from, self.to) {
            (End::Carrier(n), End::Carrier(_)) => ALL[n].writing,
            _ => Writing::Plus,
        };
        let called = written(self.called, writing);
        let (cseq, to_tag) = match method {
            "BYE" => ("2 BYE", self.to_tag()),
            "ACK" => ("1 ACK", self.to_tag()),
            _ => ("1 INVITE", String::new()),
        };
        // The ACK of a refusal belongs to the INVITE's transaction.
        let branch = match (method, self.refused) {
            ("INVITE", _) | (_, true) => "",
            (other, _) => other,
        };
        let mut more = String::new();
        if method == "INVITE" {
            more += &format!("Contact: <sip:switch@{here}:5060>\r\n");
            if let Some(number) = self.diverted {
                more += &format!("Diversion: <sip:+{number}@{here}>;reason=unconditional\r\n");
            }
            if let Some(identity) = &self.identity {
                more += &format!("Identity: {identity}\r\n");
            }
        }
        format!(
            "{method} sip:{called}@{there}:5060 SIP/2.0\r\nVia: SIP/2.0/UDP {here}:5060;branch=z9hG4bK{}{branch}\r\nMax-Forwards: 60\r\n{}{to_tag}\r\n\
             CSeq: {cseq}\r\n{more}Content-Length: 0\r\n\r\n",
            self.branch(),
            self.dialog()
        )
    }

    fn response(&self, code: u16, cseq: &str) -> String {
        let (here, there) = (self.from.socket().ip(), self.to.socket().ip());
        let branch = if cseq == "2 BYE" { "BYE" } else { "" };
        format!(
            "SIP/2.0 {code} {}\r\nVia: SIP/2.0/UDP {here}:5060;branch=z9hG4bK{}{branch}\r\n{}{}\r\nCSeq: {cseq}\r\n\
             Contact: <sip:switch@{there}:5060>\r\nContent-Length: 0\r\n\r\n",
            reason(code),
            self.branch(),
            self.dialog(),
            self.to_tag()
        )
    }

    /// Call-ID, From and To; the tag of To comes behind.
    fn dialog(&self) -> String {
        let (here, there) = (self.from.socket().ip(), self.to.socket().ip());
        format!(
            "Call-ID: {}@sip.example\r\nFrom: <sip:+{}@{here}>;tag={}\r\nTo: <sip:+{}@{there}>",
            self.call_id,
            self.calling,
            &self.call_id[..8],
            self.diverted.unwrap_or(self.called)
        )
    }

    fn to_tag(&self) -> String {
        format!(";tag=t{}", &self.call_id[8..])
    }

    fn branch(&self) -> String {
        let ends = [self.from, self.to].map(|e| e.socket().to_string());
        let ends = ends.concat().replace(['.', ':'], "");
        format!("{}{ends}", self.call_id)
    }
}

fn written(number: u64, writing: Writing) -> String {
    match writing {
        Writing::Plus => format!("+{number}"),
        Writing::Country => number.to_string(),
        Writing::National => format!("{:010}", number % 10_000_000_000),
        Writing::Prefixed => format!("{PREFIX}{number}"),
    }
}
