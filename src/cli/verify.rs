//! `tracehop verify`: one SIP message, Identity value or stored call, explained rule by rule.

use std::fs;
use std::io::{Read, stdin};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::output::{self, say};
use super::rejudge::{self, Comparison, Rejudged, Trust};
use super::signer::Signer;
use super::{Failure, Outcome, load};
use crate::base::Timestamp;
use crate::call::attempt::{Facts, InviteFacts};
use crate::call::classify::flagging::evidence::{self, FlagEvidence, Shown};
use crate::call::classify::{Flag, flagging};
use crate::call::peer::{Peer, PeerRule, Resolved};
use crate::call::record::Direction;
use crate::config::Config;
use crate::fetch::directory;
use crate::host::clock;
use crate::number::Tn;
use crate::stir::credential::Credentials;
use crate::stir::passport::Identity;
use crate::stir::verify::drawing::Drawing;
use crate::stir::verify::explain::{Row, explain_header_at};
use crate::stir::verify::{
    CallFacts, CallVerdict, ChainState, Rule, State, Validation, VerifySettings, identities,
    reason, verify_call_at, verify_value_at,
};
use crate::wire::sip::{Message, NotSip};

/// The most octets read: a SIP message has at most 64 KiB.
const MAX_INPUT: u64 = 1 << 20;

/// Judges one SIP message, one Identity value, or a stored call once more, and explains every rule
#[derive(Debug, Args)]
pub struct Verify {
    /// File with a SIP message or the value of an Identity header; - is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    input: PathBuf,
    /// Instead of a file: the record of a call in the store, by its uid. It is judged again as of its capture time
    #[arg(long, value_name = "UID", conflicts_with_all = ["input", "at", "calling", "called"])]
    record: Option<u64>,
    /// With --record: use the certificates at hand today instead of those stored with the call
    #[arg(long, requires = "record")]
    with_current_trust: bool,
    /// When it was seen, RFC 3339 [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Configuration
    #[arg(long, value_name = "FILE", default_value = "tracehop.toml")]
    config: PathBuf,
    /// With a bare Identity value: the calling number of its message
    #[arg(long, value_name = "NUMBER")]
    calling: Option<String>,
    /// With a bare Identity value: the called number of its message
    #[arg(long, value_name = "NUMBER")]
    called: Option<String>,
    /// With a SIP message: the neighbour that handed it over, by its id in peers.toml, for flags [default: somebody outside]
    #[arg(long, value_name = "ID", conflicts_with = "record")]
    peer: Option<String>,
    /// Show the rules that did not apply as well
    #[arg(long)]
    all: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Everything that is said of the input.
struct Explained {
    at: Timestamp,
    invite: Option<Box<InviteFacts>>,
    verdict: CallVerdict,
    rows: Vec<Vec<Row>>,
    /// Certificates of each header, where they are at hand.
    signers: Vec<Option<Signer>>,
    /// How many Identity values there are, judged or not.
    identities: usize,
    drawings: Vec<Drawing>,
    /// Values of Reason that a verification service would send.
    reasons: Vec<String>,
    verstat: &'static str,
    /// Flags of a message, as if a neighbour had handed it over; none of a bare value or a record, which keeps its own.
    flags: Option<Vec<FlagEvidence>>,
}

impl Verify {
    pub(super) fn run(self) -> Outcome {
        let at = match &self.at {
            Some(text) => Timestamp::parse_rfc3339(text).ok_or_else(|| {
                Failure::usage(format!(
                    "--at {text:?} is no RFC 3339 time such as 2026-11-24T15:04:05Z"
                ))
            })?,
            None => clock::now(),
        };
        let config = load(&self.config)?;
        if let Some(uid) = self.record {
            return self.rejudge(uid, &config);
        }
        let loaded = directory::load(&config.credentials, clock::now()).map_err(Failure::config)?;
        let settings = config.verify_settings();
        let input = self.read()?;
        let explained = match Message::scan(&input) {
            Ok(message) => {
                let explained = of_message(&message, at, &config, &loaded.credentials, &settings)?;
                self.with_flags(explained, &config)?
            }
            Err(NotSip::NoStartLine) if !input.is_empty() => {
                self.of_value(&input, at, &config, &loaded.credentials, &settings)?
            }
            Err(_) => {
                return Err(Failure::data(
                    "the input is empty: give a SIP message or an Identity value",
                ));
            }
        };
        if self.json {
            output::json(&explained.as_json())?;
        } else {
            explained.print(self.all);
        }
        Ok(explained.code())
    }

