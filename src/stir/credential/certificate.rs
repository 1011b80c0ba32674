//! One X.509 certificate, taken out of its DER once (RFC 5280 §4).

use std::fmt;

use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use x509_parser::asn1_rs::Oid;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;
use x509_parser::x509::{AlgorithmIdentifier, SubjectPublicKeyInfo};

use super::der;
use super::name::{self, CanonicalName};
use super::tnauthlist::TnAuthList;
use crate::base::digest::Digest128;

/// What path building, revocation and the rules of SHAKEN need of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Subject, to compare.
    pub subject: CanonicalName,
    /// Issuer, to compare.
    pub issuer: CanonicalName,
    /// Serial number without leading zeros.
    pub serial: Box<[u8]>,
    /// When it is valid.
    pub validity: Validity,
    /// Its key.
    pub key: PublicKey,
    /// What its extensions say.
    pub extensions: Extensions,
    /// Common name of the subject, first of several.
    pub common_name: Option<Box<str>>,
    /// Organization of the subject, first of several.
    pub organization: Option<Box<str>>,
    /// SHA-256 of its DER, cut.
    pub digest: Digest128,
    tbs: Box<[u8]>,
    algorithm: SignatureAlgorithm,
    signature: Box<[u8]>,
}

/// Seconds since 1970 of notBefore and notAfter; both belong to the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// First second.
    pub from: i64,
    /// Last second.
    pub to: i64,
}

impl Validity {
    /// Whether a second belongs to the time.
    pub fn holds(self, second: i64) -> bool {
        self.from <= second && second <= self.to
    }

    /// The time that belongs to both; holds nothing where there is none.
    pub fn and(self, other: Self) -> Self {
        Self {
            from: self.from.max(other.from),
            to: self.to.min(other.to),
        }
    }
}

/// The extensions that we process, and whether there are critical ones that we don't.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// basicConstraints: whether it is a certification authority.
    pub is_ca: bool,
    /// basicConstraints: how many intermediates may follow.
    pub path_len: Option<u32>,
    /// keyUsage; `None` where the extension is absent, which restricts nothing (RFC 5280 §4.2.1.3).
    pub usage: Option<Usage>,
    /// certificatePolicies, dotted.
    pub policies: Vec<String>,
    /// TNAuthList.
    pub tn_auth_list: TnAuthListState,
    /// JWTClaimConstraints or EnhancedJWTClaimConstraints is there.
    pub claim_constraints: bool,
    /// A critical extension that we don't know, dotted.
    pub unknown_critical: Option<String>,
}

/// The bits of keyUsage that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// digitalSignature
    pub digital_signature: bool,
    /// keyCertSign
    pub key_cert_sign: bool,
    /// cRLSign
    pub crl_sign: bool,
}

/// What there is of a TNAuthList.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TnAuthListState {
    /// Nothing.
    #[default]
    Absent,
    /// Something that can't be read.
    Malformed,
    /// A list.
    Read(TnAuthList),
}

impl TnAuthListState {
    /// The list.
    pub fn list(&self) -> Option<&TnAuthList> {
        match self {
            Self::Read(list) => Some(list),
            Self::Absent | Self::Malformed => None,
        }
    }
}

/// A public key by its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// P-256, as an uncompressed point that lies on the curve.
    P256(Box<[u8]>),
    /// P-384, as an encoded point.
    P384(Box<[u8]>),
    /// RSA, as PKCS#1 DER.
    Rsa(Box<[u8]>),
    /// Some other, or a point that is not on its curve. Real lists hold a P-521 key.
    Unsupported,
}

/// Whether a signature is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureCheck {
    /// It is.
    Good,
    /// It is not.
    Bad,
    /// Nothing here can check this algorithm or key.
    Unsupported,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignatureAlgorithm {
    EcdsaSha256,
    EcdsaSha384,
    RsaSha256,
    RsaSha384,
    RsaSha512,
    Unsupported,
}

/// Why octets are no certificate that we can use. Text for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFault(pub &'static str);

