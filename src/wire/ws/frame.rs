//! WebSocket frames (RFC 6455 §5) → messages.

use super::MAX_MESSAGE;
use crate::wire::sip::looks_like_sip;

/// The longest payload of a control frame (RFC 6455 §5.5).
const MAX_CONTROL: u64 = 125;

/// What came out of a stretch of octets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Got {
    /// A whole message, text or binary.
    Message(Vec<u8>),
    /// The front of a message that is longer than [`MAX_MESSAGE`].
    TooLong(Vec<u8>),
    /// A message that is compressed, of which nothing is kept.
    Compressed,
    /// Ping, pong or close.
    Control,
}

/// Puts frames of one direction together.
#[derive(Debug, Default)]
pub struct Frames {
    /// The frame whose payload is coming.
    current: Option<Current>,
    /// Payload of the data frames of this message so far, unmasked.
    message: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, Debug)]
struct Current {
    /// Octets still to come.
    rest: u64,
    mask: Option<[u8; 4]>,
    /// How many of its octets have come, as far as the mask needs to know.
    phase: usize,
    last: bool,
    is_control: bool,
}

/// What the message in progress is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// There is none.
    #[default]
    None,
    Kept,
    /// It was given out or is not wanted; the rest of it is thrown away.
    Dropped,
}

/// The octets break the rules of RFC 6455: the thread is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

impl Frames {
    /// Octets kept.
    pub fn octets(&self) -> usize {
        self.message.capacity()
    }

    /// Octets of the frame in progress that are still to come, if there is one.
    pub fn rest(&self) -> Option<u64> {
        self.current.map(|c| c.rest)
    }

    /// Gives up the message in progress, of which octets are missing, and gives what there is of it, perhaps nothing. `None` when there
    /// is none that was wanted. The frame in progress goes on.
    pub fn give_up(&mut self) -> Option<Vec<u8>> {
        let was = std::mem::replace(&mut self.state, State::Dropped);
        let front = std::mem::take(&mut self.message);
        (was == State::Kept).then_some(front)
    }

    /// Goes past `n` octets of the frame in progress that will not come.
    pub fn skip(&mut self, n: u64) {
        if let Some(current) = &mut self.current {
            current.rest = current.rest.saturating_sub(n);
            current.phase = current
                .phase
                .wrapping_add(usize::try_from(n % 4).unwrap_or(0))
                % 4;
        }
        self.end_frame();
    }

    /// Takes octets in order. Says how many were used: all, but for the front of a header that is not complete.
    ///
    /// # Errors
    ///
    /// [`Broken`]
    pub fn receive(&mut self, bytes: &[u8], out: &mut Vec<Got>) -> Result<usize, Broken> {
        let mut at = 0;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            if self.current.is_none() {
                let Some(header) = Header::parse(rest)? else {
                    return Ok(at);
                };
                self.begin(&header, out)?;
                at += header.size;
                continue;
            }
            at += self.payload(rest, out);
            if self.current.is_some() {
                return Ok(at);
            }
        }
    }

    fn begin(&mut self, header: &Header, out: &mut Vec<Got>) -> Result<(), Broken> {
        match (header.opcode, self.state) {
            (8..=10, _) => out.push(Got::Control),
            // A continuation of a message we joined too late is thrown away like it.
            (0, State::None) => self.state = State::Dropped,
            (0, _) => {}
            // A message within another one.
            (1 | 2, State::Kept) => return Err(Broken),
            (1 | 2, _) if header.compressed => {
                out.push(Got::Compressed);
                self.state = State::Dropped;
            }
            (1 | 2, _) => self.state = State::Kept,
            _ => return Err(Broken),
        }
        self.current = Some(Current {
            rest: header.length,
            mask: header.mask,
            phase: 0,
            last: header.last,
            is_control: header.opcode >= 8,
        });
        if header.length == 0 {
            self.payload(&[], out);
        }
        Ok(())
    }

    /// Takes payload of the frame in progress and says how much.
    fn payload(&mut self, bytes: &[u8], out: &mut Vec<Got>) -> usize {
        let Some(current) = &mut self.current else {
            return 0;
        };
        let wanted = usize::try_from(current.rest).unwrap_or(usize::MAX);
        let octets = bytes.get(..wanted).unwrap_or(bytes);
        if self.state == State::Kept && !current.is_control {
            let room = MAX_MESSAGE.saturating_sub(self.message.len());
            let kept = octets.get(..room).unwrap_or(octets);
            match current.mask {
                None => self.message.extend_from_slice(kept),
                Some(mask) => {
                    let mask = mask.into_iter().cycle().skip(current.phase);
                    self.message
                        .extend(kept.iter().zip(mask).map(|(b, m)| b ^ m));
                }
            }
            if octets.len() > room {
                out.push(Got::TooLong(std::mem::take(&mut self.message)));
                self.state = State::Dropped;
            }
        }
        current.rest -= octets.len() as u64;
        current.phase = (current.phase + octets.len()) % 4;
        let (ends, is_data) = (current.rest == 0 && current.last, !current.is_control);
        if ends && is_data && self.state == State::Kept {
            out.push(Got::Message(std::mem::take(&mut self.message)));
        }
        self.end_frame();
        octets.len()
    }

    fn end_frame(&mut self) {
        let Some(current) = self.current.filter(|c| c.rest == 0) else {
            return;
        };
        self.current = None;
        if current.last && !current.is_control {
            self.state = State::None;
        }
    }
}

