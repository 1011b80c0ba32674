//! Families credential, trust and revoked: rules X1 to X15, R3 to R5. What does not depend on the call was judged when the
//! certificate was loaded; here are the URL, the times, the authority over the calling number and the limits on what may be claimed.

use memchr::{memchr, memrchr};
use smallvec::SmallVec;

use super::states::RuleStates;
use super::{CallVerdict, HeaderVerdict, Rule, Validation};
use crate::base::Timestamp;
use crate::base::digest::Digest128;
use crate::number::Tn;
use crate::stir::credential::chain::PathFacts;
use crate::stir::credential::constraints::{Payload, Violation};
use crate::stir::credential::crl::CrlWindow;
use crate::stir::credential::tnauthlist::Encompassed;
use crate::stir::credential::{Certificate, Credential, Credentials, TnAuthList};
use crate::stir::passport::MAX_IDENTITIES;

/// Longest certificate URL. The longest of 17,839 real ones has 106 characters.
pub const MAX_URL: usize = 2048;

/// Most certificates that one call asks for: as many as it may have Identity headers.
const MAX_WANTS: usize = MAX_IDENTITIES;

/// A certificate that would decide a call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Want {
    /// The one under this URL is not at hand.
    Missing(Box<str>),
    /// The one under this URL is, and another may be there by now; with [`Credential::digest`] of the one that was judged by.
    Doubted(Box<str>, Digest128),
}

impl Want {
    /// The URL.
    pub fn url(&self) -> &str {
        match self {
            Self::Missing(url) | Self::Doubted(url, _) => url,
        }
    }

    /// Whether there is a certificate among `credentials` that would say something new.
    pub fn is_met(&self, credentials: &Credentials) -> bool {
        let at_hand = credentials.get(self.url());
        match self {
            Self::Missing(_) => at_hand.is_some(),
            Self::Doubted(_, judged_by) => at_hand.is_some_and(|c| c.digest() != *judged_by),
        }
    }
}

/// Which certificates would decide a call: those of its headers and of what is inside of them, each once; none where the call passed
/// without.
///
/// Whoever fetches asks this, so that a flood of stale or garbled tokens causes no requests (rules S3, N11): a certificate is wanted where
/// it is missing and nothing else is wrong, or where a fetched one is there and nothing but its content
/// disagrees: the signature does not verify, or it had ended (rule N12). What a link of the chain or a PASSporT inside may still explain,
/// once its own certificate is there, is nothing wrong.
pub fn wanted_certificates(
    verdict: &CallVerdict,
    credentials: &Credentials,
) -> SmallVec<[Want; 1]> {
    let mut out = SmallVec::new();
    if verdict.validation() == Validation::Passed {
        return out;
    }
    let mut links = SmallVec::new();
    for link in verdict.headers.iter().filter(|h| h.kind.is_div()) {
        add_wants(link, false, credentials, &mut links);
    }
    for header in &verdict.headers {
        add_wants(header, !links.is_empty(), credentials, &mut out);
    }
    out
}

fn add_wants(
    header: &HeaderVerdict,
    is_link_open: bool,
    credentials: &Credentials,
    out: &mut SmallVec<[Want; 1]>,
) {
    let before = out.len();
    if let Some(inside) = &header.original {
        add_wants(inside, is_link_open, credentials, out);
    }
    let is_inside_open = out.len() > before;
    let Some(url) = header.x5u.as_deref() else {
        return;
    };
    let wrong = || {
        header.failed.iter().filter(|r| match r {
            Rule::D1 | Rule::F1 | Rule::V3 => !is_link_open,
            Rule::V6 => !is_inside_open,
            _ => true,
        })
    };
    let mut content = wrong().map(|r| matches!(r, Rule::S2 | Rule::X4E));
    let want = match content.next() {
        None if header.undetermined.contains(Rule::X2) => Want::Missing(url.into()),
        Some(true) if content.all(|c| c) && credentials.is_fetched(url) => {
            match credentials.get(url) {
                Some(c) => Want::Doubted(url.into(), c.digest()),
                None => return,
            }
        }
        _ => return,
    };
    if out.len() < MAX_WANTS && out.iter().all(|o| o.url() != url) {
        out.push(want);
    }
}

/// Judges the URL and looks its credential up.
pub(super) fn find<'a>(
    x5u: Option<&str>,
    credentials: &'a Credentials,
    states: &mut RuleStates,
) -> Option<&'a Credential> {
    let url = x5u?;
    if states.judge(Rule::X1, is_certificate_url(url)) {
        states.judge(Rule::X1I, !has_address(url));
    }
    match credentials.get(url) {
        Some(credential) => {
            states.judge(Rule::X2, true);
            Some(credential)
        }
        None => {
            states.cannot_tell(Rule::X2);
            None
        }
    }
}

