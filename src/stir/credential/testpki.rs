//! Certificates, lists and tokens for the tests of this room: deterministic, and as wrong as a test wants them.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use ring::rand::SystemRandom;
use ring::signature::{self, KeyPair};
use time::OffsetDateTime;
use time::macros::format_description;

use super::certificate::Certificate;

/// 2026-01-01: every certificate is valid from then on.
pub const FROM: i64 = 1_767_225_600;
/// 2027-01-01: and until then.
pub const TO: i64 = 1_798_761_600;
/// 2026-06-01T12:00:00Z: when the tests' calls are made.
pub const NOW: i64 = 1_780_315_200;

/// Where the revocation list is published.
pub const CRL_URL: &str = "https://sti-pa.example/crl";

pub const TN_AUTH_LIST: &str = "1.3.6.1.5.5.7.1.26";
pub const SHAKEN_POLICY: &str = "2.16.840.1.114569.1.1.3";

// --- DER ---

pub fn tlv(tag: u8, contents: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match contents.len() {
        n @ 0..=0x7f => out.push(n as u8),
        n @ 0x80..=0xff => out.extend([0x81, n as u8]),
        n => out.extend([0x82, (n >> 8) as u8, n as u8]),
    }
    out.extend(contents);
    out
}

pub fn seq(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

pub fn oid(dotted: &str) -> Vec<u8> {
    let arcs: Vec<u64> = dotted.split('.').map(|a| a.parse().unwrap()).collect();
    let mut out = Vec::new();
    let head = [arcs[0] * 40 + arcs[1]];
    for arc in head.iter().chain(&arcs[2..]) {
        let groups = (1..10).find(|g| arc >> (7 * g) == 0).unwrap();
        for g in (0..groups).rev() {
            let more = if g > 0 { 0x80 } else { 0 };
            out.push(more | (arc >> (7 * g)) as u8 & 0x7f);
        }
    }
    tlv(0x06, &out)
}

/// A name in PrintableStrings.
pub fn name(attributes: &[(&str, &str)]) -> Vec<u8> {
    name_with(0x13, attributes)
}

/// A name in strings of another type.
pub fn name_with(tag: u8, attributes: &[(&str, &str)]) -> Vec<u8> {
    let rdn = |(kind, value): &(&str, &str)| {
        let kind = match *kind {
            "C" => "2.5.4.6",
            "O" => "2.5.4.10",
            "CN" => "2.5.4.3",
            other => panic!("{other}"),
        };
        tlv(0x31, &seq(&[oid(kind), tlv(tag, value.as_bytes())]))
    };
    seq(&attributes.iter().map(rdn).collect::<Vec<_>>())
}

fn dn(common_name: &str) -> Vec<u8> {
    name(&[("C", "US"), ("O", "Example"), ("CN", common_name)])
}

pub fn utc_time(secs: i64) -> Vec<u8> {
    let t = OffsetDateTime::from_unix_timestamp(secs).unwrap();
    let format = format_description!("[year repr:last_two][month][day][hour][minute][second]Z");
    tlv(0x17, t.format(&format).unwrap().as_bytes())
}

fn bits(contents: &[u8]) -> Vec<u8> {
    tlv(0x03, &[&[0], contents].concat())
}

fn extension(id: &str, critical: bool, value: &[u8]) -> Vec<u8> {
    let mut parts = vec![oid(id)];
    if critical {
        parts.push(tlv(0x01, &[0xff]));
    }
    parts.push(tlv(0x04, value));
    seq(&parts)
}

pub fn pem(ders: &[&[u8]]) -> Vec<u8> {
    let block = |der: &&[u8]| {
        let text = STANDARD.encode(der);
        let lines: Vec<_> = text
            .as_bytes()
            .chunks(64)
            .map(|l| std::str::from_utf8(l).unwrap())
            .collect();
        format!(
            "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
            lines.join("\n")
        )
    };
    ders.iter().map(block).collect::<String>().into_bytes()
}

// --- keys ---

/// A private key that can sign DER.
#[derive(Clone)]
pub enum Key {
    P256(SigningKey),
    P384,
    P521,
    Rsa,
    /// On a curve that nobody here has; signs nonsense.
    Unsupported,
}

/// The `n`th of 255 P-256 keys.
pub fn key(n: u8) -> Key {
    Key::P256(SigningKey::from_slice(&[n; 32]).unwrap())
}

impl Key {
    fn signer(&self) -> &SigningKey {
        match self {
            Self::P256(k) => k,
            _ => panic!("no P-256 key"),
        }
    }

    /// Uncompressed point.
    pub fn point(&self) -> Vec<u8> {
        self.signer()
            .verifying_key()
            .to_sec1_point(false)
            .as_bytes()
            .to_vec()
    }

    /// r and s, as JWS has them.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let sig: Signature = self.signer().sign(message);
        sig.to_bytes().to_vec()
    }

    pub fn subject(&self) -> Subject {
        match self {
            Self::P256(_) => Subject::P256(self.point()),
            Self::P384 => Subject::P384(p384().public_key().as_ref().to_vec()),
            Self::P521 => Subject::P521(
                p521()
                    .verifying_key()
                    .to_sec1_point(false)
                    .as_bytes()
                    .to_vec(),
            ),
            Self::Rsa => Subject::Rsa(rsa().public_key().as_ref().to_vec()),
            Self::Unsupported => Subject::Unsupported,
        }
    }

    fn algorithm(&self) -> Vec<u8> {
        match self {
            Self::P256(_) => seq(&[oid("1.2.840.10045.4.3.2")]),
            Self::P384 => seq(&[oid("1.2.840.10045.4.3.3")]),
            Self::Rsa => seq(&[oid("1.2.840.113549.1.1.11"), vec![5, 0]]),
            Self::P521 | Self::Unsupported => seq(&[oid("1.2.840.10045.4.3.4")]),
        }
    }

    pub fn sign_der(&self, tbs: &[u8]) -> Vec<u8> {
        match self {
            Self::P256(k) => {
                let sig: Signature = k.sign(tbs);
                sig.to_der().as_bytes().to_vec()
            }
            Self::P384 => p384()
                .sign(&SystemRandom::new(), tbs)
                .unwrap()
                .as_ref()
                .to_vec(),
            Self::Rsa => {
                let pair = rsa();
                let mut sig = vec![0; pair.public().modulus_len()];
                pair.sign(
                    &signature::RSA_PKCS1_SHA256,
                    &SystemRandom::new(),
                    tbs,
                    &mut sig,
                )
                .unwrap();
                sig
            }
            Self::P521 => {
                let sig: p521::ecdsa::Signature = p521().sign(tbs);
                sig.to_der().as_bytes().to_vec()
            }
            Self::Unsupported => vec![7; 64],
        }
    }
}

