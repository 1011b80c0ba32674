//! `[responder.portal.http_json]`, `.file_drop`, `.mailbox`: a portal that does not speak our protocol, described.
//!
//! Comes in: the table, the directory file, secrets. Goes out: [`AdapterSettings`]. Refused: templates that name unknown values, patterns whose groups are no fields,
//! formats that nobody can read, resolutions that may leave by themselves and have no word.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use hyper::Method;

use super::client;
use super::reader::Section;
use super::responder::secret_file;
use crate::responder::adapter::directory::{Directory, MAX_ROWS};
use crate::responder::adapter::field::Field;
use crate::responder::adapter::file_drop::{CsvSettings, FileDropMapping, JsonSettings, Written};
use crate::responder::adapter::http_json::{
    CallSettings, HttpJsonMapping, ListSettings, METHODS, Pages, TokenSettings,
};
use crate::responder::adapter::mailbox::draft::is_address;
use crate::responder::adapter::mailbox::{
    DraftSettings, MailMapping, MailPattern, Place, SenderSettings,
};
use crate::responder::adapter::mapping::{MappingSettings, Pointers, is_pointer};
use crate::responder::adapter::moment::{Format, TimeSettings, Zone};
use crate::responder::adapter::submission::{ANSWER_VALUES, REPORT_VALUES, Words};
use crate::responder::adapter::template::{Escape, Template};
use crate::responder::adapter::{
    AdapterSettings, Claimed, FileDropSettings, HttpJsonSettings, MailboxSettings,
};
use crate::traceback::answer::Resolution;

/// Largest directory: its rows at their longest.
const MAX_DIRECTORY: u64 = 4 << 20;

/// Most patterns, formats, senders, words: more than anybody writes by hand.
const MANY: usize = 64;

/// How often a portal is asked, in seconds.
const EVERY: u64 = 60;

/// The table of an adapter of one of the three kinds. `portal` is its name.
pub(super) fn read(kind: &str, s: Section<'_, '_>, portal: &str) -> Option<AdapterSettings> {
    let verified = s.flag("verified", false);
    let proof = match s.text("proof") {
        Some((text, _)) => s.file(text),
        None => s.file(&format!("{portal}.proof.json")),
    };
    let adapter = match kind {
        "http-json" => http_json(&s).map(|settings| {
            AdapterSettings::HttpJson(Box::new(Claimed {
                settings,
                verified,
                proof,
            }))
        }),
        "file-drop" => file_drop(&s).map(|settings| {
            AdapterSettings::FileDrop(Box::new(Claimed {
                settings,
                verified,
                proof,
            }))
        }),
        _ => mailbox(&s).map(|settings| {
            AdapterSettings::Mailbox(Box::new(Claimed {
                settings,
                verified,
                proof,
            }))
        }),
    };
    s.finish();
    adapter
}

fn http_json(s: &Section<'_, '_>) -> Option<HttpJsonSettings> {
    let client = client::read(s);
    let every = s.integer("every_seconds", EVERY, 1..86_401);
    s.required("failed", "\"../state/portal-failed\"");
    let failed = s.place("failed");
    let token = s.has("token").then(|| token(s.section("token")));
    let request = mapping(s);
    let words = words(s.section("resolutions"));
    let list = list(s.section("list"));
    let call = |key: &'static str, known: &[&str]| match s.has(key) {
        true => call(s.section(key), known).map(Some),
        false => Some(None),
    };
    let acknowledge = call("acknowledge", &["request_id"]);
    let submit = call("submit", ANSWER_VALUES);
    let report = call("report", REPORT_VALUES);
    Some(HttpJsonSettings {
        client: client?,
        token: match token {
            Some(token) => Some(token?),
            None => None,
        },
        every: Duration::from_secs(every),
        failed: failed?,
        mapping: HttpJsonMapping {
            list: list?,
            acknowledge: acknowledge?,
            submit: submit?,
            report: report?,
            request,
            words,
        },
    })
}

