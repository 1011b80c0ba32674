//! What one SIP message contributes to a call, read without any state: the judges do this in parallel.

use std::hash::Hasher;

use rustc_hash::FxHasher;

use super::oddity::Oddity;
use crate::base::digest::IdDigest;
use crate::base::text;
use crate::call::classify::Verstat;
use crate::call::classify::disagreement::stir_cause;
use crate::call::peer::{Said, Words};
use crate::call::record::{Ids, Numbers, Verdict};
use crate::number::{NumberPlan, Tn};
use crate::stir::verify::facts::asks_for_privacy;
use crate::stir::verify::{CallVerdict, Validation};
use crate::wire::sip::uri::{param_of, split_values};
use crate::wire::sip::{HeaderName, Message, NameAddr, StartLine, Uri};

/// What collect needs of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Facts {
    /// An INVITE request, initial or inside a dialog.
    Invite(Box<InviteFacts>),
    /// Any response.
    Response(ResponseFacts),
    /// Another request.
    Request(RequestFacts),
}

/// Names one leg of a call among those between the same two addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Leg {
    /// Digest of the Call-ID.
    pub call_id: IdDigest,
    /// Hash of the tag of the side that sent the INVITE. Not cryptographic: who finds a collision only confuses calls with
    /// a Call-ID of his own.
    pub tag: u64,
}

/// What an INVITE says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InviteFacts {
    /// Its leg.
    pub leg: Leg,
    /// No tag in To.
    pub initial: bool,
    /// CSeq number.
    pub cseq: u32,
    /// Hash of the topmost Via's branch.
    pub branch: u64,
    /// Numbers.
    pub numbers: Numbers,
    /// Request-URI as escaped text, where its user is no number.
    pub called_text: Option<Box<str>>,
    /// What flags need besides.
    pub oddity: Oddity,
    /// Trunk group: `tgrp` of Contact or Request-URI, or `otg` of From.
    pub trunk: Option<Box<str>>,
    /// What else it says of its trunk.
    pub said: Said,
    /// Identifiers.
    pub ids: Ids,
    /// What the judges said of its Identity headers.
    pub verdict: Verdict,
    /// What it says of an earlier verification.
    pub verstat: Option<Verstat>,
    /// Whether the verdict rests on headers of kinds that we don't verify only.
    pub unknown_ppt_only: bool,
}

/// What a response says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseFacts {
    /// Its leg.
    pub leg: Leg,
    /// Status code.
    pub code: u16,
    /// CSeq number.
    pub cseq: u32,
    /// Hash of the topmost Via's branch: which branch of a fork it answers.
    pub branch: u64,
    /// Whether CSeq names INVITE.
    pub to_invite: bool,
    /// Q.850 cause of a Reason header.
    pub cause: Option<u8>,
    /// What it says against the call's Identity.
    pub stir_cause: Option<u16>,
    /// Hash of the tag in To: which of the dialogs of a fork it belongs to.
    pub to_tag: u64,
}

/// What another request says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestFacts {
    /// Which request.
    pub kind: RequestKind,
    /// Its leg, if the INVITE came from the same side.
    pub leg: Leg,
    /// Its leg, if the INVITE came from the other side.
    pub reverse_leg: Leg,
    /// CSeq number.
    pub cseq: u32,
    /// Hash of the topmost Via's branch.
    pub branch: u64,
    /// It has a tag in To.
    pub in_dialog: bool,
    /// Q.850 cause of a Reason header of BYE or CANCEL.
    pub cause: Option<u8>,
    /// What a BYE says against the call's Identity.
    pub stir_cause: Option<u16>,
}

/// Requests that matter besides INVITE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// ACK
    Ack,
    /// CANCEL
    Cancel,
    /// BYE
    Bye,
    /// Any other.
    Other,
}

impl Facts {
    /// Reads a message that is no INVITE request.
    pub fn of_other(message: &Message<'_>) -> Self {
        let leg = leg(message, &address(message, HeaderName::From));
        match message.start {
            StartLine::Response { code, reason, .. } => {
                let (cseq, method) = message.cseq().unwrap_or((0, b""));
                Self::Response(ResponseFacts {
                    leg,
                    code,
                    cseq,
                    branch: hash(message.branch().unwrap_or_default()),
                    to_invite: method == b"INVITE",
                    cause: if code >= 300 { cause(message) } else { None },
                    // A 100 is hop by hop and comes from no verification.
                    stir_cause: if code > 100 && method == b"INVITE" {
                        stir_cause(message, code, reason)
                    } else {
                        None
                    },
                    to_tag: tag(&address(message, HeaderName::To)),
                })
            }
            StartLine::Request { method, .. } => {
                let kind = match method {
                    b"ACK" => RequestKind::Ack,
                    b"CANCEL" => RequestKind::Cancel,
                    b"BYE" => RequestKind::Bye,
                    _ => RequestKind::Other,
                };
                let to = address(message, HeaderName::To);
                Self::Request(RequestFacts {
                    kind,
                    leg,
                    reverse_leg: Leg {
                        call_id: leg.call_id,
                        tag: tag(&to),
                    },
                    cseq: message.cseq().map_or(0, |(n, _)| n),
                    branch: hash(message.branch().unwrap_or_default()),
                    in_dialog: to.param("tag").is_some(),
                    cause: match kind {
                        RequestKind::Bye | RequestKind::Cancel => cause(message),
                        RequestKind::Ack | RequestKind::Other => None,
                    },
                    stir_cause: match kind {
                        RequestKind::Bye => stir_cause(message, 0, b""),
                        _ => None,
                    },
                })
            }
        }
    }

