//! Where a URL leads, and whether the operator lets us go there.

use std::net::IpAddr;

/// The operator's list of hosts; an empty one allows all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostList(pub Vec<Box<str>>);

impl HostList {
    /// Whether a host in lower case is on it: as it stands, or below an entry that begins with a dot.
    pub fn allows(&self, host: &str) -> bool {
        self.0.is_empty()
            || self.0.iter().any(|entry| {
                **entry == *host || (entry.starts_with('.') && host.ends_with(&**entry))
            })
    }
}

/// Host in lower case, port and path of a URL that rule X1 lets pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Name or address, an address of IPv6 without its brackets.
    pub host: Box<str>,
    /// 443 where none is written.
    pub port: u16,
    /// From the first slash; `/` where there is none.
    pub path: Box<str>,
}

/// Longest name of a host (RFC 1035 §2.3.4).
const MAX_HOST: usize = 253;

impl Place {
    /// Takes a URL with `https` apart; any port.
    pub fn of(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_at_checked(8)?;
        if !scheme.eq_ignore_ascii_case("https://") {
            return None;
        }
        let (authority, path) = match rest.find('/') {
            Some(i) => rest.split_at_checked(i)?,
            None => (rest, "/"),
        };
        let (host, port) = match authority.strip_prefix('[') {
            Some(inner) => inner.split_once(']')?,
            None => authority
                .find(':')
                .and_then(|i| authority.split_at_checked(i))
                .unwrap_or((authority, "")),
        };
        let port = match port.strip_prefix(':') {
            Some(digits) => digits.parse().ok()?,
            None if port.is_empty() => 443,
            None => return None,
        };
        (!host.is_empty() && host.len() <= MAX_HOST).then(|| Self {
            host: host.to_ascii_lowercase().into(),
            port,
            path: path.into(),
        })
    }

    /// Takes a URL apart that the operator wrote: `https`, or `http` that leads to this host. Gives whether it is TLS.
    pub fn of_operator(url: &str) -> Option<(Self, bool)> {
        if let Some(place) = Self::of(url) {
            return Some((place, true));
        }
        let rest = url.strip_prefix("http://")?;
        let mut place = Self::of(&format!("https://{rest}"))?;
        let authority = rest.split('/').next().unwrap_or_default();
        if place.port == 443 && !authority.ends_with(":443") {
            place.port = 80;
        }
        let here = match place.host.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => &*place.host == "localhost",
        };
        here.then_some((place, false))
    }

    /// Host and port, as a Host header names them.
    pub fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        }
    }
}
