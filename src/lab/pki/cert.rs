//! Keys, names and certificates.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use p256::ecdsa::signature::{Keypair, Signer};
use p256::ecdsa::{DerSignature, SigningKey, VerifyingKey};
use ring::digest::{SHA256, SHA512, digest};
use x509_cert::Certificate;
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{Builder, CertificateBuilder};
use x509_cert::certificate::TbsCertificate;
use x509_cert::der::asn1::{BitString, Ia5String, ObjectIdentifier, OctetString, UtcTime};
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::certpolicy::PolicyInformation;
use x509_cert::ext::pkix::crl::dp::DistributionPoint;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, CertificatePolicies, CrlDistributionPoints, KeyUsage,
    KeyUsages, SubjectKeyIdentifier,
};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{
    AlgorithmIdentifierOwned, DynSignatureAlgorithmIdentifier, SubjectPublicKeyInfoOwned,
    SubjectPublicKeyInfoRef,
};
use x509_cert::time::{Time, Validity};

use crate::base::Timestamp;
use crate::lab::LabError;

/// TNAuthList (RFC 8226 §9).
pub const TN_AUTH_LIST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.26");
/// Certificate policy of SHAKEN (ATIS-1000080).
pub const SHAKEN_POLICY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.114569.1.1.3");
/// A policy of nobody's: 32473 is the enterprise number for documentation (RFC 5612).
pub const OTHER_POLICY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.32473.1.1");
/// An extension of nobody's.
const UNKNOWN_EXTENSION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.32473.1.2");

/// Generator point of P-384, uncompressed (SEC 2 §2.5.1): a point on the curve without a library for the curve. Nobody signs with it.
const P384_POINT: &str = "04\
    aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7\
    3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f";

/// The key of `owner`: SHA-256 over seed and name, taken anew in the (never seen) case that it is no scalar of the curve.
pub fn key(seed: u64, owner: &str) -> Result<SigningKey, LabError> {
    for round in 0u8..=255 {
        let text = format!("tracehop lab key {seed} {round} {owner}");
        if let Ok(key) = SigningKey::from_slice(digest(&SHA256, text.as_bytes()).as_ref()) {
            return Ok(key);
        }
    }
    Err(LabError::Certificate(format!("no key for {owner}")))
}

/// The same on P-521, of 64 octets that are below the order.
fn key_p521(seed: u64, owner: &str) -> Result<p521::ecdsa::SigningKey, LabError> {
    let text = format!("tracehop lab key {seed} P-521 {owner}");
    let mut scalar = [0; 66];
    scalar[2..].copy_from_slice(digest(&SHA512, text.as_bytes()).as_ref());
    p521::ecdsa::SigningKey::from_slice(&scalar)
        .map_err(|_| LabError::Certificate(format!("no key for {owner}")))
}

/// A serial number of 16 octets, positive.
pub fn serial(seed: u64, owner: &str) -> SerialNumber {
    let text = format!("tracehop lab serial {seed} {owner}");
    let mut octets = [0; 16];
    for (o, d) in octets
        .iter_mut()
        .zip(digest(&SHA256, text.as_bytes()).as_ref())
    {
        *o = *d;
    }
    octets[0] = octets[0] & 0x3f | 0x40;
    SerialNumber::new(&octets).unwrap_or_else(|_| SerialNumber::from(1u8))
}

/// `C=US, O=…, CN=…`.
pub fn name(organisation: &str, common: &str) -> Result<Name, LabError> {
    // RFC 4514 writes the last part first.
    Ok(Name::from_str(&format!(
        "CN={common},O={organisation},C=US"
    ))?)
}

/// The same name with its strings as PrintableString instead of UTF8String: equal by RFC 5280 §7.1, though not octet by octet.
pub fn printable(name: &Name) -> Result<Name, LabError> {
    const UTF8: u8 = 0x0c;
    const PRINTABLE: u8 = 0x13;
    const SEQUENCE: u8 = 0x30;
    const SET: u8 = 0x31;
    let mut der = name.to_der()?;
    let mut at = 0;
    // Short lengths only: a name of ours has less than 128 octets.
    while let Some([tag, length]) = der
        .get(at..at + 2)
        .and_then(|h| <[u8; 2]>::try_from(h).ok())
    {
        if tag == UTF8 {
            der[at] = PRINTABLE;
        }
        at += if tag == SEQUENCE || tag == SET {
            2
        } else {
            2 + usize::from(length)
        };
    }
    Ok(Name::from_der(&der)?)
}

