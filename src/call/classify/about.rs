//! What an operator has to know of each flag: its group, how bad it is, what it rests on and when it is wrong. `docs/FLAGS.md` is made
//! from this. Every match is total: a new flag says all of it, or does not compile.

use super::Flag;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $( $id:ident $label:literal $what:literal; )* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $(
            #[doc = $what]
            $id,
        )* }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$id),*];

            /// Its name, as in output and configuration.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$id => $label),* }
            }

            /// What it means.
            pub const fn what(self) -> &'static str {
                match self { $(Self::$id => $what),* }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(self.label())
            }
        }
    };
}

words! {
    /// Flags that belong together.
    Group {
        Attestation "attestation" "what a signer vouches for, or that nobody does";
        Verification "verification" "what is wrong with a signature, or could not be found out";
        Numbers "numbers" "what the calling number says by itself";
        Neighbour "neighbour" "what does not go with the neighbour who handed the call over";
        Replay "replay" "a PASSporT or a call that was there before";
        Emergency "emergency" "emergency calls and calls back: they spare, and accuse nobody";
        Behaviour "behaviour" "what many calls show together";
    }
}

words! {
    /// How much a flag says against a call by itself. Events go out for warnings and worse unless the configuration says otherwise.
    Severity {
        Note "note" "nothing: a fact that is good to know";
        Warning "warning" "worth a look; honest calls have it too";
        Bad "bad" "an honest call does not have it, but for a mistake on the way";
    }
}

/// What `docs/FLAGS.md` says of a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// Calls that can have it: `ingress`, `any`.
    pub direction: &'static str,
    /// What its evidence holds.
    pub evidence: &'static str,
    /// Settings that it follows; empty where there are none.
    pub settings: &'static str,
    /// When an honest call has it.
    pub wrong_when: &'static str,
    /// Where its meaning comes from.
    pub source: &'static str,
}

impl Flag {
    /// Its group.
    pub const fn group(self) -> Group {
        use Flag::*;
        match self {
            Unsigned | AttestA | AttestB | AttestC | AnonymousAttested => Group::Attestation,
            Malformed | Stale | OrigMismatch | DestMismatch | BadCredential | Untrusted
            | Revoked | BadSignature | Undetermined | UnknownPpt | Disagrees | NotVerified => {
                Group::Verification
            }
            OwnNumberInbound | InvalidNanp | DoNotOriginate | Unallocated | Premium
            | MalformedNumber | NeighbourSpoof => Group::Numbers,
            UnknownUpstream | SignerUnexpected | NewSignedNumber => Group::Neighbour,
            Replayed | ReplaySuspect | Loop => Group::Replay,
            Emergency | EmergencyCallback => Group::Emergency,
            HighVolume | Snowshoe | ShortCalls | LowAnswer | SequentialDialling | Flood
            | ProtectedFlood | MixChange => Group::Behaviour,
        }
    }