impl fmt::Display for CertificateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for CertificateFault {}

/// TNAuthList (RFC 8226 §9).
const TN_AUTH_LIST: &str = "1.3.6.1.5.5.7.1.26";
/// JWTClaimConstraints (RFC 8226 §8).
const CLAIM_CONSTRAINTS: &str = "1.3.6.1.5.5.7.1.27";
/// EnhancedJWTClaimConstraints (RFC 9118 §4).
const ENHANCED_CLAIM_CONSTRAINTS: &str = "1.3.6.1.5.5.7.1.33";

impl Certificate {
    /// Takes a certificate out of DER that holds nothing else.
    ///
    /// # Errors
    ///
    /// [`CertificateFault`]: not DER, an extension twice or unreadable, names that are none.
    pub fn parse(bytes: &[u8]) -> Result<Self, CertificateFault> {
        let (rest, cert) =
            X509Certificate::from_der(bytes).map_err(|_| CertificateFault("not X.509 DER"))?;
        if !rest.is_empty() {
            return Err(CertificateFault("octets behind the certificate"));
        }
        let signed = der::signed(bytes).ok_or(CertificateFault(der::NOT_SIGNED))?;
        let name =
            |n: &[u8]| CanonicalName::parse(n).ok_or(CertificateFault("a name that can't be read"));
        let text = |oid: &str| {
            cert.subject()
                .iter_attributes()
                .find(|a| a.attr_type().to_id_string() == oid)
                .and_then(|a| {
                    let tag = u8::try_from(a.attr_value().tag().0).ok()?;
                    name::string(tag, a.attr_value().data)
                })
                .map(Into::into)
        };
        Ok(Self {
            subject: name(cert.subject().as_raw())?,
            issuer: name(cert.issuer().as_raw())?,
            serial: der::magnitude(cert.raw_serial()).into(),
            validity: Validity {
                from: cert.validity().not_before.timestamp(),
                to: cert.validity().not_after.timestamp(),
            },
            key: PublicKey::read(cert.public_key()),
            extensions: extensions(&cert)?,
            common_name: text("2.5.4.3"),
            organization: text("2.5.4.10"),
            digest: Digest128::of(bytes),
            tbs: signed.tbs.into(),
            algorithm: SignatureAlgorithm::read(&cert.signature_algorithm),
            signature: signed.signature.into(),
        })
    }

    /// Whether `issuer`'s key signed it. Names are not compared.
    pub fn is_signed_by(&self, issuer: &Certificate) -> SignatureCheck {
        check(&issuer.key, self.algorithm, &self.tbs, &self.signature)
    }

    /// Whether it may issue certificates with `below` intermediates between it and the leaf.
    pub fn may_issue(&self, below: usize) -> bool {
        let e = &self.extensions;
        e.is_ca
            && e.usage.is_none_or(|u| u.key_cert_sign)
            && e.path_len
                .is_none_or(|n| usize::try_from(n).is_ok_and(|n| below <= n))
    }

    /// Whether subject and issuer are the same name.
    pub fn is_self_issued(&self) -> bool {
        self.subject == self.issuer
    }

    /// Common name, or a stand-in.
    pub fn title(&self) -> &str {
        self.common_name
            .as_deref()
            .or(self.organization.as_deref())
            .unwrap_or("(no common name)")
    }
}

impl PublicKey {
    fn read(spki: &SubjectPublicKeyInfo<'_>) -> Self {
        let bytes: &[u8] = &spki.subject_public_key.data;
        let oid = spki.algorithm.algorithm.to_id_string();
        let curve = spki
            .algorithm
            .parameters
            .as_ref()
            .and_then(|p| Oid::try_from(p.clone()).ok())
            .map(|o| o.to_id_string());
        match (oid.as_str(), curve.as_deref()) {
            // The point is checked here once; each verification would only say "wrong".
            ("1.2.840.10045.2.1", Some("1.2.840.10045.3.1.7")) => {
                p256::PublicKey::from_sec1_bytes(bytes)
                    .map_or(Self::Unsupported, |k| Self::P256(k.to_sec1_bytes()))
            }
            ("1.2.840.10045.2.1", Some("1.3.132.0.34")) => Self::P384(bytes.into()),
            ("1.2.840.113549.1.1.1", _) => Self::Rsa(bytes.into()),
            _ => Self::Unsupported,
        }
    }