/// Client credentials: `url`, `roots` as any client, and our name and secret there.
fn token(s: Section<'_, '_>) -> Option<TokenSettings> {
    let client = client::read(&s);
    let id = s.required("client_id", "\"example-voice\"");
    let secret = s
        .required("client_secret_file", "\"portal.secret\"")
        .map(|at| secret_file(&s, at));
    let scope = s.text("scope").map(|(t, _)| t.into());
    s.finish();
    let secret = std::fs::read_to_string(secret?).ok()?;
    Some(TokenSettings {
        client: client?,
        id: id?.0.into(),
        secret: secret.trim().into(),
        scope,
    })
}

fn list(s: Section<'_, '_>) -> Option<ListSettings> {
    let path = s.required("path", "\"/hops?status=open\"");
    let path = path.and_then(|(text, span)| {
        let good = text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
        if !good {
            s.problem_at(
                &span,
                format!("{text:?} is no path"),
                "write path and query behind url, from the slash on",
            );
        }
        good.then_some(text)
    });
    let items = pointer_or_whole(&s, "items");
    let fields = pointers(s.section("fields"));
    if !s.has("fields") {
        s.problem_at(
            &s.span(),
            "nothing says where the fields of a request are".to_owned(),
            "write [responder.portal.http_json.list.fields] with id = \"/…\", called = \"/…\", time = \"/…\"",
        );
    }
    let pages = match s.text("pages") {
        None | Some(("one", _)) => Some(Pages::One),
        Some(("cursor", _)) => {
            let pointer = s
                .required("cursor", "\"/next\"")
                .filter(|at| pointed(&s, at));
            let parameter = s
                .required("parameter", "\"cursor\"")
                .filter(|at| parameter(&s, at));
            match (pointer, parameter) {
                (Some((pointer, _)), Some((parameter, _))) => Some(Pages::Cursor {
                    pointer: pointer.into(),
                    parameter: parameter.into(),
                }),
                _ => None,
            }
        }
        Some(("numbered", _)) => {
            let first = s.integer("first_page", 1, 0..2);
            let parameter = s
                .required("parameter", "\"page\"")
                .filter(|at| parameter(&s, at));
            parameter.map(|(parameter, _)| Pages::Numbered {
                parameter: parameter.into(),
                first: usize::try_from(first).unwrap_or(1),
            })
        }
        Some((other, span)) => {
            s.problem_at(
                &span,
                format!("pages has no choice {other:?}"),
                "write one of \"one\", \"cursor\", \"numbered\"",
            );
            None
        }
    };
    let most_pages = s.integer("most_pages", 20, 1..1_001);
    s.finish();
    Some(ListSettings {
        path: path?.into(),
        items,
        fields,
        pages: pages?,
        most_pages: usize::try_from(most_pages).unwrap_or(1),
    })
}

fn parameter(s: &Section<'_, '_>, (text, span): &(&str, Range<usize>)) -> bool {
    let good = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-_.[]".contains(&b));
    if !good {
        s.problem_at(
            span,
            format!("{text:?} is no name of a parameter"),
            "write letters and digits",
        );
    }
    good
}

fn call(s: Section<'_, '_>, known: &[&str]) -> Option<CallSettings> {
    let words = METHODS.each_ref().map(|(name, method)| (*name, method));
    let method = s.choice("method", &words).unwrap_or(&Method::POST).clone();
    let path = s
        .required("path", "\"/hops/{{ request_id }}/answer\"")
        .and_then(|at| template(&s, at, Escape::Url, known));
    let kind = s.text("content_type");
    let body = match s.text("body") {
        None => Some(None),
        Some(at) => {
            let (kind, span) = kind.unwrap_or(("application/json", s.span()));
            match Escape::of_type(kind) {
                Some(escape) => template(&s, at, escape, known).map(|t| Some((kind.into(), t))),
                None => {
                    s.problem_at(
                        &span,
                        format!("content_type {kind:?}: nobody knows how to escape values for it"),
                        "write application/json, application/x-www-form-urlencoded, text/plain or application/xml",
                    );
                    None
                }
            }
        }
    };
    let taken = s.integers("taken", 200..500).unwrap_or_default();
    let taken = taken.into_iter().filter_map(|n| u16::try_from(n).ok());
    let taken: Vec<u16> = taken.take(MANY).collect();
    s.finish();
    Some(CallSettings {
        method,
        path: path?,
        body: body?,
        taken,
    })
}

