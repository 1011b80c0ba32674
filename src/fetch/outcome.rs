//! What became of a wish for a certificate: one word for each way it can go, counted by it.

use std::time::Duration;

use crate::engine::park::Why;

/// How one wish ended. Those up to [`Outcome::NoCertificate`] were a request to a server, the others were not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// A certificate that we did not have.
    Fetched,
    /// The same certificate as before.
    Confirmed,
    /// Another certificate than before at the same URL.
    Renewed,
    /// The name has no address, or nobody could say.
    NoAddress,
    /// It leads to an address that nobody outside may send us to (rule N3).
    ForbiddenAddress,
    /// No TCP connection.
    NoConnection,
    /// The proxy did not connect us.
    Proxy,
    /// No TLS: wrong name, run out, not of a web authority.
    Tls,
    /// Not whole within the deadline (rule N6).
    Timeout,
    /// The connection ended before the answer did, or the answer is no HTTP.
    Interrupted,
    /// The server sent us elsewhere; we don't go (rule N4).
    Redirect,
    /// 404 or 410.
    NotFound,
    /// Any other status than 200.
    Status,
    /// Headers beyond their cap.
    HeadersTooLarge,
    /// A body beyond its cap.
    BodyTooLarge,
    /// A content encoding that we did not ask for.
    Encoded,
    /// An answer in which there is no certificate that can be read (rule N7).
    NoCertificate,
    /// It was at hand when the wish came.
    AtHand,
    /// The URL is none that we ask (rules X1, N1, N2).
    BadUrl,
    /// The host is not on the operator's list.
    HostNotListed,
    /// Too many hosts that never gave a certificate, too fast (rule N11).
    NewHosts,
    /// Too many URLs of one host, too fast.
    HostBusy,
    /// Too many wishes at once (rule N10).
    QueueFull,
    /// It failed a short while ago (rule N9).
    KnownFailure,
    /// We are told to ask nobody (rule N14).
    Offline,
}

/// First wait after trouble on the way, and the longest (rule N9).
const BACKOFF: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(30 * 60));

/// Wait after a server's own answer that was no certificate (rule N9).
pub(super) const NO_SUCH: Duration = Duration::from_secs(600);

impl Outcome {
    /// All of them, in the order of tables.
    pub const ALL: [Self; 25] = [
        Self::Fetched,
        Self::Confirmed,
        Self::Renewed,
        Self::NoAddress,
        Self::ForbiddenAddress,
        Self::NoConnection,
        Self::Proxy,
        Self::Tls,
        Self::Timeout,
        Self::Interrupted,
        Self::Redirect,
        Self::NotFound,
        Self::Status,
        Self::HeadersTooLarge,
        Self::BodyTooLarge,
        Self::Encoded,
        Self::NoCertificate,
        Self::AtHand,
        Self::BadUrl,
        Self::HostNotListed,
        Self::NewHosts,
        Self::HostBusy,
        Self::QueueFull,
        Self::KnownFailure,
        Self::Offline,
    ];

    /// Lower-case name, as in metrics and tables.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Fetched => "fetched",
            Self::Confirmed => "confirmed",
            Self::Renewed => "renewed",
            Self::NoAddress => "no_address",
            Self::ForbiddenAddress => "forbidden_address",
            Self::NoConnection => "no_connection",
            Self::Proxy => "proxy",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Interrupted => "interrupted",
            Self::Redirect => "redirect",
            Self::NotFound => "not_found",
            Self::Status => "status",
            Self::HeadersTooLarge => "headers_too_large",
            Self::BodyTooLarge => "body_too_large",
            Self::Encoded => "encoded",
            Self::NoCertificate => "no_certificate",
            Self::AtHand => "at_hand",
            Self::BadUrl => "bad_url",
            Self::HostNotListed => "host_not_listed",
            Self::NewHosts => "new_hosts",
            Self::HostBusy => "host_busy",
            Self::QueueFull => "queue_full",
            Self::KnownFailure => "known_failure",
            Self::Offline => "offline",
        }
    }

    /// Whether a server was asked, or would have been but for an address.
    pub const fn was_asked(self) -> bool {
        (self as u8) < Self::AtHand as u8
    }

    /// Whether there is a certificate.
    pub const fn is_good(self) -> bool {
        matches!(
            self,
            Self::Fetched | Self::Confirmed | Self::Renewed | Self::AtHand
        )
    }

    /// How long not to ask again after the `tries`-th failure in a row, from 1; `None` where nothing was asked.
    pub(super) fn backoff(self, tries: u32) -> Option<Duration> {
        match self {
            Self::NoAddress
            | Self::NoConnection
            | Self::Proxy
            | Self::Tls
            | Self::Timeout
            | Self::Interrupted => {
                let doubled = 2u32.saturating_pow(tries.saturating_sub(1));
                Some(BACKOFF.0.saturating_mul(doubled).min(BACKOFF.1))
            }
            Self::ForbiddenAddress
            | Self::Redirect
            | Self::NotFound
            | Self::Status
            | Self::HeadersTooLarge
            | Self::BodyTooLarge
            | Self::Encoded
            | Self::NoCertificate => Some(NO_SUCH),
            Self::Fetched
            | Self::Confirmed
            | Self::Renewed
            | Self::AtHand
            | Self::BadUrl
            | Self::HostNotListed
            | Self::NewHosts
            | Self::HostBusy
            | Self::QueueFull
            | Self::KnownFailure
            | Self::Offline => None,
        }
    }

    /// Why a call that waited goes on.
    pub const fn why(self) -> Why {
        match self {
            Self::Fetched | Self::Confirmed | Self::Renewed | Self::AtHand => Why::Certificate,
            Self::NoAddress
            | Self::NoConnection
            | Self::Proxy
            | Self::Tls
            | Self::Timeout
            | Self::Interrupted
            | Self::KnownFailure => Why::Unreachable,
            Self::ForbiddenAddress
            | Self::Redirect
            | Self::NotFound
            | Self::Status
            | Self::HeadersTooLarge
            | Self::BodyTooLarge
            | Self::Encoded
            | Self::NoCertificate
            | Self::BadUrl
            | Self::HostNotListed => Why::Refused,
            Self::NewHosts | Self::HostBusy | Self::QueueFull => Why::QueueFull,
            Self::Offline => Why::Offline,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_listed_once_in_order() {
        for (i, outcome) in Outcome::ALL.iter().enumerate() {
            assert_eq!(*outcome as usize, i);
        }
        let mut labels: Vec<_> = Outcome::ALL.iter().map(|o| o.label()).collect();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), Outcome::ALL.len());
    }

    #[test]
    fn n9_trouble_on_the_way_doubles_to_half_an_hour_and_an_answer_waits_ten_minutes() {
        let minutes = |o: Outcome, tries| o.backoff(tries).map(|d| d.as_secs_f64() / 60.0);
        for (tries, want) in [
            (1, 1.0),
            (2, 2.0),
            (3, 4.0),
            (5, 16.0),
            (6, 30.0),
            (90, 30.0),
        ] {
            assert_eq!(minutes(Outcome::Timeout, tries), Some(want));
            assert_eq!(minutes(Outcome::NotFound, tries), Some(10.0));
        }
        assert_eq!(minutes(Outcome::QueueFull, 1), None);
        for outcome in Outcome::ALL {
            let asked_in_vain = outcome.was_asked() && !outcome.is_good();
            assert_eq!(outcome.backoff(1).is_some(), asked_in_vain, "{outcome:?}");
        }
    }
}
