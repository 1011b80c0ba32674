//! From mail to request, and from answer to mail.

use std::fs;

use super::super::mapping::tests::settings as request;
use super::super::submission::ANSWER_VALUES;
use super::super::submission::tests::{answer, words};
use super::super::template::{Escape, Template};
use super::*;
use crate::responder::case::ParcelKind;

pub(in crate::responder::adapter) fn mapping() -> MailMapping {
    let pattern = |p| MailPattern::parse(Place::Text, p).unwrap();
    MailMapping {
        sender: SenderSettings {
            senders: vec!["trace@portal.example".into()],
            authserv_id: Some("mx.example.net".into()),
        },
        patterns: vec![
            MailPattern::parse(Place::Subject, r"request (?<id>H-\d+) of (?<case_id>C-\d+)")
                .unwrap(),
            pattern(r"Called: (?<called>[+()\d -]+\d)"),
            pattern(r"Time: (?<time>\S+ \S+)"),
            pattern(r"Status: (?<state>\w+)"),
            pattern(r"(?<link>https://portal\.example/\S+)"),
        ],
        request: request(),
        words: words(),
        draft: Some(DraftSettings {
            to: "trace@portal.example".into(),
            from: "noc@example.net".into(),
            subject: Template::parse("Re: {{ request_id }}", Escape::Line, ANSWER_VALUES).unwrap(),
            body: Template::parse(
                "{{ portal_resolution }}: {{ upstream.name }} ({{ upstream.provider_id }})",
                Escape::Plain,
                ANSWER_VALUES,
            )
            .unwrap(),
        }),
    }
}

pub(in crate::responder::adapter) const MAIL: &str = "Authentication-Results: mx.example.net; dkim=pass header.d=portal.example\r\n\
    From: Trace <trace@portal.example>\r\nTo: noc@example.net\r\nSubject: Traceback request H-9 of C-7\r\n\r\n\
    Called: (202) 555-0123\r\nTime: 11/24/2026 09:30\r\nhttps://portal.example/h/9?t=secret\r\n";

fn mailbox() -> (tempfile::TempDir, MailInlet) {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["new", "cur", "tmp"] {
        fs::create_dir(dir.path().join(folder)).unwrap();
    }
    let settings = MailboxSettings {
        maildir: dir.path().to_owned(),
        failed: dir.path().join("failed"),
        out: dir.path().join("drafts"),
        every: Duration::from_millis(1),
        mapping: mapping(),
    };
    (dir, MailInlet::new(settings))
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    runtime.unwrap().block_on(future)
}

#[test]
fn a_mail_is_seen_when_it_is_durable() {
    let (dir, mut inlet) = mailbox();
    fs::write(dir.path().join("new/1.a"), MAIL).unwrap();
    run(async {
        let arrivals = inlet.poll().await.unwrap();
        assert_eq!(arrivals.len(), 1);
        assert_eq!(arrivals[0].way, Way::Mail);
        assert_eq!(
            inlet.poll().await.unwrap(),
            arrivals,
            "not settled: it comes again"
        );
        inlet.settle(&arrivals[0]).await.unwrap();
        assert!(dir.path().join("cur/1.a:2,S").exists());
        assert_eq!(inlet.poll().await.unwrap(), []);
    });
}

#[test]
fn a_mail_that_nothing_proves_is_for_a_person() {
    let (dir, mut inlet) = mailbox();
    fs::write(
        dir.path().join("new/1"),
        MAIL.replace("dkim=pass", "dkim=fail"),
    )
    .unwrap();
    fs::write(dir.path().join("new/2"), MAIL.replace("<trace@", "<spam@")).unwrap();
    let withdrawn = MAIL.replace("Called:", "Status: CANCELLED\r\nCalled:");
    fs::write(
        dir.path().join("new/3"),
        withdrawn.replace("dkim=pass", "dkim=fail"),
    )
    .unwrap();
    fs::write(dir.path().join("new/4"), &withdrawn).unwrap();
    let arrivals = run(inlet.poll()).unwrap();
    assert_eq!(arrivals.len(), 2);
    assert_eq!(
        (&*arrivals[0].receipt, arrivals[0].way),
        ("1", Way::Unproven)
    );
    assert_eq!(
        arrivals[1].what,
        Incoming::Withdrawn {
            request: "H-9".into()
        }
    );
    let why = |n: &str| fs::read_to_string(dir.path().join(format!("failed/{n}.reason"))).unwrap();
    assert!(why("2").contains("not among senders"));
    assert!(why("3").contains("takes a request back"));
}

#[test]
fn a_mail_that_says_nothing_is_kept_with_the_reason() {
    let (dir, mut inlet) = mailbox();
    fs::write(
        dir.path().join("new/1"),
        MAIL.replace("request H-9", "hello"),
    )
    .unwrap();
    assert_eq!(run(inlet.poll()).unwrap(), []);
    let why = fs::read_to_string(dir.path().join("failed/1.reason")).unwrap();
    assert!(why.starts_with("id: there is none"), "{why}");
    assert!(dir.path().join("failed/1").exists());
}

#[test]
fn an_answer_is_a_draft_that_mail_programs_read() {
    let (dir, inlet) = mailbox();
    let mut outlet = MailOutlet::new(inlet.settings.clone());
    let parcel = Parcel {
        row: 1,
        portal: "p".into(),
        kind: ParcelKind::Answer,
        subject: "H-9".into(),
        key: "6f0f".into(),
        body: answer(),
        tries: 0,
        due: None,
    };
    for _ in 0..2 {
        assert_eq!(run(outlet.deliver(&parcel)), Delivered::Taken);
    }
    let octets = fs::read(dir.path().join("drafts/6f0f.eml")).unwrap();
    let mail = mail_parser::MessageParser::default()
        .parse(&octets)
        .unwrap();
    assert_eq!(mail.subject(), Some("Re: H-9"));
    let text = mail.body_text(0).unwrap();
    assert_eq!(text.trim(), "provider: Eastbridge Telecom (P-77)");
    assert_eq!(mail.attachment(0).unwrap().contents(), answer());
}

#[test]
fn a_subject_can_not_bear_another_header() {
    let (_dir, inlet) = mailbox();
    let draft = inlet.settings.mapping.draft.unwrap();
    let hostile = String::from_utf8(answer()).unwrap();
    let hostile = hostile.replace("\"H-9\"", "\"H-9\\r\\nBcc: x@evil.example\\r\\n\\r\\né\"");
    let parcel = Parcel {
        row: 1,
        portal: "p".into(),
        kind: ParcelKind::Answer,
        subject: "H-9".into(),
        key: "a\r\nb".into(),
        body: hostile.into_bytes(),
        tries: 0,
        due: None,
    };
    let octets = draft
        .write("p", &parcel, &words(), &request().directory)
        .unwrap();
    let mail = mail_parser::MessageParser::default()
        .parse(&octets)
        .unwrap();
    assert!(mail.bcc().is_none());
    assert!(mail.subject().unwrap().contains("Bcc: x@evil.example"));
}