fn p521() -> p521::ecdsa::SigningKey {
    let mut scalar = [7; 66];
    scalar[0] = 0;
    p521::ecdsa::SigningKey::from_slice(&scalar).unwrap()
}

fn p384() -> signature::EcdsaKeyPair {
    let der = STANDARD.decode(P384.replace(' ', "")).unwrap();
    signature::EcdsaKeyPair::from_pkcs8(
        &signature::ECDSA_P384_SHA384_ASN1_SIGNING,
        &der,
        &SystemRandom::new(),
    )
    .unwrap()
}

fn rsa() -> signature::RsaKeyPair {
    signature::RsaKeyPair::from_pkcs8(&STANDARD.decode(RSA.replace(' ', "")).unwrap()).unwrap()
}

/// A subject's public key.
#[derive(Clone)]
pub enum Subject {
    P256(Vec<u8>),
    P384(Vec<u8>),
    P521(Vec<u8>),
    Rsa(Vec<u8>),
    /// On secp256k1.
    Unsupported,
}

impl Subject {
    pub fn spki(&self) -> Vec<u8> {
        let ec =
            |curve, point: &[u8]| seq(&[seq(&[oid("1.2.840.10045.2.1"), oid(curve)]), bits(point)]);
        match self {
            Self::P256(p) => ec("1.2.840.10045.3.1.7", p),
            Self::P384(p) => ec("1.3.132.0.34", p),
            Self::Rsa(k) => seq(&[seq(&[oid("1.2.840.113549.1.1.1"), vec![5, 0]]), bits(k)]),
            Self::P521(p) => ec("1.3.132.0.35", p),
            Self::Unsupported => ec("1.3.132.0.10", &[4; 65]),
        }
    }
}

