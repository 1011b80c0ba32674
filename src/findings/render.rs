//! An event as JSON, one line, and in words. docs/FORMATS.md, "Findings", has every member.

use std::sync::Arc;

use serde::Serialize;

use super::event::{Event, EventKind, is_state};
use crate::base::Timestamp;
use crate::base::digest::{Digest128, IdDigest};
use crate::call::classify::campaign::{CampaignState, Key};
use crate::call::classify::finding::{Change, Example, Subject, Term};
use crate::call::classify::{Campaign, Finding, Flag, Flags, Notes, Verstat};
use crate::call::peer::PeerKeys;
use crate::call::record::{Begin, Direction};
use crate::number::Tn;
use crate::stir::verify::{Attestation, Rule, RuleSet, Validation};

/// Version of the JSON: members are added without a new one.
pub const VERSION: u32 = 1;

/// How numbers are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Masking {
    /// As they are.
    #[default]
    Full,
    /// The last four digits are `x`, and nothing is shown that they could be guessed from.
    Masked,
}

/// Digits up to which a number is a short code that names nobody (N11, 112, short codes of five or six digits).
const SHORT: usize = 6;

/// Digits that are masked: what tells the lines of one exchange apart.
const MASKED: usize = 4;

impl Masking {
    /// A number as it is shown.
    pub fn number(self, number: &str) -> String {
        if self == Self::Full || number.len() <= SHORT {
            return number.to_owned();
        }
        let shown = number.chars().count().saturating_sub(MASKED);
        let digits = number.chars().enumerate();
        digits
            .map(|(i, c)| if i < shown { c } else { 'x' })
            .collect()
    }

    fn tn(self, number: Option<Tn>) -> Option<String> {
        number.map(|n| self.number(n.as_str()))
    }
}

/// An event as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// Its kind.
    pub kind: EventKind,
    /// Its id: the same however often it is sent.
    pub id: String,
    /// When it happened, by capture time.
    pub at: Timestamp,
    /// The neighbour.
    pub peer: Option<Arc<str>>,
    /// Its flags, in a fixed order.
    pub flags: Vec<Flag>,
    /// The record, of a call.
    pub uid: Option<u64>,
    /// In a few words.
    pub summary: String,
    /// JSON without an end of line.
    pub json: Vec<u8>,
}

/// Makes text of events, for one host and one sink.
#[derive(Clone, Debug)]
pub struct Renderer {
    /// This host.
    pub host: Arc<str>,
    /// How numbers are shown.
    pub masking: Masking,
}

#[derive(Serialize)]
struct Head<'a> {
    v: u32,
    r#type: &'static str,
    id: &'a str,
    at: Timestamp,
    host: &'a str,
    peer: Option<&'a str>,
    flags: &'a [Flag],
}

#[derive(Serialize)]
struct CallJson<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    uid: u64,
    sensor: &'a str,
    direction: Direction,
    numbers: NumbersJson,
    call_id: IdDigest,
    evidence: CallEvidence<'a>,
}

#[derive(Serialize)]
struct NumbersJson {
    called: Option<String>,
    to: Option<String>,
    diverted_from: Option<String>,
    from: Option<String>,
    asserted: Option<String>,
    remote_party: Option<String>,
    signed: Option<String>,
    private: bool,
}

#[derive(Serialize)]
struct CallEvidence<'a> {
    peer_rule: Option<&'a str>,
    keys: PeerKeys,
    shared: bool,
    validation: Validation,
    decided_by: Option<Rule>,
    attest: Option<Attestation>,
    failed: RuleSet,
    undetermined: RuleSet,
    findings: RuleSet,
    spc: Option<&'a str>,
    origid: Option<&'a str>,
    x5u_host: Option<&'a str>,
    passport: Option<Digest128>,
    verstat: Option<Verstat>,
    notes: Notes,
}

