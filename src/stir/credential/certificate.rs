//! One X.509 certificate, taken out of its DER once (RFC 5280 §4).

use std::fmt;

use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Version;

use super::der;
pub use super::extensions::{Extensions, TnAuthListState};
use super::key::{self, PublicKey, SignatureAlgorithm, SignatureCheck};
use super::name::{self, CanonicalName};
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
    /// Country of the subject, first of several.
    pub country: Option<Box<str>>,
    /// SHA-256 of its DER, cut.
    pub digest: Digest128,
    /// How its serial number and version are written, for lints.
    pub(super) form: Form,
    tbs: Box<[u8]>,
    algorithm: SignatureAlgorithm,
    signature: Box<[u8]>,
}

/// What only lints ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    /// X.509 v3.
    pub version_3: bool,
    /// Octets of the serial number as written.
    pub serial_octets: usize,
    /// The serial number is zero or negative.
    pub serial_not_positive: bool,
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

/// Why octets are no certificate that we can use. Text for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFault(pub &'static str);

impl fmt::Display for CertificateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for CertificateFault {}

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
            extensions: Extensions::read(&cert)?,
            common_name: text("2.5.4.3"),
            organization: text("2.5.4.10"),
            country: text("2.5.4.6"),
            digest: Digest128::of(bytes),
            form: Form {
                version_3: cert.version() == X509Version::V3,
                serial_octets: cert.raw_serial().len(),
                serial_not_positive: cert.raw_serial().first().is_none_or(|b| *b >= 0x80)
                    || der::magnitude(cert.raw_serial()).is_empty(),
            },
            tbs: signed.tbs.into(),
            algorithm: SignatureAlgorithm::read(&cert.signature_algorithm),
            signature: signed.signature.into(),
        })
    }

    /// Whether `issuer`'s key signed it. Names are not compared.
    pub fn is_signed_by(&self, issuer: &Certificate) -> SignatureCheck {
        key::check(&issuer.key, self.algorithm, &self.tbs, &self.signature)
    }

    /// Whether it is signed as leaves are: ECDSA with SHA-256.
    pub(super) fn is_signed_as_usual(&self) -> bool {
        self.algorithm == SignatureAlgorithm::EcdsaSha256
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stir::credential::testpki as pki;
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
