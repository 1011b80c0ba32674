//! The national revocation list: one indirect CRL of the STI-PA for the certificates of all authorities (RFC 5280 §5,
//! ATIS-1000080).
//!
//! In comes DER and its signer's certificates; out comes who was revoked and when. Refused: a list whose signer has no path to the
//! STI-PA root or may not sign lists, one that is not indirect (it would speak for a single authority), a delta, a partial
//! scope, and any critical extension that we don't know, because then nothing may be concluded from the list.

use std::collections::HashMap;

use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::{CertificateRevocationList, RevokedCertificate};

use super::certificate::Certificate;
use super::key::{self, SignatureAlgorithm, SignatureCheck};
use super::name::CanonicalName;
use super::{SignerFault, der, signer};
use crate::base::Timestamp;
use crate::base::digest::Digest128;

/// Largest list that is looked at. The national one stays far below; verifiers in the field use the same cap.
pub const MAX_CRL: usize = 2 * 1024 * 1024;

/// Reason codes (RFC 5280 §5.3.1).
const CERTIFICATE_HOLD: u8 = 6;
const REMOVE_FROM_CRL: u8 = 8;

/// Most URLs of a list that are kept.
const MAX_URLS: usize = 8;

/// A revocation list whose signature and signer were verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crl {
    this_update: i64,
    next_update: Option<i64>,
    number: Box<[u8]>,
    issuer: CanonicalName,
    urls: Vec<Box<str>>,
    digest: Digest128,
    revoked: Revoked,
}

/// By issuer, then by serial number as an integer.
type Revoked = HashMap<CanonicalName, HashMap<Box<[u8]>, Revocation>>;

/// One revocation. A call signed before `at` was validly signed then (rule R4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// revocationDate.
    pub at: Timestamp,
    /// reasonCode; 0 where none is given. 6 is a hold.
    pub reason: u8,
    /// invalidityDate: since when the key is believed to be in wrong hands.
    pub invalid_since: Option<Timestamp>,
}

impl Revocation {
    /// Whether it may be taken back.
    pub fn is_hold(&self) -> bool {
        self.reason == CERTIFICATE_HOLD
    }
}

/// When a list was made and when the next one is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrlWindow {
    /// thisUpdate, seconds since 1970.
    pub this_update: i64,
    /// nextUpdate; `None` makes the list stale at once.
    pub next_update: Option<i64>,
}

