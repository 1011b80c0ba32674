//! Which flags make a call part of a campaign.
//!
//! A campaign is handed to people who act on it, so what also honest calls show (no signature, a slow clock, a certificate that can't be fetched, a
//! local number, sheer volume) does not make a member by itself.

use crate::call::classify::{Flag, Flags};

/// What a flag is worth towards a campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Makes a member by itself: the call is not what it claims, or should not exist.
    Alone,
    /// Makes a member beside a supporting flag, or beside another of its kind.
    Behaviour,
    /// Makes a member beside a behaviour.
    Supports,
    /// Says nothing.
    Nothing,
}

/// The table. Total on purpose: a new flag must say what it is worth.
pub const fn role(flag: Flag) -> Role {
    use Flag::*;
    match flag {
        // Signed for somebody else, by nobody, or by one who may not; or used again.
        OrigMismatch | DestMismatch | BadSignature | Untrusted | Revoked | Replayed => Role::Alone,
        // Numbers that can't call, or not from there.
        OwnNumberInbound | InvalidNanp | DoNotOriginate | Unallocated | Premium
        | MalformedNumber => Role::Alone,
        // Whatever else they show, these calls do harm.
        ProtectedFlood => Role::Alone,
        HighVolume | Snowshoe | ShortCalls | LowAnswer | SequentialDialling | Flood => {
            Role::Behaviour
        }
        SignerUnexpected | Unsigned | AttestC | NeighbourSpoof | ReplaySuspect
        | NewSignedNumber | AnonymousAttested => Role::Supports,
        // Mostly somebody's fault in operation: clock, web server, software.
        Stale | Malformed | BadCredential | Disagrees => Role::Supports,
        AttestA | AttestB | Undetermined | UnknownPpt | UnknownUpstream | NotVerified => {
            Role::Nothing
        }
        // About the neighbour as a whole, or about us.
        MixChange | Loop => Role::Nothing,
        Emergency | EmergencyCallback => Role::Nothing,
    }
}

/// Whether a call is part of a campaign by its flags. Emergency calls and their call-backs are kept out before; `emergency-callback`
/// by itself keeps nothing out, because anybody can write the header.
pub fn is_member(flags: Flags) -> bool {
    let (mut behaviours, mut supports) = (0, 0);
    for flag in flags.iter() {
        match role(flag) {
            Role::Alone => return true,
            Role::Behaviour => behaviours += 1,
            Role::Supports => supports += 1,
            Role::Nothing => {}
        }
    }
    behaviours >= 2 || behaviours >= 1 && supports >= 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(flags: &[Flag]) -> bool {
        is_member(flags.iter().copied().collect())
    }

    #[test]
    fn what_honest_calls_show_makes_no_member() {
        use Flag::*;
        assert!(!member(&[Unsigned, NeighbourSpoof]));
        assert!(!member(&[AttestA, HighVolume]));
        assert!(!member(&[Stale, BadCredential, Disagrees]));
        assert!(!member(&[Unsigned, MixChange]));
        assert!(member(&[Unsigned, HighVolume]));
        assert!(member(&[AttestA, HighVolume, ShortCalls]));
        assert!(member(&[DoNotOriginate]));
    }
}
