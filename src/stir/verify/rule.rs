//! Every rule that we apply: its ID, what it checks, and what its failure means.

use std::fmt;

/// Class of failure of a rule; decides the call's validation and the SIP code that a verification service would send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Header or token is malformed.
    Malformed,
    /// Not something that we understand: this header is ignored, others may count.
    Unsupported,
    /// The credential could not be had: undetermined, never failed.
    Credential,
    /// The credential is not to be trusted.
    Trust,
    /// The signature is wrong.
    Signature,
    /// Too old or from the future.
    Stale,
    /// Numbers of token and message differ.
    Mismatch,
    /// Recorded as a finding; fails nothing.
    Policy,
}

impl Class {
    /// Lower-case name.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unsupported => "unsupported",
            Self::Credential => "credential",
            Self::Trust => "trust",
            Self::Signature => "signature",
            Self::Stale => "stale",
            Self::Mismatch => "mismatch",
            Self::Policy => "policy",
        }
    }
}

macro_rules! rules {
    ($( $id:ident $label:literal $class:ident $code:literal $family:literal $what:literal $source:literal; )*) => {
        /// A rule of verification. Its name is its stable ID, as findings, tests and documents use it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Rule { $(
            #[doc = $what]
            $id,
        )* }

        impl Rule {
            /// Every rule in the order in which they are explained.
            pub const ALL: &'static [Rule] = &[$(Rule::$id),*];

            /// What is checked, in one line.
            pub const fn what(self) -> &'static str {
                match self { $(Rule::$id => $what),* }
            }

            /// Where it comes from: the document, or `ours` with the reason.
            pub const fn source(self) -> &'static str {
                match self { $(Rule::$id => $source),* }
            }

            /// Stable lower-case ID of the kind of trouble, for flags, metrics and output, such as `orig-mismatch`.
            pub const fn label(self) -> &'static str {
                match self { $(Rule::$id => $label),* }
            }

            /// Class of a failure of this rule.
            pub const fn class(self) -> Class {
                match self { $(Rule::$id => Class::$class),* }
            }

            /// SIP code that a verification service would send on failure; 0 for none.
            pub const fn sip_code(self) -> u16 {
                match self { $(Rule::$id => $code),* }
            }

            /// Family of failures that is counted and flagged together.
            pub const fn family(self) -> &'static str {
                match self { $(Rule::$id => $family),* }
            }

            /// The ID as text.
            pub const fn id(self) -> &'static str {
                match self { $(Rule::$id => stringify!($id)),* }
            }
        }
    };
}