fn template(
    s: &Section<'_, '_>,
    (text, span): (&str, Range<usize>),
    escape: Escape,
    known: &[&str],
) -> Option<Template> {
    match Template::parse(text, escape, known) {
        Ok(template) => Some(template),
        Err(why) => {
            s.problem_at(
                &span,
                format!("no template: {why}"),
                "docs/ADAPTERS.md has the values that there are",
            );
            None
        }
    }
}

fn file_drop(s: &Section<'_, '_>) -> Option<FileDropSettings> {
    s.required("folder", "\"../state/portal\"");
    let folder = s.place("folder");
    let every = s.integer("every_seconds", 10, 1..86_401);
    let quiet = s.integer("quiet_seconds", 5, 1..3_601);
    let request = mapping(s);
    let words = words(s.section("resolutions"));
    let json = s.has("json").then(|| {
        let j = s.section("json");
        let items = pointer_or_whole(&j, "items");
        let fields = pointers(j.section("fields"));
        j.finish();
        JsonSettings { items, fields }
    });
    let csv = s.has("csv").then(|| csv(s.section("csv")));
    let (mut as_json, mut as_csv) = (false, false);
    for (text, span) in s.texts("answers") {
        match text {
            "json" => as_json = true,
            "csv" => as_csv = true,
            other => s.problem_at(
                &span,
                format!("answers are not written as {other:?}"),
                "write of \"json\", \"csv\" those that are wanted",
            ),
        }
    }
    let written = match as_json || as_csv {
        true => Written {
            json: as_json,
            csv: as_csv,
        },
        false => Written::default(),
    };
    Some(FileDropSettings {
        folder: folder?,
        every: Duration::from_secs(every),
        quiet: Duration::from_secs(quiet),
        mapping: FileDropMapping {
            json,
            csv,
            request,
            words,
            written,
        },
    })
}

fn csv(s: Section<'_, '_>) -> CsvSettings {
    let delimiter = s.choice(
        "delimiter",
        &[(",", ','), (";", ';'), ("\t", '\t'), ("|", '|')],
    );
    let columns = s.section("columns");
    let named = fields(&columns);
    columns.finish();
    if named.is_empty() {
        s.problem_at(
            &s.span(),
            "csv without columns: nothing says where the fields are".to_owned(),
            "write [responder.portal.file_drop.csv.columns] with id = \"…\", called = \"…\", time = \"…\"",
        );
    }
    s.finish();
    let named = named
        .into_iter()
        .map(|(field, (text, _))| (field, text.into()));
    CsvSettings {
        delimiter: delimiter.unwrap_or(','),
        columns: named.collect(),
    }
}

