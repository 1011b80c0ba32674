//! Section `[store.engine]`: the ClickHouse cluster that many probes share.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::client::{identity, octets};
use super::reader::Section;
use super::responder::secret_file;
use crate::store::engine::{EngineSettings, MOST_PROBES};
use crate::web::client::{BaseUrl, ClientSettings, SecretHeader};

/// 18 months, as for the probe's own store.
const RETENTION_DAYS: u64 = 548;

/// Reads the section; `None` where it is not there, or can't be, which is said then.
pub(super) fn read(s: Section<'_, '_>) -> Option<EngineSettings> {
    if !s.has("probe") && !s.has("shard") {
        s.finish();
        return None;
    }
    let probe = s.integer_if("probe", 1..u64::from(MOST_PROBES) + 1);
    if probe.is_none() && !s.has("probe") {
        s.problem_at(
            &s.span(),
            "store.engine without the number of this probe".to_owned(),
            "write probe = 1, a number from 1 to 511 that no other probe has",
        );
    }
    let name = s.required("name", "\"edge-1\"").map(|(text, span)| {
        let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if text.is_empty() || text.len() > 63 || !text.bytes().all(good) {
            s.problem_at(
                &span,
                format!("{text:?} is no name of a probe"),
                "write letters, digits, hyphens and dots, for instance \"edge-1\"",
            );
        }
        text
    });
    let secret = secret(&s);
    let roots = s
        .text("roots")
        .and_then(|(t, span)| octets(&s, &s.file(t), &span));
    let identity = identity(&s);
    let timeout = Duration::from_secs(s.integer("timeout_seconds", 15, 1..121));
    let most = usize::try_from(s.integer("answer_megabytes", 64, 1..1_025) << 20);
    let client = |url| ClientSettings {
        url,
        secret: secret.clone(),
        roots: roots.clone(),
        identity: identity.clone(),
        timeout,
        most: most.unwrap_or(usize::MAX),
        inside: true,
    };
    let mut shards: Vec<Vec<ClientSettings>> = Vec::new();
    for shard in s.sections("shard") {
        let mut nodes = Vec::new();
        for (text, span) in shard.texts("nodes") {
            match BaseUrl::parse(text) {
                Some(url) => nodes.push(client(url)),
                None => shard.problem_at(
                    &span,
                    format!("{text:?} is no URL with https"),
                    "write, for instance, https://clickhouse-1.example.net:8443; http is for this host alone",
                ),
            }
        }
        if nodes.is_empty() {
            shard.problem_at(
                &shard.span(),
                "a shard without nodes".to_owned(),
                "write nodes = [\"https://clickhouse-1.example.net:8443\", …], the replicas of this shard",
            );
        }
        shard.finish();
        shards.push(nodes);
    }
    if shards.is_empty() {
        s.problem_at(
            &s.span(),
            "store.engine without shards".to_owned(),
            "write [[store.engine.shard]] with nodes = [\"https://clickhouse-1.example.net:8443\"]",
        );
    }
    if let Some(first) = shards.iter().flatten().next()
        && let Err(why) = first.check()
    {
        s.problem_at(
            &s.span(),
            why.to_string(),
            "roots, certificate and key are files in PEM, and belong together",
        );
    }
    let quorum = s.integer("quorum", 1, 1..9);
    let replicas = shards.iter().map(Vec::len).min().unwrap_or(0);
    if usize::try_from(quorum).is_ok_and(|q| q > replicas) && replicas > 0 {
        s.problem_at(
            &s.span(),
            format!("quorum = {quorum}, and a shard of {replicas} nodes"),
            "write quorum = 1, or name as many nodes of every shard",
        );
    }
    let days = s.integer("retention_days", RETENTION_DAYS, 1..3_661);
    let settings = EngineSettings {
        probe: probe.and_then(|p| u16::try_from(p).ok()).unwrap_or(0),
        name: name.unwrap_or_default().into(),
        shards,
        quorum: u8::try_from(quorum).unwrap_or(1),
        retention: Duration::from_secs(days * 86_400),
    };
    s.finish();
    (settings.probe > 0).then_some(settings)
}

/// User and password, as HTTP has them.
fn secret(s: &Section<'_, '_>) -> Option<SecretHeader> {
    let user = s.text("user");
    let password = s.text("password_file");
    let (user, span) = user.or_else(|| {
        if let Some((_, span)) = &password {
            s.problem_at(
                span,
                "password_file without user".to_owned(),
                "write user = \"tracehop\"",
            );
        }
        None
    })?;
    let password = match password {
        Some(at) => {
            let path = secret_file(s, at);
            // What can't be read was said.
            std::fs::read_to_string(path).ok()?
        }
        None => String::new(),
    };
    let both = STANDARD.encode(format!(
        "{user}:{}",
        password.trim_end_matches(['\r', '\n'])
    ));
    let header = SecretHeader::new("authorization", &format!("Basic {both}"));
    if header.is_none() || user.contains(':') {
        s.problem_at(
            &span,
            format!("a user {user:?} with that password can't be"),
            "write a name without a colon",
        );
    }
    header
}
