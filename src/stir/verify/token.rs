//! Families header, grammar and token: rules H3, H5, G1 to G8, J1 to J6, P1 to P4, P6, P7 and S1, for every kind of PASSporT.
//! All by looking; no key, no clock.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::compact;
use super::credential::MAX_URL;
use super::facts::CallFacts;
use super::signature::{InputDigest, SignatureForm, Signed};
use super::states::RuleStates;
use super::{Attestation, HeaderVerdict, Profile, Rule, VerifySettings};
use crate::base::text::escape;
use crate::number::{NumberPlan, Tn};
use crate::stir::passport::base64url::{self, Slack};
use crate::stir::passport::{
    Claim, Claims, Dest, Extension, Iat, Identity, JoseHeader, Kind, Orig, Token,
};

/// How much of a `ppt` is kept. Registered ones have at most seven characters.
const MAX_PPT: usize = 32;

/// How much of an `origid` is kept. A UUID has 36 characters.
const MAX_ORIGID: usize = 128;

/// Room for the decoded parts of one token; ordinary ones need no allocation. Header 140 to 200 octets, payload 160 to 250.
#[derive(Default)]
pub struct Room {
    header: SmallVec<[u8; 256]>,
    payload: SmallVec<[u8; 512]>,
    signature: SmallVec<[u8; 64]>,
    /// Header and payload of a compact token, rebuilt.
    rebuilt: String,
}

/// What could be read of a token.
pub(super) struct ReadToken<'a> {
    identity: Identity<'a>,
    /// What is signed: header, dot and payload.
    input: Option<(&'a [u8], InputDigest)>,
    header: Option<JoseHeader<'a>>,
    payload: &'a [u8],
    claims: Option<Claims<'a>>,
    signature: &'a [u8],
    /// What it is for.
    pub kind: Kind,
    /// Whether the rules of SHAKEN hold for it.
    as_shaken: bool,
}

/// Reads and judges a token. Where rule H5 or G7 fails, nothing else is said of it.
pub(super) fn judge<'a>(
    identity: &Identity<'a>,
    facts: &CallFacts<'_>,
    room: &'a mut Room,
    settings: &VerifySettings,
    states: &mut RuleStates,
) -> ReadToken<'a> {
    let mut all = RuleStates::default();
    let mut token = read(identity, facts, room, settings, &mut all);
    token.kind = token.find_kind();
    token.as_shaken = match token.kind {
        Kind::Base => settings.profile == Profile::Shaken,
        kind => kind == Kind::Shaken,
    };
    states.judge(Rule::H3, !identity.joined);
    if facts.identity_info && identity.info.is_none() {
        states.judge(Rule::H5, false);
        return token;
    }
    if !states.judge(Rule::G7, token.kind != Kind::Unknown) {
        return token;
    }
    states.add(&all);
    token.judge_parameters(states);
    if let Some(header) = &token.header {
        token.judge_header(header, states);
    }
    if let Some(claims) = &token.claims {
        token.judge_claims(claims, states);
    }
    token
}

/// Decodes the parts and judges what decoding shows: G1, G1S, G2, S1, J1, P1.
fn read<'a>(
    identity: &Identity<'a>,
    facts: &CallFacts<'_>,
    room: &'a mut Room,
    settings: &VerifySettings,
    states: &mut RuleStates,
) -> ReadToken<'a> {
    let mut out = ReadToken {
        identity: *identity,
        input: None,
        header: None,
        payload: &[],
        claims: None,
        signature: &[],
        kind: Kind::Unknown,
        as_shaken: true,
    };
    let parts = match identity.split_token() {
        Token::Full(parts) => parts,
        Token::Compact(signature) => {
            let base = identity.ppt.is_none() && settings.profile == Profile::Generic;
            if states.judge(Rule::G2, base) {
                out.read_compact(signature, facts, room, states);
            } else {
                states.judge(Rule::G1, true);
            }
            return out;
        }
        Token::Malformed => {
            states.judge(Rule::G1, false);
            return out;
        }
    };
    states.judge(Rule::G2, true);
    let Room {
        header,
        payload,
        signature,
        ..
    } = room;
    let decoded = [
        base64url::decode(parts.header, header),
        base64url::decode(parts.payload, payload),
        base64url::decode(parts.signature, signature),
    ];
    states.judge(Rule::G1, decoded.iter().all(Result::is_ok));
    states.judge(Rule::G1S, !decoded.contains(&Ok(Slack::Set)));
    // One part that can't be decoded leaves the others readable: the record should still say who signed.
    let [h, p, s] = decoded.map(|d| d.is_ok());
    if h {
        out.header = JoseHeader::parse(header).ok();
        states.judge(Rule::J1, out.header.is_some());
    }
    if p {
        let payload: &'a [u8] = payload;
        out.payload = payload;
        out.claims = Claims::parse(payload).ok();
        states.judge(Rule::P1, out.claims.is_some());
    }
    if s {
        out.signature = signature;
        let form = SignatureForm::of(signature);
        states.judge(Rule::S1, form == SignatureForm::Fixed);
    }
    out.input = Some((parts.signing_input, InputDigest::of(parts.signing_input)));
    out
}

