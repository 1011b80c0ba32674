//! Flags: what is remarkable about a call, each with a stable name.
//!
//! - [`flagging`]: flags of an attempt for itself, and their evidence · [`note`]: what a flag rests on, where the record does not show it
//! - [`memory`]: numbers signed before, and callers of emergency numbers · [`about`]: what an operator has to know of each flag
//! - [`behaviour`]: what many calls show together · [`finding`]: a behaviour above its threshold, explained · [`campaign`]: flagged calls that belong together
//! - [`again`]: old records looked at with other settings
//! - [`replay`]: the same PASSporT again · [`skew`]: signers' clocks · [`disagreement`]: what others' verification says

pub mod about;
pub mod again;
pub mod behaviour;
pub mod campaign;
pub mod disagreement;
pub mod finding;
pub mod flagging;
pub mod memory;
pub mod note;
pub mod replay;
pub mod skew;

pub use about::{Group, Severity};
pub use campaign::Campaign;
pub use disagreement::Verstat;
pub use finding::Finding;
pub use flagging::{FlagSettings, OwnNumbers};
pub use memory::FlagMemory;
pub use note::Notes;

use std::fmt;

macro_rules! flags {
    ($( $id:ident $label:literal $what:literal; )*) => {
        /// Something remarkable about a call attempt.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Flag { $(
            #[doc = $what]
            $id,
        )* }

        impl Flag {
            /// Every flag.
            pub const ALL: &'static [Flag] = &[$(Flag::$id),*];

            /// Stable name, as in output, metrics and configuration.
            pub const fn label(self) -> &'static str {
                match self { $(Flag::$id => $label),* }
            }

            /// What it means, in one line.
            pub const fn what(self) -> &'static str {
                match self { $(Flag::$id => $what),* }
            }

            /// The flag of that name.
            pub fn from_label(label: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|f| f.label() == label)
            }
        }
    };
}

flags! {
    Unsigned "unsigned" "no Identity header, on a message that we saw whole";
    AttestA "attest-a" "valid, full attestation";
    AttestB "attest-b" "valid, partial attestation";
    AttestC "attest-c" "valid, gateway attestation";
    Malformed "malformed-identity" "an Identity header that can't be read (families header, grammar, token)";
    Stale "stale" "a PASSporT outside the freshness window";
    OrigMismatch "orig-mismatch" "signed for another calling number";
    DestMismatch "dest-mismatch" "signed for another called number: perhaps a replay";
    BadCredential "bad-credential" "certificate URL or file not usable";
    Untrusted "untrusted" "certificate without a path to the list of authorities, or out of its time, or without authority";
    Revoked "revoked" "certificate on the revocation list";
    BadSignature "bad-signature" "signature does not fit token or key";
    Undetermined "undetermined" "could not find out: no certificate at hand, or the message was cut";
    UnknownPpt "unknown-ppt" "only Identity headers of kinds that we don't verify";
    OwnNumberInbound "own-number-inbound" "a number of our own arrives from outside as the calling number";
    InvalidNanp "invalid-nanp" "a calling number that can't exist in the North American plan";
    UnknownUpstream "unknown-upstream" "no rule of peers.toml names the neighbour";
    Replayed "replayed" "a PASSporT that was seen before, now towards another number or after its freshness ended";
    ReplaySuspect "replay-suspect" "a PASSporT under more Call-IDs than retries and alternative routes come to";
    Disagrees "disagrees" "verstat in the INVITE says the opposite of our verdict";
    NotVerified "not-verified" "signed, and not checked: the probe was overloaded";
    SignerUnexpected "signer-unexpected" "validly signed by a provider that this trunk is not expected to carry calls of";
    NewSignedNumber "new-signed-number" "valid attestation A for a number that this neighbour has not signed before";
    DoNotOriginate "do-not-originate" "calls from a number of the do-not-originate list";
    Unallocated "unallocated-number" "calls from a number whose block is assigned to nobody";
    Premium "premium-number" "calls from a number that only takes calls, at a charge";
    MalformedNumber "malformed-number" "what stands for the calling number is none";
    NeighbourSpoof "neighbour-spoof" "the calling number looks local to the called one: same area code and exchange, without valid attestation A";
    Emergency "emergency" "to an emergency number: never part of a campaign or of a count against a neighbour";
    EmergencyCallback "emergency-callback" "to a number that called an emergency number a short while ago: likewise";
    AnonymousAttested "anonymous-attested" "no calling number is shown or asserted, and a PASSporT attests one";
    Loop "loop" "a call that we had handed on came back";
    HighVolume "high-volume" "the calling number makes more calls than its neighbour's threshold";
    Snowshoe "snowshoe" "the neighbour's calls come from many numbers that call once or twice each";
    ShortCalls "short-calls" "the calling number's answered calls are short";
    LowAnswer "low-answer" "few of the calling number's calls are answered";
    SequentialDialling "sequential-dialling" "the calling number dials one number after the other";
    Flood "flood" "a burst of calls to one number or prefix";
    ProtectedFlood "protected-flood" "a burst of calls to a protected number, such as a public-safety answering point";
    MixChange "mix-change" "the neighbour's mix of attestation, answers and lengths has changed suddenly";
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}

impl serde::Serialize for Flag {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.label())
    }
}

impl<'de> serde::Deserialize<'de> for Flag {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let label = <std::borrow::Cow<'_, str>>::deserialize(d)?;
        Self::from_label(&label)
            .ok_or_else(|| serde::de::Error::custom(format!("{label:?} is no flag")))
    }
}

/// A set of flags, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(pub u64);

impl Flags {
    /// Adds a flag.
    pub fn insert(&mut self, flag: Flag) {
        self.0 |= 1 << flag as u8;
    }

    /// Takes a flag out.
    pub fn remove(&mut self, flag: Flag) {
        self.0 &= !(1 << flag as u8);
    }

    /// Whether a flag is in it.
    pub fn contains(self, flag: Flag) -> bool {
        self.0 & (1 << flag as u8) != 0
    }

    /// Its flags in the order of [`Flag::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Flag> {
        Flag::ALL.iter().copied().filter(move |f| self.contains(*f))
    }
}

impl FromIterator<Flag> for Flags {
    fn from_iter<I: IntoIterator<Item = Flag>>(flags: I) -> Self {
        let mut set = Self::default();
        flags.into_iter().for_each(|f| set.insert(f));
        set
    }
}

impl serde::Serialize for Flags {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.iter().map(Flag::label))
    }
}
