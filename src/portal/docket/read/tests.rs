use std::sync::Arc;
use std::time::Instant;

use serde_json::json;

use super::audit::AuditFilter;
use super::filler::{Filler, HOUR, NOW, small};
use super::inbox::InboxPart;
use super::*;
use crate::portal::docket::{Actor, CampaignForm, Docket, DocketError};
use crate::portal::settings::*;
use crate::portal::word::{HopState, Role};
use crate::proof::Who;
use crate::proof::sign::new_key;

fn docket() -> (tempfile::TempDir, Docket) {
    let folder = tempfile::tempdir().unwrap();
    let settings = PortalSettings::sample(folder.path());
    let signer = new_key(&settings.key_file).unwrap();
    let docket = Docket::open(settings, Arc::new(signer)).unwrap();
    (folder, docket)
}

fn analyst() -> Actor {
    Actor {
        who: Who::User("ann".into()),
        role: Role::Analyst,
        organisation: "portal".into(),
        provider: None,
    }
}

#[test]
fn statistics_count_what_is_in_the_span() {
    let (_folder, docket) = docket();
    let span = small(&docket);
    let s = docket.statistics(span).unwrap();
    assert_eq!(
        (s.totals.tracebacks, s.totals.closed, s.totals.completed),
        (3, 2, 2)
    );
    assert_eq!(s.totals.hops_per_traceback, Some(2.0));
    assert_eq!((s.totals.questions, s.totals.answers), (7, 5));
    // `a` was asked before the span; `d` was asked and taken back, but asked.
    assert_eq!((s.totals.providers, s.totals.new_providers), (4, 3));
    assert_eq!(s.totals.non_responsive, 1);
    let median = s.totals.median_s.unwrap();
    assert!((7200..7400).contains(&median), "{median}");
    let a = s.providers.iter().find(|p| p.id == "a").unwrap();
    assert_eq!(
        (a.asked, a.in_time, a.late, a.never, a.open),
        (3, 2, 1, 0, 0)
    );
    assert_eq!(docket.responsiveness("a", span).unwrap().late, 1);
    let c = s.providers.iter().find(|p| p.id == "c").unwrap();
    assert_eq!((c.asked, c.never, c.median_s), (1, 1, None));
    assert!(
        s.providers.iter().all(|p| p.id != "d"),
        "taken back unanswered"
    );
    let words: Vec<_> = s.outcomes.iter().map(|o| (&*o.of, o.count)).collect();
    assert_eq!(
        words,
        [("originator", 1), ("point-of-entry", 1), ("open", 1)]
    );
    let months: Vec<_> = s.months.iter().map(|m| (&*m.month, m.tracebacks)).collect();
    assert_eq!(months, [("2026-11", 3)]);
    let countries: Vec<_> = s.countries.iter().map(|c| (&*c.of, c.count)).collect();
    assert_eq!(countries, [("US", 1), ("XX", 1)]);
    assert_eq!(s.origins.len(), 2);
    assert_eq!(s.campaigns.len(), 1);
    assert_eq!(
        (
            s.campaigns[0].id,
            s.campaigns[0].completed,
            s.campaigns[0].origins
        ),
        (None, 2, 1)
    );
    let all = docket
        .statistics(Span {
            from: Timestamp::from_secs(0),
            to: NOW,
        })
        .unwrap();
    let months: Vec<_> = all
        .months
        .iter()
        .map(|m| (&*m.month, m.tracebacks))
        .collect();
    assert_eq!(months, [("2026-09", 1), ("2026-10", 0), ("2026-11", 3)]);
    assert_eq!(all.totals.new_providers, 4);
    assert_eq!(all.path_lengths.len(), 3);
    assert_eq!(all.path_lengths[1].tracebacks, 1);
}

