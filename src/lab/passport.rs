//! PASSporTs and Identity headers (RFC 8224, RFC 8225, RFC 8588), in order and deliberately broken.
//!
//! The JSON is written by hand, since most of what is wrong with tokens in the field can't be said in a JSON library.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};

use super::kind::{Defect, Kind};
use super::pki::{Pki, Signer};
use crate::stir::verify::Attestation;

/// What a token claims. Numbers are canonical.
#[derive(Clone, Debug)]
pub struct Claims {
    /// How sure the signer is.
    pub attest: Attestation,
    /// Calling number.
    pub orig: String,
    /// Called number.
    pub dest: String,
    /// Seconds since 1970.
    pub iat: i64,
    /// Names the customer or trunk.
    pub origid: String,
}

/// How a header field is written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// As usual.
    #[default]
    Plain,
    /// With the compact name `y`.
    Compact,
    /// Over several lines.
    Folded,
}

/// One header field that has to do with Identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: String,
    /// How it is written; only on the leg that brings it in.
    pub form: Form,
}

/// A token before it is signed, in its parts as written.
pub struct Token {
    header: String,
    payload: String,
    info: Option<String>,
    alg: Option<&'static str>,
    ppt: Vec<&'static str>,
    signing: Signing,
}

#[derive(PartialEq)]
enum Signing {
    Good,
    Der,
    Short,
    Flipped,
}