    /// Adds the flags that the message earns if the neighbour hands it over. What needs more than one call is not among them.
    fn with_flags(&self, explained: Explained, config: &Config) -> Result<Explained, Failure> {
        let peer = match &self.peer {
            None => None,
            Some(id) => Some(neighbour(config, id)?),
        };
        let Some(invite) = explained.invite.as_ref().filter(|i| i.initial) else {
            return Ok(explained);
        };
        let resolved = Resolved {
            direction: Direction::Ingress,
            peer,
        };
        let mut flagged = flagging::flag(invite, &resolved, &config.flags, false);
        flagged.flags = config.flags.keep(flagged.flags);
        if peer.is_none() {
            // Nobody was asked for.
            flagged.flags.remove(Flag::UnknownUpstream);
        }
        let shown = Shown::of_invite(explained.at, invite, &flagged);
        let flags = Some(evidence::of_call(shown));
        Ok(Explained { flags, ..explained })
    }

    fn rejudge(&self, uid: u64, config: &Config) -> Outcome {
        let stored = rejudge::find(config, uid)?;
        let trust = Trust::load(config, &stored, self.with_current_trust)?;
        let message = Message::scan(&stored.evidence.head)
            .map_err(|_| Failure::software("the stored head is no SIP message"))?;
        let explained = of_message(
            &message,
            stored.at,
            config,
            &trust.credentials,
            &config.verify_settings(),
        )?;
        let rejudged = Rejudged {
            uid,
            at: stored.at,
            seen_by: explained
                .invite
                .as_ref()
                .and_then(|i| rejudge::seen_by(config, &stored, &i.numbers)),
            comparison: Comparison::of(&stored.evidence.judgement, &explained.verdict),
            trust,
        };
        if self.json {
            let mut all = explained.as_json();
            if let Value::Object(members) = &mut all {
                members.insert("record".to_owned(), rejudged.as_json());
            }
            output::json(&all)?;
        } else {
            explained.print(self.all);
            rejudged.print();
        }
        Ok(explained.code())
    }

    fn read(&self) -> Result<Vec<u8>, Failure> {
        let mut out = Vec::new();
        let read = if self.input.as_os_str() == "-" {
            stdin().lock().take(MAX_INPUT).read_to_end(&mut out)
        } else {
            fs::File::open(&self.input).and_then(|f| f.take(MAX_INPUT).read_to_end(&mut out))
        };
        read.map_err(|e| Failure::no_input(format!("{}: {e}", self.input.display())))?;
        Ok(out)
    }