// --- certificates ---

/// A certificate in the making.
#[derive(Clone)]
pub struct Builder {
    version_1: bool,
    serial: Vec<u8>,
    issuer: Vec<u8>,
    subject: Vec<u8>,
    from: i64,
    to: i64,
    key: Subject,
    extensions: Vec<(String, bool, Vec<u8>)>,
    signer: Key,
}

impl Builder {
    fn new(subject: Vec<u8>, key: Subject, issuer: Vec<u8>, signer: Key) -> Self {
        Self {
            version_1: false,
            serial: vec![0x11],
            issuer,
            subject,
            from: FROM,
            to: TO,
            key,
            extensions: Vec::new(),
            signer,
        }
    }

    pub fn extension(mut self, id: &str, critical: bool, value: &[u8]) -> Self {
        self.extensions
            .push((id.to_owned(), critical, value.to_vec()));
        self
    }

    pub fn without(mut self, id: &str) -> Self {
        self.extensions.retain(|(have, ..)| have != id);
        self
    }

    pub fn replace(self, id: &str, critical: bool, value: &[u8]) -> Self {
        self.without(id).extension(id, critical, value)
    }

    /// keyUsage: 0x80 digitalSignature, 0x04 keyCertSign, 0x02 cRLSign.
    pub fn usage(self, octet: u8) -> Self {
        let unused = octet.trailing_zeros() as u8;
        self.replace("2.5.29.15", true, &tlv(0x03, &[unused, octet]))
    }

    pub fn ca(self, path_len: Option<u8>) -> Self {
        let mut parts = vec![tlv(0x01, &[0xff])];
        parts.extend(path_len.map(|n| tlv(0x02, &[n])));
        self.replace("2.5.29.19", true, &seq(&parts))
    }

    pub fn policy(self, id: &str, critical: bool) -> Self {
        self.replace("2.5.29.32", critical, &seq(&[seq(&[oid(id)])]))
    }

    pub fn tn_auth_list(self, value: &[u8]) -> Self {
        self.replace(TN_AUTH_LIST, false, value)
    }

    /// cRLDistributionPoints: one with these URLs, and who signs its list.
    pub fn revocation_point(self, urls: &[&str], issuer: Option<&[u8]>) -> Self {
        let urls: Vec<_> = urls.iter().map(|u| tlv(0x86, u.as_bytes())).collect();
        let mut point = vec![tlv(0xa0, &tlv(0xa0, &urls.concat()))];
        point.extend(issuer.map(|name| tlv(0xa2, &tlv(0xa4, name))));
        self.replace("2.5.29.31", false, &seq(&[seq(&point)]))
    }

    pub fn version_1(mut self) -> Self {
        self.version_1 = true;
        self
    }

    pub fn subject_key(mut self, key: Subject) -> Self {
        self.key = key;
        self
    }

    pub fn subject_name(mut self, der: Vec<u8>) -> Self {
        self.subject = der;
        self
    }

    pub fn issuer_name(mut self, common_name: &str) -> Self {
        self.issuer = dn(common_name);
        self
    }

    pub fn serial(mut self, serial: &[u8]) -> Self {
        self.serial = serial.to_vec();
        self
    }

    pub fn valid(mut self, from: i64, to: i64) -> Self {
        (self.from, self.to) = (from, to);
        self
    }

    pub fn build(&self) -> Vec<u8> {
        let mut parts = Vec::new();
        if !self.version_1 {
            parts.push(tlv(0xa0, &tlv(0x02, &[2])));
        }
        parts.extend([
            tlv(0x02, &self.serial),
            self.signer.algorithm(),
            self.issuer.clone(),
            seq(&[utc_time(self.from), utc_time(self.to)]),
            self.subject.clone(),
            self.key.spki(),
        ]);
        if !self.version_1 {
            let list: Vec<_> = self
                .extensions
                .iter()
                .map(|(id, critical, value)| extension(id, *critical, value))
                .collect();
            parts.push(tlv(0xa3, &seq(&list)));
        }
        signed(&seq(&parts), &self.signer)
    }
}