fn mailbox(s: &Section<'_, '_>) -> Option<MailboxSettings> {
    s.required("maildir", "\"../state/mail\"");
    let maildir = s.place("maildir");
    s.required("failed", "\"../state/mail-failed\"");
    let failed = s.place("failed");
    let every = s.integer("every_seconds", EVERY, 1..86_401);
    let mut senders = Vec::new();
    for (text, span) in s.texts("senders").into_iter().take(MANY) {
        let domain = text.strip_prefix('@').map(|d| format!("x@{d}"));
        if is_address(domain.as_deref().unwrap_or(text)) {
            senders.push(text.into());
        } else {
            s.problem_at(
                &span,
                format!("{text:?} is no sender"),
                "write an address, or @ and a whole domain",
            );
        }
    }
    if senders.is_empty() {
        s.problem_at(
            &s.span(),
            "nobody may ask: senders is missing".to_owned(),
            "write senders = [\"traceback@portal.example\"]",
        );
    }
    let authserv_id = s.text("authserv_id").map(|(t, _)| t.into());
    let mut patterns = Vec::new();
    for (key, place) in [("subject", Place::Subject), ("text", Place::Text)] {
        for (text, span) in s.texts(key).into_iter().take(MANY) {
            match MailPattern::parse(place, text) {
                Ok(pattern) => patterns.push(pattern),
                Err(why) => s.problem_at(
                    &span,
                    format!("no pattern: {why}"),
                    "write a regular expression whose groups are fields, such as 'Called: (?<called>\\S+)'",
                ),
            }
        }
    }
    let request = mapping(s);
    let words = words(s.section("resolutions"));
    let (out, draft) = match (s.text("drafts"), s.text("answers")) {
        (Some(_), None) => (s.place("drafts"), Some(draft(s))),
        (None, Some(_)) => (s.place("answers"), None),
        _ => {
            s.problem_at(
                &s.span(),
                "answers go into one folder: drafts or answers".to_owned(),
                "write drafts = \"../state/drafts\" (mails to be sent), or answers = \"../state/answers\" (JSON and CSV)",
            );
            (None, None)
        }
    };
    Some(MailboxSettings {
        maildir: maildir?,
        failed: failed?,
        out: out?,
        every: Duration::from_secs(every),
        mapping: MailMapping {
            sender: SenderSettings {
                senders,
                authserv_id,
            },
            patterns,
            request,
            words,
            draft: match draft {
                Some(draft) => Some(draft?),
                None => None,
            },
        },
    })
}

fn draft(s: &Section<'_, '_>) -> Option<DraftSettings> {
    let address = |key: &'static str| {
        let (text, span) = s.required(key, "\"traceback@portal.example\"")?;
        let good = is_address(text);
        if !good {
            s.problem_at(
                &span,
                format!("{text:?} is no address"),
                "write one plain address",
            );
        }
        good.then(|| text.into())
    };
    let (to, from) = (address("to"), address("from"));
    let subject = s
        .required("reply_subject", "\"Traceback {{ request_id }}\"")
        .and_then(|at| template(s, at, Escape::Line, ANSWER_VALUES));
    let body = s
        .required("reply_text", "\"{{ portal_resolution }}\"")
        .and_then(|at| template(s, at, Escape::Plain, ANSWER_VALUES));
    Some(DraftSettings {
        to: to?,
        from: from?,
        subject: subject?,
        body: body?,
    })
}

/// How fields are understood: `[….time]`, `[….fixed]`, `case_is_request`, `true_words`, `false_words`, `withdrawn_states`, `directory`.
fn mapping(s: &Section<'_, '_>) -> MappingSettings {
    let fixed_section = s.section("fixed");
    let fixed = fields(&fixed_section);
    fixed_section.finish();
    let many = |key| {
        let all = s.texts(key).into_iter().take(MANY);
        all.map(|(t, _)| t.into()).collect()
    };
    MappingSettings {
        time: time(s.section("time")),
        fixed: fixed.into_iter().map(|(f, (t, _))| (f, t.into())).collect(),
        case_is_request: s.flag("case_is_request", false),
        words_true: many("true_words"),
        words_false: many("false_words"),
        withdrawn: many("withdrawn_states"),
        directory: s
            .text("directory")
            .map_or_else(Directory::default, |at| directory(s, at)),
    }
}

