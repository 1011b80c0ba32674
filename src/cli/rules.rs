//! `tracehop rules`: every rule of verification, what it checks, where it comes from and what its failure means.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::output::{self, say};
use super::{Failure, Outcome};
use crate::stir::credential::Lint;
use crate::stir::verify::Rule;
use crate::stir::verify::practice::{How, PRACTICES, Practice};

/// Lists the rules of verification, with source and outcome
#[derive(Debug, Args)]
pub struct Rules {
    /// Only rules whose ID or kind begins so, such as X or stale
    #[arg(value_name = "ID")]
    prefix: Option<String>,
    /// Print Markdown: docs/RULES.md is this output
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Rules {
    pub(super) fn run(self) -> Outcome {
        let wanted = |id: &str, label: &str| {
            self.prefix.as_ref().is_none_or(|p| {
                let starts = |t: &str| {
                    t.get(..p.len())
                        .is_some_and(|front| front.eq_ignore_ascii_case(p))
                };
                starts(id) || starts(label)
            })
        };
        let rules: Vec<Rule> = Rule::ALL
            .iter()
            .copied()
            .filter(|r| wanted(r.id(), r.label()))
            .collect();
        let practices: Vec<Practice> = PRACTICES
            .iter()
            .copied()
            .filter(|p| wanted(p.id, ""))
            .collect();
        if rules.is_empty() && practices.is_empty() {
            return Err(Failure::usage(format!(
                "no rule begins with {:?}; `tracehop rules` lists all",
                self.prefix.unwrap_or_default()
            )));
        }
        // They belong to rule X15.
        let lints = if rules.contains(&Rule::X15) {
            Lint::ALL
        } else {
            &[]
        };
        if self.json {
            output::json(&as_json(&rules, &practices, lints))?;
        } else if self.markdown {
            say!("{}", markdown(&rules, &practices, lints).trim_end());
        } else {
            print(&rules, &practices, lints);
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What a violation comes to, in words.
fn outcome(rule: Rule) -> String {
    let class = rule.class().label();
    match rule.sip_code() {
        0 => class.to_owned(),
        code => format!("{class}, {code}"),
    }
}

fn kept(how: How) -> String {
    match how {
        How::Kept(text) => text.to_owned(),
        How::NotApplied(why) => format!("not applied: {why}"),
    }
}

fn print(rules: &[Rule], practices: &[Practice], lints: &[Lint]) {
    let rows = rules
        .iter()
        .map(|r| {
            vec![
                r.id().to_owned(),
                r.label().to_owned(),
                r.what().to_owned(),
                outcome(*r),
                r.source().to_owned(),
            ]
        })
        .collect::<Vec<_>>();
    if !rows.is_empty() {
        let header = ["rule", "kind", "what is checked", "if not", "source"];
        say!("{}", output::table(&header, rows, header.len()));
    }
    let rows = practices
        .iter()
        .map(|p| {
            vec![
                p.id.to_owned(),
                p.what.to_owned(),
                kept(p.how),
                p.source.to_owned(),
            ]
        })
        .collect::<Vec<_>>();
    if !rows.is_empty() {
        let header = ["rule", "what it asks for", "how it is kept", "source"];
        say!("{}", output::table(&header, rows, header.len()));
    }
    let rows = lints
        .iter()
        .map(|l| vec![l.label().into(), l.what().into(), l.source().into()])
        .collect::<Vec<_>>();
    if !rows.is_empty() {
        let header = ["lint of X15", "what is odd about the certificate", "source"];
        say!("{}", output::table(&header, rows, header.len()));
    }
}

fn as_json(rules: &[Rule], practices: &[Practice], lints: &[Lint]) -> serde_json::Value {
    json!({
        "rules": rules.iter().map(|r| json!({
            "id": r.id(), "kind": r.label(), "what": r.what(), "source": r.source(),
            "family": r.family(), "class": r.class(), "sip_code": r.sip_code(),
        })).collect::<Vec<_>>(),
        "practices": practices.iter().map(|p| {
            let (applied, how) = match p.how {
                How::Kept(text) => (true, text),
                How::NotApplied(why) => (false, why),
            };
            json!({ "id": p.id, "what": p.what, "source": p.source, "applied": applied, "how": how })
        }).collect::<Vec<_>>(),
        "lints": lints.iter().map(|l| json!({
            "lint": l.label(), "what": l.what(), "source": l.source(),
        })).collect::<Vec<_>>(),
    })
}

fn markdown(rules: &[Rule], practices: &[Practice], lints: &[Lint]) -> String {
    let mut out = String::from(
        "# Rules of verification\n\n\
         Made by `tracehop rules --markdown`; a test holds it against the code.\n\n\
         ## Judged for each Identity header\n\n\
         *kind* is how output, flags and metrics name it. *if not*: class of the violation and the SIP code that a verification service would send.\n\
         `policy` is a finding that fails nothing; `credential` could not be found out and is never a failure; `unsupported` without a code sets the header aside.\n\n\
         | rule | kind | what is checked | if not | source |\n|---|---|---|---|---|\n",
    );
    let cell = |text: &str| text.replace('|', "\\|");
    for r in rules {
        out += &format!(
            "| {} | `{}` | {} | {} | {} |\n",
            r.id(),
            r.label(),
            cell(r.what()),
            outcome(*r),
            cell(r.source())
        );
    }
    out += "\n## Kept by the way things are built, or not applied\n\n| rule | what it asks for | how it is kept | source |\n|---|---|---|---|\n";
    for p in practices {
        out += &format!(
            "| {} | {} | {} | {} |\n",
            p.id,
            cell(p.what),
            cell(&kept(p.how)),
            cell(p.source)
        );
    }
    out += "\n## Lints of certificates\n\nWhat rule X15 looks for. A lint fails no call: half of the valid certificates in the field have a flaw of this kind.\n\n| lint | what is odd about the certificate | source |\n|---|---|---|\n";
    for l in lints {
        out += &format!(
            "| `{}` | {} | {} |\n",
            l.label(),
            cell(l.what()),
            cell(l.source())
        );
    }
    out
}
