//! From a leaf to a trust anchor (RFC 5280 §6, as far as SHAKEN uses it).
//!
//! Judged here, once for each certificate: names, signatures, basicConstraints, pathLen, keyCertSign. Not judged here,
//! because it depends on the call: times and revocation. Hence every path is given, up to a few, not the first alone: of a
//! cross-certified leaf one path may have ended when a call was made and the other not.

use super::certificate::Certificate;
use super::key::SignatureCheck;

/// Longest path, leaf and anchor included. Real ones have three.
pub const MAX_DEPTH: usize = 8;

/// Most paths that are given.
const MAX_PATHS: usize = 4;

/// Most signatures checked for one leaf; a bundle of certificates that all name each other ends there. About 3 ms.
const MAX_CHECKS: usize = 64;

/// What the search came to.
#[derive(Debug)]
pub(super) struct Paths<'a> {
    /// Paths from leaf to anchor.
    pub found: Vec<Vec<&'a Certificate>>,
    /// Some certificate names an issuer that we hold, but nothing here can check its signature.
    pub unverifiable: bool,
}

/// Looks for paths from `leaf` over `extras` to `anchors`. Any anchor ends a path, whether or not it is a root (rule L4).
pub(super) fn find<'a>(
    leaf: &'a Certificate,
    extras: &'a [Certificate],
    anchors: &'a [Certificate],
) -> Paths<'a> {
    let mut search = Search {
        extras,
        anchors,
        checks: 0,
        out: Paths {
            found: Vec::new(),
            unverifiable: false,
        },
    };
    search.extend(&mut vec![leaf]);
    search.out
}

struct Search<'a> {
    extras: &'a [Certificate],
    anchors: &'a [Certificate],
    checks: usize,
    out: Paths<'a>,
}

impl<'a> Search<'a> {
    fn extend(&mut self, path: &mut Vec<&'a Certificate>) {
        let Some(&child) = path.last() else { return };
        if path.len() >= MAX_DEPTH {
            return;
        }
        // Self-issued certificates (key roll-over) don't count against pathLen.
        let below = path.iter().skip(1).filter(|c| !c.is_self_issued()).count();
        for anchor in self.anchors {
            if self.issued(anchor, child, below) && self.out.found.len() < MAX_PATHS {
                let mut whole = path.clone();
                whole.push(anchor);
                self.out.found.push(whole);
            }
        }
        for extra in self.extras {
            let new = !path.iter().any(|c| std::ptr::eq(*c, extra))
                && !self.anchors.iter().any(|a| a.digest == extra.digest);
            if new && self.issued(extra, child, below) {
                path.push(extra);
                self.extend(path);
                path.pop();
            }
        }
    }

