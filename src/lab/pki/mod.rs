//! The lab's STI public key infrastructure: everything that a verifier needs to trust the lab's calls, and everything that it must not trust.
//!
//! In comes a seed and a point in time; out come the STI-PA's list of authorities and its indirect revocation list, certificates of
//! providers that are in order, and one certificate for each kind of trouble. Keys come from the seed alone, signatures are those of
//! RFC 6979, so the same seed gives the same octets. Shapes are those of ATIS-1000080 and ATIS-1000084 as deployed.
//!
//! - [`cert`]: keys, names, issuing
//! - [`lists`]: the CA list and the indirect CRL

pub mod cert;
pub mod lists;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use p256::ecdsa::SigningKey;
use x509_cert::Certificate;
use x509_cert::der::Encode;
use x509_cert::name::Name;

use super::LabError;
use crate::base::Timestamp;
use cert::{Authority, Leaf, LeafKey, P521Authority, Span, TnAuth};

/// One day.
const DAY: Duration = Duration::from_secs(86_400);

/// Where the national revocation list is to be had, as certificates say.
pub const CRL_URL: &str = "https://sti-pa.example/crl";

/// `x5u` of the CA list.
pub const CA_LIST_SIGNER_URL: &str = "https://sti-pa.example/ca-list-signer.pem";

/// Who can sign PASSporTs: a key, and where its certificate chain is said to be.
#[derive(Clone)]
pub struct Signer {
    /// The provider's name.
    pub name: &'static str,
    /// Its service provider code.
    pub spc: &'static str,
    /// `x5u` of its tokens.
    pub url: String,
    /// Its key.
    pub key: Arc<SigningKey>,
}

/// What is wrong with a certificate, or odd about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flaw {
    /// Its time is over.
    Expired,
    /// Its time is yet to come.
    NotYetValid,
    /// It stands on the revocation list.
    Revoked,
    /// Its issuer stands on the revocation list.
    IssuerRevoked,
    /// It signed itself.
    SelfSigned,
    /// Its authority is not on the list.
    Untrusted,
    /// It has no TNAuthList.
    NoTnAuthList,
    /// Its TNAuthList has implicit tags.
    ImplicitTags,
    /// Its TNAuthList has a bare string.
    NoWrapper,
    /// Its TNAuthList lacks a length octet.
    NoLength,
    /// Its key is on P-384.
    P384,
    /// Its key is for key agreement only.
    KeyUsage,
    /// It has a critical extension that nobody knows.
    Critical,
    /// It is for numbers, and not for those of the call.
    OtherNumbers,
    /// Its certificate policy is not that of SHAKEN.
    Policy,
    /// Its common name carries another service provider code.
    Subject,
    /// Its TNAuthList is at a URL that it names.
    ByReference,
    /// It is for another provider than its issuer, a delegate.
    NotEncompassed,
    /// It demands a claim that the token has not.
    Constraint,
    /// It has claim constraints of both kinds.
    TwoConstraints,
    /// Its authority has a key on P-521: odd, and good.
    P521Authority,
    /// Its URL has an address for a host.
    Address,
    /// Its file is DER, not PEM.
    BareDer,
    /// Its file is no certificate.
    Garbage,
    /// Its file can't be had.
    Missing,
    /// Its URL is not https.
    PlainHttp,
}

impl Flaw {
    /// Every one.
    pub const ALL: [Self; 26] = [
        Self::Expired,
        Self::NotYetValid,
        Self::Revoked,
        Self::IssuerRevoked,
        Self::SelfSigned,
        Self::Untrusted,
        Self::NoTnAuthList,
        Self::ImplicitTags,
        Self::NoWrapper,
        Self::NoLength,
        Self::P384,
        Self::KeyUsage,
        Self::Critical,
        Self::OtherNumbers,
        Self::Policy,
        Self::Subject,
        Self::ByReference,
        Self::NotEncompassed,
        Self::Constraint,
        Self::TwoConstraints,
        Self::P521Authority,
        Self::Address,
        Self::BareDer,
        Self::Garbage,
        Self::Missing,
        Self::PlainHttp,
    ];