#[derive(Serialize)]
struct BehaviourJson<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    finding: &'a str,
    change: Change,
    subject: Subject,
    since: Timestamp,
    calls: u64,
    score: f64,
    evidence: Terms<'a>,
    examples: &'a [Example],
}

#[derive(Serialize)]
struct Terms<'a> {
    terms: &'a [Term],
}

#[derive(Serialize)]
struct CampaignJson<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    campaign: &'a str,
    state: CampaignState,
    key: Key,
    first: Timestamp,
    last: Timestamp,
    volume: u64,
    counts: serde_json::Map<String, serde_json::Value>,
    signers: &'a [Box<str>],
    examples: &'a [Example],
}

impl Renderer {
    /// An event as text. `None` never comes: every value in it is one that JSON has.
    pub fn render(&self, event: &Event) -> Option<Rendered> {
        match event {
            Event::Call(begin) => self.call(begin),
            Event::Behaviour(finding) => self.behaviour(finding),
            Event::Campaign(campaign) => self.campaign(campaign),
        }
    }

    fn call(&self, b: &Begin) -> Option<Rendered> {
        let masked = self.masking == Masking::Masked;
        let (n, v) = (&b.numbers, &b.verdict);
        // A store that is made anew begins its uids anew: time and Call-ID tell such calls apart.
        let id = self.id(
            "call",
            &format!("{}|{}|{:016x}", b.uid, b.at, b.ids.call_id.0),
        );
        let flags: Vec<Flag> = b.flags.iter().collect();
        let tn = |number| self.masking.tn(number);
        let json = CallJson {
            head: self.head(EventKind::Call, &id, b.at, b.peer.as_deref(), &flags),
            uid: b.uid,
            sensor: &b.sensor,
            direction: b.direction,
            numbers: NumbersJson {
                called: tn(n.called),
                to: tn(n.to),
                diverted_from: tn(n.diverted_from),
                from: tn(n.from),
                asserted: tn(n.asserted),
                remote_party: tn(n.remote_party),
                signed: tn(v.orig),
                private: n.private,
            },
            call_id: b.ids.call_id,
            evidence: CallEvidence {
                peer_rule: b.peer_rule.as_deref(),
                keys: b.attribution.keys,
                shared: b.attribution.shared,
                validation: v.validation,
                decided_by: v.decided_by,
                attest: v.attest,
                failed: v.failed,
                undetermined: v.undetermined,
                findings: v.findings,
                spc: v.spc.as_deref(),
                origid: v.origid.as_deref(),
                x5u_host: v.x5u_host.as_deref(),
                // A digest over numbers of which all but four digits are known tells those.
                passport: v.passport.filter(|_| !masked),
                verstat: b.verstat,
                // They are words, and may have a number in them.
                notes: match self.masking {
                    Masking::Full => b.notes.clone(),
                    Masking::Masked => Notes::default(),
                },
            },
        };
        let number = |n: Option<String>| n.unwrap_or_else(|| "no number".to_owned());
        let calling = number(tn(n.from.or(n.asserted)));
        let summary = format!(
            "{}: call {} to {}, {} {}",
            words(b.flags),
            calling,
            number(tn(n.called)),
            match b.direction {
                Direction::Egress => "to",
                Direction::Ingress | Direction::Unknown => "from",
            },
            b.peer.as_deref().unwrap_or("an unknown neighbour"),
        );
        let json = serde_json::to_vec(&json).ok()?;
        Some(Rendered {
            kind: EventKind::Call,
            id,
            at: b.at,
            peer: b.peer.clone(),
            flags,
            uid: Some(b.uid),
            summary,
            json,
        })
    }

