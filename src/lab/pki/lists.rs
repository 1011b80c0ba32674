//! What the STI-PA publishes: the list of authorities and the national indirect revocation list.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, Signature, SigningKey};
use x509_cert::Certificate;
use x509_cert::Version;
use x509_cert::certificate::Rfc5280;
use x509_cert::crl::{CertificateList, RevokedCert, TbsCertList};
use x509_cert::der::Encode;
use x509_cert::der::asn1::BitString;
use x509_cert::ext::pkix::crl::dp::IssuingDistributionPoint;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName, GeneralNames};
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, CrlNumber};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;

use super::cert::{self, Authority};
use crate::base::Timestamp;
use crate::lab::LabError;

/// The list of authorities as the STI-PA signs it (ATIS-1000084): compact JWS, ES256, `sequence` 0 as in the field. One entry
/// can't be read: a verifier skips and names it, and keeps the others.
pub fn ca_list(
    authorities: &[&Certificate],
    exp: i64,
    key: &SigningKey,
) -> Result<Vec<u8>, LabError> {
    let mut entries = Vec::new();
    for authority in authorities {
        entries.push(cert::chain(&[authority])?);
        if entries.len() == 1 {
            entries.push(cert::armour(
                b"An authority of a kind that nobody reads yet.",
            ));
        }
    }
    let header =
        serde_json::json!({"alg": "ES256", "typ": "JWT", "x5u": super::CA_LIST_SIGNER_URL});
    let payload =
        serde_json::json!({"version": "1.0", "sequence": 0, "exp": exp, "trustList": entries});
    let input = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header.to_string()),
        URL_SAFE_NO_PAD.encode(payload.to_string())
    );
    let signature: Signature = key.sign(input.as_bytes());
    Ok(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes())).into_bytes())
}

/// One revoked certificate.
pub struct Entry {
    /// Who issued it; `None`: whoever issued the entry before, and for the first one the list's own issuer.
    pub issuer: Option<Name>,
    /// Its number.
    pub serial: SerialNumber,
}

/// The indirect revocation list (RFC 5280 §5): `certificateIssuer` in the entries that change it, critical
/// issuingDistributionPoint with indirectCRL. Good for a day from an hour before `base`.
pub fn crl(signer: &Authority, entries: &[Entry], base: Timestamp) -> Result<Vec<u8>, LabError> {
    const HOUR: Duration = Duration::from_secs(3600);
    let algorithm = cert::ecdsa_with_sha256();
    let revocation_date = cert::at(base.minus(HOUR * 24))?;
    let mut revoked = Vec::new();
    for entry in entries {
        let extensions = match &entry.issuer {
            Some(issuer) => {
                let names: GeneralNames = vec![GeneralName::DirectoryName(issuer.clone())];
                Some(vec![cert::extension("2.5.29.29", true, &names)?])
            }
            None => None,
        };
        revoked.push(RevokedCert::<Rfc5280> {
            serial_number: entry.serial.clone(),
            revocation_date,
            crl_entry_extensions: extensions,
        });
    }
    let key = cert::public_key(&signer.key)?;
    let point = IssuingDistributionPoint {
        distribution_point: Some(DistributionPointName::FullName(vec![cert::uri(
            super::CRL_URL,
        )?])),
        only_contains_user_certs: false,
        only_contains_ca_certs: false,
        only_some_reasons: None,
        indirect_crl: true,
        only_contains_attribute_certs: false,
    };
    let authority = AuthorityKeyIdentifier {
        key_identifier: Some(cert::key_identifier(key.subject_public_key.raw_bytes())?),
        authority_cert_issuer: None,
        authority_cert_serial_number: None,
    };
    let number = CrlNumber::try_from(u64::try_from(base.secs()).unwrap_or(1))?;
    let tbs = TbsCertList::<Rfc5280> {
        version: Version::V2,
        signature: algorithm.clone(),
        issuer: signer.certificate.tbs_certificate().subject().clone(),
        this_update: cert::at(base.minus(HOUR))?,
        next_update: Some(cert::at(base.plus(HOUR * 23))?),
        revoked_certificates: Some(revoked),
        crl_extensions: Some(vec![
            cert::extension("2.5.29.35", false, &authority)?,
            cert::extension("2.5.29.20", false, &number)?,
            // By number: the crate's own constant for this extension is that of another one.
            cert::extension("2.5.29.28", true, &point)?,
        ]),
    };
    let signature: DerSignature = signer.key.sign(&tbs.to_der()?);
    let list = CertificateList {
        tbs_cert_list: tbs,
        signature_algorithm: algorithm,
        signature: BitString::from_bytes(signature.as_bytes())?,
    };
    Ok(list.to_der()?)
}
