//! `tracehop flags`: every flag, what earns it, what it rests on and when it is wrong.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::output::{self, say};
use super::{Failure, Outcome};
use crate::call::classify::{Flag, Group, Severity};

/// Lists the flags of calls: what earns them, what they rest on, and when an honest call has them
#[derive(Debug, Args)]
pub struct Flags {
    /// Only flags whose name or group begins so, such as numbers or unsigned
    #[arg(value_name = "NAME")]
    prefix: Option<String>,
    /// Print Markdown: docs/FLAGS.md is this output
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Flags {
    pub(super) fn run(self) -> Outcome {
        let wanted = |flag: &Flag| {
            self.prefix.as_ref().is_none_or(|p| {
                let p = p.to_ascii_lowercase();
                flag.label().starts_with(&p) || flag.group().label().starts_with(&p)
            })
        };
        let flags: Vec<Flag> = Flag::ALL.iter().copied().filter(wanted).collect();
        if flags.is_empty() {
            return Err(Failure::usage(format!(
                "no flag or group begins with {:?}; `tracehop flags` lists all",
                self.prefix.unwrap_or_default()
            )));
        }
        if self.json {
            output::json(&as_json(&flags))?;
        } else if self.markdown {
            say!("{}", markdown(&flags).trim_end());
        } else {
            print(&flags);
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn print(flags: &[Flag]) {
    let row = |f: &Flag| {
        let a = f.about();
        vec![
            f.label().to_owned(),
            f.group().label().to_owned(),
            f.severity().label().to_owned(),
            f.what().to_owned(),
            a.wrong_when.to_owned(),
        ]
    };
    let header = [
        "flag",
        "group",
        "severity",
        "what it says",
        "honest calls have it by",
    ];
    let rows = flags.iter().map(row).collect();
    say!("{}", output::table(&header, rows, header.len()));
}

fn as_json(flags: &[Flag]) -> serde_json::Value {
    let one = |f: &Flag| {
        let a = f.about();
        json!({
            "flag": f.label(), "group": f.group(), "severity": f.severity(), "what": f.what(),
            "calls": a.direction, "evidence": a.evidence, "settings": a.settings,
            "wrong_when": a.wrong_when, "source": a.source,
        })
    };
    json!({ "flags": flags.iter().map(one).collect::<Vec<_>>() })
}

fn markdown(flags: &[Flag]) -> String {
    let mut out = String::from(
        "# Flags of calls\n\n\
         Made by `tracehop flags --markdown`; a test holds it against the code.\n\n\
         A flag is a fact about one call, with what it rests on. It is no verdict about the neighbour who handed the call over. \"From outside\" is ingress from a neighbour\n\
         who is neither a customer nor our own platform; one that no rule of peers.toml names counts as outside. \"Calling numbers\" are From and the first P-Asserted-Identity\n\
         that is a number. `[flags] disabled` switches flags off.\n\n\
         | severity | meaning |\n|---|---|\n",
    );
    for s in Severity::ALL {
        out += &format!("| `{}` | {} |\n", s.label(), s.what());
    }
    let cell = |text: &str| match text {
        "" => "–".to_owned(),
        text => text.replace('|', "\\|"),
    };
    for group in Group::ALL {
        let of_group = || flags.iter().filter(|f| f.group() == *group);
        if of_group().next().is_none() {
            continue;
        }
        out += &format!(
            "\n## {}\n\n{}.\n\n| flag | severity | what it says | calls | evidence | settings | an honest call has it by | source |\n|---|---|---|---|---|---|---|---|\n",
            group.label(),
            capital(group.what()),
        );
        for f in of_group() {
            let a = f.about();
            out += &format!(
                "| `{}` | {} | {} | {} | {} | {} | {} | {} |\n",
                f.label(),
                f.severity().label(),
                cell(f.what()),
                cell(a.direction),
                cell(a.evidence),
                cell(a.settings),
                cell(a.wrong_when),
                cell(a.source)
            );
        }
    }
    out += REMEMBERED;
    out
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(chars).collect()
}

/// What stands below the tables.
const REMEMBERED: &str = "
## What is remembered

| for | what | how much | when it is forgotten |
|---|---|---|---|
| `new-signed-number` | numbers that a neighbour handed over with valid attestation A, in Bloom filters by neighbour | 32 bits a number; 128 MB for all, and two filters of 16 KB for each of up to 4,096 neighbours beside it | a number after 90 to 180 days without a call. A neighbour whose filters are full forgets its own numbers, nobody else's, and is learnt again: nothing of it is flagged until it has been watched for `learning_days` |
| `emergency-callback` | callers of emergency numbers, by P-Asserted-Identity before From | 65,536, some 6 MB | after `callback_hours`; beyond the room, who called longest ago |

A filter takes about one new number in a hundred for a known one when it is full: such a flag is missed, and none is wrong by it. The daemon keeps both over a restart in
`flags.state` in the folder of the store, written when it stops. After a crash, or with a file that is broken, learning begins anew and callers are forgotten; the log says so.
A replay begins with nothing remembered, so the same captures give the same flags.

Emergency calls, and calls to a number that we saw call an emergency number, never count against anybody: they are in no behaviour, no campaign and no `neighbour-spoof`.
What a message only claims (`Priority: psap-callback`) is shown and spares nobody.
";
