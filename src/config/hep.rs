//! Section `[hep]`: agents that mirror what they see.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::reader::Section;
use crate::capture::hep::{HepSettings, ListenLimits, TlsFiles, why_unreadable};
use crate::engine::mirror::{Agent, AgentKey, CarrierKind, MirrorLimits};

/// No key of an agent is longer.
const MAX_KEY: u64 = 4_096;

/// Where we listen and for whom; `None` where no address is given.
pub(super) fn read(s: Section<'_, '_>, interfaces: &[Arc<str>]) -> Option<HepSettings> {
    let [udp, tcp, tls] = ["udp", "tcp", "tls"].map(|key| addresses(&s, key));
    let listens = !(udp.is_empty() && tcp.is_empty() && tls.is_empty());
    let tls_files = tls_files(&s, !tls.is_empty());
    let d = ListenLimits::default();
    let count = |key, default: usize, range| {
        let default = u64::try_from(default).unwrap_or(u64::MAX);
        usize::try_from(s.integer(key, default, range)).unwrap_or(usize::MAX)
    };
    let seconds = |key, default: Duration, range| {
        Duration::from_secs(s.integer(key, default.as_secs(), range))
    };
    let limits = ListenLimits {
        connections: count("connections", d.connections, 1..65_537),
        per_address: count("connections_per_address", d.per_address, 1..65_537),
        idle: seconds("idle_seconds", d.idle, 1..86_401),
        slow: seconds("slow_seconds", d.slow, 1..601),
        receive_buffer: count(
            "receive_buffer_kilobytes",
            d.receive_buffer >> 10,
            64..1_048_577,
        ) << 10,
    };
    let m = MirrorLimits::default();
    let mirror = MirrorLimits {
        clock_distance: seconds("clock_distance_seconds", m.clock_distance, 1..3_601),
        udp_quiet: seconds("udp_quiet_seconds", m.udp_quiet, 1..86_401),
        ..m
    };
    let has_ca = s.text("client_ca").is_some();
    let given = s.sections("agent");
    let none = given.is_empty();
    let agents: Vec<Agent> = given
        .into_iter()
        .zip(0..)
        .filter_map(|(a, sensor)| agent(a, sensor, has_ca))
        .collect();
    for a in agents.iter().filter(|a| interfaces.contains(&a.name)) {
        s.problem_at(
            &s.span(),
            format!(
                "an agent and an interface's sensor are both called {:?}",
                a.name
            ),
            "give each a name of its own: the ledger of what was seen goes by it",
        );
    }
    for (i, a) in agents.iter().enumerate() {
        if agents.iter().take(i).any(|b| b.name == a.name) {
            s.problem_at(
                &s.span(),
                format!("two agents are called {:?}", a.name),
                "give each a name of its own: records keep it",
            );
        }
    }
    if listens && none {
        s.problem_at(
            &s.span(),
            "hep listens without any agent: nobody could be heard".to_owned(),
            "write an [[hep.agent]] with name and networks, or take the addresses out",
        );
    }
    s.finish();
    listens.then_some(HepSettings {
        udp,
        tcp,
        tls,
        tls_files,
        agents,
        limits,
        mirror,
    })
}

fn addresses(s: &Section<'_, '_>, key: &'static str) -> Vec<SocketAddr> {
    let texts = s.texts(key).into_iter();
    let one = |(text, span): (&str, _)| {
        let parsed = text.parse();
        if parsed.is_err() {
            s.problem_at(
                &span,
                format!("{text:?} is no address with a port"),
                format!("write {key} = [\"127.0.0.1:9060\"]"),
            );
        }
        parsed.ok()
    };
    texts.filter_map(one).collect()
}

fn tls_files(s: &Section<'_, '_>, needed: bool) -> Option<TlsFiles> {
    let path = |key| s.existing(key, "put the file there, or mend the path");
    let (certificate, key, client_ca) = (path("certificate"), path("key"), path("client_ca"));
    #[cfg(unix)]
    if let Some(key) = &key {
        use std::os::unix::fs::PermissionsExt;
        // A group of those who may is usual for keys of TLS.
        if fs::metadata(key).is_ok_and(|f| f.permissions().mode() & 0o007 != 0) {
            s.problem_at(
                &s.span(),
                format!("hep.key: everybody may read {}", key.display()),
                "chmod 600, or 640 with a group for those who may",
            );
        }
    }
    match (certificate, key) {
        (Some(certificate), Some(key)) => Some(TlsFiles {
            certificate,
            key,
            client_ca,
        }),
        (None, None) if !needed && client_ca.is_none() => None,
        _ => {
            s.problem_at(
                &s.span(),
                "hep.tls needs a certificate and its key".to_owned(),
                "write certificate = \"hep.pem\" and key = \"hep.key\"",
            );
            None
        }
    }
}

fn agent(s: Section<'_, '_>, sensor: u16, has_ca: bool) -> Option<Agent> {
    let name = s.required("name", "\"proxy-a\"").map(|(t, _)| t);
    let networks = s.texts("networks").into_iter().filter_map(|(text, span)| {
        let network = text
            .parse()
            .ok()
            .or_else(|| text.parse::<std::net::IpAddr>().ok().map(Into::into));
        if network.is_none() {
            s.problem_at(
                &span,
                format!("{text:?} is no network"),
                "write, for instance: networks = [\"192.0.2.0/28\"]",
            );
        }
        network
    });
    let networks: Vec<ipnet::IpNet> = networks.collect();
    if networks.is_empty() {
        s.problem_at(
            &s.span(),
            "hep.agent.networks is missing or empty".to_owned(),
            "write, for instance: networks = [\"192.0.2.10/32\"]",
        );
    }
    let id = s
        .integer_if("id", 0..1 << 32)
        .and_then(|n| u32::try_from(n).ok());
    let carrier = s.choice(
        "carrier",
        &[
            ("udp", CarrierKind::Udp),
            ("tcp", CarrierKind::Tcp),
            ("tls", CarrierKind::Tls),
        ],
    );
    let key = s.text("key_file").and_then(|(text, span)| {
        let path = s.file(text);
        key(&path)
            .map_err(|why| {
                s.problem_at(
                    &span,
                    format!("{}: {why}", path.display()),
                    "a file with the key alone that only its owner may read",
                );
            })
            .ok()
    });
    let certificate = s.text("certificate").map(|(text, span)| {
        if !has_ca {
            s.problem_at(
                &span,
                "hep.agent.certificate without hep.client_ca: nobody is asked for one".to_owned(),
                "write client_ca = \"hep-clients.pem\" into [hep]",
            );
        }
        Box::from(text)
    });
    s.finish();
    Some(Agent {
        name: name?.into(),
        sensor,
        networks,
        id,
        key,
        carrier,
        certificate,
    })
}

/// A key: the file's text without the line end.
fn key(path: &Path) -> Result<AgentKey, String> {
    let file = fs::metadata(path).map_err(|e| why_unreadable(&e))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        if file.permissions().mode() & 0o077 != 0 {
            return Err("others than its owner may read it: chmod 600".to_owned());
        }
    }
    if file.len() > MAX_KEY {
        return Err("it is too large for a key".to_owned());
    }
    let text = fs::read(path).map_err(|e| why_unreadable(&e))?;
    match text.trim_ascii_end() {
        [] => Err("it is empty".to_owned()),
        key => Ok(AgentKey::new(key)),
    }
}
