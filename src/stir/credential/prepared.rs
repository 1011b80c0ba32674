//! A signer's certificate with everything about it judged that does not depend on the call.
//!
//! Preparing costs two or three signatures; what is left for each call are comparisons of times and one signature. A prepared
//! credential is bound to the trust it was prepared with: new anchors or a new revocation list mean preparing again.

use std::sync::Arc;

use super::certificate::{Certificate, TnAuthListState};
use super::chain::{Link, PathFacts};
use super::extensions::ConstraintState;
use super::lint::{self, Lint};
use super::{TrustStore, path, pem};
use crate::base::Timestamp;
use crate::base::digest::Digest128;
use crate::stir::verify::Rule;
use crate::stir::verify::states::RuleStates;

/// Policies of SHAKEN: `2.16.840.1.114569.1.1.x`, x being the version of the certificate policy.
const SHAKEN_POLICIES: &str = "2.16.840.1.114569.1.1.";

/// What was found at one certificate URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Rules that don't depend on the call: X3, X3D, X4, X5, X6, X7, X8, X9, X11, X12, X15.
    pub(in crate::stir) states: RuleStates,
    /// Why the bundle can't be read, where it can't.
    pub(in crate::stir) fault: Option<&'static str>,
    pub(in crate::stir) leaf: Option<Box<Certificate>>,
    pub(in crate::stir) paths: Vec<PathFacts>,
    /// The last second for which the list of authorities is to be relied on, where that is asked for (rule L3).
    pub(in crate::stir) trust_ends: Option<i64>,
    lints: Vec<Lint>,
    digest: Digest128,
    source: Arc<[u8]>,
}

impl Credential {
    /// Judges what came from a certificate URL: a PEM bundle, leaf first, or the DER of a single certificate.
    ///
    /// Always gives a credential: what is wrong with it is among its rules and will be said of each call that relies on it.
    pub fn prepare(bytes: &[u8], trust: &TrustStore) -> Self {
        // One octet more than may be shows just as well that it is too long.
        let kept = bytes.get(..=pem::MAX_BUNDLE).unwrap_or(bytes);
        Self::prepare_shared(kept.into(), trust)
    }

    /// Judges the same octets by other trust: new anchors, a new revocation list.
    pub fn prepare_again(&self, trust: &TrustStore) -> Self {
        Self::prepare_shared(Arc::clone(&self.source), trust)
    }

    /// [`prepare`](Self::prepare) without a copy of the octets.
    pub fn prepare_shared(source: Arc<[u8]>, trust: &TrustStore) -> Self {
        let mut out = Self {
            states: RuleStates::default(),
            fault: None,
            leaf: None,
            paths: Vec::new(),
            trust_ends: trust.ends,
            lints: Vec::new(),
            digest: Digest128::of(&source),
            source,
        };
        match read_bundle(&out.source) {
            Ok(bundle) => {
                out.states.judge(Rule::X3, true);
                out.states.judge(Rule::X3D, bundle.is_pem);
                out.judge_leaf(&bundle.leaf);
                out.judge_paths(&bundle.leaf, &bundle.extras, trust);
                out.leaf = Some(Box::new(bundle.leaf));
            }
            Err(why) => {
                out.states.judge(Rule::X3, false);
                out.fault = Some(why);
            }
        }
        out
    }

    /// First service provider code of the leaf.
    pub fn spc(&self) -> Option<&str> {
        let list = self.leaf.as_ref()?.extensions.tn_auth_list.list()?;
        list.spc.first().map(AsRef::as_ref)
    }

