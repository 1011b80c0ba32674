//! Section `[findings]`: where flagged calls, behaviours and campaigns are told. By default nowhere.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::reader::Section;
use crate::call::classify::Flag;
use crate::call::peer::PeerTable;
use crate::findings::filter::UNKNOWN;
use crate::findings::sink::syslog::SyslogTo;
use crate::findings::sink::webhook::{WebhookSecret, WebhookUrl};
use crate::findings::{
    EventKind, FileSettings, Filter, FindingsSettings, Masking, SinkSettings, SyslogSettings, Way,
    WebhookSettings,
};

/// Events that may wait for a sink: about 10 MiB, and two minutes of 80 flagged calls a second.
const QUEUE: u64 = 10_000;

/// More sinks than anybody has; each costs a thread and a queue.
const SINKS: usize = 16;

/// Neighbours that a filter names, to be looked for when peers.toml has been read.
pub(super) type Named = Vec<(String, Range<usize>)>;

pub(super) fn read(s: Section<'_, '_>) -> (FindingsSettings, Named) {
    let host = s.text("host").and_then(|(text, span)| {
        let good = text.len() <= 255 && text.bytes().all(|b| b.is_ascii_graphic());
        if !good {
            s.problem_at(
                &span,
                format!("{text:?} is no name of a host"),
                "write, for instance: host = \"edge-1.example.net\"",
            );
        }
        good.then(|| Arc::from(text))
    });
    let mut named = Vec::new();
    let mut names = BTreeSet::new();
    let given = s.sections("sink");
    if given.len() > SINKS {
        s.problem_at(
            &s.span(),
            format!("{} sinks", given.len()),
            format!("write {SINKS} at most"),
        );
    }
    let mut sinks = Vec::new();
    for (sink, place) in given.into_iter().take(SINKS).zip(1..) {
        if let Some(read) = self::sink(&sink, place, host.as_ref(), &mut named) {
            if !names.insert(read.name.clone()) {
                sink.problem_at(
                    &sink.span(),
                    format!("two sinks are called {:?}", read.name),
                    "give each a name of its own: metrics and the log go by it",
                );
            }
            sinks.push(read);
        }
        sink.finish();
    }
    s.finish();
    (FindingsSettings { host, sinks }, named)
}

/// Neighbours that filters name and peers.toml does not.
pub(super) fn strangers<'n>(
    named: &'n Named,
    peers: &'n PeerTable,
) -> impl Iterator<Item = &'n (String, Range<usize>)> {
    let known = |name: &str| name == UNKNOWN || peers.peer(name).is_some();
    named.iter().filter(move |(name, _)| !known(name))
}

fn sink(
    s: &Section<'_, '_>,
    place: u32,
    host: Option<&Arc<str>>,
    named: &mut Named,
) -> Option<SinkSettings> {
    let kind = s.required("kind", "\"file\"")?;
    let name = s
        .text("name")
        .map_or_else(|| format!("{}-{place}", kind.0), |(t, _)| t.to_owned());
    let filter = filter(s, named);
    let masking = s
        .choice(
            "numbers",
            &[("full", Masking::Full), ("masked", Masking::Masked)],
        )
        .unwrap_or_default();
    let queue = s.integer("queue", QUEUE, 1..1_000_001);
    let way = match kind.0 {
        "file" => file(s),
        "journald" => Some(Way::Journald),
        "syslog" => syslog(s, host),
        "webhook" => webhook(s),
        other => {
            s.problem_at(
                &kind.1,
                format!("findings.sink.kind has no choice {other:?}"),
                "write one of \"file\", \"journald\", \"syslog\", \"webhook\"",
            );
            None
        }
    };
    Some(SinkSettings {
        name: name.into(),
        filter,
        masking,
        queue: usize::try_from(queue).unwrap_or(1),
        way: way?,
    })
}