    /// Reads an INVITE request together with what verification said of it.
    /// Of headers that only rules about neighbours read, those in `kept_headers` are.
    pub fn of_invite(
        message: &Message<'_>,
        verdict: CallVerdict,
        plan: &NumberPlan,
        kept_headers: &[Box<str>],
    ) -> Self {
        let request_uri = match message.start {
            StartLine::Request { uri, .. } => Uri::parse(uri),
            StartLine::Response { .. } => Uri::parse(b""),
        };
        let from = address(message, HeaderName::From);
        let to = address(message, HeaderName::To);
        let leg = leg(message, &from);
        let numbers = numbers(message, &request_uri, &from, &to, plan);
        let called_text = numbers
            .called
            .is_none()
            .then(|| text::escape(shorten(request_uri.raw)).into());
        let unknown_ppt_only =
            verdict.validation() == Validation::None && !verdict.headers.is_empty();
        Self::Invite(Box::new(InviteFacts {
            leg,
            initial: to.param("tag").is_none(),
            cseq: message.cseq().map_or(0, |(n, _)| n),
            branch: hash(message.branch().unwrap_or_default()),
            numbers,
            called_text,
            oddity: Oddity::of(message, &request_uri, &from, plan),
            trunk: trunk(message, &request_uri, &from).map(|t| text::escape(shorten(t)).into()),
            said: Said::of(message, &request_uri, &from, &to, kept_headers),
            ids: ids(message, leg.call_id),
            verdict: kept(verdict),
            verstat: Verstat::of(message),
            unknown_ppt_only,
        }))
    }
}

impl InviteFacts {
    /// What rules about neighbours may ask of it.
    pub fn words(&self) -> Words<'_> {
        Words {
            group: self.trunk.as_deref(),
            said: &self.said,
        }
    }
}

/// Longest text from the wire that a record keeps of one field. Real ones are below 100 octets.
const MAX_TEXT: usize = 256;

fn shorten(text: &[u8]) -> &[u8] {
    text.get(..MAX_TEXT).unwrap_or(text)
}

/// The first address under a name; an empty one where there is none.
fn address<'a>(message: &Message<'a>, name: HeaderName) -> NameAddr<'a> {
    NameAddr::parse(message.headers.first(name).unwrap_or_default())
}

fn leg(message: &Message<'_>, from: &NameAddr<'_>) -> Leg {
    let call_id = message
        .headers
        .first(HeaderName::CallId)
        .unwrap_or_default();
    Leg {
        call_id: IdDigest::of(call_id),
        tag: tag(from),
    }
}

fn tag(address: &NameAddr<'_>) -> u64 {
    hash(address.param("tag").unwrap_or_default())
}

/// The branch of a message that shows none.
pub(super) fn no_branch() -> u64 {
    hash(b"")
}

fn hash(text: &[u8]) -> u64 {
    let mut h = FxHasher::default();
    h.write(text);
    h.finish()
}

fn numbers(
    message: &Message<'_>,
    request_uri: &Uri<'_>,
    from: &NameAddr<'_>,
    to: &NameAddr<'_>,
    plan: &NumberPlan,
) -> Numbers {
    let number = |uri: &Uri<'_>| plan.canonical(uri.subscriber()).tn();
    let tn = |value: &[u8]| number(&NameAddr::parse(value).uri);
    let headers = &message.headers;
    let called = number(request_uri);
    let asserted = headers
        .all(HeaderName::PAssertedIdentity)
        .flat_map(split_values)
        .find_map(tn);
    Numbers {
        called,
        to: number(&to.uri).filter(|to| Some(*to) != called),
        diverted_from: diverted_from(message, plan).filter(|d| Some(*d) != called),
        from: number(&from.uri),
        asserted,
        remote_party: headers.first(HeaderName::RemotePartyId).and_then(tn),
        private: is_private(message, &from.uri),
    }
}

