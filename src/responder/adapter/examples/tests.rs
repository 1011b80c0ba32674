//! Examples that hold, and what becomes of them when the mapping changes.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::super::http_json::tests::mapping;
use super::super::http_json::{HttpJsonSettings, Pages};
use super::super::mailbox::MailboxSettings;
use super::super::mailbox::tests::{MAIL, mapping as mails};
use super::super::proof::Claimed;
use super::super::proof::tests::portal;
use super::super::submission::tests::answer as signed;
use super::*;
use crate::web::client::{BaseUrl, ClientSettings};

fn claimed<T>(settings: T) -> Box<Claimed<T>> {
    Box::new(Claimed {
        settings,
        verified: true,
        proof: "proof.json".into(),
    })
}

fn http() -> PortalSettings {
    portal(AdapterSettings::HttpJson(claimed(HttpJsonSettings {
        client: ClientSettings {
            url: BaseUrl::parse("https://portal.example/api").unwrap(),
            secret: None,
            roots: None,
            identity: None,
            timeout: Duration::from_secs(1),
            most: 1,
            inside: true,
        },
        token: None,
        every: Duration::from_secs(1),
        failed: "failed".into(),
        mapping: mapping(),
    })))
}

fn recorded(folder: &Path) {
    for sub in ["requests", "answers"] {
        fs::create_dir(folder.join(sub)).unwrap();
    }
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    write(
        "requests/page.received.json",
        r#"{"data": [{"hop": "H-9", "case": "C-7", "from": "P-77", "call": {"to": "2025550123", "at": "11/24/2026 09:30"}},
            {"hop": "H-10", "call": {"at": "soon"}}, {"hop": "H-11", "status": "CANCELLED"}]}"#,
    );
    write(
        "requests/page.expected.json",
        r#"[{"id": "H-9", "case_id": "C-7", "requester": {"id": "portal", "role": null}, "downstream": {"provider_ids": ["P-77", "EB-07", "7077"]},
            "call": {"called": "2025550123", "time": {"value": "2026-11-24T09:30:00Z", "tz": "UTC", "precision_s": 60}}},
            {"refused": "is no time"}, {"withdrawn": "H-11"}]"#,
    );
    fs::write(folder.join("answers/one.answer.json"), signed()).unwrap();
    write(
        "answers/one.expected.json",
        r#"{"method": "POST", "path": "/hops/H-9/answer", "content_type": "application/json",
            "body": {"what": "provider", "who": "P-77", "ref": "6f0f4f6a-0000-5000-8000-000000000001"}}"#,
    );
}

fn wrong(report: &Report) -> String {
    let wrong = report.all.iter().filter_map(|r| r.wrong.clone());
    wrong
        .chain(report.missing.clone())
        .collect::<Vec<_>>()
        .join("; ")
}

#[test]
fn what_holds_is_good_and_one_pointer_changed_is_not() {
    let dir = tempfile::tempdir().unwrap();
    recorded(dir.path());
    let good = replay(&http(), dir.path()).unwrap();
    assert!(good.is_good(), "{}", wrong(&good));
    assert_eq!((good.count("request"), good.count("answer")), (1, 1));
    let digest = crate::responder::adapter::proof::mapping_digest(&http());
    for (what, change) in [
        (
            "pointer",
            (|m| m.list.fields.0[2].1 = "/call/from".into()) as fn(&mut http_json::HttpJsonMapping),
        ),
        ("word", |m| m.words.0[0].1 = "carrier".into()),
        ("directory", |m| m.request.directory = Default::default()),
        ("withdrawn", |m| m.request.withdrawn.clear()),
    ] {
        let mut portal = http();
        let AdapterSettings::HttpJson(c) = &mut portal.adapter else {
            unreachable!()
        };
        change(&mut c.settings.mapping);
        let report = replay(&portal, dir.path()).unwrap();
        assert!(!report.is_good(), "{what}");
        assert_ne!(
            crate::responder::adapter::proof::mapping_digest(&portal),
            digest,
            "{what}"
        );
    }
    // What no example shows still makes it another mapping.
    let mut portal = http();
    let AdapterSettings::HttpJson(c) = &mut portal.adapter else {
        unreachable!()
    };
    c.settings.mapping.list.pages = Pages::One;
    assert_ne!(
        crate::responder::adapter::proof::mapping_digest(&portal),
        digest
    );
}

#[test]
fn what_may_leave_by_itself_needs_an_example() {
    let dir = tempfile::tempdir().unwrap();
    recorded(dir.path());
    let mut portal = http();
    portal
        .automatic
        .push(crate::traceback::answer::Resolution::NotFound);
    let report = replay(&portal, dir.path()).unwrap();
    assert!(
        wrong(&report).contains("NOT_FOUND may leave by itself"),
        "{}",
        wrong(&report)
    );
    fs::remove_file(dir.path().join("requests/page.received.json")).unwrap();
    let report = replay(&http(), dir.path()).unwrap();
    assert!(
        wrong(&report).contains("there is no request"),
        "{}",
        wrong(&report)
    );
    let none = portal_without_mapping();
    assert!(replay(&none, dir.path()).is_err());
}

fn portal_without_mapping() -> PortalSettings {
    portal(AdapterSettings::PushOnly)
}

#[test]
fn mails_and_drafts() {
    let dir = tempfile::tempdir().unwrap();
    recorded(dir.path());
    fs::remove_file(dir.path().join("requests/page.received.json")).unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write("requests/mail.received.eml", MAIL);
    write(
        "requests/mail.expected.json",
        r#"{"id": "H-9", "case_id": "C-7", "requester": {"id": "portal", "role": null},
            "call": {"called": "(202) 555-0123", "time": {"value": "2026-11-24T09:30:00Z", "tz": "UTC", "precision_s": 60.0}},
            "source": {"link": "https://portal.example/h/9?t=secret"}}"#,
    );
    write(
        "answers/one.expected.json",
        r#"{"subject": "Re: H-9", "mail": "provider: Eastbridge Telecom (P-77)"}"#,
    );
    let portal = portal(AdapterSettings::Mailbox(claimed(MailboxSettings {
        maildir: "m".into(),
        failed: "f".into(),
        out: "o".into(),
        every: Duration::from_secs(1),
        mapping: mails(),
    })));
    let report = replay(&portal, dir.path()).unwrap();
    assert!(report.is_good(), "{}", wrong(&report));
}
