//! A verdict with its evidence, for people: one row for each rule, with what was seen beside what was expected.
//!
//! Reads the header again, so it belongs where a person waits, not on the path of calls.

use super::credential::{Claimed, best_path};
use super::facts::{CallFacts, Party};
use super::signature::SignatureForm;
use super::states::State;
use super::{HeaderVerdict, Rule, VerifySettings};
use crate::base::Timestamp;
use crate::base::text::escape;
use crate::stir::credential::chain::PathFacts;
use crate::stir::credential::crl::Revocation;
use crate::stir::credential::{Certificate, Credential, Credentials};
use crate::stir::passport::base64url;
use crate::stir::passport::extension::Extension;
use crate::stir::passport::{Claim, Claims, Dest, Iat, Identity, JoseHeader, Orig, Token};

/// One rule of one header.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Row {
    /// Which rule.
    pub rule: Rule,
    /// Its state, lower case.
    pub state: &'static str,
    /// What it checks.
    pub what: &'static str,
    /// What was seen; empty where there is nothing to add.
    pub note: String,
}

/// Explains the verdict on one Identity value. All arguments are those that the verdict was made with.
pub fn explain_header_at(
    verdict: &HeaderVerdict,
    identity: &Identity<'_>,
    facts: &CallFacts<'_>,
    at: Timestamp,
    credentials: &Credentials,
    settings: &VerifySettings,
) -> Vec<Row> {
    let states = verdict.states();
    let decoded = Decoded::of(identity);
    let evidence = Evidence {
        verdict,
        identity: *identity,
        facts,
        at,
        settings,
        header: decoded.header(),
        claims: decoded.claims(),
        extension: Extension::read(&decoded.payload),
        payload: &decoded.payload,
        signature: &decoded.signature,
        credential: verdict
            .x5u
            .as_deref()
            .and_then(|url| credentials.get(url))
            .map(AsRef::as_ref),
    };
    Rule::ALL
        .iter()
        .map(|rule| {
            let state = states.of(*rule);
            Row {
                rule: *rule,
                state: state.label(),
                what: rule.what(),
                note: if state == State::NotJudged {
                    String::new()
                } else {
                    printable(&evidence.note(*rule))
                },
            }
        })
        .collect()
}

/// The longest note, in characters. A URL of a certificate has about 100.
const MAX_NOTE: usize = 1_000;