/// ATIS-1000074 §5.3.1: `https`, port absent, 443 or 8443, and nothing but host and path.
pub fn is_certificate_url(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_at_checked(8) else {
        return false;
    };
    let (authority, path) = rest.split_at(memchr(b'/', rest.as_bytes()).unwrap_or(rest.len()));
    // An IPv6 literal has colons of its own.
    let port = match memrchr(b':', authority.as_bytes()) {
        Some(i) if !authority.ends_with(']') => Some(authority.split_at(i)),
        _ => None,
    };
    let (host, port) = port.unwrap_or((authority, ""));
    let forbidden = |b| matches!(b, b'?' | b'#' | b'<' | b'>' | b'"' | b'\\');
    url.len() <= MAX_URL
        && url.bytes().all(|b| b.is_ascii_graphic() && !forbidden(b))
        && scheme.eq_ignore_ascii_case("https://")
        && !host.is_empty()
        && matches!(port, "" | ":443" | ":8443")
        && memchr(b'@', authority.as_bytes()).is_none()
        && memchr(b';', path.as_bytes()).is_none()
}

/// Whether the host of a certificate URL is an address. A host whose last label is a number is one, however it is written
/// (`127.1`, `0x7f000001`): no top-level domain is a number.
fn has_address(url: &str) -> bool {
    let authority = url.get(8..).unwrap_or_default();
    let host = authority.split(['/', ':']).next().unwrap_or_default();
    let host = host.strip_suffix('.').unwrap_or(host);
    let last = host.rsplit('.').next().unwrap_or_default();
    let hexadecimal = last.get(..2).is_some_and(|p| p.eq_ignore_ascii_case("0x"));
    authority.starts_with('[')
        || hexadecimal
        || !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit())
}

/// What an unknown revocation state means (rule R5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CrlPolicy {
    /// The call is undetermined.
    Require,
    /// It is a finding.
    #[default]
    Prefer,
    /// Nobody asks.
    Off,
}

/// What a token claims, as far as its certificate limits it.
pub(super) struct Claimed<'a> {
    /// Calling number.
    pub orig: Option<&'a Tn>,
    /// When it was signed.
    pub iat: Option<i64>,
    /// All of it, decoded; `None` where it can't be read.
    pub payload: Option<&'a [u8]>,
}

impl Claimed<'_> {
    /// Everything that is claimed, for the few certificates that limit it.
    pub fn limited_by(&self, credential: &Credential) -> Option<Payload> {
        let limits = |p: &PathFacts| !p.constraints.is_empty();
        let payload = self.payload.filter(|_| credential.paths.iter().any(limits));
        Payload::read(payload?)
    }
}

/// The path that a call is judged by, and how its claims go beyond that path's constraints. Any path that holds will do; where none
/// does, the one in which least is wrong says what.
pub(super) fn best_path<'c>(
    credential: &'c Credential,
    payload: Option<&Payload>,
    iat: Option<i64>,
    at: Timestamp,
) -> Option<(&'c PathFacts, Option<Violation>)> {
    let violation = |p: &PathFacts| {
        let mut all = p.constraints.iter();
        all.find_map(|c| c.violation(payload?))
    };
    let paths = credential.paths.iter().map(|p| (p, violation(p)));
    paths.min_by_key(|(p, violation)| (p.rank(iat, at), violation.is_some()))
}

/// Judges what depends on the call: times at `iat` and at capture, revocation, authority.
pub(super) fn judge(
    credential: &Credential,
    claimed: &Claimed<'_>,
    at: Timestamp,
    crl: CrlPolicy,
    states: &mut RuleStates,
) {
    let mut known = credential.states;
    if credential.trust_ends.is_some_and(|end| at.secs() > end) {
        known.doubt(Rule::X4);
    }
    states.add(&known);
    let payload = claimed.limited_by(credential);
    if let Some((path, violation)) = best_path(credential, payload.as_ref(), claimed.iat, at) {
        states.judge(Rule::X4E, path.is_in_time(claimed.iat, at));
        judge_revocation(path, crl, at, states);
        judge_delegation(path, states);
        if states.judge(Rule::X14C, path.constraint_fault.is_none()) && !path.constraints.is_empty()
        {
            match (&payload, claimed.payload) {
                (Some(_), _) => {
                    states.judge(Rule::X14, violation.is_none());
                }
                // Rule P1 passed it, and here it can't be read: nothing was shown.
                (None, Some(_)) => states.cannot_tell(Rule::X14),
                (None, None) => {}
            }
        }
    }
    if let Some(leaf) = credential.leaf() {
        judge_authority(leaf, claimed.orig, states);
    }
}

fn judge_revocation(path: &PathFacts, policy: CrlPolicy, at: Timestamp, states: &mut RuleStates) {
    if policy == CrlPolicy::Off {
        return;
    }
    let current = path.crl.is_some_and(|w| speaks_for(w, path, at));
    if current || policy == CrlPolicy::Prefer {
        states.judge(Rule::R5, current);
    } else {
        states.cannot_tell(Rule::R5);
    }
    match path.revocation {
        Some(r) if r.at <= at => {
            states.judge(Rule::R3, false);
        }
        // It was validly signed then; both facts are kept (rule R4).
        Some(_) => {
            states.judge(Rule::R3, true);
            states.judge(Rule::R4, false);
        }
        None if current => {
            states.judge(Rule::R3, true);
            states.judge(Rule::R4, true);
        }
        None => {}
    }
}