impl Token {
    /// A SHAKEN token in order.
    pub fn shaken(claims: &Claims, url: &str) -> Self {
        let Claims {
            attest,
            orig,
            dest,
            iat,
            origid,
        } = claims;
        let attest = attest.label();
        Self {
            header: format!(r#"{{"alg":"ES256","ppt":"shaken","typ":"passport","x5u":"{url}"}}"#),
            payload: format!(
                r#"{{"attest":"{attest}","dest":{{"tn":["{dest}"]}},"iat":{iat},"orig":{{"tn":"{orig}"}},"origid":"{origid}"}}"#
            ),
            info: Some(format!("<{url}>")),
            alg: Some("ES256"),
            ppt: vec!["shaken"],
            signing: Signing::Good,
        }
    }

    /// A token of a kind that we don't verify: a message (RFC 9475).
    fn unknown(claims: &Claims, url: &str) -> Self {
        Self::beside("msg", claims, url, r#""msgi":"sha256-AAAA""#)
    }

    /// A token of another kind, with one more claim. Its members stand in the order written: that is not for us to say.
    fn beside(ppt: &'static str, claims: &Claims, url: &str, claim: &str) -> Self {
        let Claims {
            orig, dest, iat, ..
        } = claims;
        Self {
            header: format!(r#"{{"alg":"ES256","ppt":"{ppt}","typ":"passport","x5u":"{url}"}}"#),
            payload: format!(
                r#"{{"dest":{{"tn":["{dest}"]}},"iat":{iat},"orig":{{"tn":"{orig}"}},{claim}}}"#
            ),
            ppt: vec![ppt],
            ..Self::shaken(claims, url)
        }
    }

    /// A diversion from the number signed first to another (RFC 8946).
    fn div(claims: &Claims, from: &str, to: &str, url: &str) -> Self {
        let to = Claims {
            dest: to.to_owned(),
            ..claims.clone()
        };
        Self::beside("div", &to, url, &format!(r#""div":{{"tn":"{from}"}}"#))
    }

    /// A diversion with the original inside.
    fn nested(claims: &Claims, original: &str, to: &str, url: &str) -> Self {
        let to = Claims {
            dest: to.to_owned(),
            ..claims.clone()
        };
        let from = &claims.dest;
        let claim = format!(r#""div":{{"tn":"{from}"}},"opt":"{original}""#);
        Self::beside("div-o", &to, url, &claim)
    }

    /// Rich call data (RFC 9795) with a card in the token and the digest over it.
    fn rich_call_data(claims: &Claims, url: &str) -> Self {
        let card = r#"["vcard",[["fn",{},"text","Example Dental"]]]"#;
        let digest =
            URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, card.as_bytes()));
        let claim = format!(
            r#""rcd":{{"jcd":{card},"nam":"Example Dental"}},"rcdi":{{"/jcd":"sha256-{digest}"}}"#
        );
        Self::beside("rcd", claims, url, &claim)
    }

    fn replace(&mut self, what: &str, with: &str) {
        self.payload = self.payload.replacen(what, with, 1);
    }

    fn replace_header(&mut self, what: &str, with: &str) {
        self.header = self.header.replacen(what, with, 1);
    }

    /// The header value.
    pub fn sign(&self, key: &SigningKey) -> String {
        let mut value = self.digest(key);
        if let Some(info) = &self.info {
            value = value + ";info=" + info;
        }
        if let Some(alg) = self.alg {
            value = value + ";alg=" + alg;
        }
        for ppt in &self.ppt {
            value = value + ";ppt=" + ppt;
        }
        value
    }

    /// The token alone.
    fn digest(&self, key: &SigningKey) -> String {
        let header = URL_SAFE_NO_PAD.encode(&self.header);
        let payload = URL_SAFE_NO_PAD.encode(&self.payload);
        let input = format!("{header}.{payload}");
        let signature: Signature = key.sign(input.as_bytes());
        let mut octets = match self.signing {
            Signing::Der => signature.to_der().as_bytes().to_vec(),
            _ => signature.to_bytes().to_vec(),
        };
        match self.signing {
            Signing::Short => octets.truncate(63),
            // In the middle of r: the form stays good.
            Signing::Flipped => octets[16] ^= 0x40,
            Signing::Good | Signing::Der => {}
        }
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(octets))
    }
}

/// Identity values of a call that was sent on from stop to stop: a `div` for each, the newest first, and the SHAKEN token last.
pub fn diverted(claims: &Claims, stops: &[String], signer: &Signer) -> Vec<String> {
    let from = [&claims.dest].into_iter().chain(stops);
    let mut out: Vec<String> = from
        .zip(stops)
        .map(|(from, to)| Token::div(claims, from, to, &signer.url).sign(&signer.key))
        .collect();
    out.reverse();
    out.push(Token::shaken(claims, &signer.url).sign(&signer.key));
    out
}

/// Writes the Identity header fields of a call of the given kind.
///
/// `claims` are those of the provider that signs first; `called` is where the call goes in the end.
pub fn identity(
    kind: Kind,
    claims: &Claims,
    called: &str,
    signer: &Signer,
    pki: &Pki,
) -> Vec<Field> {
    let token = Token::shaken(claims, &signer.url);
    let field = |value: String, form| Field {
        name: "Identity",
        value,
        form,
    };
    let good = |form| field(token.sign(&signer.key), form);
    match kind {
        Kind::Unsigned => Vec::new(),
        Kind::Valid(_) => vec![good(Form::Plain)],
        Kind::CompactName => vec![good(Form::Compact)],
        Kind::Folded => vec![good(Form::Folded)],
        Kind::QuotedPpt => {
            let quoted = Token {
                ppt: vec!["\"shaken\""],
                ..token
            };
            vec![field(quoted.sign(&signer.key), Form::Plain)]
        }
        Kind::TwoHeaders => {
            let other = Token::unknown(claims, &signer.url);
            vec![
                field(other.sign(&signer.key), Form::Plain),
                good(Form::Plain),
            ]
        }
        Kind::Diverted => {
            let div = Token::div(claims, &claims.dest, called, &signer.url);
            vec![field(div.sign(&signer.key), Form::Plain), good(Form::Plain)]
        }
        Kind::Nested => {
            let original = token.digest(&signer.key);
            let nested = Token::nested(claims, &original, called, &signer.url);
            vec![field(nested.sign(&signer.key), Form::Plain)]
        }
        Kind::RichCallData => {
            let rcd = Token::rich_call_data(claims, &signer.url);
            vec![good(Form::Plain), field(rcd.sign(&signer.key), Form::Plain)]
        }
        Kind::BadThenGood => {
            let bad = Token {
                signing: Signing::Flipped,
                ..Token::shaken(claims, &signer.url)
            };
            vec![field(bad.sign(&signer.key), Form::Plain), good(Form::Plain)]
        }
        Kind::Trouble(trouble) => match second(trouble.defect, claims, called, signer) {
            Some(second) => vec![
                good(Form::Plain),
                field(second.sign(&signer.key), Form::Plain),
            ],
            None => broken(trouble.defect, claims, called, signer, pki),
        },
    }
}

/// The header beside a good one, where that is the one in trouble.
fn second(defect: Defect, claims: &Claims, called: &str, signer: &Signer) -> Option<Token> {
    let (url, first) = (&signer.url, claims.dest.as_str());
    let beside = |ppt, claim: &str| Token::beside(ppt, claims, url, claim);
    Some(match defect {
        Defect::DivNoNumber => {
            let mut div = Token::div(claims, first, called, url);
            div.replace(
                &format!(r#""div":{{"tn":"{first}"}}"#),
                r#""div":{"hi":"1"}"#,
            );
            div
        }
        // Sent on by somebody whom nobody had called.
        Defect::DivBroken => Token::div(claims, "18445550197", called, url),
        Defect::DivOld => {
            let old = Claims {
                iat: claims.iat - 300,
                ..claims.clone()
            };
            Token::div(&old, first, called, url)
        }
        Defect::PriorityNoArray => beside("rph", r#""rph":{"auth":"ets.0"}"#),
        Defect::PriorityOther => beside("rph", r#""rph":{"auth":["wps.0"]}"#),
        Defect::PrioritySigner => beside("rph", r#""rph":{"auth":["ets.0"]}"#),
        Defect::RcdNoName => beside("rcd", r#""rcd":{"apn":"13035550145"}"#),
        Defect::RcdDigest => {
            let mut rcd = Token::rich_call_data(claims, url);
            rcd.replace(r#""text","Example Dental""#, r#""text","Example Bank""#);
            rcd
        }
        Defect::RcdPointer => {
            let mut rcd = Token::rich_call_data(claims, url);
            rcd.replace(r#""/jcd""#, r#""jcd""#);
            rcd
        }
        Defect::RcdContent => beside(
            "rcd",
            &format!(
                r#""rcd":{{"icn":"https://cert.northstar.example/logo.png","nam":"Example Dental"}},"rcdi":{{"/icn":"sha256-{}"}}"#,
                "A".repeat(43)
            ),
        ),
        _ => return None,
    })
}

fn broken(defect: Defect, claims: &Claims, called: &str, signer: &Signer, pki: &Pki) -> Vec<Field> {
    let mut token = Token::shaken(claims, &signer.url);
    let mut key = &signer.key;
    let x5u = format!(r#","x5u":"{}""#, signer.url);
    let dest = format!(r#"{{"tn":["{}"]}}"#, claims.dest);
    let orig = format!(r#"{{"tn":"{}"}}"#, claims.orig);
    let origid = format!(r#","origid":"{}""#, claims.origid);
    let iat = format!(r#""iat":{}"#, claims.iat);
    match defect {
        Defect::CommaJoined => {
            let other = Token::unknown(claims, &signer.url);
            let value = format!("{}, {}", other.sign(key), token.sign(key));
            return vec![Field {
                name: "Identity",
                value,
                form: Form::Plain,
            }];
        }
        Defect::Legacy => return legacy(&signer.url),
        Defect::TooLarge => {
            // Sixteen and a half thousand octets of a claim that nobody asked for.
            let filler = format!(r#"{{"note":"{}","#, "x".repeat(16_500));
            token.replace("{", &filler);
        }
        Defect::NoInfo => token.info = None,
        Defect::NoBrackets => token.info = Some(signer.url.clone()),
        Defect::DuplicatePpt => token.ppt = vec!["shaken", "shaken"],
        Defect::AlgParameter => token.alg = Some("ES384"),
        Defect::OtherPptParameter => token.ppt = vec!["div"],
        Defect::OnlyUnknownPpt => token = Token::unknown(claims, &signer.url),
        Defect::InfoNotX5u => token.info = Some(format!("<{}>", pki.signers[0].url)),
        Defect::DuplicateHeaderName => token.replace_header("{", r#"{"typ":"passport","#),
        Defect::HeaderNoJson => token.header.truncate(token.header.len() - 1),
        Defect::Typ => token.replace_header("passport", "JWT"),
        Defect::Alg => {
            token.replace_header("ES256", "ES384");
            token.alg = None;
        }
        Defect::NoX5u => token.replace_header(&x5u, ""),
        Defect::NoPpt => {
            token.replace_header(r#""ppt":"shaken","#, "");
            token.ppt.clear();
        }
        Defect::Crit => token.replace_header("{", r#"{"crit":["exp"],"#),
        Defect::DuplicateClaim => token.replace("{", r#"{"attest":"A","#),
        Defect::QuotedIat => token.replace(&iat, &format!(r#""iat":"{}""#, claims.iat)),
        Defect::NegativeIat => token.replace(&iat, r#""iat":-1"#),
        Defect::OrigArray => token.replace(&orig, &format!(r#"{{"tn":["{}"]}}"#, claims.orig)),
        Defect::NoOrig => token.replace(&format!(r#","orig":{orig}"#), ""),
        Defect::BareDest => token.replace(&dest, &format!(r#"{{"tn":"{}"}}"#, claims.dest)),
        Defect::EmptyDest => token.replace(&dest, r#"{"tn":[]}"#),
        Defect::PlusSign => token.replace(&orig, &format!(r#"{{"tn":"+{}"}}"#, claims.orig)),
        Defect::AttestD => {
            let attest = format!(r#""attest":"{}""#, claims.attest.label());
            token.replace(&attest, r#""attest":"D""#);
        }
        Defect::AttestLowerCase => {
            let attest = format!(r#""attest":"{}""#, claims.attest.label());
            token.replace(&attest, &attest.to_lowercase());
        }
        Defect::NoOrigid => token.replace(&origid, ""),
        Defect::OrigidNoUuid => token.replace(&origid, r#","origid":"trunk-17""#),
        Defect::Past | Defect::Future => {
            let shift = if defect == Defect::Past { -300 } else { 300 };
            token.replace(&iat, &format!(r#""iat":{}"#, claims.iat + shift));
        }
        Defect::OddPort => {
            token = Token::shaken(
                claims,
                &signer.url.replacen(".example/", ".example:8080/", 1),
            )
        }
        Defect::QueryInUrl => token = Token::shaken(claims, &format!("{}?v=2", signer.url)),
        Defect::Certificate(flaw) => {
            let Some(flawed) = pki.flawed.get(&flaw) else {
                return Vec::new();
            };
            token = Token::shaken(claims, &flawed.url);
            key = &flawed.key;
        }
        Defect::DerSignature => token.signing = Signing::Der,
        Defect::ShortSignature => token.signing = Signing::Short,
        Defect::FlippedSignature => token.signing = Signing::Flipped,
        // The first provider's key with another's certificate.
        Defect::ForeignKey => key = &pki.signers[0].key,
        Defect::NestedBroken => {
            // The original was signed for somebody else.
            let elsewhere = Claims {
                dest: "18445550197".to_owned(),
                ..claims.clone()
            };
            let original = Token::shaken(&elsewhere, &signer.url).digest(key);
            token = Token::nested(claims, &original, called, &signer.url);
        }
        // Done to a second header, to the digest below, to the call's other headers, or to the frames.
        Defect::DivNoNumber
        | Defect::DivBroken
        | Defect::DivOld
        | Defect::DivUnsigned
        | Defect::PriorityNoArray
        | Defect::PriorityOther
        | Defect::PrioritySigner
        | Defect::RcdNoName
        | Defect::RcdDigest
        | Defect::RcdPointer
        | Defect::RcdContent
        | Defect::Padding
        | Defect::Alphabet
        | Defect::CompactForm
        | Defect::LostFragment
        | Defect::SnapLength
        | Defect::DateHeader
        | Defect::OtherOrig
        | Defect::Anonymous
        | Defect::OtherDest
        | Defect::DestByRequestUri => {}
    }
    let value = spoil_digest(defect, token.sign(key));
    vec![Field {
        name: "Identity",
        value,
        form: Form::Plain,
    }]
}

fn spoil_digest(defect: Defect, value: String) -> String {
    let (digest, params) = value.split_once(';').unwrap_or((&value, ""));
    let (input, signature) = digest.rsplit_once('.').unwrap_or((digest, ""));
    match defect {
        Defect::Padding => format!("{digest}==;{params}"),
        Defect::Alphabet => format!("{input}.+/{};{params}", signature.get(2..).unwrap_or("")),
        Defect::CompactForm => format!("..{signature};{params}"),
        _ => value,
    }
}

/// RFC 4474: a bare signature, and the certificate in a header of its own.
fn legacy(url: &str) -> Vec<Field> {
    let signature =
        "ZYNBbHC00VMZr2kZt6VmCvPonWJMGvQTBDqghoWeLxJfzB2a1pxAr3VgrB0SsSAaifsRdiOPoQZYOy2wrVghuhcs";
    vec![
        Field {
            name: "Identity",
            value: format!("\"{signature}\""),
            form: Form::Plain,
        },
        Field {
            name: "Identity-Info",
            value: format!("<{url}>;alg=rsa-sha1"),
            form: Form::Plain,
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;
    use crate::lab::kind::TROUBLES;
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
    use std::collections::BTreeSet;

    fn claims() -> Claims {
        Claims {
            attest: Attestation::A,
            orig: "12125550123".to_owned(),
            dest: "13035550145".to_owned(),
            iat: 1_795_532_400,
            origid: "7b1f0a5e-3c62-4f0a-9d0b-2a6c1c9d4e11".to_owned(),
        }
    }

    #[test]
    fn a_token_in_order_verifies_with_another_library() {
        let pki = Pki::new(1, Timestamp::from_secs(1_795_532_400)).unwrap();
        let signer = &pki.signers[1];
        let fields = identity(Kind::Valid(Attestation::A), &claims(), "", signer, &pki);
        let (digest, params) = fields[0].value.split_once(';').unwrap();
        assert_eq!(
            params,
            "info=<https://cert.northstar.example/sp-1234.pem>;alg=ES256;ppt=shaken"
        );
        let (input, signature) = digest.rsplit_once('.').unwrap();
        let public = signer.key.verifying_key().to_sec1_point(false);
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public.as_bytes())
            .verify(
                input.as_bytes(),
                &URL_SAFE_NO_PAD.decode(signature).unwrap(),
            )
            .unwrap();
        let payload = URL_SAFE_NO_PAD
            .decode(input.split_once('.').unwrap().1)
            .unwrap();
        let payload: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(payload["dest"]["tn"][0], "13035550145");
        assert_eq!(payload["iat"], 1_795_532_400);
    }

    #[test]
    fn every_defect_of_a_token_changes_it() {
        let pki = Pki::new(1, Timestamp::from_secs(1_795_532_400)).unwrap();
        let write = |kind| identity(kind, &claims(), "13035550146", &pki.signers[1], &pki);
        let good = write(Kind::Valid(Attestation::A));
        let elsewhere: Vec<_> = TROUBLES
            .iter()
            .filter(|t| write(Kind::Trouble(t)) == good)
            .map(|t| t.defect)
            .collect();
        use Defect as D;
        assert_eq!(
            elsewhere,
            [
                D::LostFragment,
                D::SnapLength,
                D::DateHeader,
                D::OtherOrig,
                D::Anonymous,
                D::OtherDest,
                D::DestByRequestUri,
                D::DivUnsigned
            ]
        );
        let distinct: BTreeSet<_> = TROUBLES
            .iter()
            .map(|t| {
                write(Kind::Trouble(t))
                    .into_iter()
                    .map(|f| f.value)
                    .collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(distinct.len(), TROUBLES.len() - elsewhere.len() + 1);
    }
}
