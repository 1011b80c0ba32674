//! Stable names and codes of the small enums of a record: the log holds the code, a segment holds the name.
//!
//! The code of a value is its place in `ALL`: append there, never reorder. The names are the ones that the JSON of a
//! record has, so that a query over the files reads like the rest of the house.

use bytes::Bytes;
use parquet::data_type::ByteArray;

use crate::call::classify::{Flag, Flags, Verstat};
use crate::call::leg::Pairing;
use crate::call::peer::{PeerKey, PeerKeys};
use crate::call::record::{ClockSource, Direction, ReleasedBy, State};
use crate::stir::verify::{Attestation, Rule, RuleSet, Validation};
use crate::wire::{Provenance, Transport};

/// A value with a stable name.
pub(super) trait Named: Copy + PartialEq + 'static {
    const ALL: &'static [Self];

    fn name(self) -> &'static str;

    fn code(self) -> u8 {
        let place = Self::ALL.iter().position(|v| *v == self);
        place.and_then(|p| u8::try_from(p).ok()).unwrap_or(u8::MAX)
    }

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|v| v.name() == name)
    }

    fn cell(self) -> ByteArray {
        Bytes::from_static(self.name().as_bytes()).into()
    }
}

macro_rules! named {
    ($($type:ident { $($value:ident $name:literal),* })*) => { $(
        impl Named for $type {
            const ALL: &'static [Self] = &[$(Self::$value),*];

            fn name(self) -> &'static str {
                match self { $(Self::$value => $name),* }
            }
        }
    )* };
}

named! {
    ClockSource { File "file", Synchronised "synchronised", Free "free" }
    Direction { Ingress "ingress", Egress "egress", Unknown "unknown" }
    Transport { Udp "udp", Tcp "tcp", Tls "tls", Ws "ws", Wss "wss", Sctp "sctp" }
    Provenance { File "file", Wire "wire", Hep "hep" }
    Validation { Passed "passed", Failed "failed", Undetermined "undetermined", None "none" }
    Attestation { A "A", B "B", C "C" }
    State { Unfinished "unfinished", Answered "answered", Cancelled "cancelled", Failed "failed", Redirected "redirected" }
    Verstat { Passed "TN-Validation-Passed", PassedA "TN-Validation-Passed-A", PassedB "TN-Validation-Passed-B", PassedC "TN-Validation-Passed-C", Failed "TN-Validation-Failed", FailedA "TN-Validation-Failed-A", FailedB "TN-Validation-Failed-B", FailedC "TN-Validation-Failed-C", None "No-TN-Validation" }
    ReleasedBy { Caller "caller", Called "called" }
    Pairing { CallId "call-id", Passport "passport", SessionId "session-id", Icid "icid", SdpOrigin "sdp-origin", Numbers "numbers", Suffix "suffix" }
}

/// Version of the log's frames and bodies that this version writes.
pub(super) const VERSION: u8 = 2;

/// Rules, flags and keys of neighbours as the log numbers them: its first frame lists their names, because a later version may number
/// them otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Numbering {
    rules: Vec<Option<Rule>>,
    flags: Vec<Option<Flag>>,
    keys: Vec<Option<PeerKey>>,
    /// How bodies are laid out: see `codec`.
    pub version: u8,
    /// Whether bodies and bits mean the same as in this version.
    pub current: bool,
    /// Names that this version does not know. Their bits are dropped.
    pub unknown: usize,
}

impl Numbering {
    /// This version's.
    pub fn current() -> Self {
        Self {
            rules: Rule::ALL.iter().copied().map(Some).collect(),
            flags: Flag::ALL.iter().copied().map(Some).collect(),
            keys: PeerKey::ALL.iter().copied().map(Some).collect(),
            version: VERSION,
            current: true,
            unknown: 0,
        }
    }

    /// From the names in a log.
    pub fn from_names(version: u8, rules: &[&str], flags: &[&str], keys: &[&str]) -> Self {
        let rules: Vec<_> = rules.iter().map(|n| rule(n)).collect();
        let flags: Vec<_> = flags.iter().map(|n| flag(n)).collect();
        let keys: Vec<_> = keys.iter().map(|n| peer_key(n)).collect();
        let here = Self::current();
        // Names appended since the log was written change no bit in it.
        let current = version == VERSION
            && here.rules.starts_with(&rules)
            && here.flags.starts_with(&flags)
            && here.keys.starts_with(&keys);
        let unknown = rules.iter().filter(|r| r.is_none()).count()
            + flags.iter().filter(|f| f.is_none()).count()
            + keys.iter().filter(|k| k.is_none()).count();
        Self {
            rules,
            flags,
            keys,
            version,
            current,
            unknown,
        }
    }

    pub fn rule(&self, code: u8) -> Option<Rule> {
        self.rules.get(usize::from(code)).copied().flatten()
    }

    pub fn rules(&self, bits: u128) -> RuleSet {
        if self.current {
            return RuleSet(bits);
        }
        let known = self.rules.iter().enumerate();
        known
            .filter(|(i, _)| bits & (1 << i) != 0)
            .filter_map(|(_, r)| *r)
            .collect()
    }

