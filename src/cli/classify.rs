//! `tracehop classify`: old records looked at with another configuration. Writes nothing.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::output::{self, say};
use super::{Failure, Outcome, found, load, span, time};
use crate::base::Timestamp;
use crate::call::classify::again::{Again, is_looked_at};
use crate::call::classify::campaign::Key;
use crate::call::classify::finding::Subject;
use crate::call::classify::{Campaign, Finding};
use crate::config::Config;
use crate::store::embedded::EmbeddedStore;

/// Lines of a table; JSON has all.
const LINES: usize = 100;

/// Shows which flags, findings and campaigns another configuration would give to calls of old
///
/// Writes nothing. Looked at again are the flags that follow from lists, numbering data, signers and thresholds. The neighbour of a call stays as its record
/// has it, whatever the rules of peers.toml say now (`tracehop peers explain` tells what they say); so do verification, replays, loops and emergency calls.
#[derive(Debug, Args)]
pub struct Classify {
    /// From when on, RFC 3339
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Timestamp,
    /// Until when, RFC 3339 [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
    /// The configuration to try; its store is read
    #[arg(long, value_name = "FILE", default_value = "tracehop.toml")]
    config: PathBuf,
    /// The folder of the store, where the configuration to try names another
    #[arg(long, value_name = "FOLDER")]
    store: Option<PathBuf>,
    /// Hours before the beginning that teach what is usual, and are not counted
    #[arg(long, value_name = "HOURS", default_value_t = 24)]
    warm_up: u32,
    /// Show whole numbers, which are people's; otherwise they are shown without their last four digits
    #[arg(long)]
    numbers: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Classify {
    pub(super) fn run(self) -> Outcome {
        let config = load(&self.config)?;
        let (_, until) = span(Some(self.since), self.until, Duration::ZERO)?;
        let path = self.store.as_ref().unwrap_or(&config.store.path);
        let (store, _) =
            EmbeddedStore::open_reader(path, &config.store.settings).map_err(Failure::no_input)?;
        let mut again = Again::new(
            config.peers.clone(),
            config.flags.clone(),
            config.behaviour.clone(),
            config.campaign,
            self.since,
        );
        let warm_up = Duration::from_secs(3_600 * u64::from(self.warm_up));
        let scanned = store.scan(self.since.minus(warm_up), until, |call| {
            again.handle(call);
            ControlFlow::Continue(())
        });
        scanned.map_err(Failure::io)?;
        again.finish();
        if self.json {
            output::json(&self.as_json(until, &again))?;
        } else {
            self.print(&config, until, &again);
        }
        Ok(ExitCode::SUCCESS)
    }

    fn print(&self, config: &Config, until: Timestamp, again: &Again) {
        let since = self.since;
        say!(
            "{} records from {since} to {until}, {} of them with other flags",
            again.records,
            again.changed
        );
        let looked_at = again.changes.iter().filter(|((_, f), _)| is_looked_at(*f));
        let rows: Vec<_> = looked_at
            .map(|((peer, flag), c)| {
                let mut row = vec![found::peer_name(config, peer.as_deref()), flag.to_string()];
                row.extend([c.old, c.new, c.added, c.removed].map(|n| n.to_string()));
                row
            })
            .collect();
        match rows.is_empty() {
            true => say!("\nno flag that follows from the configuration, before or now"),
            false => {
                let header = ["neighbour", "flag", "had", "would have", "added", "removed"];
                say!("\n{}", output::table(&header, rows, 2));
            }
        }
        if !again.findings.is_empty() {
            say!("\nFindings that there would be");
            let all: Vec<Finding> = again.findings.values().map(|f| self.veiled(f)).collect();
            found::print_findings(config, &all, LINES);
        }
        if !again.found.is_empty() {
            say!("\nCampaigns that there would be");
            let all: Vec<Campaign> = again
                .found
                .values()
                .map(|c| self.veiled_campaign(c))
                .collect();
            found::print_campaigns(config, &all, LINES);
        }
        if again.left_out > 0 {
            say!(
                "\n{} findings and campaigns more are not shown",
                again.left_out
            );
        }
    }

    fn as_json(&self, until: Timestamp, again: &Again) -> Value {
        let mut neighbours: BTreeMap<&str, serde_json::Map<String, Value>> = BTreeMap::new();
        for ((peer, flag), changed) in &again.changes {
            if is_looked_at(*flag) {
                let peer = peer.as_deref().unwrap_or("unknown");
                let flags = neighbours.entry(peer).or_default();
                flags.insert(flag.label().to_owned(), json!(changed));
            }
        }
        let findings: Vec<_> = again.findings.values().map(|f| self.veiled(f)).collect();
        let campaigns = again.found.values();
        let campaigns: Vec<_> = campaigns.map(|c| self.veiled_campaign(c)).collect();
        json!({
            "since": self.since,
            "until": until,
            "records": again.records,
            "changed": again.changed,
            "neighbours": neighbours,
            "findings": findings,
            "campaigns": campaigns,
            "left_out": again.left_out,
        })
    }

    /// Without single numbers, unless they are asked for.
    fn veiled(&self, finding: &Finding) -> Finding {
        let mut finding = finding.clone();
        if !self.numbers {
            match &mut finding.subject {
                Subject::CallingNumber(n) | Subject::CalledNumber(n) => *n = veil(n),
                Subject::CalledPrefix(_) | Subject::Neighbour => {}
            }
        }
        finding
    }

    fn veiled_campaign(&self, campaign: &Campaign) -> Campaign {
        let mut campaign = campaign.clone();
        if let (false, Key::CallingNumber(n)) = (self.numbers, &mut campaign.key) {
            *n = veil(n);
        }
        campaign
    }
}

/// All but the last four digits, which tell one subscriber from another.
fn veil(number: &str) -> Box<str> {
    let kept = number.len().saturating_sub(4);
    format!("{}xxxx", number.get(..kept).unwrap_or_default()).into()
}