/// Why a list is not used. The last good one stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CrlError {
    /// Larger than [`MAX_CRL`].
    #[error("the revocation list is larger than {MAX_CRL} octets")]
    TooLarge,
    /// Not DER, or something in it is not.
    #[error("the revocation list can't be read: {0}")]
    Malformed(&'static str),
    /// Not indirect, delta, or of partial scope.
    #[error("the revocation list does not speak for all authorities: {0}")]
    Scope(&'static str),
    /// A critical extension that we don't know, dotted.
    #[error("the revocation list has the unknown critical extension {0}")]
    UnknownCritical(String),
    /// The signer.
    #[error("the revocation list's signer: {0}")]
    Signer(#[from] SignerFault),
    /// The signature.
    #[error("the revocation list's signature is wrong")]
    Signature,
}

impl Crl {
    /// Reads and verifies a list. `signer_pem` holds the certificate of its issuer, further ones up to the root may follow.
    ///
    /// The signer must have been valid when it made the list (thisUpdate): a list of last year judges the calls of last year. Whether it
    /// is current is not asked here but for each call, by [`Crl::window`].
    ///
    /// # Errors
    ///
    /// [`CrlError`].
    pub fn verify(
        bytes: &[u8],
        signer_pem: &[u8],
        sti_pa_root_pem: &[u8],
    ) -> Result<Self, CrlError> {
        if bytes.len() > MAX_CRL {
            return Err(CrlError::TooLarge);
        }
        let (rest, list) = CertificateRevocationList::from_der(bytes)
            .map_err(|_| CrlError::Malformed("not the DER of a CRL"))?;
        if !rest.is_empty() {
            return Err(CrlError::Malformed("octets behind it"));
        }
        let issuer = CanonicalName::parse(list.issuer().as_raw())
            .ok_or(CrlError::Malformed("the name of its issuer"))?;
        let this_update = list.last_update().timestamp();
        let signer = signer::verify_at(signer_pem, sti_pa_root_pem, this_update)?;
        check_signature(&list, &signer, &issuer)?;
        let Extensions { number, urls } = check_extensions(&list)?;
        Ok(Self {
            this_update,
            next_update: list.next_update().map(|t| t.timestamp()),
            number,
            urls,
            digest: Digest128::of(bytes),
            revoked: entries(&list, issuer.clone())?,
            issuer,
        })
    }

    /// The revocation of a certificate, if it stands on the list.
    pub fn revocation(&self, cert: &Certificate) -> Option<Revocation> {
        self.revoked.get(&cert.issuer)?.get(&cert.serial).copied()
    }

    /// Whether a certificate's own words say that its revocation would stand on this list (rule R2): a distribution point with the URL of
    /// the list or one of its aliases, or with its issuer as the signer. A list that does not say where it is published speaks for
    /// all that name no other signer (RFC 5280 §6.3.3).
    pub fn speaks_for(&self, cert: &Certificate, aliases: &[Box<str>]) -> bool {
        cert.extensions.revocation_points.iter().any(|point| {
            let mut urls = point.urls.iter();
            point.issuers.contains(&self.issuer)
                || urls.any(|url| self.urls.contains(url) || aliases.contains(url))
                || self.urls.is_empty() && point.issuers.is_empty()
        })
    }

    /// Where it says that it is published.
    pub fn urls(&self) -> &[Box<str>] {
        &self.urls
    }

    /// Who signed it.
    pub fn issuer(&self) -> &CanonicalName {
        &self.issuer
    }

    /// Names its octets.
    pub fn digest(&self) -> Digest128 {
        self.digest
    }

    /// When it was made and when the next one is due.
    pub fn window(&self) -> CrlWindow {
        CrlWindow {
            this_update: self.this_update,
            next_update: self.next_update,
        }
    }

    /// Its running number, big-endian without leading zeros; empty where it has none. It never goes back:
    /// [`ListHistory`](super::ListHistory) holds that.
    pub fn number(&self) -> &[u8] {
        &self.number
    }

    /// How many certificates it revokes.
    pub fn len(&self) -> usize {
        self.revoked.values().map(HashMap::len).sum()
    }

    /// Whether it revokes none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn check_signature(
    list: &CertificateRevocationList<'_>,
    signer: &Certificate,
    issuer: &CanonicalName,
) -> Result<(), CrlError> {
    if signer.subject != *issuer {
        return Err(SignerFault::OtherName.into());
    }
    if !signer.extensions.usage.is_some_and(|u| u.crl_sign) {
        return Err(SignerFault::Usage.into());
    }
    let signed = der::signed(list.as_raw()).ok_or(CrlError::Malformed(der::NOT_SIGNED))?;
    let good = key::check(
        &signer.key,
        SignatureAlgorithm::read(&list.signature_algorithm),
        signed.tbs,
        signed.signature,
    );
    match good {
        SignatureCheck::Good => Ok(()),
        SignatureCheck::Bad | SignatureCheck::Unsupported => Err(CrlError::Signature),
    }
}

/// What the list's extensions say beside what they must.
struct Extensions {
    number: Box<[u8]>,
    urls: Vec<Box<str>>,
}

/// Checks scope and critical extensions.
fn check_extensions(list: &CertificateRevocationList<'_>) -> Result<Extensions, CrlError> {
    let mut number = Box::default();
    let mut urls = Vec::new();
    let mut indirect = false;
    if list.tbs_cert_list.extensions_map().is_err() {
        return Err(CrlError::Malformed("an extension stands twice"));
    }
    for ext in list.extensions() {
        match ext.oid.to_id_string().as_str() {
            "2.5.29.20" => {
                let n = der::whole(ext.value, der::INTEGER)
                    .ok_or(CrlError::Malformed("its running number"))?;
                number = der::magnitude(n).into();
            }
            "2.5.29.28" => {
                urls = check_distribution_point(ext.value)?;
                if !ext.critical {
                    return Err(CrlError::Scope("issuingDistributionPoint is not critical"));
                }
                indirect = true;
            }
            "2.5.29.27" => return Err(CrlError::Scope("it is a delta")),
            // authorityKeyIdentifier and issuerAltName restrict nothing.
            "2.5.29.35" | "2.5.29.18" => {}
            other if ext.critical => return Err(CrlError::UnknownCritical(other.to_owned())),
            _ => {}
        }
    }
    if !indirect {
        return Err(CrlError::Scope("no issuingDistributionPoint"));
    }
    Ok(Extensions { number, urls })
}

/// `IssuingDistributionPoint` (RFC 5280 §5.2.5): indirect, and nothing that narrows it. Gives its URLs.
fn check_distribution_point(value: &[u8]) -> Result<Vec<Box<str>>, CrlError> {
    const UNREADABLE: CrlError = CrlError::Malformed("issuingDistributionPoint");
    let mut parts = der::whole(value, der::SEQUENCE).ok_or(UNREADABLE)?;
    let mut indirect = false;
    let mut found = Vec::new();
    while !parts.is_empty() {
        match der::take(&mut parts).ok_or(UNREADABLE)? {
            // Where it is published.
            (0xa0, name) => found = urls(name).ok_or(UNREADABLE)?,
            (0x84, [0xff]) => indirect = true,
            // An explicit FALSE is not DER, and says nothing.
            (0x81 | 0x82 | 0x84 | 0x85, [0]) => {}
            (0x81 | 0x82 | 0x83 | 0x85, _) => {
                return Err(CrlError::Scope("issuingDistributionPoint narrows it"));
            }
            _ => return Err(UNREADABLE),
        }
    }
    indirect
        .then_some(found)
        .ok_or(CrlError::Scope("it is not indirect"))
}

/// The URLs of a `DistributionPointName`; none where it is relative to its issuer.
fn urls(mut name: &[u8]) -> Option<Vec<Box<str>>> {
    /// `uniformResourceIdentifier` among `GeneralNames`.
    const URI: u8 = 0x86;
    let (tag, mut names) = der::take(&mut name)?;
    let mut out = Vec::new();
    while tag == der::explicit(0) && !names.is_empty() && out.len() < MAX_URLS {
        let (tag, text) = der::take(&mut names)?;
        if tag == URI {
            out.push(std::str::from_utf8(text).ok()?.into());
        }
    }
    Some(out)
}

/// Reads the entries. The issuer of an entry is that of the last `certificateIssuer` at or before it, and the list's own
/// before the first (RFC 5280 §5.3.3).
fn entries(list: &CertificateRevocationList<'_>, own: CanonicalName) -> Result<Revoked, CrlError> {
    let mut out = Revoked::new();
    let mut issuer = own;
    for entry in list.iter_revoked_certificates() {
        let (named, revocation) = read_entry(entry)?;
        if let Some(named) = named {
            issuer = named;
        }
        let serials = out.entry(issuer.clone()).or_default();
        let serial = der::magnitude(entry.raw_serial());
        if revocation.reason == REMOVE_FROM_CRL {
            // It takes back a hold that the same list still names, and nothing else (RFC 5280 §5.3.1).
            if serials.get(serial).is_some_and(Revocation::is_hold) {
                serials.remove(serial);
            }
            continue;
        }
        let first = serials.entry(serial.into()).or_insert(revocation);
        // Listed twice: the earlier date counts.
        if revocation.at < first.at {
            *first = revocation;
        }
    }
    Ok(out)
}

fn read_entry(
    entry: &RevokedCertificate<'_>,
) -> Result<(Option<CanonicalName>, Revocation), CrlError> {
    let mut issuer = None;
    let mut out = Revocation {
        at: Timestamp::from_secs(entry.revocation_date.timestamp()),
        reason: 0,
        invalid_since: entry
            .invalidity_date()
            .map(|(_, t)| Timestamp::from_secs(t.timestamp())),
    };
    for ext in entry.extensions() {
        match ext.oid.to_id_string().as_str() {
            "2.5.29.29" => {
                let name = directory_name(ext.value).ok_or(CrlError::Malformed(
                    "a certificateIssuer without directory name",
                ))?;
                issuer = Some(name);
            }
            "2.5.29.21" => match der::whole(ext.value, der::ENUMERATED) {
                Some([reason]) => out.reason = *reason,
                _ => return Err(CrlError::Malformed("a reason code")),
            },
            // invalidityDate
            "2.5.29.24" => {}
            other if ext.critical => return Err(CrlError::UnknownCritical(other.to_owned())),
            _ => {}
        }
    }
    Ok((issuer, out))
}

/// The directory name among `GeneralNames`.
fn directory_name(value: &[u8]) -> Option<CanonicalName> {
    let mut names = der::whole(value, der::SEQUENCE)?;
    while !names.is_empty() {
        let (tag, inner) = der::take(&mut names)?;
        if tag == der::explicit(4) {
            return CanonicalName::parse(inner);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stir::credential::testpki::{self as pki, CrlBuilder, Issuer};
    use proptest::prelude::*;

    const THEN: i64 = pki::NOW - 7200;

    fn crl_signer() -> Issuer {
        pki::list_signer(41, 0x02)
    }

    fn verify(list: &CrlBuilder) -> Result<Crl, CrlError> {
        verify_by(list, &crl_signer())
    }

    fn verify_by(list: &CrlBuilder, signer: &Issuer) -> Result<Crl, CrlError> {
        Crl::verify(
            &list.build(signer),
            &pki::pem(&[&signer.der]),
            &pki::pem(&[&pki::sti_pa_root().der]),
        )
    }

    fn leaf_with_serial(issuer: &Issuer, serial: &[u8]) -> Certificate {
        Certificate::parse(&pki::leaf(issuer, "709J").serial(serial).build()).unwrap()
    }

    #[test]
    fn r3_certificate_issuer_is_sticky_and_before_the_first_it_is_the_lists_own() {
        let (one, two) = (pki::root(), pki::other_root());
        let crl = verify(&CrlBuilder::new(vec![
            (vec![1], THEN, vec![]),
            (vec![2], THEN, vec![pki::certificate_issuer(&one.name())]),
            (vec![3], THEN, vec![]),
            (vec![4], THEN, vec![pki::certificate_issuer(&two.name())]),
            (vec![5], THEN, vec![]),
        ]))
        .unwrap();
        let own = crl_signer();
        for (issuer, serials) in [
            (&own, [1]),
            (&one, [2]),
            (&one, [3]),
            (&two, [4]),
            (&two, [5]),
        ] {
            for n in 1..=5 {
                let revoked = crl.revocation(&leaf_with_serial(issuer, &[n])).is_some();
                let same_issuer = crl.revocation(&leaf_with_serial(issuer, &serials));
                assert!(same_issuer.is_some());
                if n == serials[0] {
                    assert!(revoked);
                }
            }
        }
        assert!(crl.revocation(&leaf_with_serial(&two, &[2])).is_none());
        assert!(crl.revocation(&leaf_with_serial(&one, &[4])).is_none());
        assert!(crl.revocation(&leaf_with_serial(&one, &[1])).is_none());
        assert_eq!(crl.len(), 5);
        assert_eq!(crl.number(), &[7]);
    }

    #[test]
    fn r3_names_match_across_string_types_and_serials_by_value() {
        let ca = pki::root();
        let utf8 = pki::name_with(
            0x0c,
            &[("C", "US"), ("O", "EXAMPLE"), ("CN", "Example  STI Root")],
        );
        let long = vec![
            0x00, 0xc1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19,
        ];
        let crl = verify(&CrlBuilder::new(vec![(
            long.clone(),
            THEN,
            vec![pki::certificate_issuer(&utf8)],
        )]))
        .unwrap();
        let revoked = crl.revocation(&leaf_with_serial(&ca, &long)).unwrap();
        assert_eq!(revoked.at, Timestamp::from_secs(THEN));
        let mut other = long;
        other[19] ^= 1;
        assert!(crl.revocation(&leaf_with_serial(&ca, &other)).is_none());
    }

    #[test]
    fn r4_reason_hold_and_removal() {
        let ca = pki::root();
        let reason = |n: u8| ("2.5.29.21", false, vec![0x0a, 1, n]);
        let list = CrlBuilder::new(vec![
            (
                vec![1],
                THEN,
                vec![pki::certificate_issuer(&ca.name()), reason(6)],
            ),
            (vec![2], THEN, vec![reason(8)]),
            (vec![3], THEN, vec![]),
            (vec![3], THEN - 60, vec![reason(1)]),
        ]);
        let crl = verify(&list).unwrap();
        let of = |n| crl.revocation(&leaf_with_serial(&ca, &[n]));
        assert_eq!(of(1).unwrap().reason, 6);
        assert_eq!(of(2), None, "removed from the list");
        assert_eq!(of(3).unwrap().at, Timestamp::from_secs(THEN - 60));
    }

    #[test]
    fn r2_the_signer_needs_a_path_the_name_the_usage_and_its_time() {
        let list = CrlBuilder::new(vec![]);
        assert!(verify(&list).is_ok());
        assert_eq!(
            verify_by(&list, &pki::list_signer(41, 0x80)),
            Err(CrlError::Signer(SignerFault::Usage))
        );
        let root = pki::root();
        let stranger = Issuer::new(pki::leaf(&root, "709J").usage(0x02), pki::key(41));
        assert_eq!(
            verify_by(&list, &stranger),
            Err(CrlError::Signer(SignerFault::Untrusted))
        );
        let signer = crl_signer();
        let other = Issuer::new(
            signer.builder.clone().subject_name(root.name()),
            signer.key.clone(),
        );
        let root_pem = pki::pem(&[&pki::sti_pa_root().der]);
        assert_eq!(
            Crl::verify(&list.build(&signer), &pki::pem(&[&other.der]), &root_pem),
            Err(CrlError::Signer(SignerFault::OtherName))
        );
        let old = CrlBuilder {
            this_update: pki::FROM - 1,
            ..list
        };
        assert_eq!(verify(&old), Err(CrlError::Signer(SignerFault::Expired)));
    }

    #[test]
    fn r2_a_signature_by_another_key_is_refused() {
        let list = CrlBuilder::new(vec![]);
        let forged = Issuer {
            key: pki::key(42),
            ..crl_signer()
        };
        assert_eq!(
            Crl::verify(
                &list.build(&forged),
                &pki::pem(&[&crl_signer().der]),
                &pki::pem(&[&pki::sti_pa_root().der])
            ),
            Err(CrlError::Signature)
        );
    }

    #[test]
    fn r1_r2_only_a_whole_indirect_list_is_used() {
        let with = |extensions| {
            verify(&CrlBuilder {
                extensions,
                ..CrlBuilder::new(vec![])
            })
        };
        let idp = |flag: u8| pki::seq(&[pki::tlv(flag, &[0xff])]);
        assert!(matches!(with(vec![]), Err(CrlError::Scope(_))));
        for (critical, value) in [
            (false, pki::indirect_idp()),
            (true, pki::seq(&[])),
            (true, idp(0x81)),
            (
                true,
                pki::seq(&[pki::tlv(0x81, &[0xff]), pki::tlv(0x84, &[0xff])]),
            ),
        ] {
            let got = with(vec![("2.5.29.28", critical, value)]);
            assert!(matches!(got, Err(CrlError::Scope(_))), "{got:?}");
        }
        assert!(with(vec![("2.5.29.28", true, idp(0x84))]).is_ok());
        assert!(matches!(
            with(vec![
                ("2.5.29.28", true, idp(0x84)),
                ("2.5.29.27", true, vec![2, 1, 1])
            ]),
            Err(CrlError::Scope(_))
        ));
        assert_eq!(
            with(vec![
                ("2.5.29.28", true, idp(0x84)),
                ("1.2.3.4", true, vec![5, 0])
            ]),
            Err(CrlError::UnknownCritical("1.2.3.4".to_owned()))
        );
    }

    #[test]
    fn an_unknown_critical_extension_of_an_entry_spoils_the_list() {
        let list = CrlBuilder::new(vec![(vec![1], THEN, vec![("1.2.3.4", true, vec![5, 0])])]);
        assert_eq!(
            verify(&list),
            Err(CrlError::UnknownCritical("1.2.3.4".to_owned()))
        );
    }

    proptest! {
        #[test]
        fn hostile_extensions_of_a_list_never_panic(value in proptest::collection::vec(any::<u8>(), 0..48), which in 0usize..3) {
            let id = ["2.5.29.28", "2.5.29.20", "2.5.29.29"][which];
            let mut list = CrlBuilder::new(vec![(vec![1], THEN, vec![("2.5.29.29", true, value.clone())])]);
            list.extensions.retain(|(have, ..)| *have != id);
            list.extensions.push((id, true, value));
            let _ = verify(&list);
            let _ = Crl::verify(&list.extensions[0].2, &[], &[]);
        }

        #[test]
        fn no_changed_octet_of_a_list_goes_through(at in 0usize..4096, with: u8) {
            let ca = pki::root();
            let signer = crl_signer();
            let mut der = CrlBuilder::new(vec![(vec![1], THEN, vec![pki::certificate_issuer(&ca.name())])]).build(&signer);
            let at = at % der.len();
            prop_assume!(der[at] != with);
            der[at] = with;
            let got = Crl::verify(&der, &pki::pem(&[&signer.der]), &pki::pem(&[&pki::sti_pa_root().der]));
            prop_assert!(got.is_err(), "a changed octet at {} went through", at);
        }
    }
}