/// PEM of a chain, leaf first.
pub fn chain(certificates: &[&Certificate]) -> Result<String, LabError> {
    let mut pem = String::new();
    for cert in certificates {
        pem += &armour(&cert.to_der()?);
    }
    Ok(pem)
}

/// PEM armour around octets.
pub fn armour(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = tail;
    }
    pem + "-----END CERTIFICATE-----\n"
}

/// From when to when.
#[derive(Clone, Copy)]
pub struct Span(Time, Time);

impl Span {
    /// From `before` ahead of `base` to `after` behind it.
    pub fn around(base: Timestamp, before: Duration, after: Duration) -> Result<Self, LabError> {
        Ok(Self(at(base.minus(before))?, at(base.plus(after))?))
    }

    /// Begins and ends ahead of `base`.
    pub fn until(base: Timestamp, begin: Duration, end: Duration) -> Result<Self, LabError> {
        Ok(Self(at(base.minus(begin))?, at(base.minus(end))?))
    }

    /// Begins and ends behind `base`.
    pub fn from(base: Timestamp, begin: Duration, end: Duration) -> Result<Self, LabError> {
        Ok(Self(at(base.plus(begin))?, at(base.plus(end))?))
    }

    fn validity(self) -> Validity {
        Validity::new(self.0, self.1)
    }
}

/// A point in time as certificates and lists have it: in UTCTime up to 2049 (RFC 5280 §4.1.2.5).
pub fn at(t: Timestamp) -> Result<Time, LabError> {
    let secs = u64::try_from(t.secs()).unwrap_or_default();
    let date = x509_cert::der::DateTime::from_unix_duration(Duration::from_secs(secs))?;
    Ok(match UtcTime::from_date_time(date) {
        Ok(time) => Time::UtcTime(time),
        Err(_) => Time::from(date),
    })
}

/// What a TNAuthList says.
pub enum TnAuth {
    /// One service provider code, with the explicit tag that RFC 8226 asks for.
    Spc(String),
    /// The same with an implicit tag: wrong.
    ImplicitSpc(String),
    /// So many numbers from the first one on.
    Range(String, u8),
    /// Octets as given, in hexadecimal.
    Raw(&'static str),
}

impl TnAuth {
    /// The value of the extension.
    pub fn der(&self) -> Option<Vec<u8>> {
        Some(match self {
            Self::Spc(spc) => tlv(0x30, &tlv(0xa0, &tlv(0x16, spc.as_bytes()))),
            Self::ImplicitSpc(spc) => tlv(0x30, &tlv(0x80, spc.as_bytes())),
            Self::Range(first, count) => {
                let range = [tlv(0x16, first.as_bytes()), tlv(0x02, &[*count])].concat();
                tlv(0x30, &tlv(0xa1, &tlv(0x30, &range)))
            }
            Self::Raw(hex) => unhex(hex),
        })
    }
}

/// JWTClaimConstraints (RFC 8226 §8).
pub const CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.27");
/// EnhancedJWTClaimConstraints (RFC 9118).
pub const ENHANCED_CONSTRAINTS: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.33");
/// authorityInfoAccess (RFC 5280 §4.2.2.1).
pub const AUTHORITY_INFO_ACCESS: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.1");

/// Claim constraints of either kind: a claim that must be there.
pub fn must_include(claim: &str) -> Vec<u8> {
    let names = tlv(0x30, &tlv(0x16, claim.as_bytes()));
    tlv(0x30, &tlv(0xa0, &names))
}

/// authorityInfoAccess: where a TNAuthList is published (RFC 8226 §10.1).
pub fn tn_auth_list_at(url: &str) -> Result<Vec<u8>, LabError> {
    let method = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.14").to_der()?;
    let access = [method, tlv(0x86, url.as_bytes())].concat();
    Ok(tlv(0x30, &tlv(0x30, &access)))
}

/// A short DER element: up to 127 octets.
fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag, content.len() as u8];
    out.extend_from_slice(content);
    out
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |b: &u8| (*b as char).to_digit(16).unwrap_or(0) as u8;
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| digit(&pair[0]) * 16 + digit(&pair[1]))
        .collect()
}

/// The key that a leaf is for.
pub enum LeafKey {
    /// As it should be.
    P256(Arc<SigningKey>),
    /// A point on P-384 in the certificate; tokens are signed with the P-256 key, which fits nothing.
    P384(Arc<SigningKey>),
}

