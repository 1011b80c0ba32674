//! Inbox, campaigns, reports, directory, statistics, audit: who sees them, what can be done there, and that nothing anybody wrote is ever markup.

use axum::http::{StatusCode, header};
use serde_json::json;

use super::browser::{NOW, Site};
use crate::portal::docket::CampaignForm;
use crate::portal::docket::read::filler::{Filler, HOUR, small};
use crate::portal::word::{HopState, Role};

/// What must never come out as it went in.
const EVIL: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>";

/// The cases of [`small`], everything beside them, and script in every text of others.
fn site() -> Site {
    let site = Site::new();
    small(&site.docket);
    let f = Filler(&site.docket);
    f.run("UPDATE provider SET name = ?1 || ' ' || id, contact = json_object('name', ?1, 'mail', ?1, 'phone', ?1, 'url', ?1), certificate = ?1 || id", [EVIL]);
    f.run(
        "INSERT INTO provider_key (provider, kid, jwk, added) VALUES ('c', ?1, '{}', 0)",
        [EVIL],
    );
    f.run(
        "INSERT INTO provider_id (other, provider) VALUES (?1, 'c')",
        [EVIL],
    );
    for (name, role, of) in [
        ("req", Role::Requester, None),
        ("ann", Role::Analyst, None),
        ("staff", Role::Provider, Some("c")),
        ("other", Role::Provider, Some("b")),
        ("aud", Role::Auditor, None),
    ] {
        site.user(name, role, of);
    }
    let ann = site.docket.users().unwrap();
    let ann = ann.iter().find(|u| &*u.name == "ann").unwrap().actor();
    let form = CampaignForm {
        name: EVIL.to_owned(),
        category: "other".to_owned(),
        summary: EVIL.to_owned(),
    };
    let id = site.docket.make_campaign(&ann, &form, NOW).unwrap();
    f.run(
        "UPDATE trace SET campaign = ?1, calling = ?2, called = ?2",
        rusqlite::params![id, EVIL],
    );
    let report = json!({ "campaign": { "flag": EVIL, "first": EVIL }, "upstream": { "name": EVIL },
        "examples": [{ "at": EVIL, "called": EVIL, "calling": EVIL }] });
    f.run(
        "INSERT INTO report (provider, key, received, octets, upstream, summary) VALUES ('c', 'k1', 5, ?1, 'a', ?2)",
        rusqlite::params![report.to_string().as_bytes(), EVIL],
    );
    let request = json!({ "call": { "called": EVIL, "calling": EVIL, "time": { "rfc3339": EVIL }, "sip_call_id": EVIL },
        "legal_basis": EVIL, "campaign": { "name": EVIL, "summary": EVIL }, "remark": EVIL });
    f.run(
        "UPDATE hop SET octets = ?",
        [request.to_string().as_bytes()],
    );
    let answer = json!({ "id": "u", "request_id": EVIL, "request_sha256": EVIL, "revision": 1, "resolution": "UPSTREAM_DOMESTIC",
        "upstream": { "name": EVIL, "country": EVIL }, "evidence": { "class": EVIL, "leg": { "at": EVIL, "state": EVIL, "passport": { "validation": EVIL } } },
        "undecided": [{ "needs": EVIL }], "problems": [{ "wanted": EVIL }], "comment": EVIL, "mitigation": EVIL, "forwarded": { "called": EVIL },
        "produced_by": "human", "matcher_version": EVIL });
    f.run(
        "UPDATE answer SET octets = ?",
        [answer.to_string().as_bytes()],
    );
    f.run(
        "INSERT INTO draft (hop, answer, octets, resolution, named, posterior, received) VALUES ('TB-4-02', ?2, ?1, 'UPSTREAM_DOMESTIC', 'd', 0.99, 0)",
        rusqlite::params![answer.to_string().as_bytes(), EVIL],
    );
    f.hop(
        "TB-3",
        3,
        "c",
        Some("b"),
        NOW,
        Some(HOUR),
        HopState::Disputed,
        None,
    );
    f.run(
        "UPDATE answer SET state = 'disputed', octets = ?1, dispute = ?2, disputed_by = ?2, wrong = json_array(?2) WHERE hop IN ('TB-3-03', 'TB-3-02')",
        rusqlite::params![answer.to_string().as_bytes(), EVIL],
    );
    f.run("INSERT INTO attachment (trace, hop, at, by, name, octets, sha256) VALUES ('TB-3', 'TB-3-03', 0, 'user:x', ?, x'25', '')", [EVIL]);
    site
}