rules! {
    H3 "comma-joined" Policy 0 "header" "each Identity header field holds one value, not several joined by commas"
        "RFC 8224";
    H4 "truncated" Credential 0 "header" "the message is whole: no lost fragment, no cut by snap length"
        "ours: what was not received is not judged";
    H5 "legacy-identity" Unsupported 0 "header" "not the RFC 4474 form with an Identity-Info header"
        "RFC 8224, RFC 4474";
    H7 "too-large" Malformed 438 "header" "value of at most 16 KB, at most 16 Identity headers"
        "ours: bounds";
    G1 "bad-digest" Malformed 438 "grammar" "three base64url parts without padding or white space"
        "RFC 8224 §4, erratum 6499";
    G1S "slack-bits" Policy 0 "grammar" "unused bits at the end of the base64url parts are zero"
        "RFC 4648 §3.5";
    G2 "compact-form" Malformed 438 "grammar" "full form, as SHAKEN demands; compact form for base PASSporTs in the generic profile"
        "RFC 8588, ATIS-1000082";
    G3 "no-info" Malformed 436 "grammar" "info parameter: an absolute URI in angle brackets"
        "RFC 8224 §4, ATIS-1000082";
    G4 "duplicate-parameter" Malformed 438 "grammar" "info, alg and ppt at most once each"
        "RFC 3261 §7.3.1";
    G5 "alg-parameter" Unsupported 437 "grammar" "alg parameter absent or ES256"
        "RFC 8224 §4";
    G6 "ppt-parameter" Malformed 438 "grammar" "ppt parameter absent or equal to the token's"
        "RFC 8224 §4, ATIS-1000082";
    G7 "unknown-ppt" Unsupported 0 "grammar" "ppt is one that we verify: shaken, div, div-o, rph, rcd, or none at all"
        "RFC 8224";
    G8 "info-x5u" Malformed 436 "grammar" "info and x5u are the same string"
        "ATIS-1000082";
    J1 "bad-jose-header" Malformed 438 "token" "JOSE header is a JSON object without duplicate names"
        "RFC 7515 §4";
    J2 "typ" Unsupported 437 "token" "typ is passport"
        "RFC 8225, ATIS-1000082";
    J3 "alg" Unsupported 437 "token" "alg is ES256"
        "RFC 8225, ATIS-1000082";
    J4 "no-x5u" Malformed 436 "token" "x5u is present and a string"
        "RFC 8225, ATIS-1000082";
    J5 "ppt" Malformed 438 "token" "ppt names a kind that counts: shaken or one that stands beside it; none at all in the generic profile"
        "RFC 8588, ATIS-1000082";
    J6 "crit" Malformed 438 "token" "no crit: we understand no critical extension"
        "RFC 7515 §4.1.11";
    P1 "bad-payload" Malformed 438 "token" "payload is a JSON object without duplicate names"
        "RFC 7519 §4";
    P2 "iat" Malformed 438 "token" "iat is a JSON number, not negative, below 2^53"
        "RFC 8225, errata 5985 and 6656";
    P3 "orig" Malformed 438 "token" "orig is an object with exactly one tn; or, other than in SHAKEN, one uri"
        "RFC 8225, RFC 8588";
    P4 "dest" Malformed 438 "token" "dest is an object with an array of tn or uri, not empty"
        "RFC 8225, erratum 5715";
    P5 "number-form" Policy 0 "token" "signed numbers are canonical: digits without plus sign or separators"
        "RFC 8225 §5.2.1";
    P6 "attest" Malformed 438 "token" "attest of a SHAKEN token is A, B or C"
        "RFC 8588, ATIS-1000082";
    P7 "origid" Malformed 438 "token" "origid of a SHAKEN token is present"
        "RFC 8588, ATIS-1000082";
    P7U "origid-not-uuid" Policy 0 "token" "origid is a UUID"
        "RFC 8588, RFC 9562 §4";
    P9 "media-key" Policy 0 "token" "mky, if present, names the keys of the session description"
        "RFC 8225 §5.2.2";
    F1 "stale" Stale 403 "stale" "iat lies within the freshness window around the capture time"
        "RFC 8224 §6.2, ATIS-1000074";
    F2 "date" Policy 0 "stale" "Date, if present, lies within the freshness window"
        "RFC 8224, ATIS-1000074";
    F3 "clock" Credential 0 "stale" "the clock that gave the capture time is right to a second"
        "ours: freshness can be no better than the clock";
    F4 "div-order" Stale 403 "stale" "the last diversion is fresh, and none was signed before the one ahead of it"
        "RFC 8946";
    O1 "orig-mismatch" Mismatch 438 "orig-mismatch" "orig is the P-Asserted-Identity or, without one, the From number"
        "ATIS-1000074, ATIS-1000082";
    O2 "orig-by-one" Policy 0 "orig-mismatch" "P-Asserted-Identity and From agree, or orig is neither of them"
        "ATIS-1000074";
    O3 "orig-not-comparable" Credential 0 "orig-mismatch" "the calling number is not withheld, so that it can be compared"
        "RFC 3323, RFC 3325";
    D1 "dest-mismatch" Mismatch 438 "dest-mismatch" "dest holds the To number or, failing that, the Request-URI number"
        "RFC 8224 §6.2, ATIS-1000082";
    D2 "dest-by-request-uri" Policy 0 "dest-mismatch" "dest holds the To number, not only the Request-URI number"
        "RFC 8224 §6.2";
    V1 "div-claims" Malformed 438 "div" "div names exactly one number or URI"
        "RFC 8946";
    V3 "div-chain" Mismatch 438 "div" "diversions lead without a gap from the number signed first to the Request-URI, for one orig"
        "RFC 8946";
    V4 "unsigned-diversion" Policy 0 "div" "a call that was sent on says so in a signed div, not only in Diversion or History-Info"
        "RFC 8946";
    V6 "div-original" Malformed 438 "div" "opt of a div-o holds a PASSporT that passes and leads to it"
        "RFC 8946";
    E1 "rph-claims" Malformed 438 "rph" "rph holds an array of priorities in auth; sph is a string"
        "RFC 8443, RFC 9027";
    E1M "rph-mismatch" Mismatch 438 "rph" "each priority that is signed stands in Resource-Priority; sph in Priority"
        "RFC 8443, RFC 9027";
    E1A "rph-authority" Credential 0 "rph" "the signer is one of those known to sign for priorities"
        "RFC 8443";
    E2 "rcd-claims" Malformed 438 "rcd" "rcd names the caller, and rcdi covers what it refers to"
        "RFC 9795";
    E2D "rcd-digest" Malformed 438 "rcd" "digests over what stands in the token are right"
        "RFC 9795";
    E2K "rcd-pointer" Policy 0 "rcd" "names in rcdi are JSON pointers, which begin with a slash"
        "RFC 9795, RFC 6901";
    E2C "rcd-content" Credential 0 "rcd" "content that rcd refers to is what was signed: a probe fetches none"
        "RFC 9795";
    X1 "x5u-url" Malformed 436 "credential" "x5u is https on port 443 or 8443 without user, query, fragment or parameters"
        "ATIS-1000074";
    X1I "x5u-address" Policy 0 "credential" "host of x5u is a name, not an address"
        "ours: a few real URLs have one, and nobody can tell whose it will be tomorrow";
    X2 "no-certificate" Credential 436 "credential" "the certificate could be had"
        "RFC 8224 §6.2";
    X3 "bad-certificate" Trust 437 "credential" "PEM chain that can be read, leaf first"
        "RFC 8226";
    X3D "bare-der" Policy 0 "credential" "the certificate came as a PEM chain, not as bare DER"
        "ours: verifiers read PEM";
    X4 "untrusted" Trust 437 "trust" "path to a certification authority of the list, each certificate valid at iat and at capture"
        "ATIS-1000080, RFC 5280 §6";
    X4E "expired" Trust 437 "trust" "leaf and issuers are valid in time at iat and at capture"
        "ATIS-1000080, RFC 5280 §6";
    X5 "key-type" Trust 437 "trust" "leaf key is P-256"
        "ATIS-1000080";
    X6 "critical-extension" Trust 437 "trust" "no unknown critical extension"
        "RFC 5280 §4.2";
    X7 "policy-oid" Policy 0 "trust" "certificate policy is the one of SHAKEN"
        "ATIS-1000080";
    X8 "key-usage" Trust 437 "trust" "key usage allows digital signatures"
        "RFC 5280 §4.2.1.3";
    X9 "tnauthlist" Trust 437 "trust" "leaf has a TNAuthList that can be read"
        "RFC 8226 §9";
    X10 "not-authorised" Trust 437 "trust" "TNAuthList holds a service provider code or covers orig"
        "RFC 8226, RFC 9060";
    X11 "tnauthlist-by-reference" Policy 0 "trust" "TNAuthList is in the certificate, not at a URL that it names"
        "RFC 8226 §10, ATIS-1000080";
    X12 "subject-spc" Policy 0 "trust" "common name carries the service provider code of the TNAuthList"
        "ATIS-1000080";
    X13 "not-encompassed" Trust 437 "trust" "a delegate's TNAuthList lies inside that of its issuer"
        "RFC 9060";
    X13S "delegated-by-code" Policy 0 "trust" "a delegate's numbers are listed in its issuer's certificate, not implied by a code or kept elsewhere"
        "RFC 9060";
    X14 "claim-constraint" Trust 437 "trust" "the claims keep to the constraints of each certificate of the path"
        "RFC 8226 §8, RFC 9118";
    X14C "bad-constraints" Trust 437 "trust" "claim constraints can be read, and a certificate has them in one form only"
        "RFC 8226 §8, RFC 9118";
    X15 "certificate-lint" Policy 0 "trust" "nothing about the certificate is odd: see the lints of tracehop verify"
        "ATIS-1000080, RFC 5280 §4";
    R3 "revoked" Trust 437 "revoked" "no certificate of the path stands on the revocation list"
        "ATIS-1000080, RFC 5280 §5.3.3";
    R4 "revoked-later" Policy 0 "revoked" "no certificate of the path was revoked after the call"
        "ours: the call was validly signed then, and the key may have been in wrong hands already";
    R5 "revocation-unknown" Policy 0 "revoked" "a current revocation list was at hand"
        "ATIS-1000080, RFC 5280 §5";
    S1 "signature-form" Malformed 438 "signature" "signature is 64 octets, r and s"
        "RFC 7518 §3.4";
    S2 "signature" Signature 438 "signature" "signature verifies over the octets received"
        "RFC 7515 §5.2";
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.id())
    }
}

