//! What others' verification says of a call, and whether it is the opposite of what ours says (RFC 9410, 3GPP TS 24.229).
//!
//! Comes in: the `verstat` parameter of an INVITE, Reason headers and final answers. Anybody can write either: they are evidence of
//! a claim, compared and counted, and never change a verdict. Who has no opinion disagrees with nobody: `No-TN-Validation`, an
//! unsigned call and one that could not be judged are no opinions.

use crate::stir::verify::Validation;
use crate::wire::sip::uri::{param_of, split_values};
use crate::wire::sip::{HeaderName, Message, NameAddr};

/// What an INVITE says of an earlier verification of its calling number. The letter that some vendors add is an attestation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verstat {
    /// `TN-Validation-Passed`
    Passed,
    /// `TN-Validation-Passed-A`
    PassedA,
    /// `TN-Validation-Passed-B`
    PassedB,
    /// `TN-Validation-Passed-C`
    PassedC,
    /// `TN-Validation-Failed`
    Failed,
    /// `TN-Validation-Failed-A`
    FailedA,
    /// `TN-Validation-Failed-B`
    FailedB,
    /// `TN-Validation-Failed-C`
    FailedC,
    /// `No-TN-Validation`, with or without a letter
    None,
}

impl Verstat {
    /// As it is written.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Passed => "TN-Validation-Passed",
            Self::PassedA => "TN-Validation-Passed-A",
            Self::PassedB => "TN-Validation-Passed-B",
            Self::PassedC => "TN-Validation-Passed-C",
            Self::Failed => "TN-Validation-Failed",
            Self::FailedA => "TN-Validation-Failed-A",
            Self::FailedB => "TN-Validation-Failed-B",
            Self::FailedC => "TN-Validation-Failed-C",
            Self::None => "No-TN-Validation",
        }
    }

    /// Reads the parameter's value, in any case; `None` for what is none of these.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let starts = |text: &str| {
            let (head, tail) = value.split_at_checked(text.len())?;
            head.eq_ignore_ascii_case(text.as_bytes()).then_some(tail)
        };
        if let Some(tail) = starts("TN-Validation-Passed") {
            return Self::lettered(
                tail,
                [Self::Passed, Self::PassedA, Self::PassedB, Self::PassedC],
            );
        }
        if let Some(tail) = starts("TN-Validation-Failed") {
            return Self::lettered(
                tail,
                [Self::Failed, Self::FailedA, Self::FailedB, Self::FailedC],
            );
        }
        Self::lettered(starts("No-TN-Validation")?, [Self::None; 4])
    }

    fn lettered(tail: &[u8], [plain, a, b, c]: [Self; 4]) -> Option<Self> {
        match tail {
            b"" => Some(plain),
            b"-A" | b"-a" => Some(a),
            b"-B" | b"-b" => Some(b),
            b"-C" | b"-c" => Some(c),
            _ => None,
        }
    }

    /// The claim of an INVITE: in P-Asserted-Identity before From, as a parameter of the user part, the URI (`sip:` or `tel:`) or the header.
    pub fn of(invite: &Message<'_>) -> Option<Self> {
        let asserted = invite
            .headers
            .all(HeaderName::PAssertedIdentity)
            .flat_map(split_values);
        asserted
            .chain(invite.headers.first(HeaderName::From))
            .find_map(|value| {
                let address = NameAddr::parse(value);
                let value = address
                    .uri
                    .param("verstat")
                    .or_else(|| address.param("verstat"));
                Self::parse(value?)
            })
    }

    fn opinion(self) -> Option<Opinion> {
        match self {
            Self::Passed | Self::PassedA | Self::PassedB | Self::PassedC => Some(Opinion::For),
            Self::Failed | Self::FailedA | Self::FailedB | Self::FailedC => Some(Opinion::Against),
            Self::None => None,
        }
    }

    /// Whether it says the opposite of our verdict.
    pub fn disagrees(self, ours: Validation) -> bool {
        disagree(self.opinion(), opinion(ours))
    }
}

impl serde::Serialize for Verstat {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.label())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opinion {
    For,
    Against,
}

fn opinion(ours: Validation) -> Option<Opinion> {
    match ours {
        Validation::Passed => Some(Opinion::For),
        Validation::Failed => Some(Opinion::Against),
        Validation::Undetermined | Validation::None => None,
    }
}

fn disagree(theirs: Option<Opinion>, ours: Option<Opinion>) -> bool {
    matches!((theirs, ours), (Some(a), Some(b)) if a != b)
}

/// Codes by which a verification service refuses (RFC 8224 §6.2.2). 433 is about anonymity and says nothing of Identity.
const fn is_verification(code: u16) -> bool {
    matches!(code, 403 | 428 | 436 | 437 | 438)
}

/// What a response or a BYE says against a call: the cause of its first `Reason: STIR`, else of a `Reason: SIP` with a code that only
/// verification uses, else `code` itself where it is such a one, or 403 with the phrase of RFC 8224. 0 stands for no code.
pub fn stir_cause(message: &Message<'_>, code: u16, phrase: &[u8]) -> Option<u16> {
    let reasons = || {
        message
            .headers
            .all(HeaderName::Reason)
            .flat_map(split_values)
    };
    let cause = |protocol: &str| {
        reasons().find_map(|value| {
            let (name, params) = value.split_at(memchr::memchr(b';', value)?);
            if !name.trim_ascii().eq_ignore_ascii_case(protocol.as_bytes()) {
                return None;
            }
            let cause = std::str::from_utf8(param_of(params, "cause")?).ok()?;
            cause.parse::<u16>().ok()
        })
    };
    let only = |code: &u16| is_verification(*code) && *code != 403;
    cause("STIR")
        .filter(|c| is_verification(*c))
        .or_else(|| cause("SIP").filter(only))
        .or_else(|| Some(code).filter(only))
        .or_else(|| {
            let stale = code == 403 && phrase.trim_ascii().eq_ignore_ascii_case(b"Stale Date");
            stale.then_some(403)
        })
}

