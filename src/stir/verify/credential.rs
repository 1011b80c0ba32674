//! Families credential, trust and revoked: rules X1 to X12, R3 and R5. What does not depend on the call was judged when the
//! certificate was loaded; here are the URL, the times and the authority over the calling number.

use memchr::{memchr, memrchr};

use super::states::RuleStates;
use super::{HeaderVerdict, Rule};
use crate::base::Timestamp;
use crate::number::Tn;
use crate::stir::credential::crl::CrlWindow;
use crate::stir::credential::prepared::PathFacts;
use crate::stir::credential::{Credential, Credentials, TnAuthList};

/// Longest certificate URL. The longest of 17,839 real ones has 106 characters.
pub const MAX_URL: usize = 2048;

/// The URL whose certificate would decide a header: it is not at hand, and nothing else is wrong. Whoever fetches asks this, so that a
/// flood of stale or garbled tokens causes no requests. Of a `div-o` it may be that of the PASSporT inside.
pub fn missing_certificate(header: &HeaderVerdict) -> Option<&str> {
    if !header.failed.is_empty() {
        None
    } else if header.undetermined.contains(Rule::X2) {
        header.x5u.as_deref()
    } else {
        missing_certificate(header.original.as_deref()?)
    }
}

/// Judges the URL and looks its credential up.
pub(super) fn find<'a>(
    x5u: Option<&str>,
    credentials: &'a Credentials,
    states: &mut RuleStates,
) -> Option<&'a Credential> {
    let url = x5u?;
    states.judge(Rule::X1, is_certificate_url(url));
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

/// Judges what depends on the call: times at `iat` and at capture, revocation, authority.
pub(super) fn judge(
    credential: &Credential,
    orig: Option<&Tn>,
    iat: Option<i64>,
    at: Timestamp,
    states: &mut RuleStates,
) {
    states.add(&credential.states);
    let in_time =
        |p: &&PathFacts| p.validity.holds(at.secs()) && iat.is_none_or(|iat| p.validity.holds(iat));
    let not_revoked = |p: &&PathFacts| p.revocation.is_none_or(|r| r.at > at);
    let paths = || credential.paths.iter();
    // Any path that holds will do; where none does, the first in time says what is wrong.
    let path = paths()
        .find(|p| in_time(p) && not_revoked(p))
        .or_else(|| paths().find(in_time))
        .or_else(|| paths().next());
    if let Some(path) = path {
        states.judge(Rule::X4E, in_time(&path));
        judge_revocation(path, credential.crl, at, states);
    }
    if let Some(leaf) = credential.leaf()
        && let Some(list) = leaf.extensions.tn_auth_list.list()
    {
        let parents = path.map_or(&[][..], |p| &p.parents);
        let constrained = leaf.extensions.claim_constraints;
        match authority(list, parents, orig, constrained) {
            Some(authorised) => {
                states.judge(Rule::X10, authorised);
            }
            None => states.cannot_tell(Rule::X10),
        }
    }
}

fn judge_revocation(
    path: &PathFacts,
    crl: Option<CrlWindow>,
    at: Timestamp,
    states: &mut RuleStates,
) {
    let current = crl.is_some_and(|w| speaks_for(w, path, at));
    states.judge(Rule::R5, current);
    if path.revocation.is_some_and(|r| r.at <= at) {
        states.judge(Rule::R3, false);
    } else if current {
        states.judge(Rule::R3, true);
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

/// Whether a certificate may sign for a number; `None` where that can't be computed.
///
/// A service provider code vouches for all that the provider does; it need not cover the number. A delegate (RFC 9060) speaks for its numbers,
/// inside those of its issuers; numbers that an issuer holds by its code are not listed anywhere that we could look. Claim
/// constraints (RFC 8226 §8, RFC 9118) are not evaluated.
fn authority(
    list: &TnAuthList,
    parents: &[TnAuthList],
    orig: Option<&Tn>,
    constrained: bool,
) -> Option<bool> {
    let own = !list.spc.is_empty() || list.covers(orig?);
    if !own {
        return Some(false);
    }
    for parent in parents {
        let inside = list.spc.iter().any(|s| parent.spc.contains(s))
            || orig.is_some_and(|tn| parent.covers(tn));
        if inside {
            continue;
        }
        // An issuer's own code may stand for numbers, never for another code.
        return if list.spc.is_empty() && !parent.spc.is_empty() {
            None
        } else {
            Some(false)
        };
    }
    (!constrained).then_some(true)
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
    fn x10_codes_numbers_and_delegates() {
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
        let check = |l: &TnAuthList, p: &[TnAuthList], tn: Option<&Tn>| authority(l, p, tn, false);
        assert_eq!(
            check(&spc("709J"), &[], Some(&tn("442079460123"))),
            Some(true)
        );
        assert_eq!(check(&spc("709J"), &[], None), Some(true));
        assert_eq!(check(&ten, &[], Some(&inside)), Some(true));
        assert_eq!(check(&ten, &[], Some(&tn("12025550130"))), Some(false));
        assert_eq!(check(&ten, &[], None), None);
        let wide = run("12025550000", 1000);
        assert_eq!(check(&ten, &[wide], Some(&inside)), Some(true));
        let other = run("12025550125", 5);
        assert_eq!(check(&ten, &[other], Some(&inside)), Some(false));
        assert_eq!(check(&ten, &[spc("709J")], Some(&inside)), None);
        assert_eq!(
            check(&spc("709J"), &[spc("709J")], Some(&inside)),
            Some(true)
        );
        assert_eq!(
            check(&spc("709J"), &[spc("710J")], Some(&inside)),
            Some(false)
        );
        assert_eq!(authority(&spc("709J"), &[], Some(&inside), true), None);
    }
}