    fn issued(&mut self, issuer: &Certificate, child: &Certificate, below: usize) -> bool {
        if issuer.subject != child.issuer || !issuer.may_issue(below) || self.checks >= MAX_CHECKS {
            return false;
        }
        self.checks += 1;
        match child.is_signed_by(issuer) {
            SignatureCheck::Good => true,
            SignatureCheck::Bad => false,
            SignatureCheck::Unsupported => {
                self.out.unverifiable = true;
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stir::credential::testpki::{self as pki, Builder, Issuer};

    fn parse(der: &[u8]) -> Certificate {
        Certificate::parse(der).unwrap()
    }

    fn depths(leaf: &Builder, extras: &[&Issuer], anchors: &[&Issuer]) -> Vec<usize> {
        let leaf = parse(&leaf.build());
        let extras: Vec<_> = extras.iter().map(|i| i.certificate()).collect();
        let anchors: Vec<_> = anchors.iter().map(|i| i.certificate()).collect();
        find(&leaf, &extras, &anchors)
            .found
            .iter()
            .map(Vec::len)
            .collect()
    }

    #[test]
    fn x4_over_an_intermediate_or_straight_to_a_listed_one() {
        let root = pki::root();
        let ca = pki::intermediate(&root, "Example Issuing CA", 3);
        let leaf = pki::leaf(&ca, "709J");
        assert_eq!(depths(&leaf, &[&ca], &[&root]), [3]);
        assert_eq!(
            depths(&leaf, &[], &[&root]),
            [0usize; 0],
            "intermediate missing"
        );
        assert_eq!(depths(&leaf, &[], &[&ca]), [2], "partial chain");
        assert_eq!(
            depths(&leaf, &[&ca], &[&ca, &root]),
            [2],
            "listed beats included"
        );
        assert_eq!(depths(&leaf, &[&root, &ca], &[&root]), [3], "included root");
        assert_eq!(depths(&leaf, &[&ca], &[&pki::other_root()]), [0usize; 0]);
    }

    #[test]
    fn x4_the_same_name_with_another_key_is_no_issuer() {
        let root = pki::root();
        let ca = pki::intermediate(&root, "Example Issuing CA", 3);
        let impostor = pki::intermediate(&root, "Example Issuing CA", 4);
        assert_eq!(
            depths(&pki::leaf(&ca, "709J"), &[&impostor], &[&root]),
            [0usize; 0]
        );
        assert_eq!(
            depths(&pki::leaf(&ca, "709J"), &[&impostor, &ca], &[&root]),
            [3]
        );
    }

    #[test]
    fn x4_issuers_need_the_ca_bit_and_key_cert_sign() {
        let root = pki::root();
        let no_ca = Issuer::new(pki::leaf(&root, "709J"), pki::key(5));
        assert_eq!(
            depths(&pki::leaf(&no_ca, "709J"), &[&no_ca], &[&root]),
            [0usize; 0]
        );
        let no_sign = pki::intermediate_with(&root, "No Sign CA", 6, |b| b.usage(0x80));
        assert_eq!(
            depths(&pki::leaf(&no_sign, "709J"), &[&no_sign], &[&root]),
            [0usize; 0]
        );
    }

    #[test]
    fn x4_path_length_counts_intermediates() {
        let root = pki::root();
        let first = pki::intermediate_with(&root, "First CA", 3, |b| b.ca(Some(0)));
        assert_eq!(depths(&pki::leaf(&first, "709J"), &[&first], &[&root]), [3]);
        let second = pki::intermediate(&first, "Second CA", 4);
        let leaf = pki::leaf(&second, "709J");
        assert_eq!(depths(&leaf, &[&first, &second], &[&root]), [0usize; 0]);
    }

    #[test]
    fn x4_depth_is_bounded_and_loops_end() {
        let root = pki::root();
        let mut chain = vec![pki::intermediate(&root, "CA 0", 20)];
        for i in 1..7u8 {
            let next = pki::intermediate(chain.last().unwrap(), &format!("CA {i}"), 20 + i);
            chain.push(next);
        }
        let extras: Vec<_> = chain.iter().collect();
        assert_eq!(
            depths(&pki::leaf(&chain[5], "709J"), &extras, &[&root]),
            [8]
        );
        assert_eq!(
            depths(&pki::leaf(&chain[6], "709J"), &extras, &[&root]),
            [0usize; 0]
        );
        // Two that certify each other.
        let a = pki::intermediate_with(&root, "A", 11, |b| b.issuer_name("B"));
        let b = pki::intermediate_with(&a, "B", 12, |b| b);
        let extras: Vec<&Issuer> = std::iter::repeat_n([&a, &b], 10).flatten().collect();
        assert_eq!(
            depths(&pki::leaf(&b, "709J"), &extras, &[&root]),
            [0usize; 0]
        );
    }

    #[test]
    fn x4_cross_certificates_give_two_paths() {
        let (one, two) = (pki::root(), pki::other_root());
        let a = pki::intermediate(&one, "Cross CA", 3);
        let b = pki::intermediate(&two, "Cross CA", 3);
        assert_eq!(
            depths(&pki::leaf(&a, "709J"), &[&a, &b], &[&one, &two]),
            [3, 3]
        );
    }

    #[test]
    fn l4_an_anchor_that_nothing_can_check_is_told() {
        let strange = pki::root_with_key(pki::Key::Unsupported);
        let leaf = parse(&pki::leaf(&strange, "709J").build());
        let anchors = [strange.certificate()];
        let paths = find(&leaf, &[], &anchors);
        assert!(paths.found.is_empty() && paths.unverifiable);
    }
}