/// The first number that was called, if the call was diverted: the last Diversion value (RFC 5806 puts the newest on
/// top), or the first History-Info entry (RFC 7044 puts the oldest on top) where there is more than one.
fn diverted_from(message: &Message<'_>, plan: &NumberPlan) -> Option<Tn> {
    let number = |v: &[u8]| plan.canonical(NameAddr::parse(v).uri.subscriber()).tn();
    let oldest = message
        .headers
        .all(HeaderName::Diversion)
        .flat_map(split_values)
        .last();
    if let Some(tn) = oldest.and_then(number) {
        return Some(tn);
    }
    let mut history = message
        .headers
        .all(HeaderName::HistoryInfo)
        .flat_map(split_values);
    let first = history.next()?;
    history.next().and_then(|_| number(first))
}

/// RFC 3323 privacy for identity, or an anonymous From.
fn is_private(message: &Message<'_>, from: &Uri<'_>) -> bool {
    let asked = message
        .headers
        .all(HeaderName::Privacy)
        .any(asks_for_privacy);
    asked
        || from.user.eq_ignore_ascii_case(b"anonymous")
        || from.user.eq_ignore_ascii_case(b"restricted")
        || from.host().eq_ignore_ascii_case(b"anonymous.invalid")
}

/// The originating trunk group (RFC 4904: `tgrp` in Contact), else the terminating one (Request-URI), else `otg` of From.
fn trunk<'a>(
    message: &Message<'a>,
    request_uri: &Uri<'a>,
    from: &NameAddr<'a>,
) -> Option<&'a [u8]> {
    let contact = message.headers.first(HeaderName::Contact);
    contact
        .and_then(|c| NameAddr::parse(c).uri.param("tgrp"))
        .or_else(|| request_uri.param("tgrp"))
        .or_else(|| from.uri.param("otg"))
        .or_else(|| from.param("otg"))
}

fn ids(message: &Message<'_>, call_id: IdDigest) -> Ids {
    let headers = &message.headers;
    let session = headers.first(HeaderName::SessionId).map(|v| {
        let end = memchr::memchr(b';', v).unwrap_or(v.len());
        v.split_at(end).0.trim_ascii()
    });
    let icid = headers.first(HeaderName::PChargingVector).and_then(|v| {
        // The first parameter has no `;` in front.
        const NAME: &[u8] = b"icid-value=";
        match v.get(..NAME.len()) {
            Some(n) if n.eq_ignore_ascii_case(NAME) => {
                let v = v.get(NAME.len()..)?;
                let v = v.split_at(memchr::memchr(b';', v).unwrap_or(v.len())).0;
                Some(
                    v.strip_prefix(b"\"")
                        .and_then(|v| v.strip_suffix(b"\""))
                        .unwrap_or(v),
                )
            }
            _ => param_of(v, "icid-value"),
        }
    });
    Ids {
        call_id,
        session_id: session.filter(|v| !v.is_empty()).map(IdDigest::of),
        icid: icid.filter(|v| !v.is_empty()).map(IdDigest::of),
        sdp_origin: sdp_origin(message.body).map(IdDigest::of),
    }
}

/// The `o=` line of a session description (RFC 4566 §5.2), which stands second.
fn sdp_origin(body: &[u8]) -> Option<&[u8]> {
    body.split(|&b| b == b'\n')
        .take(8)
        .find_map(|line| line.strip_prefix(b"o="))
        .map(<[u8]>::trim_ascii)
}

/// The Q.850 cause (RFC 3326).
fn cause(message: &Message<'_>) -> Option<u8> {
    message
        .headers
        .all(HeaderName::Reason)
        .flat_map(split_values)
        .filter(|v| v.get(..5).is_some_and(|p| p.eq_ignore_ascii_case(b"Q.850")))
        .find_map(|v| {
            std::str::from_utf8(param_of(v, "cause")?)
                .ok()?
                .parse()
                .ok()
        })
}

/// The part of a verdict that goes into the record.
fn kept(verdict: CallVerdict) -> Verdict {
    let validation = verdict.validation();
    let decided_by = verdict.decided_by();
    let identities = u8::try_from(verdict.headers.len()).unwrap_or(u8::MAX);
    let mut headers = verdict.headers;
    let best = match verdict.best {
        Some(i) if i < headers.len() => headers.swap_remove(i),
        // Headers of unknown kinds only: keep what the first one says of itself.
        _ if !headers.is_empty() => headers.swap_remove(0),
        _ => crate::stir::verify::HeaderVerdict::default(),
    };
    Verdict {
        validation,
        decided_by,
        attest: best.attest,
        failed: best.failed,
        undetermined: best.undetermined,
        findings: best.findings,
        identities,
        passport: best.digest,
        orig: best.orig,
        iat: best.iat,
        origid: best.origid,
        spc: best.spc,
        x5u_host: best.x5u.as_deref().and_then(host_of).map(Into::into),
        chain: best.chain,
    }
}

fn host_of(url: &str) -> Option<&str> {
    let rest = url.split_once("://")?.1;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, h)| h);
    Some(host.rsplit_once(':').map_or(host, |(h, _)| h)).filter(|h| h.len() <= MAX_TEXT)
}
