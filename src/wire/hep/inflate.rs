//! Compressed payloads. Rev 37 says "gzip/inflate" and captagent sends zlib: zlib (RFC 1950), gzip (RFC 1952) and raw deflate (RFC 1951) are all taken.

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::HepError;
use crate::wire::sip::frame::MAX_MESSAGE;

/// Octets of a gzip header without its optional fields.
const GZIP_HEADER: usize = 10;

/// Inflates a payload of at most [`MAX_MESSAGE`] octets.
///
/// # Errors
///
/// [`HepError::Inflate`] where it is broken, cut, or fails its check sum; [`HepError::TooLarge`].
pub fn inflate(bytes: &[u8]) -> Result<Vec<u8>, HepError> {
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return gzip(bytes);
    }
    let is_zlib = matches!(bytes, [method, flags, ..]
        if method & 0x0f == 8 && u16::from_be_bytes([*method, *flags]).is_multiple_of(31));
    match is_zlib.then(|| run(Decompress::new(true), bytes)) {
        Some(Ok((out, _))) => Ok(out),
        Some(Err(HepError::TooLarge)) => Err(HepError::TooLarge),
        // Two octets of raw deflate may look like a zlib header.
        _ => run(Decompress::new(false), bytes).map(|(out, _)| out),
    }
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>, HepError> {
    let body = gzip_body(bytes).ok_or(HepError::Inflate)?;
    let (out, used) = run(Decompress::new(false), body)?;
    let sum = body.get(used..).and_then(|t| t.first_chunk::<4>());
    let mut crc = Crc::new();
    crc.update(&out);
    match sum {
        Some(sum) if u32::from_le_bytes(*sum) == crc.sum() => Ok(out),
        _ => Err(HepError::Inflate),
    }
}

/// What follows the header of RFC 1952 §2.3.
fn gzip_body(bytes: &[u8]) -> Option<&[u8]> {
    let flags = *bytes.get(3)?;
    let mut rest = bytes.get(GZIP_HEADER..)?;
    if flags & 4 != 0 {
        let (length, tail) = rest.split_first_chunk::<2>()?;
        rest = tail.get(usize::from(u16::from_le_bytes(*length))..)?;
    }
    for text in [8, 16] {
        if flags & text != 0 {
            rest = rest.get(memchr::memchr(0, rest)? + 1..)?;
        }
    }
    if flags & 2 != 0 {
        rest.get(2..)
    } else {
        Some(rest)
    }
}

/// Gives what came out and how many octets went in.
fn run(mut machine: Decompress, bytes: &[u8]) -> Result<(Vec<u8>, usize), HepError> {
    // One octet more than we take, so that "too large" is seen.
    let most = MAX_MESSAGE + 1;
    let mut out = Vec::with_capacity((bytes.len().saturating_mul(4)).clamp(64, most));
    loop {
        let used = usize::try_from(machine.total_in()).map_err(|_| HepError::Inflate)?;
        let rest = bytes.get(used..).ok_or(HepError::Inflate)?;
        let before = (machine.total_in(), machine.total_out());
        let status = machine
            .decompress_vec(rest, &mut out, FlushDecompress::None)
            .map_err(|_| HepError::Inflate)?;
        if out.len() > MAX_MESSAGE {
            return Err(HepError::TooLarge);
        }
        if status == Status::StreamEnd {
            let used = usize::try_from(machine.total_in()).map_err(|_| HepError::Inflate)?;
            return Ok((out, used));
        }
        if out.len() == out.capacity() {
            let more = out.capacity().min(most - out.len());
            out.reserve_exact(more);
        } else if before == (machine.total_in(), machine.total_out()) {
            // Nothing goes in and nothing comes out: the end is missing.
            return Err(HepError::Inflate);
        }
    }
}
