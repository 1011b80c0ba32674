//! Sections `[behaviour]` and `[campaign]`: from where on many calls together are remarkable.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::reader::Section;
use crate::call::classify::behaviour::{BehaviourSettings, Thresholds};
use crate::call::classify::campaign::CampaignSettings;

/// Names of neighbours, and where they stand.
pub(super) type Named = Vec<(Arc<str>, Range<usize>)>;

/// Reads the thresholds, for all neighbours and for single ones. The neighbours' names come back with where they stand, to be looked up.
pub(super) fn read(s: Section<'_, '_>) -> (BehaviourSettings, Named) {
    let mut settings = BehaviourSettings {
        all: thresholds(&s, Thresholds::default()),
        ..BehaviourSettings::default()
    };
    let mut named = Named::new();
    for one in s.sections("neighbour") {
        if let Some((peer, span)) = one.required("peer", "\"north\"") {
            let peer = Arc::<str>::from(peer);
            let own = thresholds(&one, settings.all);
            if settings.neighbours.insert(peer.clone(), own).is_some() {
                one.problem_at(
                    &span,
                    format!("a second [[behaviour.neighbour]] for {peer:?}"),
                    "keep one of them",
                );
            }
            named.push((peer, span));
        }
        one.finish();
    }
    s.finish();
    (settings, named)
}

fn thresholds(s: &Section<'_, '_>, mut values: Thresholds) -> Thresholds {
    for row in Thresholds::ALL {
        let range = u64::from(row.least)..u64::from(row.most) + 1;
        if let Some(n) = s.integer_if(row.name, range)
            && let Some(value) = values.named(row.name)
        {
            *value = u32::try_from(n).unwrap_or(row.most);
        }
    }
    values
}

/// Reads what makes a campaign.
pub(super) fn campaign(s: Section<'_, '_>) -> CampaignSettings {
    let default = CampaignSettings::default();
    let settings = CampaignSettings {
        least: u32::try_from(s.integer("least_calls", default.least.into(), 2..1_000_001))
            .unwrap_or(default.least),
        quiet: Duration::from_secs(
            3_600 * s.integer("quiet_hours", default.quiet.as_secs() / 3_600, 1..745),
        ),
        // A hundred thousand are 300 MB.
        open: usize::try_from(s.integer("open", 10_000, 10..100_001)).unwrap_or(default.open),
    };
    s.finish();
    settings
}