fn signed(tbs: &[u8], signer: &Key) -> Vec<u8> {
    seq(&[
        tbs.to_vec(),
        signer.algorithm(),
        bits(&signer.sign_der(tbs)),
    ])
}

/// A certificate with its private key: it can issue others.
#[derive(Clone)]
pub struct Issuer {
    pub builder: Builder,
    pub der: Vec<u8>,
    pub key: Key,
}

impl Issuer {
    pub fn new(builder: Builder, key: Key) -> Self {
        let builder = builder.subject_key(key.subject());
        Self {
            der: builder.build(),
            builder,
            key,
        }
    }

    pub fn certificate(&self) -> Certificate {
        Certificate::parse(&self.der).unwrap()
    }

    pub fn name(&self) -> Vec<u8> {
        self.builder.subject.clone()
    }
}

fn self_signed(common_name: &str, key: Key) -> Issuer {
    let b = Builder::new(dn(common_name), key.subject(), dn(common_name), key.clone());
    Issuer::new(b.ca(None).usage(0x06), key)
}

pub fn root() -> Issuer {
    self_signed("Example STI Root", key(1))
}

pub fn other_root() -> Issuer {
    self_signed("Other STI Root", key(2))
}

pub fn root_with_key(key: Key) -> Issuer {
    self_signed("Odd STI Root", key)
}

pub fn sti_pa_root() -> Issuer {
    self_signed("STI-PA Root Certificate", key(40))
}

pub fn intermediate(issuer: &Issuer, common_name: &str, n: u8) -> Issuer {
    intermediate_with(issuer, common_name, n, |b| b)
}

pub fn intermediate_with(
    issuer: &Issuer,
    common_name: &str,
    n: u8,
    change: impl Fn(Builder) -> Builder,
) -> Issuer {
    let key = key(n);
    let b = Builder::new(
        dn(common_name),
        key.subject(),
        issuer.name(),
        issuer.key.clone(),
    );
    Issuer::new(
        change(
            b.ca(None)
                .usage(0x06)
                .policy(SHAKEN_POLICY, true)
                .serial(&[0x20, n]),
        ),
        key,
    )
}

/// The key of every leaf.
pub fn leaf_key() -> Key {
    key(30)
}

pub fn leaf(issuer: &Issuer, spc: &str) -> Builder {
    let entry = tlv(0xa0, &tlv(0x16, spc.as_bytes()));
    Builder::new(
        dn(&format!("SHAKEN {spc}")),
        leaf_key().subject(),
        issuer.name(),
        issuer.key.clone(),
    )
    .usage(0x80)
    .policy(SHAKEN_POLICY, false)
    .tn_auth_list(&seq(&[entry]))
    .extension("2.5.29.14", false, &tlv(0x04, &[1; 20]))
    .extension("2.5.29.35", false, &seq(&[tlv(0x80, &[2; 20])]))
    .revocation_point(&[CRL_URL], Some(&dn("STI-PA CRL")))
}

/// Claim constraints in the making.
#[derive(Clone, Copy, Default)]
pub struct Limits {
    pub include: &'static [&'static str],
    pub permit: &'static [(&'static str, &'static [&'static str])],
    pub exclude: &'static [&'static str],
}

/// JWTClaimConstraints.
pub const CONSTRAINTS: &str = "1.3.6.1.5.5.7.1.27";
/// EnhancedJWTClaimConstraints.
pub const ENHANCED: &str = "1.3.6.1.5.5.7.1.33";

