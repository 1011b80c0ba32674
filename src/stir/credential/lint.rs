//! What is odd about a certificate without making it untrustworthy (rule X15): each with a name and a sentence.
//!
//! Half of the valid certificates in the field have at least one flaw of this kind, so they are told to whoever asks and never fail
//! a call. Sources name the document; `ours` is what no document asks for and every real certificate does.

use std::fmt;

use super::certificate::Certificate;
use super::key::PublicKey;

/// Longest lifetime that is no oddity: three years. In a survey of 15,988 certificates below one in a hundred had as much.
const MAX_LIFETIME: i64 = 1_095 * 86_400;

/// Longest serial number (RFC 5280 §4.1.2.2).
const MAX_SERIAL: usize = 20;

macro_rules! lints {
    ($( $id:ident $label:literal $what:literal $source:literal; )*) => {
        /// One oddity of a certificate.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Lint { $(
            #[doc = $what]
            $id,
        )* }

        impl Lint {
            /// Every one.
            pub const ALL: &'static [Lint] = &[$(Lint::$id),*];

            /// Stable lower-case name.
            pub const fn label(self) -> &'static str {
                match self { $(Lint::$id => $label),* }
            }

            /// What is odd, in one sentence.
            pub const fn what(self) -> &'static str {
                match self { $(Lint::$id => $what),* }
            }

            /// Who says that it should be otherwise.
            pub const fn source(self) -> &'static str {
                match self { $(Lint::$id => $source),* }
            }
        }
    };
}

lints! {
    OldVersion "old-version" "it is not X.509 version 3, so it can have no extensions" "RFC 5280 §4.1.2.1";
    LongSerial "long-serial" "its serial number has more than 20 octets" "RFC 5280 §4.1.2.2";
    SerialNotPositive "serial-not-positive" "its serial number is zero or negative" "RFC 5280 §4.1.2.2";
    UnusualSignature "unusual-signature" "it is not signed with ECDSA and SHA-256" "ATIS-1000080";
    UnusualAuthorityKey "unusual-authority-key" "an authority above it has a key that is not P-256" "ATIS-1000080";
    LongLifetime "long-lifetime" "it is valid for more than three years" "ours: rarer than one in a hundred";
    NoCommonName "no-common-name" "its subject has no common name" "ATIS-1000080";
    CommonNameWithoutShaken "common-name-without-shaken" "its common name does not begin with SHAKEN" "ATIS-1000080";
    NoCountry "no-country" "its subject names no country" "ATIS-1000080";
    NoOrganization "no-organization" "its subject names no organization" "ATIS-1000080";
    NoKeyUsage "no-key-usage" "it does not say what its key is for" "RFC 5280 §4.2.1.3";
    KeyUsageNotCritical "key-usage-not-critical" "its key usage is not marked critical" "RFC 5280 §4.2.1.3";
    OtherKeyUsage "other-key-usage" "its key may do more than sign" "ours: nothing else is asked of it";
    ExtendedKeyUsage "extended-key-usage" "it has an extended key usage, which STIR knows nothing of" "ours: no real one has it";
    NoSubjectKeyId "no-subject-key-id" "it has no subject key identifier" "RFC 5280 §4.2.1.2";
    NoAuthorityKeyId "no-authority-key-id" "it has no authority key identifier" "RFC 5280 §4.2.1.1";
    OtherAuthorityKeyId "other-authority-key-id" "its authority key identifier is not the subject key identifier of its issuer" "RFC 5280 §4.2.1.1";
    NoRevocationPoint "no-revocation-point" "it does not say where its revocation would be published" "ATIS-1000080";
    NoRevocationIssuer "no-revocation-issuer" "it does not name the signer of the indirect revocation list" "RFC 5280 §4.2.1.13";
    NoPolicy "no-policy" "it names no certificate policy" "ATIS-1000080";
    SeveralPolicies "several-policies" "it names more than one certificate policy" "ATIS-1000080";
    CriticalTnAuthList "critical-tn-auth-list" "its TNAuthList is marked critical" "RFC 8226 §9";
    SeveralCodes "several-codes" "its TNAuthList has more than one service provider code" "ATIS-1000080";
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}

impl serde::Serialize for Lint {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.label())
    }
}

/// Every oddity of a leaf; `issuers` is its path without it, empty where it has none.
pub(super) fn of(leaf: &Certificate, issuers: &[&Certificate]) -> Vec<Lint> {
    let odd = |lint: &Lint| is_odd(*lint, leaf, issuers);
    Lint::ALL.iter().copied().filter(odd).collect()
}