#[test]
fn a_provider_sees_its_own_questions_and_nothing_else() {
    let (_folder, docket) = docket();
    small(&docket);
    let past = docket.inbox("b", InboxPart::Past, None, 10).unwrap();
    assert_eq!(
        past.iter().map(|l| &*l.hop).collect::<Vec<_>>(),
        ["TB-2-02", "TB-3-02"]
    );
    assert_eq!(past[0].downstream.as_ref().unwrap().name, "A Telecom");
    let next = docket
        .inbox("b", InboxPart::Past, Some("TB-2-02"), 10)
        .unwrap();
    assert_eq!(next.len(), 1);
    // The key of somebody else's page leads nowhere.
    assert!(
        docket
            .inbox("b", InboxPart::Past, Some("TB-2-01"), 10)
            .unwrap()
            .is_empty()
    );
    let open = docket.inbox("c", InboxPart::Open, None, 10).unwrap();
    assert_eq!(
        open.iter().map(|l| &*l.hop).collect::<Vec<_>>(),
        ["TB-4-02"]
    );
    assert_eq!(open[0].request["call"]["called"], "+12025550101");
    // What waits comes before what is past its time, by deadline; that the latest first.
    let f = Filler(&docket);
    for (n, days, state) in [
        (4, 3, HopState::NonResponsive),
        (5, 2, HopState::Asked),
        (6, 1, HopState::Asked),
    ] {
        f.hop(
            "TB-4",
            n,
            "c",
            None,
            NOW.minus(HOUR * 24 * days),
            None,
            state,
            None,
        );
    }
    let in_order = ["TB-4-05", "TB-4-06", "TB-4-04", "TB-4-02"];
    let open = docket.inbox("c", InboxPart::Open, None, 10).unwrap();
    assert_eq!(open.iter().map(|l| &*l.hop).collect::<Vec<_>>(), in_order);
    for (n, after) in in_order.iter().enumerate() {
        let next = docket.inbox("c", InboxPart::Open, Some(after), 10).unwrap();
        assert_eq!(
            next.iter().map(|l| &*l.hop).collect::<Vec<_>>(),
            in_order[n + 1..]
        );
    }
    f.run("DELETE FROM hop WHERE id > 'TB-4-03'", []);
    let hop = docket.inbox_hop("c", "TB-4-02").unwrap();
    let by = hop.named_by.unwrap();
    assert_eq!((&*by.provider.id, &*by.hop), ("a", "TB-4-01"));
    assert_eq!(docket.inbox_hop("b", "TB-2-02").unwrap().answers.len(), 1);
    for (provider, hop) in [("c", "TB-4-01"), ("b", "TB-4-02"), ("c", "TB-9-01")] {
        let refused = docket.inbox_hop(provider, hop).unwrap_err();
        assert!(
            matches!(refused, DocketError::Absent("question")),
            "{refused}"
        );
    }
    f.run("INSERT INTO attachment (trace, hop, at, by, name, octets, sha256) VALUES ('TB-4', 'TB-4-02', 0, 'user:x', 'x.pdf', x'25', '')", []);
    assert_eq!(
        docket.inbox_hop("c", "TB-4-02").unwrap().attachments[0].name,
        "x.pdf"
    );
    assert_eq!(docket.inbox_attachment("c", 1).unwrap().1, [0x25]);
    assert!(docket.inbox_attachment("a", 1).is_err());
    f.run("INSERT INTO draft (hop, answer, octets, resolution, named, posterior, received) VALUES ('TB-4-02', 'u', x'7b7d', 'UPSTREAM_DOMESTIC', 'd', 0.999, 0)", []);
    let waiting = docket.waiting("c", NOW).unwrap();
    assert_eq!((waiting.open, waiting.overdue, waiting.drafts), (1, 1, 1));
    let open = docket.inbox("c", InboxPart::Open, None, 10).unwrap();
    assert_eq!(
        open[0].draft.as_ref().unwrap().named.as_ref().unwrap().name,
        "D Telecom"
    );
}

