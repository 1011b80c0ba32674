//! Public keys and the signatures that authorities make with them (rule X5): checked once for each certificate or list.
//!
//! ring does nearly all of it. It has no P-521 and no SHA-512 over P-256; RustCrypto's curves, which are slower, fill these gaps, for no
//! call's signature ever takes this path. A combination that nothing here can check is [`SignatureCheck::Unsupported`]: what was
//! signed so can't be judged, which is not the same as wrong.

use p256::ecdsa::signature::hazmat::PrehashVerifier;
use ring::digest::{self, digest};
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use x509_parser::asn1_rs::Oid;
use x509_parser::x509::{AlgorithmIdentifier, SubjectPublicKeyInfo};

/// A public key by its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// P-256, as an uncompressed point that lies on the curve.
    P256(Box<[u8]>),
    /// P-384, as an encoded point.
    P384(Box<[u8]>),
    /// P-521, as an encoded point that lies on the curve. Real lists hold one.
    P521(Box<[u8]>),
    /// RSA, as PKCS#1 DER.
    Rsa(Box<[u8]>),
    /// Some other, or a point that is not on its curve.
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

/// How a certificate or list is signed (RFC 5758 §3.2, RFC 4055 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignatureAlgorithm {
    EcdsaSha256,
    EcdsaSha384,
    EcdsaSha512,
    RsaSha256,
    RsaSha384,
    RsaSha512,
    Unsupported,
}

impl PublicKey {
    pub(super) fn read(spki: &SubjectPublicKeyInfo<'_>) -> Self {
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
            ("1.2.840.10045.2.1", Some("1.3.132.0.35")) => p521::PublicKey::from_sec1_bytes(bytes)
                .map_or(Self::Unsupported, |_| Self::P521(bytes.into())),
            ("1.2.840.113549.1.1.1", _) => Self::Rsa(bytes.into()),
            _ => Self::Unsupported,
        }
    }

    /// The uncompressed point of a P-256 key.
    pub fn p256(&self) -> Option<&[u8]> {
        match self {
            Self::P256(point) => Some(point),
            Self::P384(_) | Self::P521(_) | Self::Rsa(_) | Self::Unsupported => None,
        }
    }

    /// Its kind, for people.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::P256(_) => "P-256",
            Self::P384(_) => "P-384",
            Self::P521(_) => "P-521",
            Self::Rsa(_) => "RSA",
            Self::Unsupported => "unsupported",
        }
    }
}

impl SignatureAlgorithm {
    pub(super) fn read(algorithm: &AlgorithmIdentifier<'_>) -> Self {
        match algorithm.algorithm.to_id_string().as_str() {
            "1.2.840.10045.4.3.2" => Self::EcdsaSha256,
            "1.2.840.10045.4.3.3" => Self::EcdsaSha384,
            "1.2.840.10045.4.3.4" => Self::EcdsaSha512,
            "1.2.840.113549.1.1.11" => Self::RsaSha256,
            "1.2.840.113549.1.1.12" => Self::RsaSha384,
            "1.2.840.113549.1.1.13" => Self::RsaSha512,
            _ => Self::Unsupported,
        }
    }

    /// The digest under ECDSA.
    fn ecdsa_digest(self) -> Option<&'static digest::Algorithm> {
        match self {
            Self::EcdsaSha256 => Some(&digest::SHA256),
            Self::EcdsaSha384 => Some(&digest::SHA384),
            Self::EcdsaSha512 => Some(&digest::SHA512),
            Self::RsaSha256 | Self::RsaSha384 | Self::RsaSha512 | Self::Unsupported => None,
        }
    }
}

/// Checks a signature over DER.
pub(super) fn check(
    key: &PublicKey,
    algorithm: SignatureAlgorithm,
    message: &[u8],
    sig: &[u8],
) -> SignatureCheck {
    use PublicKey as K;
    use SignatureAlgorithm as A;
    let (with, key): (&dyn VerificationAlgorithm, _) = match (key, algorithm) {
        (K::Unsupported, _) | (_, A::Unsupported) => return SignatureCheck::Unsupported,
        (K::P256(k), A::EcdsaSha256) => (&signature::ECDSA_P256_SHA256_ASN1, k),
        (K::P256(k), A::EcdsaSha384) => (&signature::ECDSA_P256_SHA384_ASN1, k),
        (K::P384(k), A::EcdsaSha256) => (&signature::ECDSA_P384_SHA256_ASN1, k),
        (K::P384(k), A::EcdsaSha384) => (&signature::ECDSA_P384_SHA384_ASN1, k),
        (K::Rsa(k), A::RsaSha256) => (&signature::RSA_PKCS1_2048_8192_SHA256, k),
        (K::Rsa(k), A::RsaSha384) => (&signature::RSA_PKCS1_2048_8192_SHA384, k),
        (K::Rsa(k), A::RsaSha512) => (&signature::RSA_PKCS1_2048_8192_SHA512, k),
        // Nobody was seen to sign so, and it would take a third curve.
        (K::P384(_), A::EcdsaSha512) => return SignatureCheck::Unsupported,
        _ => {
            return match slowly(key, algorithm, message, sig) {
                Some(true) => SignatureCheck::Good,
                // A key of one kind and a signature of another can't belong together.
                Some(false) | None => SignatureCheck::Bad,
            };
        }
    };
    match UnparsedPublicKey::new(with, key).verify(message, sig) {
        Ok(()) => SignatureCheck::Good,
        Err(_) => SignatureCheck::Bad,
    }
}