/// A note as it may go to a terminal: claims can hold any character, controls among them, and be as long as the token.
fn printable(note: &str) -> String {
    let mut out = String::with_capacity(note.len().min(MAX_NOTE));
    for (i, c) in note.chars().enumerate() {
        if i == MAX_NOTE {
            out.push('…');
            break;
        }
        if c.is_control() {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

#[derive(Default)]
struct Decoded {
    header: Vec<u8>,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl Decoded {
    fn of(identity: &Identity<'_>) -> Self {
        let Token::Full(parts) = identity.split_token() else {
            return Self::default();
        };
        let decode = |text| {
            let mut out = smallvec::SmallVec::<[u8; 512]>::new();
            match base64url::decode(text, &mut out) {
                Ok(_) => out.to_vec(),
                Err(_) => Vec::new(),
            }
        };
        Self {
            header: decode(parts.header),
            payload: decode(parts.payload),
            signature: decode(parts.signature),
        }
    }

    fn header(&self) -> Result<JoseHeader<'_>, String> {
        JoseHeader::parse(&self.header).map_err(|e| e.0)
    }

    fn claims(&self) -> Result<Claims<'_>, String> {
        Claims::parse(&self.payload).map_err(|e| e.0)
    }
}

struct Evidence<'a, 'm> {
    verdict: &'a HeaderVerdict,
    identity: Identity<'a>,
    facts: &'a CallFacts<'m>,
    at: Timestamp,
    settings: &'a VerifySettings,
    header: Result<JoseHeader<'a>, String>,
    claims: Result<Claims<'a>, String>,
    extension: Option<Extension>,
    payload: &'a [u8],
    signature: &'a [u8],
    credential: Option<&'a Credential>,
}

impl Evidence<'_, '_> {
    fn note(&self, rule: Rule) -> String {
        let header = self.header.as_ref();
        let member = |pick: fn(&JoseHeader<'_>) -> String| header.map(pick).unwrap_or_default();
        match rule {
            Rule::G3 => shown(self.identity.info),
            Rule::G5 => shown(self.identity.alg),
            Rule::G6 => shown(self.identity.ppt),
            Rule::G7 => self.verdict.ppt.as_deref().unwrap_or_default().to_owned(),
            Rule::G8 => format!(
                "info {}, x5u {}",
                shown(self.identity.info),
                member(|h| claim(&h.x5u))
            ),
            Rule::J1 => header.err().cloned().unwrap_or_default(),
            Rule::J2 => member(|h| claim(&h.typ)),
            Rule::J3 => member(|h| claim(&h.alg)),
            Rule::J4 | Rule::X1 | Rule::X1I | Rule::X2 => member(|h| claim(&h.x5u)),
            Rule::J5 => member(|h| claim(&h.ppt)),
            Rule::P1 => self.claims.as_ref().err().cloned().unwrap_or_default(),
            Rule::P2 | Rule::P3 | Rule::P4 | Rule::P5 | Rule::P6 | Rule::P7 | Rule::P7U => self
                .claims
                .as_ref()
                .map_or_else(|_| String::new(), |claims| note_of_claim(rule, claims)),
            Rule::F1 => self.freshness(),
            Rule::F2 => shown(self.facts.date),
            Rule::F3 => format!(
                "off by at most {:.3} s",
                self.settings.clock_error.as_secs_f64()
            ),
            Rule::O1 | Rule::O2 | Rule::O3 => self.origin(),
            Rule::D1 | Rule::D2 | Rule::V3 => self.destination(),
            Rule::V4 => self.diversions(),
            Rule::V6 => self.original(),
            Rule::V1 | Rule::E1 | Rule::E1M | Rule::E2 | Rule::E2C | Rule::E2D | Rule::E2K => {
                self.extension(rule)
            }
            Rule::E1A => format!(
                "signed by {}",
                self.verdict
                    .spc
                    .as_deref()
                    .map_or("nobody known".to_owned(), |s| escape(s.as_bytes()))
            ),
            Rule::S1 => match SignatureForm::of(self.signature) {
                SignatureForm::Fixed => String::new(),
                SignatureForm::Der => format!("{} octets of DER", self.signature.len()),
                SignatureForm::Length => format!("{} octets", self.signature.len()),
                SignatureForm::Range => "r or s is zero or not below the group's order".to_owned(),
            },
            _ => self
                .credential
                .map(|c| self.note_of_credential(rule, c))
                .unwrap_or_default(),
        }
    }

    fn note_of_credential(&self, rule: Rule, credential: &Credential) -> String {
        let claimed = Claimed {
            orig: None,
            iat: self.verdict.iat,
            payload: self.claims.as_ref().ok().map(|_| self.payload),
        };
        let payload = claimed.limited_by(credential);
        let best = best_path(credential, payload.as_ref(), claimed.iat, self.at);
        let path = best.as_ref().map(|(path, _)| *path);
        match (rule, credential.trust_ends) {
            (Rule::X14, _) => best
                .and_then(|(_, violation)| violation)
                .map_or_else(String::new, |v| v.to_string()),
            (Rule::X4, Some(end)) if self.at.secs() > end => {
                format!(
                    "the list of authorities ended at {}",
                    Timestamp::from_secs(end)
                )
            }
            _ => note_of_path(rule, credential, path, self.at),
        }
    }

    fn freshness(&self) -> String {
        let Some(iat) = self.verdict.iat else {
            return String::new();
        };
        let iat = Timestamp::from_secs(iat);
        format!(
            "iat {iat}, captured {:+.1} s from it, window {} s",
            self.at.secs_since(iat),
            self.settings.window.as_secs()
        )
    }

    fn origin(&self) -> String {
        let signed = match self.claims.as_ref().map(|c| &c.orig) {
            Ok(Orig::Tn(text) | Orig::Uri(text)) => text,
            _ => return String::new(),
        };
        let asserted: Vec<_> = self.facts.asserted.iter().map(party).collect();
        let from = self.facts.from.as_ref().map_or("none".to_owned(), party);
        if asserted.is_empty() {
            format!("signed {signed}, From {from}")
        } else {
            format!(
                "signed {signed}, P-Asserted-Identity {}, From {from}",
                asserted.join(" and ")
            )
        }
    }

    fn diversions(&self) -> String {
        let all: Vec<_> = self.facts.diverted(&self.settings.plan).collect();
        let all: Vec<_> = all.iter().map(party).collect();
        format!("Diversion or History-Info {}", all.join(" and "))
    }

    fn original(&self) -> String {
        match &self.verdict.original {
            None => "none, or too deep".to_owned(),
            Some(original) => format!(
                "{} {}{}",
                original.kind.label(),
                original.validation.label(),
                original
                    .decided_by
                    .map_or(String::new(), |r| format!(" by {r} ({})", r.label()))
            ),
        }
    }

    /// What a claim beyond those of SHAKEN says, beside what the message does.
    fn extension(&self, rule: Rule) -> String {
        let Some(extension) = &self.extension else {
            return String::new();
        };
        match rule {
            Rule::V1 => match extension.div() {
                Orig::Absent => "none".to_owned(),
                Orig::Tn(text) | Orig::Uri(text) => escape(text.as_bytes()),
                Orig::Malformed => "not an object with exactly one string".to_owned(),
            },
            Rule::E1 | Rule::E1M => {
                let signed = extension.priorities().unwrap_or_default().join(" ");
                let values = &self.facts.resource_priority;
                let seen: Vec<_> = values.iter().map(|v| escape(v)).collect();
                format!(
                    "signed {}, Resource-Priority {}",
                    escape(signed.as_bytes()),
                    if seen.is_empty() {
                        "none".to_owned()
                    } else {
                        seen.join(" ")
                    }
                )
            }
            _ => {
                let digests = extension.digests().unwrap_or_default();
                let names: Vec<_> = digests
                    .iter()
                    .map(|d| escape(d.pointer.as_bytes()))
                    .collect();
                let name = extension
                    .rich_call_data()
                    .and_then(|r| r.get("nam")?.as_str());
                format!(
                    "name {}, digests of {}",
                    name.map_or("none".to_owned(), |n| escape(n.as_bytes())),
                    if names.is_empty() {
                        "nothing".to_owned()
                    } else {
                        names.join(" ")
                    }
                )
            }
        }
    }

    fn destination(&self) -> String {
        let signed = match self.claims.as_ref().map(|c| &c.dest) {
            Ok(dest @ Dest::List { .. }) => note_of_dest(dest),
            _ => return String::new(),
        };
        let of = |p: &Option<Party<'_>>| p.as_ref().map_or("none".to_owned(), party);
        format!(
            "signed {signed}, To {}, Request-URI {}",
            of(&self.facts.to),
            of(&self.facts.request)
        )
    }
}

fn shown(text: Option<&[u8]>) -> String {
    text.map_or("none".to_owned(), escape)
}

fn claim(claim: &Claim<'_>) -> String {
    match claim {
        Claim::Absent => "none".to_owned(),
        Claim::Text(t) => escape(t.as_bytes()),
        Claim::Other => "not a string".to_owned(),
    }
}

fn party(party: &Party<'_>) -> String {
    match party.tn {
        Some(tn) => tn.to_string(),
        None => escape(party.uri.raw),
    }
}

fn note_of_claim(rule: Rule, claims: &Claims<'_>) -> String {
    match rule {
        Rule::P2 => match claims.iat {
            Iat::Absent => "none".to_owned(),
            Iat::Seconds(s) => s.to_string(),
            Iat::OutOfRange => "negative, or not below 2^53".to_owned(),
            Iat::NotANumber => "not a number".to_owned(),
        },
        Rule::P3 | Rule::P5 => match &claims.orig {
            Orig::Absent => "none".to_owned(),
            Orig::Tn(tn) => escape(tn.as_bytes()),
            Orig::Uri(uri) => escape(uri.as_bytes()),
            Orig::Malformed => "not an object with exactly one string".to_owned(),
        },
        Rule::P4 => note_of_dest(&claims.dest),
        Rule::P6 => claim(&claims.attest),
        Rule::P7 | Rule::P7U => claim(&claims.origid),
        _ => String::new(),
    }
}

fn note_of_dest(dest: &Dest<'_>) -> String {
    match dest {
        Dest::Absent => "none".to_owned(),
        Dest::List { tn, uri } => {
            let all: Vec<_> = tn.iter().chain(uri).map(|t| escape(t.as_bytes())).collect();
            all.join(" ")
        }
        Dest::Malformed => "not an object with arrays of strings, or nothing in them".to_owned(),
    }
}

fn note_of_path(
    rule: Rule,
    credential: &Credential,
    path: Option<&PathFacts>,
    at: Timestamp,
) -> String {
    let leaf = credential.leaf();
    let of_leaf = |note: fn(&Certificate) -> String| leaf.map_or_else(String::new, note);
    let of_path = |note: fn(&PathFacts) -> String| path.map_or_else(String::new, note);
    match rule {
        Rule::X3 => credential.fault.unwrap_or_default().to_owned(),
        Rule::X4 => path.map_or_else(
            || of_leaf(|l| format!("no trusted authority issued {:?}", l.title())),
            titles,
        ),
        Rule::X4E => of_path(times),
        Rule::X5 => of_leaf(|l| l.key.label().to_owned()),
        Rule::X6 => credential
            .paths
            .iter()
            .find_map(|p| p.unknown_critical.clone())
            .or_else(|| leaf?.extensions.unknown_critical.clone())
            .unwrap_or_default(),
        Rule::X7 => of_leaf(|l| l.extensions.policies.join(" ")),
        Rule::X9 if leaf.is_some_and(|l| l.extensions.is_ca) && credential.spc().is_none() => {
            "the first certificate is an authority's; the leaf must come first".to_owned()
        }
        Rule::X9 | Rule::X10 => credential.spc().map_or_else(
            || "no service provider code".to_owned(),
            |spc| format!("service provider code {}", escape(spc.as_bytes())),
        ),
        Rule::X11 => of_leaf(|l| {
            let url = l.extensions.tn_auth_list_url.as_deref();
            escape(url.unwrap_or_default().as_bytes())
        }),
        Rule::X12 => of_leaf(|l| format!("common name {}", escape(l.title().as_bytes()))),
        Rule::X13 | Rule::X13S => of_path(authorities),
        Rule::X14C => path
            .and_then(|p| p.constraint_fault)
            .unwrap_or_default()
            .to_owned(),
        Rule::X15 => {
            let names: Vec<_> = credential.lints().iter().map(|l| l.label()).collect();
            names.join(" ")
        }
        Rule::R3 | Rule::R4 => path
            .and_then(|p| p.revocation)
            .map_or_else(String::new, |r| revocation(r, at)),
        Rule::R5 => path.and_then(|p| p.crl).map_or_else(
            || "no list at hand that speaks for each certificate".to_owned(),
            |w| {
                let next = w.next_update.map_or("not said".to_owned(), |t| {
                    Timestamp::from_secs(t).to_string()
                });
                format!(
                    "list of {}, next one due {next}",
                    Timestamp::from_secs(w.this_update)
                )
            },
        ),
        _ => String::new(),
    }
}

fn revocation(r: Revocation, at: Timestamp) -> String {
    let hold = if r.is_hold() { " (on hold)" } else { "" };
    let mut out = format!("revoked {}, reason {}{hold}", r.at, r.reason);
    if let Some(since) = r.invalid_since {
        let when = if since <= at {
            "before the call"
        } else {
            "after it"
        };
        out += &format!("; the key is not to be relied on since {since}, {when}");
    }
    out
}

fn titles(path: &PathFacts) -> String {
    let names: Vec<_> = path
        .links
        .iter()
        .map(|l| escape(l.title.as_bytes()))
        .collect();
    names.join(" < ")
}

fn authorities(path: &PathFacts) -> String {
    let lists = path.links.iter().filter(|l| !l.authority.is_empty());
    let lists: Vec<_> = lists.map(|l| escape(l.authority.as_bytes())).collect();
    lists.join(" < ")
}

fn times(path: &PathFacts) -> String {
    format!(
        "valid from {} to {}",
        Timestamp::from_secs(path.validity.from),
        Timestamp::from_secs(path.validity.to)
    )
}
