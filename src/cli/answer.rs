//! `tracehop answer`: the key that signs answers, and whether the answers of a trace are one path.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::output::{self, say};
use super::{Failure, Outcome, keys};
use crate::proof::sign::{Kind, Signer, Verifier, digest, new_key};
use crate::traceback::answer::RawAnswer;
use crate::traceback::path::{self, End, Hop, MAX_ANSWERS, Path, SignedAnswer};

/// Largest file of answers: as many as are looked at, of the largest size there is in practice.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// The key of our answers, and whether answers form a path
#[derive(Debug, Subcommand)]
pub enum Answer {
    Key(Key),
    Verify(Verify),
}

/// Shows the public key of a key file, or makes a new one
#[derive(Debug, Args)]
pub struct Key {
    /// The key file
    #[arg(value_name = "FILE", required_unless_present = "new")]
    file: Option<PathBuf>,
    /// Make a new key (Ed25519) in this file, readable by its owner alone
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    new: Option<PathBuf>,
}

/// Checks signed answers: signatures, the digests that chain them, who names whom, order and times
#[derive(Debug, Args)]
pub struct Verify {
    /// Signed answers as a portal keeps them: a JSON object, an array, or one object a line
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Public keys (JWK sets): a folder with a file for each provider, named by its id (EV-01.json), or a file in which each key
    /// has a member "provider"
    #[arg(long, value_name = "FILE|DIR")]
    keys: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Answer {
    pub(super) fn run(self) -> Outcome {
        match self {
            Self::Key(c) => c.run(),
            Self::Verify(c) => c.run(),
        }
    }
}

impl Key {
    fn run(self) -> Outcome {
        let signer = match (&self.new, &self.file) {
            (Some(new), _) => {
                new_key(new).map_err(|e| Failure::io(format!("{}: {e}", new.display())))?
            }
            (None, Some(file)) => {
                Signer::read(file).map_err(|e| Failure::data(format!("{}: {e}", file.display())))?
            }
            (None, None) => return Err(Failure::usage("name a key file")),
        };
        output::json(signer.jwk())?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Verify {
    fn run(self) -> Outcome {
        let verifier = keys::read(&self.keys)?;
        let mut answers = Vec::new();
        let mut unreadable = Vec::new();
        for file in &self.files {
            let octets = keys::bounded(file, MAX_FILE)?;
            let objects =
                objects(&octets).map_err(|e| Failure::data(format!("{}: {e}", file.display())))?;
            for (n, object) in (1..).zip(objects) {
                match read(&verifier, object.get()) {
                    Ok(answer) => answers.push(answer),
                    Err(why) => unreadable.push(format!("{}, answer {n}: {why}", file.display())),
                }
            }
        }
        if answers.len() > MAX_ANSWERS {
            let count = answers.len();
            return Err(Failure::data(format!(
                "{count} answers; at most {MAX_ANSWERS} are looked at"
            )));
        }
        let path = path::check(&answers);
        let holds = path.holds() && unreadable.is_empty();
        if self.json {
            output::json(&as_json(&path, &unreadable, holds))?;
        } else {
            print(&path, &unreadable, holds);
            if verifier.is_empty() {
                say!("No keys were given, so no signature can hold: --keys FILE|DIR");
            }
        }
        Ok(ExitCode::from(u8::from(!holds)))
    }
}

/// One object, an array of them, or one after the other.
fn objects(octets: &[u8]) -> Result<Vec<Box<RawValue>>, serde_json::Error> {
    let mut out = Vec::new();
    for value in serde_json::Deserializer::from_slice(octets).into_iter::<Box<RawValue>>() {
        let value = value?;
        if value.get().starts_with('[') {
            let inner: Vec<Box<RawValue>> = serde_json::from_str(value.get())?;
            out.extend(inner);
        } else {
            out.push(value);
        }
    }
    Ok(out)
}

/// One signed answer with what its signature is worth. What was signed counts; where nothing holds, what is visible is shown.
fn read(verifier: &Verifier, text: &str) -> Result<SignedAnswer, String> {
    let answer = |octets: &[u8]| {
        serde_json::from_slice::<RawAnswer>(octets).map_err(|e| format!("it is no answer: {e}"))
    };
    match verifier.open(text.as_bytes(), Kind::Answer) {
        Ok(opened) => Ok(SignedAnswer {
            answer: answer(&opened.payload)?,
            digest: digest(&opened.jws),
            signature: Ok(opened.provider),
        }),
        Err(flaw) => {
            let mut visible: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
            let jws = visible.as_object_mut().and_then(|o| o.shift_remove("jws"));
            Ok(SignedAnswer {
                answer: answer(visible.to_string().as_bytes())?,
                digest: digest(jws.as_ref().and_then(Value::as_str).unwrap_or_default()),
                signature: Err(flaw.to_string()),
            })
        }
    }
}

fn named(hop: &Hop<'_>) -> String {
    let a = &hop.signed.answer;
    let party = a.upstream.as_ref().or(a.originator.as_ref());
    party.map_or_else(String::new, |p| match &p.portal_id {
        Some(id) => format!("{} ({id})", p.name),
        None => p.name.to_string(),
    })
}

fn provider(hop: &Hop<'_>) -> String {
    match &hop.signed.answer.provider {
        Some(p) => match &p.portal_id {
            Some(id) => format!("{} ({id})", p.name),
            None => p.name.to_string(),
        },
        None => "?".to_owned(),
    }
}

fn print(path: &Path<'_>, unreadable: &[String], holds: bool) {
    let rows = path.hops.iter().enumerate().map(|(n, hop)| {
        let a = &hop.signed.answer;
        let wrong: Vec<_> = hop.wrong.iter().map(ToString::to_string).collect();
        vec![
            a.hop_no
                .map_or_else(|| (n + 1).to_string(), |n| n.to_string()),
            provider(hop),
            a.resolution.label().to_owned(),
            named(hop),
            a.leg().map_or_else(String::new, |(at, _)| at.to_string()),
            if wrong.is_empty() {
                "verified".to_owned()
            } else {
                wrong.join("; ")
            },
        ]
    });
    let head = [
        "hop",
        "who answers",
        "answer",
        "who is named",
        "call came in",
        "verdict",
    ];
    say!("{}", output::table(&head, rows.collect(), 9));
    for a in &path.replaced {
        say!(
            "set aside: revision {} of {}, which was replaced",
            a.answer.revision,
            a.answer.request_id
        );
    }
    for line in unreadable {
        say!("unreadable: {line}");
    }
    let end = match path.end {
        End::Origin => "it ends with who made the call",
        End::Foreign => "it ends where the call came from abroad",
        End::Open => "it goes on with the provider who is named last",
        End::DeadEnd => "it ends without an upstream",
    };
    if holds {
        say!("The path holds, hop by hop; {end}.");
    } else {
        say!("The path does not hold.");
    }
}

fn as_json(path: &Path<'_>, unreadable: &[String], holds: bool) -> Value {
    let hops: Vec<Value> = path
        .hops
        .iter()
        .map(|hop| {
            let a = &hop.signed.answer;
            let wrong: Vec<_> = hop.wrong.iter().map(ToString::to_string).collect();
            json!({
                "hop_no": a.hop_no,
                "request_id": a.request_id,
                "answer_id": a.id,
                "revision": a.revision,
                "provider": a.provider,
                "resolution": a.resolution,
                "upstream": a.upstream,
                "originator": a.originator,
                "digest": hop.signed.digest,
                "verified": wrong.is_empty(),
                "wrong": wrong,
            })
        })
        .collect();
    let replaced: Vec<_> = path.replaced.iter().map(|a| &a.answer.id).collect();
    json!({ "holds": holds, "end": path.end, "hops": hops, "replaced": replaced, "unreadable": unreadable })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_alone_in_an_array_or_by_the_line() {
        let count = |text: &str| objects(text.as_bytes()).map(|o| o.len()).ok();
        assert_eq!(count(r#"{"a":1}"#), Some(1));
        assert_eq!(count(r#" [{"a":1}, {"b":2}] "#), Some(2));
        assert_eq!(count("{\"a\":1}\n{\"b\":2}\n\n{}\n"), Some(3));
        assert_eq!(count(""), Some(0));
        assert_eq!(count("{"), None);
    }
}