    /// Flags that say that whoever calls is not who he shows himself to be, or shows another call's PASSporT. An honest call has one of these now and
    /// then; many together from one neighbour are a burst. [`Flag::NeighbourSpoof`] is not among them, because most local calls without attestation A have it.
    pub const SPOOFED: &'static [Flag] = &[
        Flag::OrigMismatch,
        Flag::DestMismatch,
        Flag::BadSignature,
        Flag::OwnNumberInbound,
        Flag::InvalidNanp,
        Flag::Replayed,
        Flag::DoNotOriginate,
        Flag::Unallocated,
        Flag::Premium,
        Flag::MalformedNumber,
    ];

    /// How much it says against a call by itself.
    pub const fn severity(self) -> Severity {
        use Flag::*;
        match self {
            Unsigned | AttestA | AttestB | AttestC | Undetermined | UnknownPpt | NotVerified
            | Emergency | EmergencyCallback => Severity::Note,
            BadCredential | Disagrees | UnknownUpstream | ReplaySuspect | SignerUnexpected
            | NewSignedNumber | NeighbourSpoof | AnonymousAttested | Loop | HighVolume
            | Snowshoe | ShortCalls | LowAnswer | SequentialDialling | MixChange => {
                Severity::Warning
            }
            Malformed | Stale | OrigMismatch | DestMismatch | Untrusted | Revoked
            | BadSignature | OwnNumberInbound | InvalidNanp | Replayed | DoNotOriginate
            | Unallocated | Premium | MalformedNumber | Flood | ProtectedFlood => Severity::Bad,
        }
    }

    /// Whether [`super::flagging::flag_configured`] sets it: by the configuration and what a record keeps, so that old records can be
    /// asked what another configuration would change.
    pub const fn is_configured(self) -> bool {
        use Flag::*;
        matches!(
            self,
            OwnNumberInbound
                | InvalidNanp
                | DoNotOriginate
                | Unallocated
                | Premium
                | NeighbourSpoof
                | SignerUnexpected
        )
    }

    /// What else there is to know.
    pub const fn about(self) -> About {
        use Flag::*;
        const RULES: &str = "the rules that failed, the deciding one first";
        const VERIFY: &str = "`[verify]`, `[credentials]`";
        match self {
            Unsigned => row(
                "any",
                "that there is no Identity header",
                "",
                "calls from abroad and from networks without IP are seldom signed; one of which the end was lost is `undetermined` instead",
                "RFC 8224 §6.2; rule H6",
            ),
            AttestA | AttestB | AttestC => row(
                "any",
                "the signer's code",
                VERIFY,
                "never: it is no accusation",
                "ATIS-1000074 §5.2.3",
            ),
            Malformed => row(
                "any",
                RULES,
                "`[verify] profile`",
                "a signer's or an SBC's defect: no ill will is needed",
                "RFC 8224, RFC 8225; docs/RULES.md",
            ),
            Stale => row(
                "any",
                "the rules that failed, `iat`, its distance to the INVITE",
                "`[verify] freshness_seconds`",
                "a signer's clock, or a call that waited on the way",
                "RFC 8224 §6.2.2; rules F1 to F4",
            ),
            OrigMismatch => row(
                "any",
                "the rules that failed, the number signed for, From, P-Asserted-Identity",
                "`[numbers]`",
                "a proxy that rewrites From without the country code known to `[numbers]`",
                "RFC 8224 §6.2; rules O1 to O3",
            ),
            DestMismatch => row(
                "any",
                "the rules that failed, Request-URI, To",
                "`[numbers]`",
                "a diversion without `div`",
                "RFC 8224 §6.2, RFC 8946; rules D1, D2",
            ),
            BadCredential => row(
                "any",
                RULES,
                "`[credentials]`, `[fetch]`",
                "the signer's repository is down or serves another file",
                "RFC 8224 §6.2.2; rules X1 to X3",
            ),
            Untrusted => row(
                "any",
                RULES,
                "`[credentials]`",
                "our list of authorities is older than the signer's authority",
                "ATIS-1000080, ATIS-1000074; rules X4 to X15",
            ),
            Revoked => row(
                "any",
                RULES,
                "`[verify] crl`, `[credentials] crl`",
                "never, if the list is genuine",
                "ATIS-1000080; rules R3 to R5",
            ),
            BadSignature => row(
                "any",
                RULES,
                "",
                "a middlebox that rewrites the header",
                "RFC 8225 §6; rules S1, S2",
            ),
            Undetermined => row(
                "any",
                "the rule that could not be decided",
                VERIFY,
                "never: it is no accusation",
                "RFC 8224 §6.2; docs/RULES.md",
            ),
            UnknownPpt => row(
                "any",
                "how many headers there are",
                "",
                "never: it is no accusation",
                "RFC 8224 §6.2 step 1; rule G7",
            ),
            OwnNumberInbound => row(
                "ingress, not from customers",
                "From and P-Asserted-Identity",
                "`[provider] own_numbers`",
                "a call that was forwarded and comes back with its caller; a customer abroad who roams; a number that was ported away",
                "common practice of carriers' SBCs",
            ),
            InvalidNanp => row(
                "ingress",
                "the number",
                "`[numbers]`",
                "a PBX that sends extensions behind a 1",
                "NANP: NXX-NXX-XXXX, no N11; FCC 17-151 (83 FR 1566) lets providers block invalid numbers",
            ),
            UnknownUpstream => row(
                "ingress",
                "the two addresses",
                "peers.toml",
                "a rule is missing",
                "this probe",
            ),
            Replayed => row(
                "any",
                "the PASSporT, seen before",
                "`[verify] freshness_seconds`",
                "forwarding that keeps the header without `div`",
                "RFC 8224 §12.1; rules Y1 to Y3",
            ),
            ReplaySuspect => row(
                "any",
                "the PASSporT, seen before",
                "`[verify] freshness_seconds`",
                "more alternative routes than usual",
                "RFC 8224 §12.1; rules Y1 to Y3",
            ),
            Disagrees => row(
                "any",
                "`verstat` in the INVITE, and our verdict",
                "`[verify]`",
                "the other side has newer or older trust than we have",
                "3GPP TS 24.229; RFC 9410",
            ),
            NotVerified => row(
                "any",
                "how many headers there are",
                "",
                "never: it is no accusation",
                "this probe: overload, docs/ARCHITECTURE.md",
            ),
            SignerUnexpected => row(
                "ingress",
                "the signer's code, and those that are expected here",
                "`signers` in peers.toml",
                "the neighbour has new customers, or another originating provider's calls come by him on an alternative route",
                "this probe; the signer is identified by ATIS-1000080 §6.3",
            ),
            NewSignedNumber => row(
                "ingress",
                "the number, of how many calls since when it is not one",
                "`[flags] learning_days`, `learning_calls`",
                "a new subscriber or campaign of the neighbour's customer; after a crash learning begins anew, so nothing is flagged until it is over",
                "this probe",
            ),
            DoNotOriginate => row(
                "ingress",
                "where the number stands, and the entry of the list",
                "`[numbers] do_not_originate`",
                "the list is out of date",
                "47 CFR 64.1200(o), FCC 25-15 (90 FR 13416): a reasonable do-not-originate list",
            ),
            Unallocated => row(
                "ingress",
                "where the number stands, and its thousands block",
                "`[numbers] allocations`",
                "data that is older than the assignment: load it monthly. What the data does not name is never flagged",
                "FCC 17-151 (83 FR 1566): numbers that no provider was allocated; the data is the operator's",
            ),
            Premium => row(
                "ingress",
                "where the number stands, and whether area code 900 or the data says it",
                "`[numbers] allocations`",
                "where the data is wrong",
                "47 CFR 64.1508: 900 is the code of charged services; that none of its numbers calls is our choice",
            ),
            MalformedNumber => row(
                "ingress",
                "what is written, how long it is, why it is no number",
                "`[numbers]`",
                "a user name that begins with a digit, in From of an enterprise trunk",
                "E.164 §6; RFC 3966",
            ),
            NeighbourSpoof => row(
                "ingress from outside, but emergency calls and calls back",
                "the area code and exchange",
                "",
                "true neighbours call each other too: it is worth something in numbers only, and no proof",
                "FCC consumer guide on spoofing (fcc.gov/spoofing) names the practice; the same exchange is our choice",
            ),
            Emergency => row(
                "any",
                "what was called",
                "`[flags] emergency`",
                "never: it is no accusation",
                "RFC 5031 (`urn:service:sos`); which dialled codes count is our choice",
            ),
            EmergencyCallback => row(
                "any",
                "whether the call before was seen, or only claimed by `Priority: psap-callback`; the claim spares nobody",
                "`[flags] callback_hours`",
                "never: it is no accusation. Who calls 911 by a forged number makes calls to that number look like it",
                "RFC 7090 (`psap-callback`); for how long a call counts as one back is our choice",
            ),
            AnonymousAttested => row(
                "ingress",
                "attestation, signed number and signer",
                "",
                "a caller with Privacy whose P-Asserted-Identity was taken off before it came to us",
                "RFC 3323; that it is remarkable is our choice",
            ),
            Loop => row(
                "ingress",
                "the leg that was handed on, and what is the same",
                "",
                "a forwarding that leaves us and comes back in good order",
                "RFC 3261 §16.3; this probe",
            ),
            HighVolume | Snowshoe | ShortCalls | LowAnswer | SequentialDialling | Flood
            | ProtectedFlood | MixChange => row(
                "ingress",
                "the score and its terms at that moment",
                "`[behaviour]`",
                "call centres, notification services, outages: see the defaults in the configuration",
                "this probe; docs/BENCHMARKS.md measures precision and recall",
            ),
        }
    }
}

const fn row(
    direction: &'static str,
    evidence: &'static str,
    settings: &'static str,
    wrong_when: &'static str,
    source: &'static str,
) -> About {
    About {
        direction,
        evidence,
        settings,
        wrong_when,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_group_and_severity_is_used_and_names_are_unique() {
        let groups: BTreeSet<_> = Flag::ALL.iter().map(|f| f.group()).collect();
        assert_eq!(groups.len(), Group::ALL.len());
        let severities: BTreeSet<_> = Flag::ALL.iter().map(|f| f.severity()).collect();
        assert_eq!(severities.len(), Severity::ALL.len());
        let names: BTreeSet<_> = Flag::ALL.iter().map(|f| f.label()).collect();
        assert_eq!(names.len(), Flag::ALL.len());
        assert!(Flag::ALL.len() <= 64, "one bit each");
    }

    #[test]
    fn every_flag_says_what_it_rests_on_and_when_it_is_wrong() {
        for flag in Flag::ALL {
            let a = flag.about();
            for text in [a.direction, a.evidence, a.wrong_when, a.source] {
                assert!(!text.is_empty(), "{flag}");
            }
        }
    }
}