#[test]
fn campaigns_are_made_changed_and_merged() {
    let (_folder, docket) = docket();
    small(&docket);
    let form = |name: &str| CampaignForm {
        name: name.to_owned(),
        category: "finance".to_owned(),
        summary: "Loans".to_owned(),
    };
    let ann = analyst();
    let one = docket
        .make_campaign(&ann, &form(" Loan calls "), NOW)
        .unwrap();
    let two = docket
        .make_campaign(&ann, &form("Loans again"), NOW)
        .unwrap();
    let taken = docket
        .make_campaign(&ann, &form("Loan calls"), NOW)
        .unwrap_err();
    assert!(
        matches!(&taken, DocketError::Wrong(p) if p[0].field == "name"),
        "{taken}"
    );
    let wrong = CampaignForm {
        category: "x".into(),
        ..form(" ")
    };
    let wrong = docket.make_campaign(&ann, &wrong, NOW).unwrap_err();
    assert!(
        matches!(&wrong, DocketError::Wrong(p) if p.len() == 2),
        "{wrong}"
    );
    docket
        .edit_campaign(&ann, two, &form("Loans, the second wave"), NOW)
        .unwrap();
    let f = Filler(&docket);
    f.run(
        "UPDATE trace SET campaign = ? WHERE id IN ('TB-2', 'TB-4')",
        [two],
    );
    f.run("INSERT INTO report (provider, key, received, octets, upstream, summary) VALUES ('a', 'k', 5, x'7b7d', 'b', 'calls')", []);
    docket.file_report(&ann, "a", "k", Some(two), NOW).unwrap();
    assert!(docket.report_lines(true, None, 10).unwrap().is_empty());
    docket.merge_campaigns(&ann, two, one, NOW).unwrap();
    assert!(matches!(
        docket.campaign_page(two),
        Err(DocketError::Absent("campaign"))
    ));
    let page = docket.campaign_page(one).unwrap();
    assert_eq!(
        (page.line.cases, page.line.open, page.line.completed),
        (2, 1, 1)
    );
    assert_eq!(
        (page.cases.len(), page.origins.len(), page.reports.len()),
        (2, 1, 1)
    );
    assert_eq!(docket.campaign_lines(None, 10).unwrap().len(), 1);
    assert!(docket.merge_campaigns(&ann, one, one, NOW).is_err());
    // Nobody but an analyst.
    for role in [Role::Requester, Role::Provider, Role::Auditor] {
        let other = Actor { role, ..analyst() };
        assert!(docket.make_campaign(&other, &form("x"), NOW).is_err());
        assert!(docket.edit_campaign(&other, one, &form("x"), NOW).is_err());
        assert!(docket.merge_campaigns(&other, one, two, NOW).is_err());
        assert!(docket.file_report(&other, "a", "k", None, NOW).is_err());
    }
}

#[test]
fn the_log_is_read_from_its_end() {
    let (_folder, docket) = docket();
    let who = |name: &str| Who::User(name.into());
    docket
        .write(NOW, |w| {
            for n in 0..10 {
                let (name, case) = (
                    if n % 2 == 0 { "ann" } else { "bob" },
                    if n < 5 { "TB-1" } else { "-" },
                );
                w.note(&who(name), "look", case, None, json!({ "n": n }))?;
            }
            Ok(())
        })
        .unwrap();
    let indexes = |filter: &AuditFilter, most| {
        let page = docket.audit_page(filter, most).unwrap();
        (
            page.lines.iter().map(|l| l.index).collect::<Vec<_>>(),
            page.next,
        )
    };
    let all = AuditFilter::default();
    assert_eq!(indexes(&all, 3), (vec![9, 8, 7], Some(7)));
    assert_eq!(
        indexes(
            &AuditFilter {
                before: Some(7),
                ..all.clone()
            },
            100
        ),
        (vec![6, 5, 4, 3, 2, 1, 0], None)
    );
    assert_eq!(
        indexes(
            &AuditFilter {
                case: Some("TB-1".into()),
                ..all.clone()
            },
            3
        ),
        (vec![4, 3, 2], Some(2))
    );
    assert_eq!(
        indexes(
            &AuditFilter {
                who: Some("user:bob".into()),
                ..all.clone()
            },
            2
        ),
        (vec![9, 7], Some(6 + 1))
    );
    assert_eq!(
        indexes(
            &AuditFilter {
                act: Some("none".into()),
                ..all
            },
            2
        ),
        (vec![], None)
    );
    let head = docket.audit_head(NOW).unwrap();
    assert_eq!((head.now.size, head.signed), (10, None));
}