    fn behaviour(&self, f: &Finding) -> Option<Rendered> {
        let subject = match &f.subject {
            Subject::CallingNumber(n) => Subject::CallingNumber(self.masking.number(n).into()),
            Subject::CalledNumber(n) => Subject::CalledNumber(self.masking.number(n).into()),
            Subject::CalledPrefix(n) => Subject::CalledPrefix(self.masking.number(n).into()),
            Subject::Neighbour => Subject::Neighbour,
        };
        let peer = f.peer.as_deref();
        // Its own id may have the number in it.
        let name = match self.masking {
            Masking::Full => f.id.to_string(),
            Masking::Masked => {
                let about = format!("{}|{}|{}", f.kind, f.subject.label(), f.since);
                self.id("finding", &format!("{about}|{}", peer.unwrap_or_default()))
            }
        };
        let id = self.id(
            "behaviour",
            &format!("{name}|{}|{}|{}", f.change.label(), f.at, f.calls),
        );
        let flags = vec![f.kind];
        let summary = format!(
            "{} {}: {subject} of {}, {} calls since {}, score {:.2}",
            f.kind,
            f.change.label(),
            peer.unwrap_or("no known neighbour"),
            f.calls,
            f.since,
            f.score
        );
        let json = BehaviourJson {
            head: self.head(EventKind::Behaviour, &id, f.at, peer, &flags),
            finding: &name,
            change: f.change,
            subject,
            since: f.since,
            calls: f.calls,
            score: f.score,
            evidence: Terms { terms: &f.terms },
            examples: &f.examples,
        };
        let json = serde_json::to_vec(&json).ok()?;
        Some(Rendered {
            kind: EventKind::Behaviour,
            id,
            at: f.at,
            peer: f.peer.clone(),
            flags,
            uid: None,
            summary,
            json,
        })
    }

    fn campaign(&self, c: &Campaign) -> Option<Rendered> {
        let key = match &c.key {
            Key::CallingNumber(n) => Key::CallingNumber(self.masking.number(n).into()),
            Key::NumberPattern(n) => Key::NumberPattern(n.clone()),
            Key::SignerOrigid(n) => Key::SignerOrigid(n.clone()),
        };
        let id = self.id(
            "campaign",
            &format!("{}|{}|{}|{}", c.id, c.last, c.volume, c.state.label()),
        );
        let flags: Vec<Flag> = c.flags.iter().map(|(f, _)| *f).collect();
        let peer = c.peer.as_deref();
        let summary = format!(
            "campaign of {} calls from {} by {} {}, {}",
            c.volume,
            peer.unwrap_or("an unknown neighbour"),
            key.label(),
            key.value(),
            c.state.label()
        );
        let counts = c.flags.iter();
        let json = CampaignJson {
            head: self.head(EventKind::Campaign, &id, c.last, peer, &flags),
            campaign: &c.id,
            state: c.state,
            key,
            first: c.first,
            last: c.last,
            volume: c.volume,
            counts: counts
                .map(|(f, n)| (f.label().to_owned(), (*n).into()))
                .collect(),
            signers: &c.signers,
            examples: &c.examples,
        };
        let json = serde_json::to_vec(&json).ok()?;
        Some(Rendered {
            kind: EventKind::Campaign,
            id,
            at: c.last,
            peer: c.peer.clone(),
            flags,
            uid: None,
            summary,
            json,
        })
    }

    fn head<'a>(
        &'a self,
        kind: EventKind,
        id: &'a str,
        at: Timestamp,
        peer: Option<&'a str>,
        flags: &'a [Flag],
    ) -> Head<'a> {
        Head {
            v: VERSION,
            r#type: kind.label(),
            id,
            at,
            host: &self.host,
            peer,
            flags,
        }
    }

    /// Names an event: the same for the same event, another for any other.
    fn id(&self, what: &str, about: &str) -> String {
        Digest128::of(format!("{what}|{}|{about}", self.host).as_bytes()).to_string()
    }
}

/// Flags but for those that only say how well a call is attested.
fn words(flags: Flags) -> String {
    let remarkable: Vec<&str> = flags
        .iter()
        .filter(|f| !is_state(*f))
        .map(Flag::label)
        .collect();
    match remarkable.is_empty() {
        true => "attested".to_owned(),
        false => remarkable.join(", "),
    }
}