impl<'a> ReadToken<'a> {
    /// The decoded payload, where it can be read (rule P1).
    pub fn payload(&self) -> Option<&'a [u8]> {
        self.claims.is_some().then_some(self.payload)
    }

    /// What it is for. Parameter and token have to agree on another kind than SHAKEN: else a forger could hide a bad shaken token
    /// behind a parameter. Where nothing sensible is said, it is taken as SHAKEN and fails as such.
    fn find_kind(&self) -> Kind {
        let parameter = self.identity.ppt.map(Kind::of_parameter);
        let Some(header) = &self.header else {
            // The token can't be read, or is in compact form: the parameter alone says what it is.
            let compact = matches!(self.identity.split_token(), Token::Compact(_));
            let silent = if compact { Kind::Base } else { Kind::Shaken };
            return parameter.unwrap_or(silent);
        };
        let same_text = |member: &str| {
            self.identity
                .ppt
                .is_none_or(|p| p.eq_ignore_ascii_case(member.as_bytes()))
        };
        match (&header.ppt, parameter) {
            (_, Some(Kind::Shaken)) => Kind::Shaken,
            (Claim::Absent, None) => Kind::Base,
            (Claim::Text(member), parameter) => match (Kind::of_member(member), parameter) {
                (Kind::Unknown, _) if same_text(member) => Kind::Unknown,
                (Kind::Unknown, None | Some(Kind::Unknown)) => Kind::Shaken,
                (Kind::Unknown, Some(parameter)) => parameter,
                (kind, _) => kind,
            },
            (Claim::Absent | Claim::Other, None | Some(Kind::Unknown)) => Kind::Shaken,
            (Claim::Absent | Claim::Other, Some(parameter)) => parameter,
        }
    }

    /// Rebuilds what a compact token stands for and reads that (RFC 8225 §7).
    fn read_compact(
        &mut self,
        signature: &[u8],
        facts: &CallFacts<'_>,
        room: &'a mut Room,
        states: &mut RuleStates,
    ) {
        let decoded = base64url::decode(signature, &mut room.signature);
        states.judge(Rule::G1, decoded.is_ok());
        states.judge(Rule::G1S, decoded != Ok(Slack::Set));
        if decoded.is_err() {
            return;
        }
        let Room {
            header,
            payload,
            signature,
            rebuilt,
        } = room;
        self.signature = signature;
        let form = SignatureForm::of(signature);
        states.judge(Rule::S1, form == SignatureForm::Fixed);
        let parts = match compact::rebuild(self.identity.info, facts) {
            Ok(parts) => parts,
            Err(compact::Missing::Date) => {
                states.judge(Rule::F1, false);
                return;
            }
            Err(compact::Missing::Calling) => return states.cannot_tell(Rule::O3),
            Err(compact::Missing::Called) => return states.cannot_tell(Rule::D1),
            // G3 says it.
            Err(compact::Missing::Url) => return,
        };
        header.extend_from_slice(parts.header.as_bytes());
        payload.extend_from_slice(parts.payload.as_bytes());
        *rebuilt = parts.signing_input();
        let (payload, rebuilt): (&'a [u8], &'a str) = (payload, rebuilt);
        self.header = JoseHeader::parse(header).ok();
        self.claims = Claims::parse(payload).ok();
        self.payload = payload;
        states.judge(Rule::J1, self.header.is_some());
        states.judge(Rule::P1, self.claims.is_some());
        self.input = Some((rebuilt.as_bytes(), InputDigest::of(rebuilt.as_bytes())));
    }

    /// G3 to G5: what the parameters say by themselves.
    fn judge_parameters(&self, states: &mut RuleStates) {
        let id = &self.identity;
        states.judge(Rule::G3, id.has_absolute_info());
        states.judge(Rule::G4, !id.duplicate);
        // SIP tokens are equal in any case (RFC 3261 §7.3.1); members of the JOSE header are not.
        states.judge(
            Rule::G5,
            id.alg.is_none_or(|a| a.eq_ignore_ascii_case(b"ES256")),
        );
    }

    /// J2 to J6, and G6 and G8, which hold parameters against them.
    fn judge_header(&self, header: &JoseHeader<'_>, states: &mut RuleStates) {
        let id = &self.identity;
        states.judge(Rule::J2, header.typ.text() == Some("passport"));
        states.judge(Rule::J3, header.alg.text() == Some("ES256"));
        states.judge(Rule::J4, header.x5u.text().is_some());
        states.judge(Rule::J5, self.kind_counts(header));
        states.judge(Rule::J6, !header.crit);
        let ppt = header.ppt.text().map(str::as_bytes);
        states.judge(
            Rule::G6,
            id.ppt
                .is_none_or(|p| ppt.is_some_and(|t| p.eq_ignore_ascii_case(t))),
        );
        if let (Some(info), Some(x5u)) = (id.info, header.x5u.text()) {
            states.judge(Rule::G8, info == x5u.as_bytes());
        }
    }

    /// Whether the token itself says its kind, and that kind counts here.
    fn kind_counts(&self, header: &JoseHeader<'_>) -> bool {
        match &header.ppt {
            Claim::Text(ppt) => *ppt == self.kind.label(),
            Claim::Absent => self.kind == Kind::Base && !self.as_shaken,
            Claim::Other => false,
        }
    }

    fn judge_claims(&self, claims: &Claims<'_>, states: &mut RuleStates) {
        states.judge(Rule::P2, matches!(claims.iat, Iat::Seconds(_)));
        let orig = match claims.orig {
            Orig::Tn(_) => true,
            Orig::Uri(_) => !self.as_shaken,
            Orig::Absent | Orig::Malformed => false,
        };
        states.judge(Rule::P3, orig);
        states.judge(Rule::P4, matches!(claims.dest, Dest::List { .. }));
        if self.as_shaken {
            states.judge(Rule::P6, attestation(&claims.attest).is_some());
            let origid = claims.origid.text().filter(|o| !o.is_empty());
            if states.judge(Rule::P7, origid.is_some()) {
                states.judge(Rule::P7U, origid.is_some_and(is_uuid));
            }
        }
    }

    /// Its claims.
    pub fn claims(&self) -> Option<&Claims<'a>> {
        self.claims.as_ref()
    }

    /// Its payload as a tree, where it has claims beyond those of SHAKEN and base PASSporTs.
    pub fn extension(&self) -> Option<Extension> {
        let claims = self.claims.as_ref()?;
        let beyond = !matches!(self.kind, Kind::Shaken | Kind::Base | Kind::Unknown);
        (beyond || claims.has_rcd || claims.has_mky)
            .then(|| Extension::read(self.payload))
            .flatten()
    }

    /// What of it goes into the verdict, valid or not.
    pub fn describe(&self) -> HeaderVerdict {
        let header = self.header.as_ref();
        let text = |claim: Option<&Claim<'_>>, max| Some(cut(claim?.text()?, max));
        let escaped = |parameter: Option<&[u8]>, max| Some(cut(&escape(parameter?), max));
        let (ppt, x5u) = (header.map(|h| &h.ppt), header.map(|h| &h.x5u));
        // Where the token can't be read, its parameters stand in.
        let mut out = HeaderVerdict {
            kind: self.kind,
            ppt: text(ppt, MAX_PPT).or_else(|| escaped(self.identity.ppt, MAX_PPT)),
            x5u: text(x5u, MAX_URL).or_else(|| escaped(self.identity.info, MAX_URL)),
            ..HeaderVerdict::default()
        };
        if let Some(claims) = &self.claims {
            out.attest = attestation(&claims.attest);
            out.origid = text(Some(&claims.origid), MAX_ORIGID);
            out.iat = self.iat();
        }
        out.digest = self.input.map(|(_, digest)| digest.passport());
        out
    }

    /// Signed calling number.
    pub fn orig(&self, plan: &NumberPlan) -> Option<SignedNumber<'_>> {
        match &self.claims.as_ref()?.orig {
            Orig::Tn(tn) => Some(SignedNumber::read(tn, plan)),
            Orig::Absent | Orig::Uri(_) | Orig::Malformed => None,
        }
    }

    /// Signed calling URI, where the kind may have one.
    pub fn orig_uri(&self) -> Option<&str> {
        match &self.claims.as_ref()?.orig {
            Orig::Uri(uri) if !self.as_shaken => Some(uri),
            _ => None,
        }
    }

    /// Signed called numbers and URIs.
    pub fn dest(&self, plan: &NumberPlan) -> Option<SignedDest<'_>> {
        SignedDest::read(&self.claims.as_ref()?.dest, plan)
    }

    /// When it was signed.
    pub fn iat(&self) -> Option<i64> {
        match self.claims.as_ref()?.iat {
            Iat::Seconds(iat) => Some(iat),
            Iat::Absent | Iat::OutOfRange | Iat::NotANumber => None,
        }
    }

    /// URL of the certificate: only the signed one counts.
    pub fn x5u(&self) -> Option<&str> {
        self.header.as_ref()?.x5u.text()
    }

    /// What a key has to verify. `None` where the token can't be read or wants another algorithm: no work for garbage.
    pub fn signed(&self, states: &RuleStates) -> Option<Signed<'_>> {
        const NEEDED: [Rule; 5] = [Rule::G1, Rule::J1, Rule::J3, Rule::P1, Rule::S1];
        let (input, digest) = self.input?;
        if !NEEDED.iter().all(|r| states.passed.contains(*r)) {
            return None;
        }
        Signed::new(input, digest, self.signature)
    }
}

