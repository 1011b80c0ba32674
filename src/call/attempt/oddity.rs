//! What flags need of an INVITE besides its numbers: read by the judges, kept nowhere but in a note.

use crate::base::text;
use crate::number::malformed::malformed;
use crate::number::{Malformed, NumberPlan};
use crate::wire::sip::uri::split_values;
use crate::wire::sip::{HeaderName, Message, NameAddr, Uri};

/// What is odd about an INVITE.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Oddity {
    /// What stands for a calling number and is none.
    pub malformed: Option<Box<NoNumber>>,
    /// The Request-URI asks for an emergency service (`urn:service:sos`, RFC 5031).
    pub sos: bool,
    /// `Priority: psap-callback` (RFC 7090). Anybody can write it.
    pub psap_callback: bool,
}

/// Something that starts like a number and is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoNumber {
    /// Why it is none.
    pub why: Malformed,
    /// As it is written, escaped, its first 48 octets.
    pub text: Box<str>,
    /// How many octets there are.
    pub octets: usize,
}

/// Values of P-Asserted-Identity that are looked at: RFC 3325 §9.1 allows two.
const ASSERTED: usize = 4;

/// Octets of a text that is no number which a note shows.
const SHOWN: usize = 48;

impl Oddity {
    /// Reads an INVITE.
    pub(super) fn of(
        message: &Message<'_>,
        request_uri: &Uri<'_>,
        from: &NameAddr<'_>,
        plan: &NumberPlan,
    ) -> Self {
        let asserted = message.headers.all(HeaderName::PAssertedIdentity);
        let asserted = asserted.flat_map(split_values).take(ASSERTED);
        let asserted = asserted.map(|v| NameAddr::parse(v).uri);
        let mut calling = std::iter::once(from.uri).chain(asserted);
        Self {
            malformed: calling.find_map(|uri| no_number(uri.subscriber(), plan).map(Box::new)),
            sos: is_sos(request_uri),
            psap_callback: message.headers.iter().any(|h| {
                h.name == HeaderName::Other
                    && h.raw_name.eq_ignore_ascii_case(b"Priority")
                    && h.value.trim_ascii().eq_ignore_ascii_case(b"psap-callback")
            }),
        }
    }
}

fn no_number(user: &[u8], plan: &NumberPlan) -> Option<NoNumber> {
    let why = malformed(user, plan)?;
    let shown = user.get(..SHOWN).unwrap_or(user);
    Some(NoNumber {
        why,
        text: text::escape(shown).into(),
        octets: user.len(),
    })
}

/// `urn:service:sos` and what is below it, such as `urn:service:sos.fire`.
fn is_sos(uri: &Uri<'_>) -> bool {
    const SOS: &[u8] = b"service:sos";
    uri.scheme.eq_ignore_ascii_case(b"urn")
        && uri.user.split_at_checked(SOS.len()).is_some_and(|(a, b)| {
            a.eq_ignore_ascii_case(SOS) && matches!(b.first(), None | Some(b'.' | b';' | b'?'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::sip::StartLine;

    fn of(uri: &str, headers: &str) -> Oddity {
        let text = format!("INVITE {uri} SIP/2.0\r\n{headers}\r\n\r\n");
        let message = Message::scan(text.as_bytes()).unwrap();
        let StartLine::Request { uri, .. } = message.start else {
            panic!("a request")
        };
        let from = NameAddr::parse(message.headers.first(HeaderName::From).unwrap_or_default());
        let plan = NumberPlan::default();
        Oddity::of(&message, &Uri::parse(uri), &from, &plan)
    }

    const CALLED: &str = "sip:+12025550142@192.0.2.1";

    #[test]
    fn emergency_services_by_name() {
        for (uri, want) in [
            ("urn:service:sos", true),
            ("URN:Service:SOS.fire", true),
            ("urn:service:sosx", false),
            ("urn:service:counseling", false),
            ("sip:sos@192.0.2.1", false),
        ] {
            assert_eq!(of(uri, "From: <sip:a@example.net>").sos, want, "{uri}");
        }
    }

    #[test]
    fn a_callback_says_so_in_priority() {
        assert!(of(CALLED, "PRIORITY:  PSAP-callback").psap_callback);
        assert!(!of(CALLED, "Priority: emergency").psap_callback);
        assert!(!of(CALLED, "Subject: psap-callback").psap_callback);
    }

    #[test]
    fn either_calling_number_may_be_none_and_the_text_is_bounded() {
        let many = format!("From: <sip:{}@example.net>;tag=1", "1".repeat(1_000));
        let found = of(CALLED, &many).malformed.unwrap();
        assert_eq!((found.text.len(), found.octets), (SHOWN, 1_000));
        assert_eq!(found.why, Malformed::TooLong);
        let asserted = "From: <sip:anonymous@anonymous.invalid>\r\nP-Asserted-Identity: <sip:alice@example.net>, <tel:+0123456>";
        let found = of(CALLED, asserted).malformed.unwrap();
        assert_eq!(
            (&*found.text, found.why),
            ("+0123456", Malformed::LeadingZero)
        );
        let sound = "From: <sip:+12025550123@example.net>\r\nP-Asserted-Identity: <isbn:+0123456>";
        assert_eq!(of(CALLED, sound).malformed, None);
    }
}
