//! A request's body, whole, within a bound and a time.

use axum::body::{Body, Bytes};
use http_body_util::BodyExt;
use tokio::time::{Duration, Instant, timeout_at};

/// For a body: as long as for a head.
const BODY_TIME: Duration = Duration::from_secs(10);

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// It has more octets than are read.
    TooLong,
    /// It did not come in time, or broke off.
    Broken,
}

/// Reads `most` octets at most. What is longer is read on up to `drained` and thrown away, so that its sender gets to read the refusal; beyond that the
/// connection breaks.
///
/// # Errors
///
/// [`Unread`]
pub(crate) async fn whole(mut body: Body, most: usize, drained: usize) -> Result<Bytes, Unread> {
    let deadline = Instant::now() + BODY_TIME;
    let (mut octets, mut seen) = (Vec::new(), 0usize);
    loop {
        let frame = match timeout_at(deadline, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(None) => break,
            Ok(Some(Err(_))) | Err(_) => return Err(Unread::Broken),
        };
        let Ok(data) = frame.into_data() else {
            continue;
        };
        seen = seen.saturating_add(data.len());
        if seen > drained {
            return Err(Unread::TooLong);
        }
        if seen <= most {
            octets.extend_from_slice(&data);
        }
    }
    match seen > most {
        true => Err(Unread::TooLong),
        false => Ok(octets.into()),
    }
}