/// The front of a text: what is kept of it for the record is bounded, what is judged is all of it.
fn cut(text: &str, max: usize) -> Box<str> {
    let end = (0..=max.min(text.len()))
        .rev()
        .find(|i| text.is_char_boundary(*i));
    text.get(..end.unwrap_or_default())
        .unwrap_or_default()
        .into()
}

fn attestation(claim: &Claim<'_>) -> Option<Attestation> {
    match claim.text()? {
        "A" => Some(Attestation::A),
        "B" => Some(Attestation::B),
        "C" => Some(Attestation::C),
        _ => None,
    }
}

/// RFC 9562 §4: 8-4-4-4-12 hexadecimal digits.
fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

/// A number as it was signed, and how it may be meant.
#[derive(Clone, Debug)]
pub(super) struct SignedNumber<'a> {
    /// As written.
    pub text: &'a str,
    /// Taken as complete, as RFC 8225 §5.2.1 wants it.
    pub complete: Option<Tn>,
    /// Taken as national, where it has a national number's length: some signers leave the country code out.
    pub national: Option<Tn>,
}

/// The signed destinations.
pub(super) struct SignedDest<'a> {
    pub numbers: SmallVec<[SignedNumber<'a>; 1]>,
    pub uris: &'a [Cow<'a, str>],
}