    fn of_value(
        &self,
        input: &[u8],
        at: Timestamp,
        config: &Config,
        credentials: &Credentials,
        settings: &VerifySettings,
    ) -> Result<Explained, Failure> {
        let number = |text: &Option<String>| -> Result<Option<Tn>, Failure> {
            let Some(text) = text else { return Ok(None) };
            let tn = config.plan.canonical(text.as_bytes()).tn();
            tn.map(Some)
                .ok_or_else(|| Failure::usage(format!("{text:?} is no telephone number")))
        };
        let facts = CallFacts::of_numbers(number(&self.calling)?, number(&self.called)?);
        // A pasted header line may still have its name.
        let value = input.trim_ascii();
        let value = [b"identity:".as_slice(), b"y:"]
            .iter()
            .find(|name| {
                value
                    .get(..name.len())
                    .is_some_and(|v| v.eq_ignore_ascii_case(name))
            })
            .and_then(|name| value.get(name.len()..))
            .unwrap_or(value)
            .trim_ascii();
        let verdict = verify_value_at(value, &facts, at, credentials, settings);
        let identities: Vec<_> = Identity::parse_field(value)
            .take(verdict.headers.len())
            .collect();
        let rows: Vec<_> = identities
            .iter()
            .zip(&verdict.headers)
            .map(|(identity, v)| explain_header_at(v, identity, &facts, at, credentials, settings))
            .collect();
        Ok(Explained {
            signers: signers(&verdict, at, credentials),
            identities: rows.len(),
            at,
            invite: None,
            drawings: identities.iter().map(Drawing::of).collect(),
            reasons: reason::values(&verdict, identities),
            verstat: verdict.verstat_by(config.verstat),
            flags: None,
            verdict,
            rows,
        })
    }
}

fn of_message(
    message: &Message<'_>,
    at: Timestamp,
    config: &Config,
    credentials: &Credentials,
    settings: &VerifySettings,
) -> Result<Explained, Failure> {
    if !message.start.is_method("INVITE") {
        return Err(Failure::data(
            "the message is no INVITE request: only those are judged",
        ));
    }
    let verdict = if message.is_initial_invite() {
        verify_call_at(message, at, credentials, settings)
    } else {
        CallVerdict::default()
    };
    let facts = CallFacts::of(message, &settings.plan);
    let rows = identities(message)
        .zip(&verdict.headers)
        .map(|(identity, v)| explain_header_at(v, &identity, &facts, at, credentials, settings))
        .collect();
    let Facts::Invite(invite) = Facts::of_invite(message, verdict.clone(), &settings.plan, &[])
    else {
        return Err(Failure::software("an INVITE gave no facts"));
    };
    Ok(Explained {
        signers: signers(&verdict, at, credentials),
        identities: identities(message).count(),
        at,
        invite: Some(invite),
        drawings: identities(message).map(|i| Drawing::of(&i)).collect(),
        reasons: reason::values(&verdict, identities(message)),
        verstat: verdict.verstat_by(config.verstat),
        flags: None,
        verdict,
        rows,
    })
}

/// A neighbour and the first rule that names it.
fn neighbour<'c>(config: &'c Config, id: &str) -> Result<(&'c Peer, &'c PeerRule), Failure> {
    let table = &config.peers;
    let index = table.peers.iter().position(|p| &*p.id == id);
    let peer = index.and_then(|i| table.peers.get(i));
    let rule = table.rules.iter().find(|r| Some(r.peer) == index);
    peer.zip(rule)
        .ok_or_else(|| Failure::usage(format!("no rule of peers.toml names a peer {id:?}")))
}

fn signers(verdict: &CallVerdict, at: Timestamp, credentials: &Credentials) -> Vec<Option<Signer>> {
    let headers = verdict.headers.iter();
    headers.map(|h| Signer::of(h, at, credentials)).collect()
}

impl Explained {
    fn code(&self) -> ExitCode {
        let judged = self.verdict.validation();
        let passed = matches!(judged, Validation::Passed | Validation::None);
        ExitCode::from(u8::from(!passed))
    }