impl serde::Serialize for Rule {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.id())
    }
}

/// A set of rules, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RuleSet(pub u128);

impl RuleSet {
    /// Adds a rule.
    pub fn insert(&mut self, rule: Rule) {
        self.0 |= 1 << rule as u8;
    }

    /// Takes a rule out.
    pub fn remove(&mut self, rule: Rule) {
        self.0 &= !(1 << rule as u8);
    }

    /// Whether a rule is in it.
    pub fn contains(self, rule: Rule) -> bool {
        self.0 & (1 << rule as u8) != 0
    }

    /// Whether it is empty.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Its rules in the order of [`Rule::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Rule> {
        Rule::ALL.iter().copied().filter(move |r| self.contains(*r))
    }
}

impl FromIterator<Rule> for RuleSet {
    fn from_iter<I: IntoIterator<Item = Rule>>(rules: I) -> Self {
        let mut set = Self::default();
        rules.into_iter().for_each(|r| set.insert(r));
        set
    }
}

impl serde::Serialize for RuleSet {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_hold_every_rule() {
        let all: RuleSet = Rule::ALL.iter().copied().collect();
        assert_eq!(all.iter().count(), Rule::ALL.len());
        assert!(Rule::ALL.len() <= 128);
    }

    #[test]
    fn labels_are_unique() {
        let mut labels: Vec<_> = Rule::ALL.iter().map(|r| r.label()).collect();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), Rule::ALL.len());
    }

    #[test]
    fn only_what_can_fail_has_a_code() {
        for rule in Rule::ALL {
            if rule.class() == Class::Policy {
                assert_eq!(rule.sip_code(), 0, "{rule}");
            }
        }
    }
}