    pub fn flags(&self, bits: u64) -> Flags {
        if self.current {
            return Flags(bits);
        }
        let known = self.flags.iter().enumerate();
        known
            .filter(|(i, _)| bits & (1 << i) != 0)
            .filter_map(|(_, f)| *f)
            .collect()
    }

    pub fn keys(&self, bits: u32) -> PeerKeys {
        if self.current {
            return PeerKeys(bits);
        }
        let known = self.keys.iter().enumerate();
        known
            .filter(|(i, _)| bits & (1 << i) != 0)
            .filter_map(|(_, k)| *k)
            .collect()
    }
}

/// The key with the given name.
fn peer_key(label: &str) -> Option<PeerKey> {
    PeerKey::ALL.iter().copied().find(|k| k.label() == label)
}

/// Names of a set, separated by blanks: `vlan networks`.
pub(super) fn keys_text(set: PeerKeys) -> String {
    join(set.iter().map(PeerKey::label))
}

/// Undoes [`keys_text`]; the name that is not known otherwise.
pub(super) fn keys_from(text: &str) -> Result<PeerKeys, &str> {
    text.split_ascii_whitespace()
        .map(|label| peer_key(label).ok_or(label))
        .collect::<Result<Vec<_>, _>>()
        .map(PeerKeys::from_iter)
}

/// The rule with the given ID.
pub(super) fn rule(id: &str) -> Option<Rule> {
    Rule::ALL.iter().copied().find(|r| r.id() == id)
}

fn flag(label: &str) -> Option<Flag> {
    Flag::ALL.iter().copied().find(|f| f.label() == label)
}

/// IDs of a set, separated by blanks: `F1 O1`.
pub(super) fn rules_text(set: RuleSet) -> String {
    join(set.iter().map(Rule::id))
}

/// Undoes [`rules_text`]; the name that is not known otherwise.
pub(super) fn rules_from(text: &str) -> Result<RuleSet, &str> {
    text.split_ascii_whitespace()
        .map(|id| rule(id).ok_or(id))
        .collect::<Result<Vec<_>, _>>()
        .map(RuleSet::from_iter)
}

/// Labels of a set, separated by blanks: `unsigned unknown-upstream`.
pub(super) fn flags_text(set: Flags) -> String {
    join(set.iter().map(Flag::label))
}

/// Undoes [`flags_text`]; the name that is not known otherwise.
pub(super) fn flags_from(text: &str) -> Result<Flags, &str> {
    text.split_ascii_whitespace()
        .map(|label| flag(label).ok_or(label))
        .collect::<Result<Vec<_>, _>>()
        .map(Flags::from_iter)
}

fn join<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both_ways<T: Named + std::fmt::Debug>() {
        for v in T::ALL {
            assert_eq!(T::from_code(v.code()), Some(*v));
            assert_eq!(T::from_name(v.name()), Some(*v));
        }
        assert_eq!(T::from_code(200), None);
        assert_eq!(T::from_name("no such"), None);
    }

    #[test]
    fn codes_and_names_go_both_ways() {
        both_ways::<ClockSource>();
        both_ways::<Direction>();
        both_ways::<Transport>();
        both_ways::<Validation>();
        both_ways::<Attestation>();
        both_ways::<State>();
        both_ways::<ReleasedBy>();
        both_ways::<Verstat>();
        both_ways::<Pairing>();
        for v in Pairing::ALL {
            assert_eq!(v.name(), v.label());
        }
        for v in Verstat::ALL {
            assert_eq!(v.name(), v.label());
        }
    }

    #[test]
    fn sets_go_both_ways() {
        let all: RuleSet = Rule::ALL.iter().copied().collect();
        assert_eq!(rules_from(&rules_text(all)), Ok(all));
        assert_eq!(rules_from("F1 ZZ9"), Err("ZZ9"));
        let all: Flags = Flag::ALL.iter().copied().collect();
        assert_eq!(flags_from(&flags_text(all)), Ok(all));
        assert_eq!(flags_from(""), Ok(Flags::default()));
        let all: PeerKeys = PeerKey::ALL.iter().copied().collect();
        assert_eq!(keys_from(&keys_text(all)), Ok(all));
        assert_eq!(keys_from("vlan colour"), Err("colour"));
    }

    #[test]
    fn bits_of_another_version_are_renumbered() {
        let theirs = Numbering::from_names(
            VERSION,
            &["S2", "F1", "ZZ9"],
            &["revoked", "no-such-flag"],
            &["otg", "vlan"],
        );
        assert!(!theirs.current);
        assert_eq!(theirs.unknown, 2);
        assert_eq!(theirs.rule(0), Some(Rule::S2));
        assert_eq!(theirs.rule(2), None);
        let set: RuleSet = [Rule::S2, Rule::F1].into_iter().collect();
        assert_eq!(theirs.rules(0b111), set);
        assert_eq!(theirs.flags(0b11), [Flag::Revoked].into_iter().collect());
        assert_eq!(theirs.keys(0b10), [PeerKey::Vlan].into_iter().collect());
        let shorter: Vec<_> = Rule::ALL.iter().take(5).map(|r| r.id()).collect();
        assert!(Numbering::from_names(VERSION, &shorter, &["unsigned"], &[]).current);
        assert!(!Numbering::from_names(1, &shorter, &["unsigned"], &[]).current);
    }
}