    const fn slug(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::NotYetValid => "not-yet-valid",
            Self::Revoked => "revoked",
            Self::IssuerRevoked => "issuer-revoked",
            Self::SelfSigned => "self-signed",
            Self::Untrusted => "untrusted",
            Self::NoTnAuthList => "no-tnauthlist",
            Self::ImplicitTags => "tnauthlist-implicit",
            Self::NoWrapper => "tnauthlist-bare",
            Self::NoLength => "tnauthlist-no-length",
            Self::P384 => "p384",
            Self::KeyUsage => "key-usage",
            Self::Critical => "critical-extension",
            Self::OtherNumbers => "other-numbers",
            Self::Policy => "other-policy",
            Self::Subject => "other-subject",
            Self::ByReference => "by-reference",
            Self::NotEncompassed => "not-encompassed",
            Self::Constraint => "claim-constraint",
            Self::TwoConstraints => "two-constraints",
            Self::P521Authority => "p521-authority",
            Self::Address => "address",
            Self::BareDer => "bare-der",
            Self::Garbage => "garbage",
            Self::Missing => "missing",
            Self::PlainHttp => "plain-http",
        }
    }
}

/// The infrastructure.
pub struct Pki {
    /// Providers in order, see [`PROVIDERS`].
    pub signers: Vec<Signer>,
    /// One signer for each flaw.
    pub flawed: BTreeMap<Flaw, Signer>,
    /// Files under `certs/`, by name.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Which URL stands for which file of `certs/x5u/`.
    pub index: BTreeMap<String, String>,
    /// Key that signs the list of authorities.
    pub list_signer: SigningKey,
    /// Key that signs the revocation list.
    pub crl_signer: SigningKey,
}

/// Providers whose signatures are in order: name, service provider code, host. The first is the provider whose edge the lab watches.
pub const PROVIDERS: [(&str, &str, &str); 7] = [
    ("Example Voice", "1001", "cert.example-voice.example"),
    ("Northstar Voice LLC", "1234", "cert.northstar.example"),
    ("Westgate Telecom Inc", "2345", "cert.westgate.example"),
    ("Keystone Networks", "3456", "cert.keystone.example"),
    ("Prairie Rural Telephone", "4567", "cert.prairie.example"),
    ("Sunrise Mobile", "5678", "cert.sunrise.example"),
    ("Granite Cable", "709J", "cert.granite.example"),
];

impl Pki {
    /// Makes everything, valid around `base`.
    pub fn new(seed: u64, base: Timestamp) -> Result<Self, LabError> {
        Forge::new(seed, base)?.forge()
    }
}

/// So many providers more, each with a certificate of its own, under the authorities of [`Pki::new`] for the same seed: signers, and what
/// stands at their URLs. For measurements.
pub fn crowd(seed: u64, base: Timestamp, count: usize) -> Result<Vec<(Signer, Vec<u8>)>, LabError> {
    let forge = Forge::new(seed, base)?;
    (0..count)
        .map(|i| {
            let leaf = forge.leaf(&format!("Crowd {i}"), "9001")?;
            let cert = forge.issuing.issue(&leaf)?;
            let pem = cert::chain(&[&cert, &forge.issuing.certificate])?;
            let signer = Signer {
                name: "Crowd",
                spc: "9001",
                url: format!("https://cert.crowd.example/{i}.pem"),
                key: leaf.signing_key(),
            };
            Ok((signer, pem.into_bytes()))
        })
        .collect()
}

/// The authorities while certificates are being made.
struct Forge {
    seed: u64,
    base: Timestamp,
    root: Authority,
    issuing: Authority,
    second_root: Authority,
    second_issuing: Authority,
    retired: Authority,
    stranger: Authority,
    delegate: Authority,
    p521: P521Authority,
    pa_root: Authority,
    crl_signer: Authority,
    list_signer: Authority,
    files: BTreeMap<String, Vec<u8>>,
    index: BTreeMap<String, String>,
    revoked: Option<Certificate>,
    good: Vec<Certificate>,
}

impl Forge {
    fn new(seed: u64, base: Timestamp) -> Result<Self, LabError> {
        let long = Span::around(base, DAY * 365, DAY * 3650)?;
        let root = Authority::root(seed, "Example STI-CA", "Example STI-CA Root", long)?;
        let second_root = Authority::root(seed, "Second STI-CA", "Second STI-CA Root", long)?;
        let stranger = Authority::root(seed, "Unlisted CA", "Unlisted CA Root", long)?;
        let pa_root = Authority::root(seed, "Example STI-PA", "Example STI-PA Root", long)?;
        let issuing = root.intermediate(seed, "Example STI-CA Issuing CA 1", long)?;
        let for_another = TnAuth::Spc("8902".to_owned());
        Ok(Self {
            delegate: issuing.delegate(seed, "Example Delegate CA", long, &for_another)?,
            p521: P521Authority::root(seed, "Third STI-CA", "Third STI-CA Root", long)?,
            issuing,
            retired: root.intermediate(seed, "Example STI-CA Issuing CA 0", long)?,
            second_issuing: second_root.intermediate(seed, "Second STI-CA Issuing CA", long)?,
            crl_signer: pa_root.crl_signer(seed, "Example STI-PA CRL", long)?,
            list_signer: pa_root.signer(seed, "Example STI-PA CA List", long)?,
            seed,
            base,
            root,
            second_root,
            stranger,
            pa_root,
            files: BTreeMap::new(),
            index: BTreeMap::new(),
            revoked: None,
            good: Vec::new(),
        })
    }