/// Whether a refusal says the opposite of our verdict. One that lets the call go on (`refused` is false) lists the headers that failed;
/// with several headers the others may still have passed, so that nothing is said of the call.
pub fn refusal_disagrees(ours: Validation, identities: u8, refused: bool) -> bool {
    (refused || identities == 1) && disagree(Some(Opinion::Against), opinion(ours))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invite(headers: &str) -> Option<Verstat> {
        let text = format!("INVITE sip:+12025550101@example.net SIP/2.0\r\n{headers}\r\n\r\n");
        Verstat::of(&Message::scan(text.as_bytes()).unwrap())
    }

    #[test]
    fn m2_verstat_stands_in_the_user_part_the_uri_or_the_header() {
        for (headers, want) in [
            (
                "From: <sip:+12025550100;verstat=TN-Validation-Passed@example.net>;tag=1",
                Some(Verstat::Passed),
            ),
            (
                "From: <sip:+12025550100@example.net;verstat=TN-Validation-Failed;user=phone>;tag=1",
                Some(Verstat::Failed),
            ),
            (
                "From: <tel:+12025550100;verstat=tn-validation-passed-b>;tag=1",
                Some(Verstat::PassedB),
            ),
            (
                "From: <sip:+12025550100@example.net>;tag=1;verstat=No-TN-Validation",
                Some(Verstat::None),
            ),
            (
                "From: <sip:+12025550100;verstat=TN-Validation-Failed@example.net>;tag=1\r\n\
              P-Asserted-Identity: <sip:alice@example.net>, <tel:+12025550100;verstat=TN-Validation-Passed-A>",
                Some(Verstat::PassedA),
            ),
            (
                "From: <sip:+12025550100;verstat=TN-Validation-Passed-D@example.net>;tag=1",
                None,
            ),
            (
                "From: \"verstat=TN-Validation-Passed\" <sip:+12025550100@example.net>;tag=1",
                None,
            ),
            ("From: <sip:+12025550100@example.net>;tag=1", None),
        ] {
            assert_eq!(invite(headers), want, "{headers}");
        }
    }

    fn answer(code: u16, phrase: &str, reasons: &str) -> Option<u16> {
        let text = format!("SIP/2.0 {code} {phrase}\r\n{reasons}CSeq: 1 INVITE\r\n\r\n");
        stir_cause(
            &Message::scan(text.as_bytes()).unwrap(),
            code,
            phrase.as_bytes(),
        )
    }

    #[test]
    fn m2_refusals_are_read_from_reason_and_from_the_answer_itself() {
        let stir = "Reason: Q.850;cause=21, STIR ;cause=436 ;text=\"Bad Identity Info\" ;ppi=\"..sig\"\r\n";
        assert_eq!(answer(480, "Gone", stir), Some(436));
        assert_eq!(
            answer(183, "Session Progress", "Reason: STIR;cause=438\r\n"),
            Some(438)
        );
        assert_eq!(
            answer(500, "No", "Reason: SIP;cause=437;text=\"x\"\r\n"),
            Some(437)
        );
        assert_eq!(answer(500, "No", "Reason: SIP;cause=486\r\n"), None);
        assert_eq!(answer(500, "No", "Reason: SIP;cause=403\r\n"), None);
        assert_eq!(answer(428, "Use Identity Header", ""), Some(428));
        assert_eq!(answer(403, "Stale Date", ""), Some(403));
        assert_eq!(answer(403, "Forbidden", ""), None);
        assert_eq!(
            answer(403, "Forbidden", "Reason: STIR;cause=403\r\n"),
            Some(403)
        );
        assert_eq!(answer(433, "Anonymity Disallowed", ""), None);
        assert_eq!(answer(486, "Busy", "Reason: STIR;cause=99999\r\n"), None);
        assert_eq!(answer(486, "Busy", "Reason: STIR\r\n"), None);
    }

    #[test]
    fn m2_only_opposite_opinions_disagree() {
        use Validation::*;
        for (theirs, ours, want) in [
            (Verstat::PassedC, Failed, true),
            (Verstat::FailedA, Passed, true),
            (Verstat::Passed, Passed, false),
            (Verstat::Failed, Failed, false),
            (Verstat::Passed, None, false),
            (Verstat::Failed, Undetermined, false),
            (Verstat::None, Passed, false),
            (Verstat::None, Failed, false),
            (Verstat::Passed, Undetermined, false),
        ] {
            assert_eq!(theirs.disagrees(ours), want, "{theirs:?} {ours:?}");
        }
        assert!(refusal_disagrees(Passed, 2, true));
        assert!(!refusal_disagrees(Failed, 1, true));
        assert!(!refusal_disagrees(None, 0, true));
        assert!(refusal_disagrees(Passed, 1, false));
        assert!(
            !refusal_disagrees(Passed, 2, false),
            "another header may have passed"
        );
    }
}