/// What ring does not do: P-521 with any digest, P-256 with SHA-512. `None` where key and algorithm don't fit.
fn slowly(
    key: &PublicKey,
    algorithm: SignatureAlgorithm,
    message: &[u8],
    sig: &[u8],
) -> Option<bool> {
    /// Octets of a number modulo the order of P-521.
    const P521_OCTETS: usize = 66;
    let hash = digest(algorithm.ecdsa_digest()?, message);
    let hash = hash.as_ref();
    match key {
        PublicKey::P256(point) => {
            let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(point).ok()?;
            let sig = p256::ecdsa::Signature::from_der(sig).ok()?;
            Some(key.verify_prehash(hash, &sig).is_ok())
        }
        PublicKey::P521(point) => {
            let key = p521::ecdsa::VerifyingKey::from_sec1_bytes(point).ok()?;
            let sig = p521::ecdsa::Signature::from_der(sig).ok()?;
            // The crate takes no digest shorter than half the order; zeros in front are the same number.
            let mut number = [0; P521_OCTETS];
            let start = P521_OCTETS.checked_sub(hash.len())?;
            number.get_mut(start..)?.copy_from_slice(hash);
            Some(key.verify_prehash(&number, &sig).is_ok())
        }
        PublicKey::P384(_) | PublicKey::Rsa(_) | PublicKey::Unsupported => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stir::credential::testpki::{self as pki, Key};
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use x509_parser::prelude::FromDer;

    /// SubjectPublicKeyInfo of keys that OpenSSL 3.0 made.
    const KEYS: [(&str, &str); 4] = [
        (
            "P-256",
            "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEgUxriLTjSpjiil/ev3S5af3BhbOdbeAIL09S/Iuwp6TyRQCO2maSCDRN+FWLYgrqeOmAdZvGSq \
         8b0zgx2lbZig==",
        ),
        (
            "P-384",
            "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEnp2iO3s6sN7qGwmtBKbYHsnlC5mzkmNp16LYWTSS32fphOXxhXj2XB+vQrKkoRRmF46A3w4VsT5j0A \
         eBlIG4qo3KlW6U6Rp57BJwe44Obkvol41qFB8XZEYBEc4RvFAR",
        ),
        (
            "P-521",
            "MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQBmAJhD5hNLe1unaeu+0p5XFf24Zhfg+vA2AbyeqcxCWF/Zu5trtU6RtcuHkeK5sgbxVZfifU6hB \
         S40fiyvNgEgnsAPAWDQRq42byBWQmhg/2LHnwdNT2OFZ8veVnnUCsIq5vxJRdtju2qjoh9kUA9mXJj5p2+8SFBBVb3rYrBvfdjW04=",
        ),
        (
            "RSA",
            "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAth3OelSdLPLV1Fw32hHIc41lmDuOYlh6lh+InYyS+X7NTALfJKLa0MJsO3PsodqlB1 \
         hddV5qD8BrpbX29cOu+LgMtPS5AucAtGi4YKiyElEvXoGC6yUqE8nhXPR4B1opPR897+YIX3VCYAv810JVeT7sUv+i0ftKYb1ZyI/3uLHG/ELc \
         saEwSiCoIuW7y+Rr2KSPILlFCL+LjG3eEkMjyfLQtIIhxoevBfRT0P6WOyKDQh9ucDX+NYB8GPnOuomHJ91L5/BTgllN62VO+/VEF8eyVcUWu7 \
         zbsZdpeijHTPfVacIaelsmKOrVG9AI9+/fgudEww3/EYRUZiPUm8wIrQIDAQAB",
        ),
    ];

    /// Its signatures over the octets `tracehop` with each digest.
    const SIGNATURES: [(&str, u16, &str); 12] = [
        (
            "P-256",
            256,
            "MEYCIQD96n0ReDSjtJu0jIVDMIZfHkqsK6ajxRbYUJ45ePzIcwIhAOkVh7fX00ntOZ5a5VA2F+zIH9WevdWGXfBLRVwBpe3+",
        ),
        (
            "P-256",
            384,
            "MEUCIQCGaf4DUELsbb6L5kU7K6baIk1SairMPPPthhgrGT2dTQIgZ5KTsdac5rzmZcPGMizPdkXM2t035eGOK9HRCyvaopc=",
        ),
        (
            "P-256",
            512,
            "MEYCIQCkDf4PWEO8QX1gCS+Mu8gslER9r6JuFnEd8LXQwFuhAAIhANOL1NgxWpBuMB40yiMeWl5hFIbtMDcufhMec6dpfbsj",
        ),
        (
            "P-384",
            256,
            "MGUCMQDugLUV3+JSfUW86Usfjob8qsT0z1Ef9hK9q0FMYuZ1CL+2MOCSJSShQ0ju29x38jUCMGdkdi9d/6hcVSt8+Q7AJ7Qux3OW0xOZXlawKK \
         gPXkx+86lQcBRT8Oay9TuM7SlDKA==",
        ),
        (
            "P-384",
            384,
            "MGUCMQCOHWZE+mVnrh3cybXuIBOHS+fnRbn2WnJe4fhXnn6eS+Ftv/8YdKc7Rp42oCaIIE0CMHUvwdCZN2uUIjUOENd95dadY+u2YdnBbmdu9I \
         DPTw38vnxVacM7MUSgGIVFfIC2Kw==",
        ),
        (
            "P-384",
            512,
            "MGUCMCQAaSh4RlHeERidlykmf/r0ne8CqOXQXc3Lb6V+uzHBqRES4uS/mKq/MX3WSgg37AIxALKu2mOw+EJZliNmwHD3UQYxLjmliAQgd3TPt8 \
         J7T2Pcb1s3jRBCTQQgADjSI0DplA==",
        ),
        (
            "P-521",
            256,
            "MIGIAkIA6lto4FkwNcFqEJoWNXeIpKQiKhGSUwpQLL62AHPqhaHGTyXPcFTQYmH+8W5MS4LvCESDQe/CaAtxYRJTxeLviZsCQgEcmD1TFPvc+v \
         ZhesTAti83sHsdMjv6Z2nJfgQiaOgpiboD4g9QTBbzp2wRTAEvfgY0ddyAhlQJIxe0PY264E2Pew==",
        ),
        (
            "P-521",
            384,
            "MIGHAkIBU/5j8BIch7G8+9nWGVcn8KdxeNEEpRg0YZIzIO2Gi+jan/2vAEpnTjfUguCkOjecWA9m8HalVOViXUJA4zTgLsQCQR5LtP5jkFfdJv \
         gA0ZAuctwdW2c41h7T+h1YuotYDFVrnvbBMN/Ek1kEOclLuFJA1uxlY5MqRm5bpJ2tkymI8O0b",
        ),
        (
            "P-521",
            512,
            "MIGIAkIAp1ci75stLZWxFujN0qYAFA/LZ2dXks/ad5/MYE8D8wbWuEjx7DvmymUkhw7O1lvpBOuo/9ng20BoelKUgSJ1vWgCQgFKX2XM2Tin7L \
         Qf9Aly5DD51IwA/KgZpWlLUBw3yuoi9lxMy0pqeqS2iKGgn5jb45OfR2Fy8Nrzjpap0DGt/G6i/Q==",
        ),
        (
            "RSA",
            256,
            "tHfhCjpOuCim4UJTLcuJbxcGH9RaUPoOsrFfQzWcV+yCalWIMgDjhmTNQoMd30zEas/LKQQUok5AlMoaJW9nJF1ioEWhJx4K+qcqOgNMvFHK+7 \
         QLBP9QXDqlqsgUJf0f6JLa/VUsGmB203Vf5hYotqXt4X5zyyibSkPSDl5M7jL9RqbIvojvR2eHuVyMpEj1je9dFBLjJic/Ma3I9CkgnWDsBa00 \
         7Ku8+YyEu+hiVDQiqYfM4nO3sHoTWYwernOGp1oO04oNf/C+H+g+/cPMafoEaNUgrFWW+72ioJyvJZLG1uj3zBEPdsqDtzjUEiviUgJ2jGDQPE \
         f1ERXnKixE+Q==",
        ),
        (
            "RSA",
            384,
            "kQifzwIK+/IJYW+Zfc9GkxPgTU1t23DsSiPNAPZv7ZZPUGN4zQM+LRGZb5Bzw+3Erx6LWpmVF2AeFCHm777w1bsVIrubaS9Iy2C+tVOIUhC/W+ \
         WwsIe2f09FOfMFXW9dL4MT01etEXnzSbYo+hZxMj1WnJK8thSsUzgIKkmZWHxDpXKAbwlvrMF5Jl3UfxehQYxmerBlw8xqNWFstDlLXVAopiQx \
         OA01RkZZq9V53s0PNbnK/rwhtNDrocFQXfYFLILSsyB6rn65JObO7eJ8Ajf7CaW+ikHTtrl3tXJ/2tpL9EHDPNN/fNupQyf3Fj9NgGxUev4MEF \
         7vXQzvTH0s5w==",
        ),
        (
            "RSA",
            512,
            "n2rVmkKbRPZ4i/Mc2ZgUe3CgEKO7LYqfTGATk9+Pw6xMtczd16EDVnHRhpQF+os30gZb/8KwXSevu548bUJi6+94b8FzlI6BTPm9LfvpPWBa0H \
         kWCnTvF83M0X0rig66YzUpPfjmIqZ58kyTy7QoMi7WOkR5gG9myR0O7NtfgplosDPQKlA+XEHt2/lAgbxfw7WgP9odGVFQ9waFL9sNQ+oXRKzC \
         8P90Wqesp697Hqbq3clXfJ+oxl8VL69dGDEhMhMt8zT3diA0UGxQuzAggNnwxKiCZTsjXOBugTRhNRozSoG1wq9kgoLlpgs8+QvsZ4nKQCNOWH \
         8cD/2IbH3cYA==",
        ),
    ];

    fn octets(text: &str) -> Vec<u8> {
        STANDARD.decode(text.replace(' ', "")).unwrap()
    }

    fn key(kind: &str) -> PublicKey {
        let (_, text) = KEYS.iter().find(|(k, _)| *k == kind).unwrap();
        PublicKey::read(&SubjectPublicKeyInfo::from_der(&octets(text)).unwrap().1)
    }

    fn algorithm(kind: &str, digest: u16) -> SignatureAlgorithm {
        use SignatureAlgorithm as A;
        match (kind, digest) {
            ("RSA", 256) => A::RsaSha256,
            ("RSA", 384) => A::RsaSha384,
            ("RSA", 512) => A::RsaSha512,
            (_, 256) => A::EcdsaSha256,
            (_, 384) => A::EcdsaSha384,
            (_, 512) => A::EcdsaSha512,
            _ => A::Unsupported,
        }
    }

    #[test]
    fn x5_what_openssl_signs_with_every_key_and_digest_verifies_here() {
        for (kind, digest, sig) in SIGNATURES {
            let (key, with) = (key(kind), algorithm(kind, digest));
            assert_eq!(key.label(), kind);
            let of = |message: &[u8]| check(&key, with, message, &octets(sig));
            if (kind, digest) == ("P-384", 512) {
                assert_eq!(of(b"tracehop"), SignatureCheck::Unsupported);
                continue;
            }
            assert_eq!(of(b"tracehop"), SignatureCheck::Good, "{kind} {digest}");
            assert_eq!(of(b"tracehoq"), SignatureCheck::Bad, "{kind} {digest}");
        }
    }

    #[test]
    fn x5_a_signature_of_another_kind_or_digest_is_wrong_and_never_unsupported() {
        for (kind, digest, sig) in SIGNATURES {
            for (other, wrong, _) in SIGNATURES {
                let with = algorithm(other, wrong);
                if with == algorithm(kind, digest) || (kind, wrong) == ("P-384", 512) {
                    continue;
                }
                let got = check(&key(kind), with, b"tracehop", &octets(sig));
                assert_eq!(
                    got,
                    SignatureCheck::Bad,
                    "{kind} {digest} as {other} {wrong}"
                );
            }
        }
        let with = SignatureAlgorithm::Unsupported;
        assert_eq!(
            check(&key("RSA"), with, b"", b""),
            SignatureCheck::Unsupported
        );
    }

    #[test]
    fn x5_a_point_off_its_curve_is_no_key() {
        for key in [pki::key(9), Key::P521] {
            let mut spki = key.subject().spki();
            assert_ne!(read(&spki), PublicKey::Unsupported);
            *spki.last_mut().unwrap() ^= 1;
            assert_eq!(read(&spki), PublicKey::Unsupported);
        }
    }

    fn read(spki: &[u8]) -> PublicKey {
        PublicKey::read(&SubjectPublicKeyInfo::from_der(spki).unwrap().1)
    }
}