    fn forge(mut self) -> Result<Pki, LabError> {
        let mut signers = Vec::new();
        for (i, (name, spc, host)) in PROVIDERS.into_iter().enumerate() {
            let leaf = self.leaf(name, spc)?;
            // The second authority serves two of them; its issuing CA is on the list itself, its root is not.
            let issuer = if i % 3 == 2 {
                &self.second_issuing
            } else {
                &self.issuing
            };
            let cert = issuer.issue(&leaf)?;
            let pem = cert::chain(&[&cert, &issuer.certificate])?;
            let file = format!("sp-{}.pem", spc.to_ascii_lowercase());
            let url = format!("https://{host}/{file}");
            self.publish(&url, &file, pem.into_bytes());
            self.good.push(cert);
            signers.push(Signer {
                name,
                spc,
                url,
                key: leaf.signing_key(),
            });
        }
        let mut flawed = BTreeMap::new();
        for flaw in Flaw::ALL {
            flawed.insert(flaw, self.flawed(flaw)?);
        }
        self.lists()?;
        Ok(Pki {
            signers,
            flawed,
            files: self.files,
            index: self.index,
            list_signer: self.list_signer.key,
            crl_signer: self.crl_signer.key,
        })
    }

    /// A leaf in order, to be made worse where need be.
    fn leaf(&self, organisation: &str, spc: &str) -> Result<Leaf, LabError> {
        Ok(Leaf {
            subject: cert::name(organisation, &format!("SHAKEN {spc}"))?,
            key: LeafKey::P256(Arc::new(cert::key(self.seed, organisation)?)),
            // Seven days are the commonest lifetime in the field.
            span: Span::around(self.base, DAY, DAY * 6)?,
            serial: cert::serial(self.seed, organisation),
            tn_auth: TnAuth::Spc(spc.to_owned()).der(),
            policy: cert::SHAKEN_POLICY,
            digital_signature: true,
            unknown_critical: false,
            others: Vec::new(),
            crl_issuer: self
                .crl_signer
                .certificate
                .tbs_certificate()
                .subject()
                .clone(),
        })
    }

