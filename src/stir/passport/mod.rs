//! PASSporTs as they arrive (RFC 8224 §4 with erratum 6499, RFC 8225, RFC 8588).
//!
//! In comes the value of an Identity header field; out come its token and parameters ([`identity`]) and the token's
//! claims ([`claims`]), each with everything that is needed to say *which* rule it breaks. Nothing is refused as a whole:
//! a wrong claim is a value here and a failed rule in [`super::verify`]. Only what is no JSON object, names a member
//! twice or nests too deep can't be read.
//!
//! - [`identity`]: header grammar: token, `info`, `alg`, `ppt`
//! - [`base64url`]: strict decoding that tells slack bits from garbage
//! - [`json`]: JSON values with the strictness that serde_json leaves to us
//! - [`kind`]: what a token is for, by its `ppt`
//! - [`claims`]: JOSE header and payload
//! - [`extension`]: the claims of other kinds than SHAKEN

pub mod base64url;
pub mod claims;
pub mod extension;
pub mod identity;
pub mod json;
pub mod kind;

pub use claims::{Claim, Claims, Dest, Iat, JoseHeader, Orig};
pub use extension::Extension;
pub use identity::{Identity, Token};
pub use kind::Kind;

/// Largest value of one Identity header field that is looked at (rule H7). SHAKEN needs 0.6 KB, rcd with a jCard several.
pub const MAX_VALUE: usize = 16 * 1024;

/// Most Identity values judged in one message (rule H7). France's MAN carries up to five div beside the shaken one.
pub const MAX_IDENTITIES: usize = 16;