/// Each page, and who sees it.
const PAGES: [(&str, &[&str]); 14] = [
    ("/inbox", &["staff", "other"]),
    ("/inbox?part=past", &["staff", "other"]),
    ("/inbox/TB-4-02", &["staff"]),
    ("/inbox/TB-3-03", &["staff"]),
    ("/inbox/TB-3-03/files/1", &["staff"]),
    ("/campaigns", &["ann", "aud"]),
    ("/campaigns/1", &["ann", "aud"]),
    ("/reports", &["ann", "aud"]),
    ("/reports?all=1", &["ann", "aud"]),
    ("/reports/c/k1", &["ann", "aud"]),
    ("/providers", &["ann", "aud"]),
    ("/providers/c", &["ann", "aud"]),
    ("/statistics?from=2026-01-01", &["ann", "aud"]),
    ("/audit", &["ann", "aud"]),
];

#[tokio::test]
async fn each_page_is_there_for_its_roles_and_escapes_whatever_it_shows() {
    let site = site();
    for (path, roles) in PAGES {
        for name in ["req", "ann", "staff", "other", "aud"] {
            let page = site.logged_in(name).get(path).await;
            let wanted = if roles.contains(&name) {
                StatusCode::OK
            } else {
                StatusCode::NOT_FOUND
            };
            assert_eq!(page.status, wanted, "{path} for {name}: {}", page.text);
            let evil = ["<script>alert", "<img src=x", "onerror=alert(2)>"];
            assert!(
                !evil.iter().any(|e| page.text.contains(e)),
                "{path} for {name}: {}",
                page.text
            );
            assert!(page.text.len() < 200_000, "{path}: {}", page.text.len());
        }
        let to = site.browser().get(path).await;
        assert_eq!(to.status, StatusCode::SEE_OTHER, "{path} for nobody");
    }
    // What belongs to somebody else and what is not there look the same.
    let mut other = site.logged_in("other");
    let (theirs, none) = (
        other.get("/inbox/TB-4-02").await,
        other.get("/inbox/TB-9-02").await,
    );
    assert_eq!((theirs.status, theirs.text), (none.status, none.text));
}

#[tokio::test]
async fn nobody_does_what_is_not_his_to_do() {
    let site = site();
    let acts = [
        ("/campaigns", "ann"),
        ("/campaigns/1", "ann"),
        ("/campaigns/1/merge", "ann"),
        ("/reports/c/k1", "ann"),
        ("/providers", "ann"),
        ("/providers/c", "ann"),
        ("/providers/c/suspended", "ann"),
        ("/inbox/TB-4-02/draft", "staff"),
        ("/inbox/TB-4-02/answer", "staff"),
        ("/inbox/TB-4-02/dispute", "staff"),
        ("/inbox/TB-4-02/stand-by", "staff"),
    ];
    let fields = [
        ("name", "x"),
        ("into", "1"),
        ("suspended", "yes"),
        ("decision", "approve"),
        ("choice", "not-found"),
        ("why", "x"),
    ];
    let size = || site.docket.audit_head(NOW).unwrap().now.size;
    let before = size();
    for (path, may) in acts {
        for name in ["req", "ann", "staff", "aud"] {
            let mut browser = site.logged_in(name);
            let began = size();
            let page = browser
                .post_as(path, &fields, Some("https://example.org"))
                .await;
            assert_eq!(page.status, StatusCode::FORBIDDEN, "{path}: from elsewhere");
            if name != may {
                let page = browser.post(path, &fields).await;
                assert_eq!(page.status, StatusCode::NOT_FOUND, "{path} for {name}");
            }
            assert_eq!(size(), began, "{path} for {name}: something was done");
        }
    }
    assert!(size() > before, "logging in is noted");
}