    fn flawed(&mut self, flaw: Flaw) -> Result<Signer, LabError> {
        let (slug, spc) = (flaw.slug(), "8901");
        let mut leaf = self.leaf(&format!("Flawed {slug}"), spc)?;
        match flaw {
            Flaw::Expired => leaf.span = Span::until(self.base, DAY * 8, DAY)?,
            Flaw::NotYetValid => leaf.span = Span::from(self.base, DAY, DAY * 8)?,
            Flaw::NoTnAuthList => leaf.tn_auth = None,
            Flaw::ImplicitTags => leaf.tn_auth = TnAuth::ImplicitSpc(spc.to_owned()).der(),
            Flaw::NoWrapper => leaf.tn_auth = TnAuth::Raw("300613043735354A").der(),
            Flaw::NoLength => leaf.tn_auth = TnAuth::Raw("3008A006163535384A").der(),
            Flaw::P384 => leaf.key = LeafKey::P384(Arc::new(cert::key(self.seed, slug)?)),
            Flaw::KeyUsage => leaf.digital_signature = false,
            Flaw::Critical => leaf.unknown_critical = true,
            Flaw::OtherNumbers => {
                leaf.tn_auth = TnAuth::Range("19075550100".to_owned(), 50).der();
            }
            Flaw::Policy => leaf.policy = cert::OTHER_POLICY,
            Flaw::ByReference => {
                leaf.tn_auth = None;
                let list = cert::tn_auth_list_at("https://cert.flawed.example/tn-auth-list")?;
                leaf.others.push((cert::AUTHORITY_INFO_ACCESS, list));
            }
            Flaw::Constraint => {
                let claim = cert::must_include("rcd");
                leaf.others.push((cert::CONSTRAINTS, claim));
            }
            Flaw::TwoConstraints => {
                // A claim that every token of the lab has: nothing is wrong but that there are two.
                let claim = cert::must_include("origid");
                leaf.others.push((cert::CONSTRAINTS, claim.clone()));
                leaf.others.push((cert::ENHANCED_CONSTRAINTS, claim));
            }
            Flaw::Subject => leaf.subject = cert::name("Flawed other-subject", "SHAKEN 8902")?,
            _ => {}
        }
        let cert = match flaw {
            Flaw::SelfSigned => leaf.self_signed()?,
            Flaw::Untrusted => self.stranger.issue(&leaf)?,
            Flaw::IssuerRevoked => self.retired.issue(&leaf)?,
            Flaw::NotEncompassed => self.delegate.issue(&leaf)?,
            Flaw::P521Authority => self.p521.issue(&leaf)?,
            // It comes alone, so its issuer must be on the list.
            Flaw::BareDer => self.second_issuing.issue(&leaf)?,
            _ => self.issuing.issue(&leaf)?,
        };
        let pem = match flaw {
            Flaw::SelfSigned => cert::chain(&[&cert])?.into_bytes(),
            Flaw::Untrusted => cert::chain(&[&cert, &self.stranger.certificate])?.into_bytes(),
            Flaw::IssuerRevoked => cert::chain(&[&cert, &self.retired.certificate])?.into_bytes(),
            Flaw::NotEncompassed => {
                let (delegate, issuing) = (&self.delegate.certificate, &self.issuing.certificate);
                cert::chain(&[&cert, delegate, issuing])?.into_bytes()
            }
            Flaw::P521Authority => cert::chain(&[&cert])?.into_bytes(),
            Flaw::BareDer => cert.to_der()?,
            // Good armour around what is no certificate.
            Flaw::Garbage => cert::armour(b"This is no certificate.").into_bytes(),
            _ => cert::chain(&[&cert, &self.issuing.certificate])?.into_bytes(),
        };
        let scheme = if flaw == Flaw::PlainHttp {
            "http"
        } else {
            "https"
        };
        let host = if flaw == Flaw::Address {
            "192.0.2.80"
        } else {
            "cert.flawed.example"
        };
        let url = format!("{scheme}://{host}/{slug}.pem");
        if flaw != Flaw::Missing {
            self.publish(&url, &format!("{slug}.pem"), pem);
        }
        if flaw == Flaw::Revoked {
            self.revoked = Some(cert);
        }
        Ok(Signer {
            name: "Flawed",
            spc: "8901",
            url,
            key: leaf.signing_key(),
        })
    }

    fn publish(&mut self, url: &str, file: &str, content: Vec<u8>) {
        self.files.insert(format!("x5u/{file}"), content);
        self.index.insert(url.to_owned(), file.to_owned());
    }

