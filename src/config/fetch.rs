//! Section `[fetch]`: certificates over HTTPS.

use std::net::SocketAddr;
use std::time::Duration;

use super::reader::Section;
use crate::engine::park::ParkLimits;
use crate::fetch::FetchSettings;
use crate::fetch::cache::CacheLimits;
use crate::fetch::connect::Proxy;
use crate::fetch::directory::CredentialFiles;
use crate::fetch::policy::{HostList, Limits, Place, Rate};
use crate::fetch::sti_pa::{Secret, StiPa};

/// Most calls that may wait: a million of them take two gigabytes.
const MOST_PARKED: u64 = 1_000_001;

/// Whether to fetch, and how.
pub(super) fn read(s: Section<'_, '_>, credentials: &CredentialFiles) -> (bool, FetchSettings) {
    let enabled = s.flag("enabled", false);
    let offline = s.flag("offline", false);
    let allow_private = s.flag("allow_private", false);
    let cache = s.place("cache");
    let extra_roots = s.existing("extra_roots", "put the file there, or mend the path");
    let sti_pa = sti_pa(s.section("sti_pa"));
    let fetches_lists = sti_pa.ca_list_url.is_some() || sti_pa.crl_url.is_some();
    if fetches_lists && credentials.sti_pa_root.is_none() {
        s.problem_at(
            &s.span(),
            "fetch.sti_pa without credentials.sti_pa_root: no list could be verified".to_owned(),
            "write sti_pa_root = \"certs/sti-pa-root.pem\" into [credentials]",
        );
    }
    let no_trust = credentials.ca_list.is_none()
        && credentials.anchors.is_none()
        && sti_pa.ca_list_url.is_none();
    if enabled && no_trust {
        s.problem_at(
            &s.span(),
            "fetch without authorities: no certificate could be trusted".to_owned(),
            "write ca_list or anchors into [credentials], or ca_list_url into [fetch.sti_pa]",
        );
    }
    if enabled && offline && cache.is_none() {
        s.problem_at(
            &s.span(),
            "fetch.offline without fetch.cache: there is nothing to use".to_owned(),
            "write cache = \"state/certificates\", or enabled = false",
        );
    }
    let connect_to = address(&s, allow_private);
    let settings = FetchSettings {
        limits: limits(&s),
        hosts: hosts(&s),
        cache: CacheLimits::default(),
        folder: cache,
        disk_octets: s.integer("cache_megabytes", 256, 1..65_537) << 20,
        offline,
        allow_private,
        extra_roots,
        proxy: proxy(&s),
        connect_to,
        sti_pa,
        park: park(&s),
    };
    s.finish();
    (enabled, settings)
}

fn limits(s: &Section<'_, '_>) -> Limits {
    let default = Limits::default();
    let count = |key, default, range| {
        let default = u64::try_from(default).unwrap_or(u64::MAX);
        usize::try_from(s.integer(key, default, range)).unwrap_or(usize::MAX)
    };
    let per_minute = u64::from(default.new_hosts.per_minute);
    let new_hosts = s.integer("new_hosts_per_minute", per_minute, 1..60_001);
    Limits {
        in_flight: count("in_flight", default.in_flight, 1..513),
        per_host: count("per_host", default.per_host, 1..65),
        queue: count("queue", default.queue, 1..65_537),
        new_hosts: Rate {
            per_minute: u32::try_from(new_hosts).unwrap_or(u32::MAX),
            ..default.new_hosts
        },
        ..default
    }
}

fn park(s: &Section<'_, '_>) -> ParkLimits {
    let default = ParkLimits::default();
    let calls = u64::try_from(default.calls).unwrap_or(u64::MAX);
    let megabytes = u64::try_from(default.octets >> 20).unwrap_or(u64::MAX);
    let count = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    ParkLimits {
        calls: count(s.integer("waiting_calls", calls, 1..MOST_PARKED)),
        octets: count(s.integer("waiting_megabytes", megabytes, 1..65_537) << 20),
        wait: Duration::from_secs(s.integer("wait_seconds", default.wait.as_secs(), 1..301)),
    }
}

fn hosts(s: &Section<'_, '_>) -> HostList {
    let mut list = Vec::new();
    for (text, span) in s.texts("hosts") {
        let name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
        if text.is_empty() || !text.bytes().all(name) {
            s.problem_at(
                &span,
                format!("{text:?} is no name of a host"),
                "write \"cert.example.net\", or \".example.net\" for all below it",
            );
        } else {
            list.push(text.to_ascii_lowercase().into());
        }
    }
    HostList(list)
}

fn proxy(s: &Section<'_, '_>) -> Option<Proxy> {
    let (text, span) = s.text("proxy")?;
    let found = text
        .strip_prefix("http://")
        .map(|rest| rest.trim_end_matches('/'))
        .and_then(|rest| rest.rsplit_once(':'))
        .and_then(|(host, port)| {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let plain = !host.is_empty() && !host.contains(['@', '/']);
            Some((plain.then_some(host)?, port.parse().ok()?))
        });
    match found {
        Some((host, port)) => Some(Proxy {
            host: host.into(),
            port,
        }),
        None => {
            s.problem_at(
                &span,
                format!("{text:?} is no proxy"),
                "write proxy = \"http://proxy.example.net:3128\"",
            );
            None
        }
    }
}

fn address(s: &Section<'_, '_>, allow_private: bool) -> Option<SocketAddr> {
    let (text, span) = s.text("connect_to")?;
    let Ok(at) = text.parse() else {
        s.problem_at(
            &span,
            format!("{text:?} is no address with a port"),
            "write connect_to = \"127.0.0.1:8443\"",
        );
        return None;
    };
    if !allow_private {
        s.problem_at(
            &span,
            "connect_to is for laboratories, and goes with allow_private".to_owned(),
            "write allow_private = true, or take connect_to out",
        );
    }
    Some(at)
}

fn sti_pa(s: Section<'_, '_>) -> StiPa {
    let url = |key| {
        let (text, span) = s.text(key)?;
        if Place::of(text).is_none() {
            s.problem_at(
                &span,
                format!("{text:?} is no URL with https"),
                "write, for instance, https://sti-pa.example/ca-list",
            );
        }
        Some(Box::from(text))
    };
    let secret = s.text("secret_file").and_then(|(text, span)| {
        let path = s.file(text);
        let read = Secret::read(&path).map_err(|why| {
            s.problem_at(
                &span,
                format!("{}: {why}", path.display()),
                "a file that only its owner may read, with user = \"…\" and password = \"…\"",
            );
        });
        read.ok()
    });
    let out = StiPa {
        ca_list_url: url("ca_list_url"),
        login_url: url("login_url"),
        crl_url: url("crl_url"),
        secret,
    };
    if out.login_url.is_some() && out.secret.is_none() {
        s.problem_at(
            &s.span(),
            "login_url without secret_file".to_owned(),
            "write secret_file = \"sti-pa-secret.toml\"",
        );
    }
    s.finish();
    out
}
