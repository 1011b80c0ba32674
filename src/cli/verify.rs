//! `tracehop verify`: one SIP message or Identity value, explained rule by rule.

use std::fs;
use std::io::{Read, stdin};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::output::{self, say};
use super::signer::Signer;
use super::{Failure, Outcome, load};
use crate::base::Timestamp;
use crate::call::attempt::{Facts, InviteFacts};
use crate::config::Config;
use crate::fetch::directory;
use crate::host::clock;
use crate::number::Tn;
use crate::stir::credential::Credentials;
use crate::stir::passport::Identity;
use crate::stir::verify::explain::{Row, explain_header_at};
use crate::stir::verify::{
    CallFacts, CallVerdict, Rule, State, Validation, VerifySettings, identities, verify_call_at,
    verify_value_at,
};
use crate::wire::sip::{Message, NotSip};

/// The most octets read: a SIP message has at most 64 KiB.
const MAX_INPUT: u64 = 1 << 20;

/// Judges one SIP message, or one Identity value, and explains every rule
#[derive(Debug, Args)]
pub struct Verify {
    /// File with a SIP message or the value of an Identity header; - is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    input: PathBuf,
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
        let loaded = directory::load(&config.credentials, clock::now()).map_err(Failure::config)?;
        let settings = VerifySettings {
            window: config.freshness,
            plan: config.plan.clone(),
            crl: config.crl,
        };
        let input = self.read()?;
        let explained = match Message::scan(&input) {
            Ok(message) => of_message(&message, at, &loaded.credentials, &settings)?,
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
        let passed = matches!(
            explained.verdict.validation(),
            Validation::Passed | Validation::None
        );
        Ok(ExitCode::from(u8::from(!passed)))
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
        let rows: Vec<_> = Identity::parse_field(value)
            .zip(&verdict.headers)
            .map(|(identity, v)| explain_header_at(v, &identity, &facts, at, credentials, settings))
            .collect();
        Ok(Explained {
            signers: signers(&verdict, at, credentials),
            identities: rows.len(),
            at,
            invite: None,
            verdict,
            rows,
        })
    }
}

fn of_message(
    message: &Message<'_>,
    at: Timestamp,
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
    let Facts::Invite(invite) = Facts::of_invite(message, verdict.clone(), &settings.plan) else {
        return Err(Failure::software("an INVITE gave no facts"));
    };
    Ok(Explained {
        signers: signers(&verdict, at, credentials),
        identities: identities(message).count(),
        at,
        invite: Some(invite),
        verdict,
        rows,
    })
}

fn signers(verdict: &CallVerdict, at: Timestamp, credentials: &Credentials) -> Vec<Option<Signer>> {
    let headers = verdict.headers.iter();
    headers.map(|h| Signer::of(h, at, credentials)).collect()
}

impl Explained {
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
        match v.sip_code() {
            Some(code) => say!("  a verification service would answer {code}"),
            None => say!("  a verification service would let it pass"),
        }
        say!("  verstat={}", v.verstat());
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
                "verstat": v.verstat(),
                "spc": v.best().and_then(|b| b.spc.clone()),
                "failed": v.best().map(|b| b.failed),
                "undetermined": v.best().map(|b| b.undetermined),
                "findings": v.best().map(|b| b.findings),
            },
            "headers": v.headers.iter().zip(&self.rows).zip(&self.signers).map(|((h, rows), s)| json!({
                "verdict": h,
                "rules": rows,
                "certificates": s.as_ref().map(Signer::as_json),
            })).collect::<Vec<_>>(),
        })
    }
}

fn headline(validation: Validation, decided_by: Option<Rule>) -> String {
    match decided_by {
        Some(rule) => format!("{} by {} ({})", validation.label(), rule.id(), rule.label()),
        None => validation.label().to_owned(),
    }
}