/// What goes into a leaf.
pub struct Leaf {
    /// Whose it is.
    pub subject: Name,
    /// Its key.
    pub key: LeafKey,
    /// Its time.
    pub span: Span,
    /// Its number.
    pub serial: SerialNumber,
    /// Value of its TNAuthList.
    pub tn_auth: Option<Vec<u8>>,
    /// Its policy.
    pub policy: ObjectIdentifier,
    /// Whether its key may sign.
    pub digital_signature: bool,
    /// Whether it has a critical extension that nobody knows.
    pub unknown_critical: bool,
    /// Further extensions, none of them critical.
    pub others: Vec<(ObjectIdentifier, Vec<u8>)>,
    /// Who signs the revocation list.
    pub crl_issuer: Name,
}

impl Leaf {
    /// The key that tokens are signed with.
    pub fn signing_key(&self) -> Arc<SigningKey> {
        match &self.key {
            LeafKey::P256(key) | LeafKey::P384(key) => key.clone(),
        }
    }

    /// A certificate that the leaf's own key signs.
    pub fn self_signed(&self) -> Result<Certificate, LabError> {
        self.sign(self.subject.clone(), SigningWith::P256(&self.signing_key()))
    }

    fn sign(&self, issuer: Name, key: SigningWith<'_>) -> Result<Certificate, LabError> {
        let usage = if self.digital_signature {
            KeyUsages::DigitalSignature
        } else {
            KeyUsages::KeyAgreement
        };
        let crl = CrlDistributionPoints(vec![DistributionPoint {
            distribution_point: Some(DistributionPointName::FullName(vec![uri(super::CRL_URL)?])),
            reasons: None,
            crl_issuer: Some(vec![GeneralName::DirectoryName(self.crl_issuer.clone())]),
        }]);
        let policies = CertificatePolicies(vec![PolicyInformation {
            policy_identifier: self.policy,
            policy_qualifiers: None,
        }]);
        let mut extensions = vec![
            extension(
                "2.5.29.19",
                true,
                &BasicConstraints {
                    ca: false,
                    path_len_constraint: None,
                },
            )?,
            extension("2.5.29.15", true, &KeyUsage(usage.into()))?,
            extension("2.5.29.32", false, &policies)?,
            extension("2.5.29.31", false, &crl)?,
        ];
        if let Some(der) = &self.tn_auth {
            extensions.push(raw_extension(TN_AUTH_LIST, false, der)?);
        }
        if self.unknown_critical {
            extensions.push(raw_extension(UNKNOWN_EXTENSION, true, &[0x05, 0x00])?);
        }
        for (oid, der) in &self.others {
            extensions.push(raw_extension(*oid, false, der)?);
        }
        let spki = match &self.key {
            LeafKey::P256(key) => public_key(key)?,
            LeafKey::P384(_) => SubjectPublicKeyInfoOwned {
                algorithm: AlgorithmIdentifierOwned {
                    oid: ObjectIdentifier::new_unwrap("1.2.840.10045.2.1"),
                    parameters: Some((&ObjectIdentifier::new_unwrap("1.3.132.0.34")).into()),
                },
                subject_public_key: BitString::from_bytes(&unhex(P384_POINT))?,
            },
        };
        let profile = Profile {
            subject: self.subject.clone(),
            issuer,
            extensions,
        };
        build(profile, self.serial.clone(), self.span, spki, key)
    }
}

/// Somebody who signs certificates or lists.
pub struct Authority {
    /// Its key.
    pub key: SigningKey,
    /// Its certificate.
    pub certificate: Certificate,
    organisation: String,
}

impl Authority {
    /// A root.
    pub fn root(seed: u64, organisation: &str, common: &str, span: Span) -> Result<Self, LabError> {
        let key = key(seed, common)?;
        let subject = name(organisation, common)?;
        let certificate = Self::certificate(
            seed,
            common,
            subject.clone(),
            subject,
            span,
            &key,
            &key,
            None,
            None,
        )?;
        Ok(Self {
            key,
            certificate,
            organisation: organisation.to_owned(),
        })
    }

    /// An authority below this one.
    pub fn intermediate(&self, seed: u64, common: &str, span: Span) -> Result<Self, LabError> {
        self.child(seed, common, span, None, None)
    }

    /// An authority below this one that may issue for so much and no more (RFC 9060).
    pub fn delegate(
        &self,
        seed: u64,
        common: &str,
        span: Span,
        tn_auth: &TnAuth,
    ) -> Result<Self, LabError> {
        self.child(seed, common, span, None, tn_auth.der())
    }

