//! Bodies of the targets for what portals of other protocols send us: mails and pages of JSON, read by a mapping.

use std::sync::OnceLock;

use serde_json::Value;

use crate::number::NumberPlan;
use crate::responder::adapter::field::Field;
use crate::responder::adapter::http_json::{ListSettings, Pages, read};
use crate::responder::adapter::mailbox::{
    MailMapping, MailPattern, Place, Proof, SenderSettings, understand,
};
use crate::responder::adapter::mapping::{Mapped, MappingSettings, Pointers};
use crate::responder::adapter::moment::{Format, TimeSettings, Zone};
use crate::responder::adapter::submission::Words;
use crate::traceback::request::{HopRequest, MAX_OCTETS};

fn request() -> MappingSettings {
    let formats = ["rfc3339", "unix", "%m/%d/%Y %H:%M"];
    MappingSettings {
        time: TimeSettings {
            formats: formats
                .iter()
                .filter_map(|f| Format::parse(f).ok())
                .collect(),
            zone: Zone::parse("America/New_York"),
            zones: Vec::new(),
        },
        withdrawn: vec!["CANCELLED".into()],
        ..MappingSettings::default()
    }
}

/// Whatever was mapped is bounded, names what it answers to, and is JSON that our own reader takes or refuses with reasons.
fn sound(mapped: &Mapped) {
    let Mapped::Request { id, octets } = mapped else {
        return;
    };
    assert!(octets.len() <= MAX_OCTETS && !id.is_empty());
    let value: Value = serde_json::from_slice(octets).expect("what was mapped is JSON");
    assert_eq!(value.get("id").and_then(Value::as_str), Some(&**id));
    match HopRequest::parse(octets, &NumberPlan::default()) {
        Ok(request) => assert_eq!(request.id, *id),
        Err(refused) => assert!(!refused.problems.is_empty()),
    }
}

fn mails() -> &'static MailMapping {
    static MAILS: OnceLock<MailMapping> = OnceLock::new();
    MAILS.get_or_init(|| {
        let patterns = [
            (Place::Subject, r"request (?<id>\S+)"),
            (Place::Text, r"Case: (?<case_id>\S+)"),
            (Place::Text, r"Called: (?<called>[+()\d -]+\d)"),
            (Place::Text, r"Time: (?<time>\S+ \S+)"),
            (Place::Text, r"Status: (?<state>\w+)"),
            (Place::Text, r"(?<link>https?://\S+)"),
        ];
        MailMapping {
            sender: SenderSettings {
                senders: vec!["trace@portal.example".into()],
                authserv_id: Some("mx.example.net".into()),
            },
            patterns: patterns
                .iter()
                .filter_map(|(place, p)| MailPattern::parse(*place, p).ok())
                .collect(),
            request: request(),
            words: Words::default(),
            draft: None,
        }
    })
}

/// A mail that is understood is of the one sender on the list; nothing proves it unless our server says `pass`.
pub(super) fn mail(data: &[u8]) {
    let Ok(understood) = understand(data, mails()) else {
        return;
    };
    let text = String::from_utf8_lossy(data).to_ascii_lowercase();
    if let Proof::Dkim | Proof::Dmarc = understood.proof {
        assert!(text.contains("pass"), "nobody said that it passed");
    }
    let proven = !matches!(understood.proof, Proof::None(_));
    let withdrawn = matches!(understood.mapped, Mapped::Withdrawn { .. });
    assert!(proven || !withdrawn, "a stranger took a request back");
    sound(&understood.mapped);
}

pub(super) fn mail_seeds() -> Vec<Vec<u8>> {
    let head = "Authentication-Results: mx.example.net; dkim=pass header.d=portal.example\r\nFrom: Trace <trace@portal.example>\r\nSubject: Traceback request H-9\r\n";
    let body = "Case: C-7\r\nCalled: (202) 555-0123\r\nTime: 11/24/2026 09:30\r\nhttps://portal.example/h/9\r\n";
    [
        format!("{head}\r\n{body}"),
        format!("{head}Content-Type: text/html\r\n\r\n<p>Case: C-7<br>Called: 202-555-0123</p><a href='https://portal.example/h/9'>x</a>"),
        format!("{head}Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\n{body}\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>Case: C-7</p>\r\n--b--\r\n"),
        format!("{}\r\nStatus: CANCELLED\r\n{body}", head.replace("dkim=pass", "dkim=fail")),
        format!("{}\r\nStatus: CANCELLED\r\n", head.replace("dkim=pass header.d", "dmarc=pass header.from")),
    ]
    .map(String::into_bytes)
    .into()
}

fn pages() -> &'static (ListSettings, MappingSettings) {
    static PAGES: OnceLock<(ListSettings, MappingSettings)> = OnceLock::new();
    PAGES.get_or_init(|| {
        let fields = Field::ALL.map(|f| (f, format!("/{}", f.label()).into()));
        let list = ListSettings {
            path: "/hops".into(),
            items: "/data".into(),
            fields: Pointers(fields.into()),
            pages: Pages::Cursor {
                pointer: "/next".into(),
                parameter: "after".into(),
            },
            most_pages: 2,
        };
        (list, request())
    })
}

/// A page gives as many rows as it has items, and a path that stays one.
pub(super) fn page(data: &[u8]) {
    let (list, request) = pages();
    let Ok((rows, cursor)) = read(data, list, request) else {
        return;
    };
    let whole: Value = serde_json::from_slice(data).expect("a page is JSON");
    let items = whole.pointer("/data").and_then(Value::as_array);
    assert_eq!(items.map(Vec::len), Some(rows.len()));
    for mapped in rows.iter().flatten() {
        sound(mapped);
    }
    let path = list.ask(1, cursor.as_deref()).path;
    assert!(path.bytes().all(|b| b.is_ascii_graphic()) && path.starts_with("/hops"));
}

pub(super) fn page_seeds() -> Vec<Vec<u8>> {
    let item = r#"{"id":"H-9","case_id":"C-7","called":"2025550123","calling":"anonymous","time":"11/01/2026 01:30","downstream":"P-77","duration_s":7.5,"answered":true,"hop_no":2}"#;
    [
        format!(r#"{{"data":[{item}],"next":"a&b"}}"#),
        format!(
            r#"{{"data":[{item},{{"id":"H-1","state":"CANCELLED"}},{{"id":null}},7],"next":null}}"#
        ),
        r#"{"data":[{"id":1,"time":1795512607,"identity":"a.b.c","precision_s":"60"}]}"#.to_owned(),
        r#"{"data":[]}"#.to_owned(),
    ]
    .map(String::into_bytes)
    .into()
}