    /// Why nothing can be read of it (rule X3), where that is so.
    pub fn fault(&self) -> Option<&'static str> {
        self.fault
    }

    /// Leaf certificate, where it can be read.
    pub fn leaf(&self) -> Option<&Certificate> {
        self.leaf.as_deref()
    }

    /// Whether it has a path to an anchor, times and revocation apart (rule X4).
    pub fn is_trusted(&self) -> bool {
        self.states.passed.contains(Rule::X4)
    }

    /// Names what it was prepared from: SHA-256 of the octets.
    pub fn digest(&self) -> Digest128 {
        self.digest
    }

    /// The octets that it was prepared from, for whoever keeps chains to judge a call again. Of a bundle that is too long, the beginning.
    pub fn source(&self) -> &Arc<[u8]> {
        &self.source
    }

    /// What is odd about the leaf and fails nothing (rule X15).
    pub fn lints(&self) -> &[Lint] {
        &self.lints
    }

    /// The certificates of the path that a call of that time would be judged by, leaf first; none where there is no path.
    pub fn chain_at(&self, iat: Option<i64>, at: Timestamp) -> &[Link] {
        let path = self.paths.iter().min_by_key(|p| p.rank(iat, at));
        path.map_or(&[], |p| &p.links)
    }

    /// The last second in which the leaf is valid; when to drop it from a cache.
    pub fn ends(&self) -> Option<i64> {
        self.leaf.as_ref().map(|l| l.validity.to)
    }

    /// How many paths lead to an authority, whenever they are valid.
    pub fn path_count(&self) -> usize {
        self.paths.len()
    }

    /// Uncompressed P-256 point, where the leaf has one.
    pub(in crate::stir) fn key(&self) -> Option<&[u8]> {
        self.leaf.as_ref()?.key.p256()
    }

    fn judge_leaf(&mut self, leaf: &Certificate) {
        let states = &mut self.states;
        let e = &leaf.extensions;
        states.judge(Rule::X5, leaf.key.p256().is_some());
        states.judge(
            Rule::X7,
            e.policies.iter().any(|p| p.starts_with(SHAKEN_POLICIES)),
        );
        states.judge(Rule::X8, e.usage.is_none_or(|u| u.digital_signature));
        let elsewhere = e.tn_auth_list_url.is_some();
        match &e.tn_auth_list {
            // Its list is published, and we don't ask for it: neither there nor missing.
            TnAuthListState::Absent if elsewhere => {}
            state => {
                states.judge(Rule::X9, matches!(state, TnAuthListState::Read(_)));
            }
        }
        if elsewhere || e.tn_auth_list.list().is_some() {
            states.judge(Rule::X11, !elsewhere);
        }
        let first_spc = e.tn_auth_list.list().and_then(|l| l.spc.first());
        if let Some(spc) = first_spc {
            let named = leaf
                .common_name
                .as_deref()
                .is_some_and(|cn| cn.split_ascii_whitespace().any(|w| w == &**spc));
            states.judge(Rule::X12, named);
        }
    }

    fn judge_paths(&mut self, leaf: &Certificate, extras: &[Certificate], trust: &TrustStore) {
        let paths = path::find(leaf, extras, &trust.anchors);
        self.paths = paths
            .found
            .iter()
            .map(|p| PathFacts::of(p, trust))
            .collect();
        if self.paths.is_empty() && paths.unverifiable {
            self.states.cannot_tell(Rule::X4);
        } else {
            self.states.judge(Rule::X4, !self.paths.is_empty());
        }
        let issuers = paths.found.first().and_then(|p| p.get(1..));
        self.lints = lint::of(leaf, issuers.unwrap_or_default());
        self.states.judge(Rule::X15, self.lints.is_empty());
        // Without a path, the leaf's own extensions still count.
        let unknown = |p: &PathFacts| p.unknown_critical.is_some();
        let clean = match self.paths[..] {
            [] => leaf.extensions.unknown_critical.is_none(),
            _ => !self.paths.iter().all(unknown),
        };
        self.states.judge(Rule::X6, clean);
        if clean {
            self.paths.retain(|p| !unknown(p));
        }
        if self.paths.is_empty()
            && let ConstraintState::Malformed(_) = leaf.extensions.constraints
        {
            self.states.judge(Rule::X14C, false);
        }
    }
}

/// Whether a bundle can be read at all (rule X3): what whoever fetches asks before it takes one in the place of another.
///
/// # Errors
///
/// Why not.
pub fn readable(bytes: &[u8]) -> Result<(), &'static str> {
    read_bundle(bytes).map(drop)
}

/// What a certificate URL gave.
struct Bundle {
    leaf: Certificate,
    extras: Vec<Certificate>,
    is_pem: bool,
}