    /// A certificate for signing revocation lists.
    pub fn crl_signer(&self, seed: u64, common: &str, span: Span) -> Result<Self, LabError> {
        self.child(seed, common, span, Some(KeyUsages::CRLSign), None)
    }

    /// A certificate for signing documents.
    pub fn signer(&self, seed: u64, common: &str, span: Span) -> Result<Self, LabError> {
        self.child(seed, common, span, Some(KeyUsages::DigitalSignature), None)
    }

    /// Issues a leaf.
    pub fn issue(&self, leaf: &Leaf) -> Result<Certificate, LabError> {
        leaf.sign(
            self.certificate.tbs_certificate().subject().clone(),
            SigningWith::P256(&self.key),
        )
    }

    fn child(
        &self,
        seed: u64,
        common: &str,
        span: Span,
        only: Option<KeyUsages>,
        tn_auth: Option<Vec<u8>>,
    ) -> Result<Self, LabError> {
        let key = key(seed, common)?;
        let issuer = self.certificate.tbs_certificate().subject().clone();
        let subject = name(&self.organisation, common)?;
        let certificate = Self::certificate(
            seed, common, subject, issuer, span, &key, &self.key, only, tn_auth,
        )?;
        Ok(Self {
            key,
            certificate,
            organisation: self.organisation.clone(),
        })
    }

    #[allow(clippy::too_many_arguments)] // the parts of a certificate
    fn certificate(
        seed: u64,
        common: &str,
        subject: Name,
        issuer: Name,
        span: Span,
        own: &SigningKey,
        signer: &SigningKey,
        only: Option<KeyUsages>,
        tn_auth: Option<Vec<u8>>,
    ) -> Result<Certificate, LabError> {
        let usage = match only {
            Some(one) => one.into(),
            None => KeyUsages::KeyCertSign | KeyUsages::CRLSign,
        };
        let constraints = BasicConstraints {
            ca: only.is_none(),
            path_len_constraint: None,
        };
        let mut extensions = vec![
            extension("2.5.29.19", true, &constraints)?,
            extension("2.5.29.15", true, &KeyUsage(usage))?,
        ];
        if let Some(der) = &tn_auth {
            extensions.push(raw_extension(TN_AUTH_LIST, false, der)?);
        }
        let profile = Profile {
            subject,
            issuer,
            extensions,
        };
        build(
            profile,
            serial(seed, common),
            span,
            public_key(own)?,
            SigningWith::P256(signer),
        )
    }
}

/// A root with a key on P-521: real lists of authorities hold one.
pub struct P521Authority {
    key: p521::ecdsa::SigningKey,
    /// Its certificate.
    pub certificate: Certificate,
}

impl P521Authority {
    /// A root.
    pub fn root(seed: u64, organisation: &str, common: &str, span: Span) -> Result<Self, LabError> {
        let key = key_p521(seed, common)?;
        let subject = name(organisation, common)?;
        let constraints = BasicConstraints {
            ca: true,
            path_len_constraint: None,
        };
        let usage = KeyUsages::KeyCertSign | KeyUsages::CRLSign;
        let profile = Profile {
            subject: subject.clone(),
            issuer: subject,
            extensions: vec![
                extension("2.5.29.19", true, &constraints)?,
                extension("2.5.29.15", true, &KeyUsage(usage))?,
            ],
        };
        let own = SubjectPublicKeyInfoOwned::from_key(key.verifying_key())?;
        let serial = serial(seed, common);
        let certificate = build(profile, serial, span, own, SigningWith::P521(&key))?;
        Ok(Self { key, certificate })
    }

    /// Issues a leaf.
    pub fn issue(&self, leaf: &Leaf) -> Result<Certificate, LabError> {
        let issuer = self.certificate.tbs_certificate().subject().clone();
        leaf.sign(issuer, SigningWith::P521(&self.key))
    }
}

/// Hands our names and extensions to the builder.
struct Profile {
    subject: Name,
    issuer: Name,
    extensions: Vec<Extension>,
}

impl BuilderProfile for Profile {
    fn get_issuer(&self, _subject: &Name) -> Name {
        self.issuer.clone()
    }

    fn get_subject(&self) -> Name {
        self.subject.clone()
    }

    fn build_extensions(
        &self,
        own: SubjectPublicKeyInfoRef<'_>,
        issuer: SubjectPublicKeyInfoRef<'_>,
        _tbs: &TbsCertificate,
    ) -> x509_cert::builder::Result<Vec<Extension>> {
        let own = SubjectKeyIdentifier(key_identifier(own.subject_public_key.raw_bytes())?);
        let issuer = AuthorityKeyIdentifier {
            key_identifier: Some(key_identifier(issuer.subject_public_key.raw_bytes())?),
            authority_cert_issuer: None,
            authority_cert_serial_number: None,
        };
        let mut all = self.extensions.clone();
        all.push(extension("2.5.29.14", false, &own)?);
        all.push(extension("2.5.29.35", false, &issuer)?);
        Ok(all)
    }
}

