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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::reader::{Problem, Reader};

    fn read_in(text: &str) -> (BehaviourSettings, CampaignSettings, Vec<Problem>) {
        let (reader, table) = Reader::parse(Path::new("tracehop.toml"), text);
        let root = reader.root(&table);
        let (settings, _) = read(root.section("behaviour"));
        let campaign = campaign(root.section("campaign"));
        (settings, campaign, reader.into_problems())
    }

    #[test]
    fn nothing_written_is_the_default() {
        let (settings, campaign, problems) = read_in("");
        assert!(problems.is_empty());
        assert_eq!(settings, BehaviourSettings::default());
        assert_eq!(campaign, CampaignSettings::default());
    }

    #[test]
    fn a_neighbour_has_its_own_thresholds_and_for_the_rest_those_of_all() {
        let (settings, campaign, problems) = read_in(
            "[behaviour]\nhigh_volume_hour = 700\nshort_seconds = 8\n\
             [[behaviour.neighbour]]\npeer = \"north\"\nhigh_volume_hour = 3000\n\
             [campaign]\nleast_calls = 3\nquiet_hours = 2\nopen = 50\n",
        );
        assert!(problems.is_empty(), "{problems:#?}");
        let north = settings.of(Some("north"));
        assert_eq!((north.high_volume_hour, north.short_seconds), (3_000, 8));
        assert_eq!(settings.of(Some("west")).high_volume_hour, 700);
        assert_eq!(settings.of(None).high_volume_hour, 700);
        let quiet = campaign.quiet.as_secs();
        assert_eq!((campaign.least, quiet, campaign.open), (3, 7_200, 50));
    }

    #[test]
    fn every_threshold_keeps_within_its_limits() {
        for row in Thresholds::ALL {
            let with = |n: u64| read_in(&format!("[behaviour]\n{} = {n}\n", row.name)).2;
            let (least, most) = (u64::from(row.least), u64::from(row.most));
            assert!(
                with(least).is_empty() && with(most).is_empty(),
                "{}",
                row.name
            );
            let mut wrong = vec![most + 1];
            wrong.extend(least.checked_sub(1));
            for n in wrong {
                let problems = with(n);
                assert_eq!(problems.len(), 1, "{} = {n}", row.name);
                assert!(problems[0].what.contains(row.name), "{problems:#?}");
                assert_eq!(problems[0].line, 2);
            }
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line_and_a_remedy() {
        for (text, line, says) in [
            (
                "[behaviour]\nhigh_volume_hours = 5\n",
                2,
                "did you mean high_volume_hour?",
            ),
            ("[behaviour]\nshort_seconds = \"six\"\n", 2, "whole number"),
            (
                "[[behaviour.neighbour]]\nshort_seconds = 5\n",
                1,
                "peer is missing",
            ),
            (
                "[[behaviour.neighbour]]\npeer = 5\nshort_seconds = 5\n",
                2,
                "peer",
            ),
            (
                "[[behaviour.neighbour]]\npeer = \"north\"\n[[behaviour.neighbour]]\npeer = \"north\"\n",
                4,
                "a second [[behaviour.neighbour]] for \"north\"",
            ),
            (
                "[[behaviour.neighbour]]\npeer = \"north\"\nsnowshoe_rare_percent = 101\n",
                3,
                "from 1 to 100",
            ),
            ("[campaign]\nleast_calls = 1\n", 2, "from 2 to 1000000"),
            ("[campaign]\nquiet_hours = 745\n", 2, "from 1 to 744"),
            ("[campaign]\nopen = 9\n", 2, "from 10 to 100000"),
            (
                "[campaign]\nquiet_hour = 2\n",
                2,
                "did you mean quiet_hours?",
            ),
        ] {
            let (_, _, problems) = read_in(text);
            let said: Vec<_> = problems
                .iter()
                .map(|p| format!("{}: {} / {}", p.line, p.what, p.remedy))
                .collect();
            assert_eq!(said.len(), 1, "{text}: {said:#?}");
            assert!(said[0].contains(says), "{text}: {said:#?}");
            assert!(
                said[0].starts_with(&format!("{line}: ")),
                "{text}: {said:#?}"
            );
        }
    }
}