#[tokio::test]
async fn an_analyst_keeps_campaigns_reports_and_the_directory() {
    let site = site();
    let mut ann = site.logged_in("ann");
    let page = ann
        .post(
            "/campaigns",
            &[
                ("name", " "),
                ("category", "other"),
                ("summary", "typed <b>"),
            ],
        )
        .await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        page.text.contains("p-name") && page.text.contains("typed &lt;b&gt;"),
        "{}",
        page.text
    );
    let page = ann
        .post(
            "/campaigns",
            &[("name", "Loans"), ("category", "finance"), ("summary", "")],
        )
        .await;
    let to = page.to().to_owned();
    assert_eq!(to, "/campaigns/2?said=campaign-made");
    assert!(ann.get(&to).await.text.contains("The campaign is made."));
    let page = ann
        .post(
            "/campaigns/2",
            &[
                ("name", "Loans again"),
                ("category", "finance"),
                ("summary", ""),
            ],
        )
        .await;
    assert_eq!(page.to(), "/campaigns/2?said=campaign-changed");
    assert_eq!(
        ann.post("/reports/c/k1", &[("campaign", "2")]).await.to(),
        "/reports?said=report-filed"
    );
    let page = ann.post("/campaigns/2/merge", &[("into", "1")]).await;
    assert_eq!(page.to(), "/campaigns/1?said=campaigns-merged");
    assert_eq!(ann.get("/campaigns/2").await.status, StatusCode::NOT_FOUND);
    assert_eq!(
        ann.post("/campaigns/1/merge", &[("into", "x")])
            .await
            .status,
        StatusCode::NOT_FOUND
    );

    let page = ann
        .post(
            "/providers",
            &[
                ("id", "no good"),
                ("name", "New Telecom"),
                ("country", "us"),
            ],
        )
        .await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        page.text.contains("p-id") && page.text.contains("New Telecom"),
        "{}",
        page.text
    );
    let fields = [
        ("id", "new"),
        ("name", "New Telecom"),
        ("country", "us"),
        ("ocns", "9001, 9002"),
        ("mail", "noc@new.example"),
    ];
    assert_eq!(
        ann.post("/providers", &fields).await.to(),
        "/providers/new?said=provider-added"
    );
    let page = ann.get("/providers/new").await.text;
    assert!(
        page.contains("9002") && page.contains("noc@new.example"),
        "{page}"
    );
    let page = ann
        .post("/providers/new/suspended", &[("suspended", "yes")])
        .await;
    assert_eq!(page.to(), "/providers/new?said=provider-suspended");
    assert!(ann.get("/providers/new").await.text.contains("Suspended"));
    let page = ann.get("/providers?text=9001").await.text;
    assert!(
        page.contains("New Telecom") && !page.contains("/providers/d\""),
        "{page}"
    );
}

#[tokio::test]
async fn everything_is_exported_and_no_cell_is_a_formula() {
    let site = site();
    let f = Filler(&site.docket);
    f.run(
        "UPDATE provider SET name = '=HYPERLINK(1)' WHERE id = 'a'",
        [],
    );
    let mut aud = site.logged_in("aud");
    for name in [
        "months",
        "outcomes",
        "path-lengths",
        "answer-times",
        "providers",
        "origins",
        "countries",
        "campaigns",
    ] {
        let page = aud
            .get(&format!(
                "/statistics/export/{name}.csv?from=2026-01-01&to=2026-11-26"
            ))
            .await;
        assert_eq!(page.status, StatusCode::OK, "{name}");
        assert!(
            page.header(header::CONTENT_DISPOSITION)
                .starts_with("attachment; filename=\""),
            "{name}"
        );
        assert!(page.text.lines().count() > 1, "{name}: {}", page.text);
        if name == "providers" {
            assert!(page.text.contains("a,'=HYPERLINK(1),"), "{}", page.text);
        }
    }
    let page = aud.get("/statistics/export/statistics.json").await;
    let read: serde_json::Value = serde_json::from_str(&page.text).unwrap();
    assert_eq!(read["statistics"]["totals"]["tracebacks"], 4);
    assert_eq!(
        aud.get("/statistics/export/x.csv").await.status,
        StatusCode::NOT_FOUND
    );
    assert!(
        aud.get("/providers/export.csv")
            .await
            .text
            .contains("'=HYPERLINK")
    );
    let page = aud.get("/providers/export.json").await;
    assert!(
        serde_json::from_str::<serde_json::Value>(&page.text).is_ok(),
        "{}",
        page.text
    );
    assert_eq!(
        aud.get("/audit/head.json").await.status,
        StatusCode::NOT_FOUND,
        "none is signed yet"
    );
}

#[tokio::test]
async fn an_answer_by_hand_that_is_wrong_comes_back_as_it_was_typed() {
    let site = site();
    let mut staff = site.logged_in("staff");
    let fields = [("comment", "typed <b>"), ("provider", "d")];
    let page = staff.post("/inbox/TB-4-02/answer", &fields).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.text.contains("one of the four"), "{}", page.text);
    assert!(page.text.contains("typed &lt;b&gt;"), "{}", page.text);
}