    /// The uncompressed point of a P-256 key.
    pub fn p256(&self) -> Option<&[u8]> {
        match self {
            Self::P256(point) => Some(point),
            Self::P384(_) | Self::Rsa(_) | Self::Unsupported => None,
        }
    }
}

impl SignatureAlgorithm {
    pub(super) fn read(algorithm: &AlgorithmIdentifier<'_>) -> Self {
        match algorithm.algorithm.to_id_string().as_str() {
            "1.2.840.10045.4.3.2" => Self::EcdsaSha256,
            "1.2.840.10045.4.3.3" => Self::EcdsaSha384,
            "1.2.840.113549.1.1.11" => Self::RsaSha256,
            "1.2.840.113549.1.1.12" => Self::RsaSha384,
            "1.2.840.113549.1.1.13" => Self::RsaSha512,
            _ => Self::Unsupported,
        }
    }
}

/// Checks a signature over DER with the algorithms that ring has.
pub(super) fn check(
    key: &PublicKey,
    algorithm: SignatureAlgorithm,
    message: &[u8],
    sig: &[u8],
) -> SignatureCheck {
    use SignatureAlgorithm as A;
    let (with, key): (&dyn VerificationAlgorithm, _) = match (key, algorithm) {
        (PublicKey::P256(k), A::EcdsaSha256) => (&signature::ECDSA_P256_SHA256_ASN1, k),
        (PublicKey::P256(k), A::EcdsaSha384) => (&signature::ECDSA_P256_SHA384_ASN1, k),
        (PublicKey::P384(k), A::EcdsaSha256) => (&signature::ECDSA_P384_SHA256_ASN1, k),
        (PublicKey::P384(k), A::EcdsaSha384) => (&signature::ECDSA_P384_SHA384_ASN1, k),
        (PublicKey::Rsa(k), A::RsaSha256) => (&signature::RSA_PKCS1_2048_8192_SHA256, k),
        (PublicKey::Rsa(k), A::RsaSha384) => (&signature::RSA_PKCS1_2048_8192_SHA384, k),
        (PublicKey::Rsa(k), A::RsaSha512) => (&signature::RSA_PKCS1_2048_8192_SHA512, k),
        (PublicKey::Unsupported, _) | (_, A::Unsupported) => return SignatureCheck::Unsupported,
        // A key of one kind and a signature of another can't belong together.
        _ => return SignatureCheck::Bad,
    };
    match UnparsedPublicKey::new(with, key).verify(message, sig) {
        Ok(()) => SignatureCheck::Good,
        Err(_) => SignatureCheck::Bad,
    }
}