fn is_odd(lint: Lint, leaf: &Certificate, issuers: &[&Certificate]) -> bool {
    let e = &leaf.extensions;
    let lifetime = leaf.validity.to.saturating_sub(leaf.validity.from);
    let name = leaf.common_name.as_deref();
    let codes = e.tn_auth_list.list().map_or(0, |l| l.spc.len());
    match lint {
        Lint::OldVersion => !leaf.form.version_3,
        Lint::LongSerial => leaf.form.serial_octets > MAX_SERIAL,
        Lint::SerialNotPositive => leaf.form.serial_not_positive,
        Lint::UnusualSignature => !leaf.is_signed_as_usual(),
        Lint::UnusualAuthorityKey => issuers.iter().any(|c| !matches!(c.key, PublicKey::P256(_))),
        Lint::LongLifetime => lifetime > MAX_LIFETIME,
        Lint::NoCommonName => name.is_none(),
        // A delegate that speaks for numbers is no provider; its name is its own affair (RFC 9060).
        Lint::CommonNameWithoutShaken => {
            codes > 0 && name.is_some_and(|cn| !cn.starts_with("SHAKEN"))
        }
        Lint::NoCountry => leaf.country.is_none(),
        Lint::NoOrganization => leaf.organization.is_none(),
        Lint::NoKeyUsage => e.usage.is_none(),
        Lint::KeyUsageNotCritical => e.usage.is_some_and(|u| !u.critical),
        Lint::OtherKeyUsage => e
            .usage
            .is_some_and(|u| u.other || !e.is_ca && (u.key_cert_sign || u.crl_sign)),
        Lint::ExtendedKeyUsage => e.extended_usage,
        Lint::NoSubjectKeyId => e.subject_key_id.is_none(),
        Lint::NoAuthorityKeyId => e.authority_key_id.is_none(),
        Lint::OtherAuthorityKeyId => {
            let named = e.authority_key_id.as_deref().filter(|id| !id.is_empty());
            let issuer = issuers
                .first()
                .and_then(|c| c.extensions.subject_key_id.as_deref());
            named
                .zip(issuer)
                .is_some_and(|(named, issuer)| named != issuer)
        }
        Lint::NoRevocationPoint => e.revocation_points.is_empty(),
        Lint::NoRevocationIssuer => {
            let points = &e.revocation_points;
            !points.is_empty() && points.iter().all(|p| p.issuers.is_empty())
        }
        Lint::NoPolicy => e.policies.is_empty(),
        Lint::SeveralPolicies => e.policies.len() > 1,
        Lint::CriticalTnAuthList => e.tn_auth_list_critical,
        Lint::SeveralCodes => codes > 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stir::credential::testpki::{self as pki, Builder, Key};

    fn good() -> Builder {
        pki::leaf(&pki::root(), "709J")
    }

    fn lints(leaf: &Builder) -> Vec<&'static str> {
        let leaf = Certificate::parse(&leaf.build()).unwrap();
        let of = of(&leaf, &[&pki::root().certificate()]);
        of.into_iter().map(Lint::label).collect()
    }

    #[test]
    fn x15_a_good_leaf_has_nothing_odd() {
        assert_eq!(lints(&good()), [""; 0]);
    }

    #[test]
    fn x15_each_oddity_is_named() {
        let bits = |octet| [0x03, 0x02, 0, octet];
        let code = |c: &str| pki::tlv(0xa0, &pki::tlv(0x16, c.as_bytes()));
        let policy = |id| pki::seq(&[pki::oid(id)]);
        let name = |parts| good().subject_name(pki::name(parts));
        for (leaf, expected) in [
            (good().serial(&[0x7f; 21]), "long-serial"),
            (good().serial(&[0]), "serial-not-positive"),
            (good().serial(&[0x80, 1]), "serial-not-positive"),
            (
                good().valid(pki::FROM, pki::FROM + MAX_LIFETIME + 1),
                "long-lifetime",
            ),
            (name(&[("C", "US"), ("O", "Example")]), "no-common-name"),
            (
                name(&[("C", "US"), ("O", "Example"), ("CN", "709J")]),
                "common-name-without-shaken",
            ),
            (
                name(&[("O", "Example"), ("CN", "SHAKEN 709J")]),
                "no-country",
            ),
            (
                name(&[("C", "US"), ("CN", "SHAKEN 709J")]),
                "no-organization",
            ),
            (good().without("2.5.29.15"), "no-key-usage"),
            (
                good().replace("2.5.29.15", false, &bits(0x80)),
                "key-usage-not-critical",
            ),
            (
                good().replace("2.5.29.15", true, &bits(0x88)),
                "other-key-usage",
            ),
            (
                good().replace("2.5.29.15", true, &bits(0x82)),
                "other-key-usage",
            ),
            (
                good().extension("2.5.29.37", false, &policy("1.3.6.1.5.5.7.3.1")),
                "extended-key-usage",
            ),
            (good().without("2.5.29.14"), "no-subject-key-id"),
            (good().without("2.5.29.35"), "no-authority-key-id"),
            (good().without("2.5.29.31"), "no-revocation-point"),
            (
                good().revocation_point(&["https://sti-pa.example/crl"], None),
                "no-revocation-issuer",
            ),
            (good().without("2.5.29.32"), "no-policy"),
            (
                good().replace(
                    "2.5.29.32",
                    false,
                    &pki::seq(&[policy(pki::SHAKEN_POLICY), policy("1.2.3")]),
                ),
                "several-policies",
            ),
            (
                good().replace(pki::TN_AUTH_LIST, true, &pki::seq(&[code("709J")])),
                "critical-tn-auth-list",
            ),
            (
                good().tn_auth_list(&pki::seq(&[code("709J"), code("710J")])),
                "several-codes",
            ),
        ] {
            assert_eq!(lints(&leaf), [expected]);
        }
        assert!(lints(&good().version_1()).contains(&"old-version"));
    }

    #[test]
    fn x15_authorities_keys_and_identifiers() {
        let odd = pki::root_with_key(Key::P521);
        let leaf = Certificate::parse(&pki::leaf(&odd, "709J").build()).unwrap();
        let found = of(&leaf, &[&odd.certificate()]);
        assert_eq!(found, [Lint::UnusualSignature, Lint::UnusualAuthorityKey]);
        let named = pki::intermediate_with(&pki::root(), "Example Issuing CA", 3, |b| {
            b.extension("2.5.29.14", false, &pki::tlv(0x04, &[9; 20]))
        });
        let leaf = Certificate::parse(&pki::leaf(&named, "709J").build()).unwrap();
        let found = of(&leaf, &[&named.certificate()]);
        assert_eq!(found, [Lint::OtherAuthorityKeyId]);
        assert_eq!(of(&leaf, &[]), []);
    }

    #[test]
    fn x15_names_are_unique() {
        let mut names: Vec<_> = Lint::ALL.iter().map(|l| l.label()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Lint::ALL.len());
    }
}