    fn print(&self, all: bool) {
        let v = &self.verdict;
        if let Some(i) = &self.invite {
            let tn = |tn: Option<Tn>| tn.map_or("none".to_owned(), |t| t.to_string());
            let n = &i.numbers;
            say!(
                "INVITE from {} to {}, judged at {}",
                tn(n.asserted.or(n.from)),
                tn(n.called),
                self.at
            );
            if !i.initial {
                say!("inside a dialog (To has a tag): Identity is recorded, not judged");
            }
        } else {
            say!("Identity value, judged at {}", self.at);
        }
        let headers = v.headers.iter().zip(&self.rows).zip(&self.signers);
        for (i, ((header, rows), signer)) in headers.enumerate() {
            say!(
                "\nIdentity header {} of {}: {}",
                i + 1,
                v.headers.len(),
                headline(header.validation, header.decided_by)
            );
            for line in self.drawings.get(i).map(Drawing::lines).unwrap_or_default() {
                say!("  {line}");
            }
            let shown = rows
                .iter()
                .filter(|r| all || r.state != State::NotJudged.label())
                .map(|r| {
                    vec![
                        r.rule.id().to_owned(),
                        r.state.to_owned(),
                        r.what.to_owned(),
                        r.note.clone(),
                    ]
                })
                .collect();
            say!(
                "{}",
                output::table(
                    &["rule", "state", "what is checked", "what was seen"],
                    shown,
                    9
                )
            );
            if let Some(signer) = signer {
                signer.print();
            }
        }
        say!("\ncall: {}", headline(v.validation(), v.decided_by()));
        if v.is_unsigned() {
            say!("  unsigned: no Identity header");
        }
        if let Some(attest) = v.attest() {
            say!(
                "  attestation {}, signed by {}",
                attest.label(),
                v.best().and_then(|b| b.spc.as_deref()).unwrap_or("?")
            );
        }
        if let Some(chain) = chain_line(v) {
            say!("  {chain}");
        }
        match v.sip_code() {
            Some(code) => say!("  a verification service would answer {code}"),
            None => say!("  a verification service would let it pass"),
        }
        for reason in &self.reasons {
            say!("  Reason: {reason}");
        }
        say!("  verstat={}", self.verstat);
        for f in self.flags.iter().flatten() {
            say!("  flag {}: {}", f.flag, f.evidence);
        }
    }

    fn as_json(&self) -> Value {
        let v = &self.verdict;
        let message = self.invite.as_ref().map(|i| {
            json!({
                "initial": i.initial,
                "called": i.numbers.called,
                "to": i.numbers.to,
                "diverted_from": i.numbers.diverted_from,
                "from": i.numbers.from,
                "asserted": i.numbers.asserted,
                "private": i.numbers.private,
                "trunk": i.trunk,
                "identities": self.identities,
            })
        });
        json!({
            "at": self.at,
            "message": message,
            "call": {
                "validation": v.validation(),
                "decided_by": v.decided_by(),
                "kind": v.decided_by().map(|r| r.label()),
                "attest": v.best().and_then(|b| b.attest),
                "unsigned": v.is_unsigned(),
                "truncated": v.truncated,
                "sip_code": v.sip_code(),
                "verstat": self.verstat,
                "reason": self.reasons,
                "chain": v.chain,
                "orig_match": v.best().and_then(|b| b.orig_match),
                "dest_match": v.best().and_then(|b| b.dest_match),
                "spc": v.best().and_then(|b| b.spc.clone()),
                "failed": v.best().map(|b| b.failed),
                "undetermined": v.best().map(|b| b.undetermined),
                "findings": v.best().map(|b| b.findings),
            },
            "flags": self.flags,
            "headers": v.headers.iter().zip(&self.rows).zip(&self.drawings).zip(&self.signers).map(|(((h, rows), drawing), s)| json!({
                "verdict": h,
                "rules": rows,
                "parts": drawing,
                "certificates": s.as_ref().map(Signer::as_json),
            })).collect::<Vec<_>>(),
        })
    }
}

/// The chain of diversions, where there is one, by the numbers of the headers.
fn chain_line(verdict: &CallVerdict) -> Option<String> {
    let chain = &verdict.chain;
    let state = match chain.state {
        ChainState::Absent => return None,
        ChainState::Unbroken => "unbroken".to_owned(),
        ChainState::Broken(link) => format!("broken at link {link}"),
        ChainState::Undetermined => "undetermined".to_owned(),
    };
    let links: Vec<_> = chain
        .links
        .iter()
        .map(|i| format!(" > header {}", u16::from(*i) + 1))
        .collect();
    let odd = |is: bool, what| if is { what } else { "" };
    Some(format!(
        "diversions: {state}; signed first{}{}{}",
        links.concat(),
        odd(chain.ambiguous, "; in more than one way"),
        odd(chain.looped, "; in a loop")
    ))
}

fn headline(validation: Validation, decided_by: Option<Rule>) -> String {
    match decided_by {
        Some(rule) => format!("{} by {} ({})", validation.label(), rule.id(), rule.label()),
        None => validation.label().to_owned(),
    }
}