impl Limits {
    pub fn der(&self) -> Vec<u8> {
        let ia5 = |t: &&str| tlv(0x16, t.as_bytes());
        let names = |list: &[&str]| list.iter().map(ia5).collect::<Vec<_>>();
        let values = |(claim, values): &(&str, &[&str])| {
            let values: Vec<_> = values.iter().map(|v| tlv(0x0c, v.as_bytes())).collect();
            seq(&[ia5(claim), seq(&values)])
        };
        let parts = [
            names(self.include),
            self.permit.iter().map(values).collect(),
            names(self.exclude),
        ];
        let parts = parts.iter().zip(0xa0u8..);
        let parts = parts.filter(|(list, _)| !list.is_empty());
        seq(&parts
            .map(|(list, tag)| tlv(tag, &seq(list)))
            .collect::<Vec<_>>())
    }
}

/// A certificate of the STI-PA that signs lists, with the key `n`.
pub fn list_signer(n: u8, usage: u8) -> Issuer {
    let root = sti_pa_root();
    let b = Builder::new(dn("STI-PA CRL"), key(n).subject(), root.name(), root.key);
    Issuer::new(b.usage(usage), key(n))
}

// --- revocation lists ---

/// An entry: serial number, date, extensions.
pub type Entry = (Vec<u8>, i64, Vec<(&'static str, bool, Vec<u8>)>);

/// A revocation list in the making.
#[derive(Clone)]
pub struct CrlBuilder {
    pub this_update: i64,
    pub next_update: Option<i64>,
    pub entries: Vec<Entry>,
    pub extensions: Vec<(&'static str, bool, Vec<u8>)>,
}

/// An issuingDistributionPoint with indirectCRL.
pub fn indirect_idp() -> Vec<u8> {
    idp_at(CRL_URL)
}

/// One that is published elsewhere.
pub fn idp_at(url: &str) -> Vec<u8> {
    let url = tlv(0x86, url.as_bytes());
    seq(&[tlv(0xa0, &tlv(0xa0, &url)), tlv(0x84, &[0xff])])
}

/// The certificateIssuer extension that names `issuer`.
pub fn certificate_issuer(issuer: &[u8]) -> (&'static str, bool, Vec<u8>) {
    ("2.5.29.29", true, seq(&[tlv(0xa4, issuer)]))
}

impl CrlBuilder {
    pub fn new(entries: Vec<Entry>) -> Self {
        Self {
            this_update: NOW - 3600,
            next_update: Some(NOW + 86_400),
            entries,
            extensions: vec![
                ("2.5.29.20", false, tlv(0x02, &[0x07])),
                ("2.5.29.28", true, indirect_idp()),
            ],
        }
    }

    pub fn build(&self, issuer: &Issuer) -> Vec<u8> {
        let exts = |list: &[(&str, bool, Vec<u8>)]| {
            seq(&list
                .iter()
                .map(|(id, critical, value)| extension(id, *critical, value))
                .collect::<Vec<_>>())
        };
        let mut parts = vec![
            tlv(0x02, &[1]),
            issuer.key.algorithm(),
            issuer.name(),
            utc_time(self.this_update),
        ];
        parts.extend(self.next_update.map(utc_time));
        if !self.entries.is_empty() {
            let entry = |(serial, at, list): &Entry| {
                let mut parts = vec![tlv(0x02, serial), utc_time(*at)];
                if !list.is_empty() {
                    parts.push(exts(list));
                }
                seq(&parts)
            };
            parts.push(seq(&self.entries.iter().map(entry).collect::<Vec<_>>()));
        }
        if !self.extensions.is_empty() {
            parts.push(tlv(0xa0, &exts(&self.extensions)));
        }
        signed(&seq(&parts), &issuer.key)
    }
}

// --- tokens ---

/// A compact JWS over texts as they are.
pub fn jws(header: &str, payload: &str, key: &Key) -> String {
    let input = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(payload)
    );
    let sig = key.sign(input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(sig))
}

/// A P-384 key for tests alone (PKCS#8).
const P384: &str = "MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDBy+k9cAgwV+Ue5pAyZKT23tVEGOoFjCkOxhM7LUHNQGHCYRV2PvXLu \
    1RXanMN3lyKhZANiAARatEdusqEZb8829pIbzACtSUNzf+WBTRI4yGIvYxlgm4UkHA5mW8Lgv4Z4OzW9jj+LbfQ+9NTmqhCrF4iE \
    gp1hRWXm60DBBIHwwg5lMNPixvsaDc3Ggi8r/KmkfnmBQso=";

/// A 2,048-bit RSA key for tests alone (PKCS#8).
const RSA: &str = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQDPQraAErOnhz5oybn/SljB+u5HC1XfKa0+G9d5IX/rt42gOWLd \
    WU0fK4Yhn21am+954j4KEIFtCWHL8H/QBWYFZHcs5Sufa0bZ4/5H/FtxZ5qV6K2LwH4CY5MfJFyru5PzJO6HdfmDrwpYUqWz2n+v \
    S6dYIewzWqwtp9XPgbqzxTXZGI57EuyeC/U0tivY3mjrgUfV4/dPMyzxNiIvmBgIsBejWrQ8k4YjfzNmdtCCuruTlvcQoQw5fkZw \
    jgjBok90cybVZwwKLMEkFmC5wKCfyRalPy28oYnZsVmaejoKN1ztnQeG6XXGHtz3Laljemg4oB4BzgyLkXGBMGzB+cMlAgMBAAEC \
    ggEADDKf7P+sxRJHkQE2ShkFCj2LYnD/V8frIzmeP8nB7ox58FEQSXik+k2kcjwgwnFk8aZoAk2gYFtp/wejbgmzTGPyQ5klLRey \
    LsalQ3VNqGnxhhsQg6YLhHZ5xR5tucmrVmb5Bs3hpmdZ04Lhr6kPVLC+I4izjv4qHfG/upum8kdw1uKe5cGsBrof+7yofr54BVOe \
    6Ff/Dbl6Han1eeLpszyCNcAu/WslBCziFLRrvtOcWNYs3vD7HjagjIHIl5ACWQXIbpKtB8ThO5z8LuI4sBWnRL+vztgUKxFQPXvZ \
    L4l8wlwj1HDjpkivvv0egi7ZITVqwWKR6SBjP182i9pFgQKBgQDvSWlr+3bcErIn9c5XSFqkeu8d2CKNFpj6Aw2qeLuCld2mTUp7 \
    g4han0Ulez91KkhJmFBmotHHfGE79jLTBOI23eaxagu4RIxzGhxt1wOXKIKYIUScvN7/NHaWy01zyPY4nAd9KoYNXoekozjp5ucC \
    UBgwywsPRj4347GrpCmlYQKBgQDdvKeELJsVXPI2ha7M+Kf0xdFE3+Tl5GgIHEhAPKS5rZ1QmN/rW8fny4SS9RKOb6dmNDBZQ/Av \
    fIyyIHclc/dCAKuOrwzEpIMZxVUXmTyiTV8YV1AVgqeX6QfVJEJNGVHZIN+ImL1nQ8sfILmkpuXg9bPvJuCBcHKYNmM3Dn4wRQKB \
    gCb4DKwiQsQqY0sws87xIJniz2hL16ykfntQ3fviN59XqsY3liaxUBZ6E7e776S0IxuhK47be1CCiA9M1BAbnn+S+cvw2kHDICBq \
    ozCcMKCAX2xJFrRz6dkkASAjsdRmaPrlJi8TKsuolmyQjGdDTGHLC3V+y6lMJjvR4BB05rdhAoGBAMWtfEIvagq/lAfbYhzFySZE \
    fO5EFFKHL9+bJyZtagVGrCrAP1AZwLv7CjPhXCuziq9o83mBQc1z4hKjMtUm71XeNxO7J0zfxSjibZveNtoS1CZlILYshrC9RQhV \
    jO4jFn7V+bJTSPeYzqrvh9EsIWBOa51XMWr0DpV4VzcsKn9pAoGAVdMmpuP4q1fksMounGQHJv5xj9TXguasNG1BBcGpSsjvypMp \
    iYQ3OkTnF5n4bqzsGyYoUw1dfw2MiJd9Smsjkt7vwngWrq8RkYcaKbIuoglPcecGeZEmDxeaZNWh5FVpbWm61TL6B6LK8WjI7ids \
    aVLE7EA2zjKT1mc2CEuoWvE=";