fn judge_delegation(path: &PathFacts, states: &mut RuleStates) {
    match path.encompassed {
        None => {}
        Some(Encompassed::Unknown) => {
            states.cannot_tell(Rule::X13);
            states.judge(Rule::X13S, false);
        }
        Some(found) => {
            states.judge(Rule::X13, found == Encompassed::Yes);
        }
    }
}

fn judge_authority(leaf: &Certificate, orig: Option<&Tn>, states: &mut RuleStates) {
    let e = &leaf.extensions;
    let list = e.tn_auth_list.list();
    if list.is_none() && e.tn_auth_list_url.is_none() {
        return;
    }
    match list.and_then(|list| authority(list, orig)) {
        Some(true) => {
            states.judge(Rule::X10, true);
        }
        // What is listed elsewhere may cover it (rule X11).
        Some(false) if e.tn_auth_list_url.is_none() => {
            states.judge(Rule::X10, false);
        }
        Some(false) | None => states.cannot_tell(Rule::X10),
    }
}

/// Whether "not on the list" means "not revoked at `at`". A list made later says so too, as long as the certificates had not ended when it
/// was made: only then may an entry have been dropped (RFC 5280 §3.3).
fn speaks_for(window: CrlWindow, path: &PathFacts, at: Timestamp) -> bool {
    if at.secs() < window.this_update {
        return path.validity.to >= window.this_update;
    }
    window.next_update.is_some_and(|next| at.secs() <= next)
}

/// Whether a list speaks for a number; `None` where there is none to compare.
///
/// A service provider code vouches for all that the provider does; it need not cover the number. A delegate (RFC 9060) speaks for its
/// numbers alone.
fn authority(list: &TnAuthList, orig: Option<&Tn>) -> Option<bool> {
    Some(!list.spc.is_empty() || list.covers(orig?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stir::credential::tnauthlist::TnRange;

    #[test]
    fn x1_certificate_urls() {
        for good in [
            "https://cert.example.net/sp.pem",
            "https://cert.example.net:443/a/b.crt",
            "https://cert.example.net:8443/sp.pem",
            "HTTPS://cert.example.net/sp.pem",
            "https://[2001:db8::1]/sp.pem",
            "https://[2001:db8::1]:8443/sp.pem",
            "https://192.0.2.1/sp.pem",
            "https://cert.example.net",
        ] {
            assert!(is_certificate_url(good), "{good}");
        }
        for bad in [
            "",
            "https://",
            "https:///sp.pem",
            "http://cert.example.net/sp.pem",
            "https://cert.example.net:8080/sp.pem",
            "https://cert.example.net:0443/sp.pem",
            "https://user@cert.example.net/sp.pem",
            "https://cert.example.net/sp.pem?x=1",
            "https://cert.example.net/sp.pem#x",
            "https://cert.example.net/sp;x/y.pem",
            "https://cert.example.net/sp .pem",
            "https://cert.\u{e9}xample.net/sp.pem",
            "https://2001:db8::1/sp.pem",
            "ftp://cert.example.net/sp.pem",
        ] {
            assert!(!is_certificate_url(bad), "{bad}");
        }
        let long = format!("https://cert.example.net/{}", "a".repeat(MAX_URL));
        assert!(!is_certificate_url(&long));
    }

    #[test]
    fn x1i_hosts_that_are_addresses() {
        for address in [
            "https://192.0.2.1/sp.pem",
            "https://192.0.2.1:8443/sp.pem",
            "https://[2001:db8::1]/sp.pem",
            "https://192.0.2.1./sp.pem",
            "https://3221225985/sp.pem",
            "https://192.0.513/sp.pem",
            "https://0xc0000201",
        ] {
            assert!(has_address(address), "{address}");
        }
        for name in [
            "https://cert.example.net/192.0.2.1",
            "https://192.0.2.1.example.net/sp.pem",
            "https://cert7.example:8443/sp.pem",
            "https://cert.example.net./sp.pem",
        ] {
            assert!(!has_address(name), "{name}");
        }
    }

    #[test]
    fn x10_codes_and_numbers() {
        let tn = |t: &str| Tn::from_canonical(t.as_bytes()).unwrap();
        let spc = |s: &str| TnAuthList {
            spc: smallvec::smallvec![s.into()],
            ranges: vec![],
        };
        let run = |start: &str, count| TnAuthList {
            spc: smallvec::smallvec![],
            ranges: vec![TnRange {
                start: start.into(),
                count,
            }],
        };
        let inside = tn("12025550123");
        let ten = run("12025550120", 10);
        assert_eq!(
            authority(&spc("709J"), Some(&tn("442079460123"))),
            Some(true)
        );
        assert_eq!(authority(&spc("709J"), None), Some(true));
        assert_eq!(authority(&ten, Some(&inside)), Some(true));
        assert_eq!(authority(&ten, Some(&tn("12025550130"))), Some(false));
        assert_eq!(authority(&ten, None), None);
    }
}