impl<'a> SignedDest<'a> {
    fn read(dest: &'a Dest<'_>, plan: &NumberPlan) -> Option<Self> {
        match dest {
            Dest::List { tn, uri } => Some(Self {
                numbers: tn.iter().map(|n| SignedNumber::read(n, plan)).collect(),
                uris: uri,
            }),
            Dest::Absent | Dest::Malformed => None,
        }
    }
}

impl<'a> SignedNumber<'a> {
    pub fn read(text: &'a str, plan: &NumberPlan) -> Self {
        let by_plan = plan.canonical(text.as_bytes()).tn();
        let literal = Tn::from_canonical(text.as_bytes());
        Self {
            text,
            complete: literal.or(by_plan),
            national: by_plan.filter(|n| literal.is_some_and(|l| l != *n)),
        }
    }

    /// Whether it was signed in canonical form (rule P5).
    pub fn is_canonical(&self) -> bool {
        self.complete.is_some_and(|tn| tn.as_str() == self.text)
    }

    /// The reading that equals a number of the message.
    pub fn matching(&self, tn: Option<Tn>) -> Option<Tn> {
        tn.filter(|_| tn == self.complete || tn == self.national)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p7_uuid() {
        assert!(is_uuid("123e4567-e89b-12d3-a456-426655440000"));
        for bad in [
            "",
            "123e4567e89b12d3a456426655440000",
            "123e4567-e89b-12d3-a456-42665544000g",
            "{123e4567-e89b-12d3-a456-42665544000}",
        ] {
            assert!(!is_uuid(bad), "{bad}");
        }
    }

    #[test]
    fn p5_a_foreign_number_of_national_length_is_not_completed_by_force() {
        let plan = NumberPlan::default();
        let tn = |t: &str| Tn::from_canonical(t.as_bytes());
        // Norway: country code and eight digits are ten in all.
        let n = SignedNumber::read("4722123456", &plan);
        assert!(n.is_canonical());
        assert_eq!(n.matching(tn("4722123456")), tn("4722123456"));
        assert_eq!(n.matching(tn("14722123456")), tn("14722123456"));
        assert_eq!(n.matching(tn("4722123457")), None);
        assert_eq!(n.matching(None), None);
        let plus = SignedNumber::read("+1 (202) 555-0123", &plan);
        assert!(!plus.is_canonical());
        assert_eq!(plus.matching(tn("12025550123")), tn("12025550123"));
        assert_eq!(SignedNumber::read("alice", &plan).complete, None);
    }
}