fn read_bundle(bytes: &[u8]) -> Result<Bundle, &'static str> {
    if bytes.len() > pem::MAX_BUNDLE {
        return Err("larger than 64 KiB");
    }
    // Some servers send DER where PEM is meant.
    if bytes.first() == Some(&super::der::SEQUENCE) {
        let leaf = Certificate::parse(bytes).map_err(|e| e.0)?;
        return Ok(Bundle {
            leaf,
            extras: Vec::new(),
            is_pem: false,
        });
    }
    let mut blocks = pem::certificates(bytes);
    let mut next = || -> Result<Option<Certificate>, &'static str> {
        match blocks.next() {
            None => Ok(None),
            Some(None) => Err("a PEM block that is not base64 or not closed"),
            Some(Some(der)) => Certificate::parse(&der).map(Some).map_err(|e| e.0),
        }
    };
    let leaf = next()?.ok_or("no certificate in it")?;
    let mut extras = Vec::new();
    while let Some(cert) = next()? {
        if extras.len() + 1 >= path::MAX_DEPTH {
            return Err("more than eight certificates");
        }
        extras.push(cert);
    }
    Ok(Bundle {
        leaf,
        extras,
        is_pem: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stir::credential::certificate::Validity;
    use crate::stir::credential::testpki::{self as pki, Builder, Issuer};
    use crate::stir::verify::states::State;

    fn trust() -> TrustStore {
        TrustStore::new(vec![pki::root().certificate()], None)
    }

    fn prepare(leaf: &Builder) -> Credential {
        Credential::prepare(&pki::pem(&[&leaf.build()]), &trust())
    }

    fn good() -> Builder {
        pki::leaf(&pki::root(), "709J")
    }

    fn state(leaf: &Builder, rule: Rule) -> State {
        prepare(leaf).states.of(rule)
    }

    #[test]
    fn a_good_leaf_passes_everything() {
        let c = prepare(&good());
        assert!(c.states.failed.is_empty() && c.states.findings.is_empty());
        assert!(c.states.undetermined.is_empty());
        for rule in [
            Rule::X3,
            Rule::X3D,
            Rule::X4,
            Rule::X5,
            Rule::X6,
            Rule::X7,
            Rule::X8,
            Rule::X9,
            Rule::X11,
            Rule::X12,
            Rule::X15,
        ] {
            assert_eq!(c.states.of(rule), State::Passed, "{rule}");
        }
        assert_eq!(c.spc(), Some("709J"));
        assert_eq!(c.ends(), Some(pki::TO));
    }

    #[test]
    fn x3_bundles() {
        let ca = pki::intermediate(&pki::root(), "Example Issuing CA", 3);
        let leaf = pki::leaf(&ca, "709J").build();
        let of = |bytes: &[u8]| Credential::prepare(bytes, &trust()).states;
        let whole = pki::pem(&[&leaf, &ca.der, &pki::root().der]);
        assert!(of(&whole).failed.is_empty());
        let der = of(&good().build());
        assert_eq!(der.of(Rule::X3), State::Passed, "lone DER");
        assert_eq!(der.of(Rule::X3D), State::Finding);
        assert_eq!(of(&whole).of(Rule::X3D), State::Passed);
        let wrong_order = of(&pki::pem(&[&ca.der, &leaf]));
        assert!(
            wrong_order.failed.contains(Rule::X9),
            "leaf must come first"
        );
        let nine = vec![&leaf[..]; 9];
        let mut long = whole.clone();
        long.resize(pki::pem(&[]).len() + 65 * 1024, b'\n');
        for bad in [
            &b""[..],
            b"<html>404</html>",
            b"0",
            &pki::pem(&[&leaf, b"0123"]),
            &pki::pem(&nine),
            &long,
        ] {
            let states = of(bad);
            assert_eq!(states.of(Rule::X3), State::Failed);
            assert_eq!(states.of(Rule::X4), State::NotJudged);
        }
        assert_eq!(of(&pki::pem(&nine[1..])).of(Rule::X3), State::Passed);
    }

    #[test]
    fn x4_self_signed_and_strangers_are_untrusted_and_the_odd_key_is_undetermined() {
        let own = Issuer::new(good(), pki::leaf_key());
        let self_signed = Builder::issuer_name(own.builder.clone(), "SHAKEN 709J");
        assert_eq!(state(&self_signed, Rule::X4), State::Failed);
        assert_eq!(
            state(&pki::leaf(&pki::other_root(), "709J"), Rule::X4),
            State::Failed
        );
        let odd = pki::root_with_key(pki::Key::Unsupported);
        let trust = TrustStore::new(vec![odd.certificate()], None);
        let leaf = pki::pem(&[&pki::leaf(&odd, "709J").build()]);
        let c = Credential::prepare(&leaf, &trust);
        assert_eq!(c.states.of(Rule::X4), State::Undetermined);
    }

    #[test]
    fn x5_authorities_may_have_p384_p521_or_rsa_keys_and_leaves_may_not() {
        for key in [pki::Key::P384, pki::Key::P521, pki::Key::Rsa] {
            let root = pki::root_with_key(key);
            let trust = TrustStore::new(vec![root.certificate()], None);
            let leaf = pki::pem(&[&pki::leaf(&root, "709J").build()]);
            let c = Credential::prepare(&leaf, &trust);
            assert_eq!(c.states.of(Rule::X4), State::Passed);
            assert_eq!(c.states.of(Rule::X5), State::Passed);
            assert!(c.lints().contains(&Lint::UnusualAuthorityKey));
        }
        for key in [pki::Key::P384, pki::Key::P521, pki::Key::Rsa] {
            let odd = Issuer::new(good(), key).builder;
            assert_eq!(state(&odd, Rule::X5), State::Failed);
            assert!(prepare(&odd).key().is_none());
        }
    }

    #[test]
    fn x6_critical_policies_are_known_and_others_are_not() {
        let critical = good().policy(pki::SHAKEN_POLICY, true);
        assert_eq!(state(&critical, Rule::X6), State::Passed);
        let unknown = good().extension("1.2.3.4", true, &[5, 0]);
        assert_eq!(state(&unknown, Rule::X6), State::Failed);
        assert_eq!(
            state(&good().extension("1.2.3.4", false, &[5, 0]), Rule::X6),
            State::Passed
        );
        let ca = pki::intermediate_with(&pki::root(), "Odd CA", 3, |b| {
            b.extension("2.5.29.30", true, &[0x30, 0])
        });
        let bundle = pki::pem(&[&pki::leaf(&ca, "709J").build(), &ca.der]);
        let c = Credential::prepare(&bundle, &trust());
        assert_eq!(c.states.of(Rule::X6), State::Failed, "nameConstraints");
        assert_eq!(c.states.of(Rule::X4), State::Passed);
    }

    #[test]
    fn x7_x12_are_findings() {
        assert_eq!(
            state(&good().policy("1.2.3", false), Rule::X7),
            State::Finding
        );
        assert_eq!(
            state(&good().without("2.5.29.32"), Rule::X7),
            State::Finding
        );
        let other = good().subject_name(pki::name(&[("CN", "SHAKEN 710J")]));
        assert_eq!(state(&other, Rule::X12), State::Finding);
        assert_eq!(
            state(&good().subject_name(pki::name(&[("O", "x")])), Rule::X12),
            State::Finding
        );
    }

    #[test]
    fn x8_usage_allows_signatures_or_is_absent_and_no_extended_usage_is_asked_for() {
        assert_eq!(state(&good().usage(0x04), Rule::X8), State::Failed);
        assert_eq!(state(&good().without("2.5.29.15"), Rule::X8), State::Passed);
        let server = pki::seq(&[pki::oid("1.3.6.1.5.5.7.3.1")]);
        let c = prepare(&good().extension("2.5.29.37", false, &server));
        assert!(c.states.failed.is_empty());
    }

    #[test]
    fn x9_absent_malformed_and_version_1() {
        assert_eq!(
            state(&good().without(pki::TN_AUTH_LIST), Rule::X9),
            State::Failed
        );
        let malformed = good().tn_auth_list(b"\x30\x06\x13\x04755J");
        assert_eq!(state(&malformed, Rule::X9), State::Failed);
        assert_eq!(state(&malformed, Rule::X12), State::NotJudged);
        assert_eq!(state(&good().version_1(), Rule::X9), State::Failed);
    }

    #[test]
    fn a_credential_keeps_its_source_and_is_judged_again_by_other_trust() {
        let bundle = pki::pem(&[&good().build()]);
        let c = Credential::prepare(&bundle, &trust());
        assert_eq!(c.source()[..], bundle);
        assert_eq!(c.prepare_again(&trust()), c);
        let strangers = TrustStore::new(vec![pki::other_root().certificate()], None);
        let again = c.prepare_again(&strangers);
        assert_eq!(again.states.of(Rule::X4), State::Failed);
        assert_eq!((again.digest(), again.source()), (c.digest(), c.source()));
        let mut all = crate::stir::credential::Credentials::default();
        all.insert("https://cert.example.net/sp.pem", Arc::new(c));
        let all = all.prepare_again(&strangers);
        let found = all.get("https://cert.example.net/sp.pem").unwrap();
        assert_eq!(**found, again);
    }

    #[test]
    fn x3_of_a_bundle_that_is_too_long_no_more_is_kept_than_shows_it() {
        let long = vec![b'x'; 10 * pem::MAX_BUNDLE];
        let c = Credential::prepare(&long, &trust());
        assert_eq!(c.source().len(), pem::MAX_BUNDLE + 1);
        assert_eq!(c.fault(), Some("larger than 64 KiB"));
        assert_eq!(c.prepare_again(&trust()), c);
        assert!(readable(&long).is_err() && readable(&pki::pem(&[&good().build()])).is_ok());
    }

    #[test]
    fn times_of_all_certificates_of_a_path_are_put_together() {
        let ca = pki::intermediate_with(&pki::root(), "Short CA", 3, |b| {
            b.valid(pki::FROM + 100, pki::TO - 100)
        });
        let bundle = pki::pem(&[
            &pki::leaf(&ca, "709J")
                .valid(pki::FROM + 50, pki::TO)
                .build(),
            &ca.der,
        ]);
        let c = Credential::prepare(&bundle, &trust());
        assert_eq!(
            c.paths[0].validity,
            Validity {
                from: pki::FROM + 100,
                to: pki::TO - 100
            }
        );
    }
}
