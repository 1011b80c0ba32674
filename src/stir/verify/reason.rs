//! Rule M2: the Reason header that a verification service would put into its answer (RFC 9410).

use super::{CallVerdict, HeaderVerdict, Validation};
use crate::stir::passport::{Identity, Token};

/// Longest signature that goes into `ppi`: 64 octets are 86 characters, and what is wrong may be longer.
const MAX_SIGNATURE: usize = 128;

/// One value for each header that failed, in the order received. `identities` are those of the verdicts.
///
/// With several headers each value names its own by `ppi`, in compact form so that no number is given away.
pub fn values<'a>(
    call: &CallVerdict,
    identities: impl IntoIterator<Item = Identity<'a>>,
) -> Vec<String> {
    let several = call.headers.len() > 1;
    call.headers
        .iter()
        .zip(identities)
        .filter_map(|(header, identity)| value(header, several.then_some(&identity)))
        .collect()
}

fn value(header: &HeaderVerdict, named: Option<&Identity<'_>>) -> Option<String> {
    let answers = matches!(
        header.validation,
        Validation::Failed | Validation::Undetermined
    );
    let code = header.decided_by.filter(|_| answers)?.sip_code();
    let text = phrase(code)?;
    let mut out = format!("STIR ;cause={code} ;text=\"{text}\"");
    if let Some(signature) = named.and_then(signature) {
        out += &format!(" ;ppi=\"..{signature}\"");
    }
    Some(out)
}

/// The phrases of the codes that STIR uses (RFC 8224 §6.2.2).
pub const fn phrase(code: u16) -> Option<&'static str> {
    Some(match code {
        403 => "Stale Date",
        428 => "Use Identity Header",
        436 => "Bad Identity Info",
        437 => "Unsupported Credential",
        438 => "Invalid Identity Header",
        _ => return None,
    })
}

/// The signature as written, where it is one: what goes into quotes must not end them.
fn signature<'a>(identity: &Identity<'a>) -> Option<&'a str> {
    let signature = match identity.split_token() {
        Token::Full(parts) => parts.signature,
        Token::Compact(signature) => signature,
        Token::Malformed => return None,
    };
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    str::from_utf8(signature)
        .ok()
        .filter(|s| (1..=MAX_SIGNATURE).contains(&s.len()) && s.bytes().all(|b| plain(&b)))
}
