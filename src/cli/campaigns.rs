//! `tracehop campaigns`: flagged calls of one upstream that belong together, as the store keeps them.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::output::{self, say};
use super::{Failure, Outcome, found, load, span, time};
use crate::base::Timestamp;
use crate::call::classify::Campaign;
use crate::call::classify::campaign::CampaignState;
use crate::store::Lookup;
use crate::store::embedded::EmbeddedStore;

/// What is shown when nobody says since when: a week, as the quiet time of a campaign is a day.
const SPAN: Duration = Duration::from_secs(7 * 24 * 3_600);

/// Lists campaigns: flagged calls of one upstream that belong together
///
/// Shows calling numbers of flagged calls whole, and numbers of records as examples; called numbers never.
#[derive(Debug, Args)]
pub struct Show {
    /// Configuration
    #[arg(long, value_name = "FILE", default_value = "tracehop.toml")]
    config: PathBuf,
    /// Only those with a call since then, RFC 3339 [default: a week before the end]
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Only those with a call until then, RFC 3339 [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
    /// Only those of this upstream: its id in the peers file, or "unknown"
    #[arg(long, value_name = "ID")]
    peer: Option<String>,
    /// Only those that go on
    #[arg(long)]
    open: bool,
    /// Print JSON: an object a campaign, as docs/FORMATS.md has it
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(super) fn run(self) -> Outcome {
        let config = load(&self.config)?;
        let (since, until) = span(self.since, self.until, SPAN)?;
        let (store, _) = EmbeddedStore::open_reader(&config.store.path, &config.store.settings)
            .map_err(Failure::no_input)?;
        let damaged = store
            .unreadable_campaigns(since, until)
            .map_err(Failure::io)?;
        if damaged > 0 {
            output::complain(format_args!(
                "{}: {damaged} campaigns can't be read: damage",
                config.store.path.display()
            ));
        }
        let mut all = store.campaigns(since, until).map_err(Failure::io)?;
        all.retain(|c| self.wants(c));
        if self.json {
            output::json(&json!({ "since": since, "until": until, "campaigns": all }))?;
        } else if all.is_empty() {
            say!("no campaign had a call from {since} to {until}");
        } else {
            found::print_campaigns(&config, &all, usize::MAX);
        }
        Ok(ExitCode::SUCCESS)
    }

    fn wants(&self, campaign: &Campaign) -> bool {
        let peer = campaign.peer.as_deref().unwrap_or("unknown");
        // One whose calls have all gone to campaigns of their numbers is none any more.
        campaign.volume > 0
            && self.peer.as_deref().is_none_or(|p| p == peer)
            && (!self.open || campaign.state == CampaignState::Open)
    }
}