#[test]
fn the_directory_tells_no_secret() {
    let (_folder, docket) = docket();
    small(&docket);
    let f = Filler(&docket);
    f.run(
        "UPDATE provider SET token_hash = x'00ff', frn = '0099' WHERE id = 'b'",
        [],
    );
    f.run(
        "INSERT INTO provider_id (other, provider) VALUES ('123A', 'b')",
        [],
    );
    f.run(
        "INSERT INTO provider_key (provider, kid, jwk, added) VALUES ('b', 'k', '{}', 0)",
        [],
    );
    let page = docket.provider_page("b").unwrap();
    assert!(page.token);
    assert!(!serde_json::to_string(&page).unwrap().contains("00ff"));
    assert_eq!(
        (page.ids.len(), page.public_keys.len(), page.line.keys),
        (1, 1, 1)
    );
    assert!(matches!(
        docket.provider_page("z"),
        Err(DocketError::Absent("provider"))
    ));
    let ids = |text, after| {
        let lines = docket.provider_lines(text, after, 10).unwrap();
        lines.into_iter().map(|l| l.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(None, None), ["a", "b", "c", "d"]);
    assert_eq!(ids(None, Some("b")), ["c", "d"]);
    assert_eq!(ids(Some("123a"), None), ["b"]);
    assert_eq!(docket.meant("123a").unwrap().as_deref(), Some("b"));
    assert_eq!(docket.meant(" c telecom").unwrap().as_deref(), Some("c"));
    assert_eq!(docket.meant("nobody").unwrap(), None);
    assert_eq!(docket.offered().unwrap().len(), 4);
}

/// Not a bound: it says what a page of statistics takes at 100,000 questions. `cargo test --release -- --ignored --nocapture statistics_of`.
#[test]
#[ignore = "a measurement"]
fn statistics_of_100_000_questions() {
    let (_folder, docket) = docket();
    let f = Filler(&docket);
    for n in 0..500 {
        f.provider(
            &if n == 0 {
                "a".to_owned()
            } else {
                format!("p{n}")
            },
            "US",
        );
    }
    docket
        .write(NOW, |w| {
            w.tx.execute_batch(
                "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 19999)
                 INSERT INTO trace (id, state, outcome, priority, requester, organisation, called, called_at, call, first_provider, ended_at, hops, changed,
                     created, closed, summary)
                 SELECT 'TB-' || i, 'closed', CASE i % 3 WHEN 0 THEN 'originator' WHEN 1 THEN 'point-of-entry' ELSE 'not-found' END, 0, 'r', 'o', '12025550101',
                     0, printf('%.*c', 600, 'x'), 'a', 'p' || (1 + i % 499), 5, 0, 1795521600000000000 - i * 1500000000000, 0, printf('%.*c', 200, 'x') FROM n;
                 WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 99999)
                 INSERT INTO hop (id, trace, n, depth, branch, provider, downstream, state, octets, sha256, issued, due, deadline, answered, resolution, named, in_time)
                 SELECT 'H-' || i, 'TB-' || (i / 5), i % 5, i % 5, 'main', 'p' || (1 + i * 7 % 499), 'a', 'answered', CAST(printf('%.*c', 900, 'x') AS BLOB), '',
                     1795521600000000000 - (i / 5) * 1500000000000, 0, '{}', 1795521600000000000 - (i / 5) * 1500000000000 + (i % 86400) * 1000000000,
                     'UPSTREAM_DOMESTIC', 'p' || (1 + i * 11 % 499), 1 FROM n;",
            )?;
            Ok(())
        })
        .unwrap();
    for _ in 0..3 {
        let began = Instant::now();
        let s = docket
            .statistics(Span {
                from: Timestamp::from_secs(0),
                to: NOW.plus(HOUR),
            })
            .unwrap();
        assert_eq!(s.totals.questions, 100_000);
        println!("statistics: {:?}", began.elapsed());
    }
    let began = Instant::now();
    let lines = docket.inbox("p7", InboxPart::Past, None, 50).unwrap();
    println!("inbox of {}: {:?}", lines.len(), began.elapsed());
}