    /// The STI-PA's files: list of authorities, revocation list, and the certificates that prove them.
    fn lists(&mut self) -> Result<(), LabError> {
        let exp = self.base.plus(DAY).secs();
        let list = lists::ca_list(
            &[
                &self.root.certificate,
                &self.second_issuing.certificate,
                &self.p521.certificate,
            ],
            exp,
            &self.list_signer.key,
        )?;
        self.files.insert("ca-list.jws".to_owned(), list);
        let subject = |a: &Authority| -> Name { a.certificate.tbs_certificate().subject().clone() };
        let serial = |c: &Certificate| c.tbs_certificate().serial_number().clone();
        let mut entries = vec![
            // Serial numbers of certificates in order, under other issuers: a list read without its issuers revokes them wrongly.
            lists::Entry {
                issuer: None,
                serial: serial(&self.good[1]),
            },
            lists::Entry {
                issuer: Some(subject(&self.second_root)),
                serial: cert::serial(self.seed, "gone 1"),
            },
            lists::Entry {
                issuer: None,
                serial: serial(&self.good[3]),
            },
            lists::Entry {
                // Written otherwise than in the certificates, yet the same name.
                issuer: Some(cert::printable(&subject(&self.issuing))?),
                serial: cert::serial(self.seed, "gone 2"),
            },
        ];
        if let Some(cert) = &self.revoked {
            // The issuer of the entry before still holds.
            entries.push(lists::Entry {
                issuer: None,
                serial: serial(cert),
            });
        }
        entries.push(lists::Entry {
            issuer: Some(subject(&self.root)),
            serial: serial(&self.retired.certificate),
        });
        let crl = lists::crl(&self.crl_signer, &entries, self.base)?;
        self.files.insert("crl.der".to_owned(), crl);
        for (file, authority) in [
            ("sti-pa-root.pem", &self.pa_root),
            ("crl-signer.pem", &self.crl_signer),
            ("ca-list-signer.pem", &self.list_signer),
            // For peers that take plain PEM, and for checks by hand.
            ("anchors.pem", &self.root),
        ] {
            let mut pem = cert::chain(&[&authority.certificate])?;
            if file == "anchors.pem" {
                pem += &cert::chain(&[&self.second_issuing.certificate, &self.p521.certificate])?;
            }
            self.files.insert(file.to_owned(), pem.into_bytes());
        }
        let lines: String = self
            .index
            .iter()
            .map(|(url, file)| format!("\"{url}\" = \"{file}\"\n"))
            .collect();
        self.files
            .insert("x5u/index.toml".to_owned(), lines.into_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use x509_cert::der::Decode;

    fn pki(seed: u64) -> Pki {
        Pki::new(seed, Timestamp::from_secs(1_795_532_400)).unwrap()
    }

    #[test]
    fn a_seed_gives_the_same_files_and_another_gives_others() {
        let (a, b, c) = (pki(1), pki(1), pki(2));
        assert_eq!(a.files, b.files);
        assert_ne!(a.files["crl.der"], c.files["crl.der"]);
        assert_ne!(a.files["x5u/sp-1234.pem"], c.files["x5u/sp-1234.pem"]);
    }

    #[test]
    fn every_url_but_the_missing_one_has_a_file() {
        let pki = pki(1);
        for signer in pki.signers.iter().chain(pki.flawed.values()) {
            let file = pki.index.get(&signer.url);
            assert_eq!(
                file.is_none(),
                signer.url.ends_with("/missing.pem"),
                "{}",
                signer.url
            );
            if let Some(file) = file {
                assert!(pki.files.contains_key(&format!("x5u/{file}")));
            }
        }
    }

    #[test]
    fn leaves_carry_what_their_flaw_says() {
        let pki = pki(1);
        let leaf = |file: &str| {
            let chain =
                Certificate::load_pem_chain(&pki.files[&format!("x5u/{file}.pem")]).unwrap();
            chain[0].clone()
        };
        let tn_auth = |c: &Certificate| {
            let ext = c.tbs_certificate().extensions().unwrap().iter();
            ext.clone()
                .find(|e| e.extn_id == cert::TN_AUTH_LIST)
                .map(|e| e.extn_value.as_bytes().to_vec())
        };
        assert_eq!(
            tn_auth(&leaf("sp-1234")).unwrap(),
            b"\x30\x08\xa0\x06\x16\x041234"
        );
        assert_eq!(tn_auth(&leaf("no-tnauthlist")), None);
        assert_eq!(
            tn_auth(&leaf("tnauthlist-implicit")).unwrap(),
            b"\x30\x06\x80\x048901"
        );
        assert_eq!(
            tn_auth(&leaf("tnauthlist-bare")).unwrap(),
            b"\x30\x06\x13\x04755J"
        );
        assert_eq!(
            leaf("self-signed").tbs_certificate().issuer(),
            leaf("self-signed").tbs_certificate().subject()
        );
        let crl = x509_cert::crl::CertificateList::<x509_cert::certificate::Rfc5280>::from_der(
            &pki.files["crl.der"],
        )
        .unwrap();
        assert_eq!(crl.tbs_cert_list.revoked_certificates.unwrap().len(), 6);
    }

    #[test]
    fn the_ca_list_is_signed_and_one_of_its_entries_is_odd() {
        use base64::Engine;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
        let pki = pki(1);
        let list = std::str::from_utf8(&pki.files["ca-list.jws"]).unwrap();
        let signer = Certificate::load_pem_chain(&pki.files["ca-list-signer.pem"])
            .unwrap()
            .remove(0);
        let key = signer
            .tbs_certificate()
            .subject_public_key_info()
            .subject_public_key
            .raw_bytes()
            .to_vec();
        let (input, signature) = list.rsplit_once('.').unwrap();
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key)
            .verify(input.as_bytes(), &decode(signature))
            .unwrap();
        let payload: serde_json::Value =
            serde_json::from_slice(&decode(input.split_once('.').unwrap().1)).unwrap();
        let entries = payload["trustList"].as_array().unwrap();
        let read = |e: &&serde_json::Value| {
            Certificate::load_pem_chain(e.as_str().unwrap().as_bytes()).is_ok()
        };
        assert_eq!(
            (
                payload["sequence"].as_i64(),
                entries.len(),
                entries.iter().filter(read).count()
            ),
            (Some(0), 4, 3)
        );
    }

    #[test]
    fn a_name_in_other_strings_is_another_encoding_only() {
        use x509_cert::der::Encode;
        let name = cert::name("Example STI-CA", "Issuing CA").unwrap();
        let other = cert::printable(&name).unwrap();
        assert_eq!(name.to_string(), other.to_string());
        assert_ne!(name.to_der().unwrap(), other.to_der().unwrap());
    }
}