fn filter(s: &Section<'_, '_>, named: &mut Named) -> Filter {
    let flags = |key| {
        let mut flags = Vec::new();
        for (text, span) in s.texts(key) {
            match Flag::from_label(text) {
                Some(flag) => flags.push(flag),
                None => s.problem_at(
                    &span,
                    format!("{text:?} is no flag"),
                    "docs/FLAGS.md has them all",
                ),
            }
        }
        flags
    };
    let mut kinds = Vec::new();
    for (text, span) in s.texts("kinds") {
        match EventKind::ALL.into_iter().find(|k| k.label() == text) {
            Some(kind) => kinds.push(kind),
            None => s.problem_at(
                &span,
                format!("{text:?} is no kind of event"),
                "write of \"call\", \"behaviour\", \"campaign\" those that are wanted",
            ),
        }
    }
    let peers = s.texts("peers");
    named.extend(
        peers
            .iter()
            .map(|(t, span)| ((*t).to_owned(), span.clone())),
    );
    let peers = peers.into_iter().map(|(t, _)| t.into()).collect();
    let filter = Filter::new(&flags("flags"), &flags("except_flags"), peers, kinds);
    if filter.is_shut() {
        s.problem_at(
            &s.span(),
            "every flag of this sink is excepted: nothing would ever go there".to_owned(),
            "take some out of except_flags",
        );
    }
    filter
}

fn file(s: &Section<'_, '_>) -> Option<Way> {
    s.required("path", "\"../state/findings/findings.jsonl\"")?;
    let path = s.place("path")?;
    Some(Way::File(FileSettings {
        path,
        octets: s.integer("megabytes", 64, 1..65_537) << 20,
        keep: u32::try_from(s.integer("keep", 10, 0..1_001)).unwrap_or(10),
    }))
}

/// Facilities by the names that every syslog daemon knows (RFC 5424 §6.2.1 has the numbers).
const FACILITIES: [(&str, u8); 11] = [
    ("user", 1),
    ("daemon", 3),
    ("auth", 4),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

fn syslog(s: &Section<'_, '_>, host: Option<&Arc<str>>) -> Option<Way> {
    let facility = s.choice("facility", &FACILITIES).unwrap_or(16);
    let to = match s.text("to") {
        None => SyslogTo::Local("/dev/log".into()),
        Some((text, span)) => {
            let at = |rest: &str| rest.parse::<SocketAddr>().ok();
            let to = match text.split_once("://") {
                Some(("udp", rest)) => at(rest).map(SyslogTo::Udp),
                Some(("tcp", rest)) => at(rest).map(SyslogTo::Tcp),
                None if text.starts_with('/') => Some(SyslogTo::Local(text.into())),
                _ => None,
            };
            if to.is_none() {
                s.problem_at(
                    &span,
                    format!("{text:?} is no place of syslog"),
                    "write \"/dev/log\", \"udp://127.0.0.1:514\" or \"tcp://127.0.0.1:601\"; names are not looked up",
                );
            }
            to?
        }
    };
    Some(Way::Syslog(SyslogSettings {
        to,
        facility,
        host: host.cloned(),
    }))
}

fn webhook(s: &Section<'_, '_>) -> Option<Way> {
    let to = s.required("url", "\"https://noc.example.net/tracehop\"").and_then(|(text, span)| {
        let to = WebhookUrl::parse(text);
        if to.is_none() {
            s.problem_at(
                &span,
                format!("{text:?} is no URL with https"),
                "write, for instance, https://noc.example.net/tracehop; http is for this host alone",
            );
        }
        to
    });
    let secrets = s
        .required("secret_file", "\"webhook-secret\"")
        .and_then(|(text, span)| {
            let path = s.file(text);
            let read = WebhookSecret::read(&path).map_err(|why| {
                s.problem_at(
                    &span,
                    format!("{}: {why}", path.display()),
                    "a file that only its owner may read, with a line whsec_… that the receiver gave or gets",
                );
            });
            read.ok()
        });
    let roots = s
        .existing("roots", "put the file there, or mend the path")
        .and_then(|path| match std::fs::read(&path) {
            Ok(pem) => Some(pem),
            Err(e) => {
                s.problem_at(
                    &s.span(),
                    format!("{}: {e}", path.display()),
                    "certificates of authorities in PEM",
                );
                None
            }
        });
    let batch = s.integer("batch", 100, 1..1_001);
    let timeout = s.integer("timeout_seconds", 15, 1..121);
    let tries = s.integer("tries", 8, 1..101);
    Some(Way::Webhook(Box::new(WebhookSettings {
        to: to?,
        secrets: secrets?,
        roots,
        batch: usize::try_from(batch).unwrap_or(1),
        timeout: Duration::from_secs(timeout),
        tries: u32::try_from(tries).unwrap_or(1),
    })))
}