fn time(s: Section<'_, '_>) -> TimeSettings {
    let mut formats = Vec::new();
    for (text, span) in s.texts("formats").into_iter().take(MANY) {
        match Format::parse(text) {
            Ok(format) => formats.push(format),
            Err(why) => s.problem_at(
                &span,
                format!("{text:?} is no format: {why}"),
                "write \"rfc3339\", \"unix\", \"unix-ms\", or one as strptime(3) has it, such as \"%m/%d/%Y %H:%M:%S\"",
            ),
        }
    }
    if formats.is_empty() {
        formats.push(Format::Rfc3339);
    }
    let known = |text: &str, span: &Range<usize>| {
        let zone = Zone::parse(text);
        if zone.is_none() {
            s.problem_at(
                span,
                format!("{text:?} is no zone"),
                "write \"UTC\", a name such as \"America/New_York\", or an offset such as \"-05:00\"",
            );
        }
        zone
    };
    let zone = s.text("zone").and_then(|(text, span)| known(text, &span));
    let mut zones = Vec::new();
    for (text, span) in s.texts("zones").into_iter().take(MANY) {
        match text.split_once('=') {
            Some((word, zone)) => {
                zones.extend(known(zone.trim(), &span).map(|z| (word.trim().into(), z)));
            }
            None => s.problem_at(
                &span,
                format!("{text:?} says not what it means"),
                "write, for instance: zones = [\"ET=America/New_York\"]",
            ),
        }
    }
    s.finish();
    TimeSettings {
        formats,
        zone,
        zones,
    }
}

fn words(s: Section<'_, '_>) -> Words {
    let mut words = Vec::new();
    for resolution in Resolution::ALL {
        if let Some((text, _)) = s.text(resolution.label()) {
            words.push((resolution, text.into()));
        }
    }
    s.finish();
    Words(words)
}

fn fields<'r>(s: &Section<'r, '_>) -> Vec<(Field, (&'r str, Range<usize>))> {
    let one = |field: Field| s.text(field.label()).map(|at| (field, at));
    Field::ALL.into_iter().filter_map(one).collect()
}

fn pointers(s: Section<'_, '_>) -> Pointers {
    let mut pointers = Vec::new();
    for (field, at) in fields(&s) {
        if pointed(&s, &at) {
            pointers.push((field, at.0.into()));
        }
    }
    s.finish();
    Pointers(pointers)
}

fn pointed(s: &Section<'_, '_>, (text, span): &(&str, Range<usize>)) -> bool {
    let good = is_pointer(text);
    if !good {
        s.problem_at(
            span,
            format!("{text:?} is no JSON pointer"),
            "write, for instance: \"/call/called\"",
        );
    }
    good
}

fn pointer_or_whole(s: &Section<'_, '_>, key: &'static str) -> Box<str> {
    let at = s.text(key).filter(|at| pointed(s, at));
    at.map(|(t, _)| t.into()).unwrap_or_default()
}

/// A CSV file with the columns `peer` and `portal_id`.
fn directory(s: &Section<'_, '_>, (text, span): (&str, Range<usize>)) -> Directory {
    let path = s.file(text);
    let wrong = |what: String| {
        s.problem_at(
            &span,
            format!("{}: {what}", path.display()),
            "a CSV file with a line peer,portal_id and one line for each neighbour",
        );
        Directory::default()
    };
    let octets = match std::fs::metadata(&path) {
        Ok(m) if m.len() > MAX_DIRECTORY => return wrong("it is too large".to_owned()),
        Ok(_) => std::fs::read(&path),
        Err(e) => Err(e),
    };
    let octets = match octets {
        Ok(octets) => octets,
        Err(e) => return wrong(e.to_string()),
    };
    let mut rows: Vec<(Arc<str>, Box<str>)> = Vec::new();
    #[derive(serde::Deserialize)]
    struct Row {
        peer: String,
        portal_id: String,
    }
    for row in csv::Reader::from_reader(&octets[..]).deserialize::<Row>() {
        match row {
            Ok(row) if rows.len() >= MAX_ROWS => {
                return wrong(format!("more than {MAX_ROWS} rows: {}", row.peer));
            }
            Ok(row) if row.peer.trim().is_empty() || row.portal_id.trim().is_empty() => {
                return wrong(format!("row {}: something is empty", rows.len() + 1));
            }
            Ok(row) if row.portal_id.contains("REPLACE_ME") || row.peer.contains("REPLACE_ME") => {
                return wrong(format!("row {}: REPLACE_ME", rows.len() + 1));
            }
            Ok(row) => rows.push((row.peer.trim().into(), row.portal_id.trim().into())),
            Err(e) => return wrong(e.to_string()),
        }
    }
    Directory::new(rows)
}