fn extensions(cert: &X509Certificate<'_>) -> Result<Extensions, CertificateFault> {
    let mut out = Extensions::default();
    if cert.extensions_map().is_err() {
        return Err(CertificateFault("an extension stands twice"));
    }
    let unreadable = || CertificateFault("an extension that can't be read");
    for ext in cert.extensions() {
        let oid = ext.oid.to_id_string();
        match oid.as_str() {
            "2.5.29.19" => {
                let ParsedExtension::BasicConstraints(b) = ext.parsed_extension() else {
                    return Err(unreadable());
                };
                out.is_ca = b.ca;
                out.path_len = b.path_len_constraint;
            }
            "2.5.29.15" => {
                let ParsedExtension::KeyUsage(u) = ext.parsed_extension() else {
                    return Err(unreadable());
                };
                out.usage = Some(Usage {
                    digital_signature: u.digital_signature(),
                    key_cert_sign: u.key_cert_sign(),
                    crl_sign: u.crl_sign(),
                });
            }
            "2.5.29.32" => {
                let ParsedExtension::CertificatePolicies(p) = ext.parsed_extension() else {
                    return Err(unreadable());
                };
                out.policies = p.iter().map(|p| p.policy_id.to_id_string()).collect();
            }
            TN_AUTH_LIST => {
                out.tn_auth_list = TnAuthList::parse(ext.value)
                    .map_or(TnAuthListState::Malformed, |list| {
                        TnAuthListState::Read(list)
                    });
            }
            other => {
                out.claim_constraints |=
                    other == CLAIM_CONSTRAINTS || other == ENHANCED_CLAIM_CONSTRAINTS;
                if ext.critical {
                    out.unknown_critical.get_or_insert(oid);
                }
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stir::credential::testpki::{self as pki, Subject};
    use proptest::prelude::*;

    #[test]
    fn a_leaf_as_it_is_issued() {
        let ca = pki::root();
        let cert = Certificate::parse(&pki::leaf(&ca, "709J").build()).unwrap();
        assert_eq!(cert.common_name.as_deref(), Some("SHAKEN 709J"));
        assert_eq!(
            cert.extensions.tn_auth_list.list().unwrap().spc[..],
            ["709J".into()]
        );
        assert!(cert.extensions.usage.unwrap().digital_signature);
        assert!(!cert.extensions.is_ca && cert.extensions.unknown_critical.is_none());
        assert!(cert.key.p256().is_some_and(|k| k.len() == 65));
        assert_eq!(cert.is_signed_by(&ca.certificate()), SignatureCheck::Good);
        assert_eq!(
            cert.is_signed_by(&pki::other_root().certificate()),
            SignatureCheck::Bad
        );
        assert!(cert.validity.holds(cert.validity.from) && cert.validity.holds(cert.validity.to));
        assert!(!cert.validity.holds(cert.validity.from - 1));
        assert!(!cert.validity.holds(cert.validity.to + 1));
    }

    #[test]
    fn x9_malformed_lists_and_version_1() {
        let ca = pki::root();
        for bad in [
            &b"\x30\x06\x13\x04755J"[..],
            b"\x30\x08\xa0\x06\x16558J",
            b"\x30\x06\x80\x04709J",
        ] {
            let cert = pki::leaf(&ca, "709J").tn_auth_list(bad).build();
            assert_eq!(
                Certificate::parse(&cert).unwrap().extensions.tn_auth_list,
                TnAuthListState::Malformed
            );
        }
        let v1 = pki::leaf(&ca, "709J").version_1().build();
        let v1 = Certificate::parse(&v1).unwrap();
        assert_eq!(v1.extensions, Extensions::default());
    }

    #[test]
    fn x5_a_point_off_the_curve_is_no_key() {
        let ca = pki::root();
        let mut point = pki::key(9).point();
        point[64] ^= 1;
        let cert = pki::leaf(&ca, "709J")
            .subject_key(Subject::P256(point))
            .build();
        assert_eq!(
            Certificate::parse(&cert).unwrap().key,
            PublicKey::Unsupported
        );
    }

    #[test]
    fn trailing_octets_and_duplicate_extensions_are_refused() {
        let ca = pki::root();
        let mut cert = pki::leaf(&ca, "709J").build();
        cert.push(0);
        assert!(Certificate::parse(&cert).is_err());
        let twice = pki::leaf(&ca, "709J")
            .extension("1.2.3.4", false, b"\x05\x00")
            .extension("1.2.3.4", false, b"\x05\x00");
        assert!(Certificate::parse(&twice.build()).is_err());
    }

    proptest! {
        #[test]
        fn no_changed_octet_of_a_certificate_goes_through(at in 0usize..4096, with: u8) {
            let ca = pki::root();
            let mut der = pki::leaf(&ca, "709J").build();
            let at = at % der.len();
            prop_assume!(der[at] != with);
            der[at] = with;
            let good = Certificate::parse(&der).is_ok_and(|c| c.is_signed_by(&ca.certificate()) == SignatureCheck::Good);
            prop_assert!(!good, "a changed octet at {} went through", at);
        }
    }
}