struct Header {
    size: usize,
    opcode: u8,
    last: bool,
    compressed: bool,
    mask: Option<[u8; 4]>,
    length: u64,
}

impl Header {
    /// `None`: there are too few octets.
    fn parse(bytes: &[u8]) -> Result<Option<Self>, Broken> {
        let [first, second, rest @ ..] = bytes else {
            return Ok(None);
        };
        let opcode = first & 0x0f;
        let (last, compressed) = (first & 0x80 != 0, first & 0x40 != 0);
        let (length, rest) = match (second & 0x7f, rest) {
            (126, [a, b, rest @ ..]) => (u64::from(u16::from_be_bytes([*a, *b])), rest),
            (127, _) => match rest.split_first_chunk::<8>() {
                Some((n, rest)) => (u64::from_be_bytes(*n), rest),
                None => return Ok(None),
            },
            (126, _) => return Ok(None),
            (n, rest) => (u64::from(n), rest),
        };
        let (mask, rest) = match (second & 0x80, rest) {
            (0, rest) => (None, rest),
            (_, [a, b, c, d, rest @ ..]) => (Some([*a, *b, *c, *d]), rest),
            _ => return Ok(None),
        };
        let is_control = opcode >= 8;
        let is_wrong = first & 0x30 != 0
            || matches!(opcode, 3..=7 | 11..)
            || length > i64::MAX.unsigned_abs()
            || (is_control && (!last || compressed || length > MAX_CONTROL));
        if is_wrong {
            return Err(Broken);
        }
        Ok(Some(Self {
            size: bytes.len() - rest.len(),
            opcode,
            last,
            compressed,
            mask,
            length,
        }))
    }
}

/// Whether a data frame with the beginning of a SIP message stands at the front.
pub fn likely_frame(bytes: &[u8]) -> bool {
    // Most octets of most streams fail here.
    if !matches!(bytes.first(), Some(0x01 | 0x02 | 0x81 | 0x82)) {
        return false;
    }
    let Ok(Some(header)) = Header::parse(bytes) else {
        return false;
    };
    let payload = bytes.get(header.size..).unwrap_or_default();
    let payload = payload
        .get(..usize::try_from(header.length).unwrap_or(usize::MAX))
        .unwrap_or(payload);
    let payload = payload.get(..1024).unwrap_or(payload);
    match header.mask {
        None => looks_like_sip(payload),
        Some(mask) => {
            let plain = payload.iter().zip(mask.into_iter().cycle());
            looks_like_sip(&plain.map(|(b, m)| b ^ m).collect::<Vec<u8>>())
        }
    }
}

/// Where before a start line found at `start` its unmasked frame begins, if it stands in one.
pub fn header_before(bytes: &[u8], start: usize) -> Option<usize> {
    [2usize, 4, 10].into_iter().find_map(|size| {
        let at = start.checked_sub(size)?;
        let header = Header::parse(bytes.get(at..)?).ok().flatten()?;
        let fits = header.size == size && header.mask.is_none() && matches!(header.opcode, 1 | 2);
        (fits && header.length <= MAX_MESSAGE as u64).then_some(at)
    })
}