fn build(
    profile: Profile,
    serial: SerialNumber,
    span: Span,
    key: SubjectPublicKeyInfoOwned,
    signer: SigningWith<'_>,
) -> Result<Certificate, LabError> {
    let builder = CertificateBuilder::new(profile, serial, span.validity(), key)?;
    Ok(match signer {
        SigningWith::P256(key) => builder.build::<_, DerSignature>(&Ecdsa(key))?,
        SigningWith::P521(key) => builder.build::<_, DerSignature521>(&Ecdsa521(key))?,
    })
}

/// Who signs a certificate.
#[derive(Clone, Copy)]
enum SigningWith<'a> {
    P256(&'a SigningKey),
    P521(&'a p521::ecdsa::SigningKey),
}

type DerSignature521 = p521::ecdsa::DerSignature;

/// `ecdsa-with-SHA512` for the builder.
struct Ecdsa521<'a>(&'a p521::ecdsa::SigningKey);

impl Keypair for Ecdsa521<'_> {
    type VerifyingKey = p521::ecdsa::VerifyingKey;

    fn verifying_key(&self) -> Self::VerifyingKey {
        *self.0.verifying_key()
    }
}

impl DynSignatureAlgorithmIdentifier for Ecdsa521<'_> {
    fn signature_algorithm_identifier(&self) -> x509_cert::spki::Result<AlgorithmIdentifierOwned> {
        Ok(AlgorithmIdentifierOwned {
            oid: ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4"),
            parameters: None,
        })
    }
}

impl Signer<DerSignature521> for Ecdsa521<'_> {
    fn try_sign(&self, text: &[u8]) -> Result<DerSignature521, p521::ecdsa::Error> {
        self.0.try_sign(text)
    }
}

/// `ecdsa-with-SHA256` for the builder, which can't ask p256 for the algorithm's name without features that nothing else needs.
struct Ecdsa<'a>(&'a SigningKey);

impl Keypair for Ecdsa<'_> {
    type VerifyingKey = VerifyingKey;

    fn verifying_key(&self) -> VerifyingKey {
        *self.0.verifying_key()
    }
}

impl DynSignatureAlgorithmIdentifier for Ecdsa<'_> {
    fn signature_algorithm_identifier(&self) -> x509_cert::spki::Result<AlgorithmIdentifierOwned> {
        Ok(ecdsa_with_sha256())
    }
}

impl Signer<DerSignature> for Ecdsa<'_> {
    fn try_sign(&self, text: &[u8]) -> Result<DerSignature, p256::ecdsa::Error> {
        self.0.try_sign(text)
    }
}

/// The algorithm of every signature here (RFC 5758 §3.2).
pub fn ecdsa_with_sha256() -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned {
        oid: ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2"),
        parameters: None,
    }
}

/// The public half as certificates carry it.
pub fn public_key(key: &SigningKey) -> Result<SubjectPublicKeyInfoOwned, LabError> {
    Ok(SubjectPublicKeyInfoOwned::from_key(key.verifying_key())?)
}

/// The leftmost 160 bits of the SHA-256 of the key (RFC 7093 §2, method 1).
pub fn key_identifier(key: &[u8]) -> x509_cert::der::Result<OctetString> {
    OctetString::new(digest(&SHA256, key).as_ref().get(..20).unwrap_or_default())
}

/// A URI as a general name.
pub fn uri(text: &str) -> Result<GeneralName, LabError> {
    Ok(GeneralName::UniformResourceIdentifier(Ia5String::new(
        text,
    )?))
}

/// An extension from a value that encodes itself.
pub fn extension(
    oid: &str,
    critical: bool,
    value: &impl Encode,
) -> x509_cert::der::Result<Extension> {
    Ok(Extension {
        extn_id: ObjectIdentifier::from_str(oid)?,
        critical,
        extn_value: OctetString::new(value.to_der()?)?,
    })
}

fn raw_extension(
    oid: ObjectIdentifier,
    critical: bool,
    value: &[u8],
) -> Result<Extension, LabError> {
    Ok(Extension {
        extn_id: oid,
        critical,
        extn_value: OctetString::new(value)?,
    })
}
