//! One direction of one TCP connection: octets put in order, framed into messages.

use std::collections::VecDeque;

use smallvec::SmallVec;

use super::Segment;
use crate::base::Timestamp;
use crate::wire::Cut;
use crate::wire::sip::frame::{Framed, Framer, Hunter, Resync, resync};
use crate::wire::sip::looks_like_sip;
use crate::wire::ws::{self, Got, Handshake};

/// So many octets without a start line, and a stream is not SIP: one that is joined inside the longest message shows the next one by then.
pub const HUNT_LIMIT: usize = crate::wire::sip::frame::MAX_MESSAGE + 16 * 1024;

/// Further off than this, a sequence number belongs to another connection or to a loss that no retransmission mends: the
/// largest receive window Linux grants by default is 6 MiB (`tcp_rmem`), and SIP uses a thousandth of it.
const WINDOW: i32 = 1 << 20;

/// What keeping one piece out of order costs besides its octets.
const PIECE_COST: usize = 64;

/// What a stream gives out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A message, whole or cut.
    Message {
        /// Its octets.
        bytes: Vec<u8>,
        /// Why it is not whole.
        cut: Option<Cut>,
    },
    /// The same in WebSocket.
    WsMessage {
        /// Its octets.
        bytes: Vec<u8>,
        /// Why it is not whole.
        cut: Option<Cut>,
    },
    /// A WebSocket message that is no SIP.
    WsOther,
    /// A WebSocket message that is compressed.
    WsCompressed,
    /// Ping, pong or close of a WebSocket.
    WsControl,
    /// CRLF keep-alive.
    KeepAlive,
    /// A hole that cut no message we know of; there may have been some in it.
    Gap,
    /// Octets that are no SIP where a message should begin.
    LostThread,
}

/// Where found things go, with the time of the octets that completed them.
pub type Sink = VecDeque<(Found, Timestamp)>;

/// What a segment did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// It brought octets in order.
    Delivered,
    /// Everything in it had come before.
    Repeated,
    /// It is kept until what is missing comes.
    Held,
    /// It brought nothing: only flags.
    Empty,
}

/// One direction of one connection.
#[derive(Debug)]
pub struct Stream {
    /// Sequence number of the octet after the last one in order.
    next: u32,
    phase: Phase,
    /// Octets in order that are not framed yet. While framing, a message begins at its front.
    buf: Vec<u8>,
    framer: Framer,
    /// Set once the stream is a WebSocket.
    ws: Option<Box<ws::Frames>>,
    /// Pieces out of order, by distance from `next`, without overlap.
    ahead: VecDeque<(u32, Vec<u8>)>,
    ahead_octets: usize,
    /// Sequence number after the last octet, once FIN or RST was seen.
    end: Option<u32>,
    /// A new connection may take this one's place at this sequence number.
    renewed: Option<u32>,
    is_sip: bool,
    /// There was a hole before the first start line.
    had_gap: bool,
    /// Time of the last octet in order.
    last: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// A message begins at the front.
    Framing,
    /// Looking for a start line; so many octets were looked through.
    Hunting { through: usize, hunter: Hunter },
    /// So many octets of a message given out as cut are still to come.
    Skipping(usize),
    /// HTTP's upgrade to WebSocket may stand at the front; so many octets before it were looked through.
    Upgrading { through: usize },
    /// A WebSocket frame begins at the front, or goes on.
    WebSocket,
}

impl Phase {
    /// The search begins.
    fn hunting(through: usize) -> Self {
        let hunter = Hunter::default();
        Self::Hunting { through, hunter }
    }
}

impl Stream {
    /// A stream from its SYN on: its first octet will have this sequence number.
    pub fn opened(first: u32, at: Timestamp) -> Self {
        Self {
            next: first,
            phase: Phase::Framing,
            buf: Vec::new(),
            framer: Framer::default(),
            ws: None,
            ahead: VecDeque::new(),
            ahead_octets: 0,
            end: None,
            renewed: None,
            is_sip: false,
            had_gap: false,
            last: at,
        }
    }

    /// A stream joined in the middle, perhaps of a message, at this sequence number.
    pub fn joined(first: u32, at: Timestamp) -> Self {
        Self {
            phase: Phase::hunting(0),
            ..Self::opened(first, at)
        }
    }

    /// A start line was seen.
    pub fn is_sip(&self) -> bool {
        self.is_sip
    }

    /// Enough was seen to say that this is something else.
    pub fn is_not_sip(&self) -> bool {
        matches!(self.phase, Phase::Hunting { through, .. } if through >= HUNT_LIMIT)
    }

    /// Everything up to the end has come. Kept for a while all the same: it knows what comes again.
    pub fn is_closed(&self) -> bool {
        self.end == Some(self.next)
    }

    /// Pieces wait for octets that are missing.
    pub fn has_gap(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// Octets that it keeps.
    pub fn octets(&self) -> usize {
        let ws = self.ws.as_ref().map_or(0, |w| w.octets());
        self.buf.capacity() + ws + self.ahead_octets
    }

    /// Octets that it keeps out of order.
    pub fn ahead_octets(&self) -> usize {
        self.ahead_octets
    }

    /// Notes a SYN on a stream that stands. It may be a repetition, a forgery, or a new connection that will show by its first octet.
    pub fn note_syn(&mut self, first: u32) {
        if first != self.next {
            self.renewed = Some(first);
        }
    }

    /// Whether a SYN announced a new connection that begins at this sequence number.
    pub fn is_renewed_at(&self, first: u32) -> bool {
        self.renewed == Some(first)
    }

    /// Whether `segment` is the first of a new connection in this one's place: a SYN announced it, or it is far off.
    pub fn is_replaced_by(&self, segment: &Segment<'_>) -> bool {
        if segment.payload.is_empty() {
            return false;
        }
        let distance = distance(self.next, segment.first());
        self.is_renewed_at(segment.first()) || !(-WINDOW..=WINDOW).contains(&distance)
    }

    /// Takes a segment in.
    pub fn receive(&mut self, segment: &Segment<'_>, at: Timestamp, sink: &mut Sink) -> Received {
        let first = segment.first();
        if segment.fin || segment.rst {
            let said = u32::try_from(segment.said).unwrap_or(u32::MAX);
            let end = first.wrapping_add(said);
            // One that ends before what has come is old or forged.
            if distance(self.next, end) >= 0 {
                self.end = Some(end);
            }
        }
        if segment.payload.is_empty() {
            return Received::Empty;
        }
        let received = match distance(self.next, first) {
            0 if self.ahead.is_empty() => {
                self.append(segment.payload, at, sink);
                Received::Delivered
            }
            d if d <= 0 => {
                let known = usize::try_from(d.unsigned_abs()).unwrap_or(usize::MAX);
                match segment.payload.get(known..) {
                    Some(new) if !new.is_empty() => {
                        self.hold(self.next, new);
                        self.drain(at, sink);
                        Received::Delivered
                    }
                    _ => Received::Repeated,
                }
            }
            _ if self.hold(first, segment.payload) => Received::Held,
            _ => Received::Repeated,
        };
        // What the capture cut off will never come: not waiting for it saves the messages behind it.
        let missing = segment.said.saturating_sub(segment.payload.len());
        let captured = u32::try_from(segment.payload.len()).unwrap_or(u32::MAX);
        if missing > 0 && self.next == first.wrapping_add(captured) {
            self.skip(
                u32::try_from(missing).unwrap_or(u32::MAX),
                Cut::SnapLength,
                sink,
            );
            self.drain(at, sink);
        }
        received
    }

    /// Gives up waiting for the octets before the next piece.
    pub fn skip_gap(&mut self, sink: &mut Sink) {
        let Some((seq, _)) = self.ahead.front() else {
            return;
        };
        let gap = seq.wrapping_sub(self.next);
        self.skip(gap, Cut::TcpGap, sink);
        self.drain(self.last, sink);
    }

    /// Gives out what is left.
    pub fn finish(&mut self, sink: &mut Sink) {
        while self.has_gap() {
            self.skip_gap(sink);
        }
        let left = matches!(self.phase, Phase::Framing) && !self.buf.is_empty();
        if !self.give_up_front(Cut::EndOfStream, sink) && left && self.is_sip {
            sink.push_back((Found::Gap, self.last));
        }
    }

    /// Keeps a piece for later, but only octets that are new. Says whether there were any.
    fn hold(&mut self, seq: u32, octets: &[u8]) -> bool {
        let base = self.next;
        let begin_of = |seq: u32| u64::from(seq.wrapping_sub(base));
        let mut begin = begin_of(seq);
        let end = begin + octets.len() as u64;
        let first = begin;
        let mut holes: SmallVec<[(u64, u64); 2]> = SmallVec::new();
        let from = self
            .ahead
            .partition_point(|(s, o)| begin_of(*s) + o.len() as u64 <= begin);
        for (s, o) in self.ahead.iter().skip(from) {
            let (piece, piece_end) = (begin_of(*s), begin_of(*s) + o.len() as u64);
            if piece >= end {
                break;
            }
            if piece > begin {
                holes.push((begin, piece));
            }
            begin = begin.max(piece_end);
        }
        if begin < end {
            holes.push((begin, end));
        }
        for (a, b) in &holes {
            let range = usize::try_from(a - first)
                .ok()
                .zip(usize::try_from(b - first).ok());
            let Some(new) = range.and_then(|(a, b)| octets.get(a..b)) else {
                continue;
            };
            let seq = base.wrapping_add(u32::try_from(*a).unwrap_or(u32::MAX));
            let at = self.ahead.partition_point(|(s, _)| begin_of(*s) < *a);
            self.ahead.insert(at, (seq, new.to_vec()));
            self.ahead_octets += new.len() + PIECE_COST;
        }
        !holes.is_empty()
    }

    /// Appends the pieces whose turn has come.
    fn drain(&mut self, at: Timestamp, sink: &mut Sink) {
        while let Some((seq, _)) = self.ahead.front() {
            // While pieces wait, `next` only ever comes up to the first of them: see `hold`.
            if distance(self.next, *seq) > 0 {
                return;
            }
            let Some((seq, octets)) = self.ahead.pop_front() else {
                return;
            };
            self.ahead_octets = self.ahead_octets.saturating_sub(octets.len() + PIECE_COST);
            let known = usize::try_from(self.next.wrapping_sub(seq)).unwrap_or(usize::MAX);
            if let Some(new) = octets.get(known..).filter(|n| !n.is_empty()) {
                self.append(new, at, sink);
            }
        }
    }

    /// Goes past octets that will not come.
    fn skip(&mut self, gap: u32, cut: Cut, sink: &mut Sink) {
        let length = gap as usize;
        let rest_of_message = match self.phase {
            Phase::Framing => self
                .framer
                .total()
                .map(|t| t.saturating_sub(self.buf.len())),
            Phase::Skipping(rest) => Some(rest),
            Phase::WebSocket => return self.skip_in_ws(gap, cut, sink),
            Phase::Hunting { .. } | Phase::Upgrading { .. } => None,
        };
        let through = match self.phase {
            Phase::Hunting { through, .. } | Phase::Upgrading { through } => through,
            _ => 0,
        };
        let within = rest_of_message.is_some_and(|rest| rest >= length);
        if !self.give_up_front(cut, sink) && !within {
            if self.is_sip {
                sink.push_back((Found::Gap, self.last));
            }
            self.had_gap = true;
        }
        self.next = self.next.wrapping_add(gap);
        self.phase = match rest_of_message {
            // The hole lies within the message it cuts: we know where the next one begins.
            Some(rest) if rest == length => Phase::Framing,
            Some(rest) if rest > length => Phase::Skipping(rest - length),
            _ => Phase::hunting(through),
        };
    }

    /// The same in a WebSocket. A hole within a frame cuts its message; where the next frame begins is known all the same.
    fn skip_in_ws(&mut self, gap: u32, cut: Cut, sink: &mut Sink) {
        let rest = self.ws.as_ref().and_then(|w| w.rest());
        let within = rest.is_some_and(|rest| rest >= u64::from(gap));
        if !self.give_up_ws(cut, sink) && !within {
            sink.push_back((Found::Gap, self.last));
        }
        self.next = self.next.wrapping_add(gap);
        self.buf = Vec::new();
        let ws = self.ws.get_or_insert_default();
        if within {
            ws.skip(u64::from(gap));
        } else {
            **ws = ws::Frames::default();
            self.phase = Phase::hunting(0);
        }
    }

    /// Gives up the message in progress in a WebSocket, and says whether there was one.
    fn give_up_ws(&mut self, cut: Cut, sink: &mut Sink) -> bool {
        let Some(bytes) = self.ws.as_mut().and_then(|w| w.give_up()) else {
            return false;
        };
        let found = if looks_like_sip(&bytes) {
            let cut = Some(cut);
            Found::WsMessage { bytes, cut }
        } else {
            Found::Gap
        };
        sink.push_back((found, self.last));
        true
    }

    /// Empties the buffer; gives it out as a cut message, if it began as one, and says whether it did.
    fn give_up_front(&mut self, cut: Cut, sink: &mut Sink) -> bool {
        let began = match self.phase {
            Phase::WebSocket => return self.give_up_ws(cut, sink),
            Phase::Framing => looks_like_sip(&self.buf),
            // A beginning that waits for its second line to be believed.
            Phase::Hunting { .. } => self.is_sip && looks_like_sip(&self.buf),
            _ => false,
        };
        let bytes = std::mem::take(&mut self.buf);
        self.framer = Framer::default();
        if began && !bytes.is_empty() {
            self.turn_sip(sink);
            let cut = Some(cut);
            sink.push_back((Found::Message { bytes, cut }, self.last));
            return true;
        }
        false
    }

    /// Takes octets in order.
    fn append(&mut self, octets: &[u8], at: Timestamp, sink: &mut Sink) {
        let length = u32::try_from(octets.len()).unwrap_or(u32::MAX);
        self.next = self.next.wrapping_add(length);
        self.last = at;
        let octets = match self.phase {
            Phase::Skipping(rest) if rest > octets.len() => {
                self.phase = Phase::Skipping(rest - octets.len());
                return;
            }
            Phase::Skipping(rest) => {
                self.phase = Phase::Framing;
                octets.get(rest..).unwrap_or_default()
            }
            // Frames mostly begin with a segment, and masked ones can be known by nothing else.
            Phase::Hunting { .. } if ws::likely_frame(octets) => {
                self.buf = Vec::new();
                self.begin_ws(sink);
                octets
            }
            Phase::Hunting { through, .. }
                if self.buf.is_empty() && ws::handshake(octets) != Handshake::No =>
            {
                self.phase = Phase::Upgrading { through };
                octets
            }
            _ => octets,
        };
        if self.buf.is_empty() {
            let used = self.advance(octets, sink);
            self.buf
                .extend_from_slice(octets.get(used..).unwrap_or_default());
            return;
        }
        self.buf.extend_from_slice(octets);
        if self.phase == Phase::Framing {
            match self.framer.frame(&self.buf) {
                Framed::NeedMore(_) => return,
                // The usual end of a message in several segments: its buffer is the message.
                Framed::Message(n) if n == self.buf.len() => {
                    let bytes = std::mem::take(&mut self.buf);
                    self.turn_sip(sink);
                    sink.push_back((Found::Message { bytes, cut: None }, at));
                    return;
                }
                // Asked again below, once, from the start.
                _ => {}
            }
        }
        let buf = std::mem::take(&mut self.buf);
        let used = self.advance(&buf, sink);
        match buf.get(used..) {
            Some(_) if used == 0 => self.buf = buf,
            Some(rest) if !rest.is_empty() => self.buf = rest.to_vec(),
            _ => {}
        }
    }

    /// Frames as much of `bytes` as can be and says how much that is.
    fn advance(&mut self, bytes: &[u8], sink: &mut Sink) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            let rest = bytes.get(at..).unwrap_or_default();
            match self.phase {
                Phase::Framing => match self.framer.frame(rest) {
                    Framed::Message(n) => {
                        self.turn_sip(sink);
                        let bytes = rest.get(..n).unwrap_or_default().to_vec();
                        sink.push_back((Found::Message { bytes, cut: None }, self.last));
                        at += n;
                    }
                    Framed::KeepAlive(n) => {
                        sink.push_back((Found::KeepAlive, self.last));
                        at += n;
                    }
                    Framed::NeedMore(_) => return at,
                    Framed::TooLong(n) => {
                        self.turn_sip(sink);
                        let cut = Some(Cut::EndOfStream);
                        let bytes = rest.get(..n).unwrap_or(rest).to_vec();
                        sink.push_back((Found::Message { bytes, cut }, self.last));
                        // Not to find the same beginning again.
                        at += memchr::memchr(b'\n', rest).map_or(rest.len(), |n| n + 1);
                        self.phase = Phase::hunting(0);
                    }
                    Framed::Lost if ws::handshake(rest) != Handshake::No => {
                        self.phase = Phase::Upgrading { through: 0 };
                    }
                    Framed::Lost => {
                        if self.is_sip {
                            sink.push_back((Found::LostThread, self.last));
                        }
                        self.phase = Phase::hunting(0);
                        // The framer and the search may differ on a start line: not to find the same one again.
                        if resync(rest) == Resync::At(0) {
                            at += memchr::memchr(b'\n', rest).map_or(rest.len(), |n| n + 1);
                        }
                    }
                },
                Phase::Hunting {
                    through,
                    mut hunter,
                } => match hunter.resync(rest) {
                    Resync::At(n) => match ws::header_before(rest, n) {
                        Some(header) => {
                            self.begin_ws(sink);
                            at += header;
                        }
                        None => {
                            self.turn_sip(sink);
                            self.phase = Phase::Framing;
                            at += n;
                        }
                    },
                    Resync::Keep(n) => {
                        let through = through + n;
                        self.phase = Phase::Hunting { through, hunter };
                        return at + n;
                    }
                },
                Phase::Upgrading { through } => match ws::handshake(rest) {
                    Handshake::Sip(n) => {
                        self.begin_ws(sink);
                        at += n;
                    }
                    Handshake::More => return at,
                    Handshake::No => self.phase = Phase::hunting(through),
                },
                Phase::WebSocket => match self.receive_ws(rest, sink) {
                    Ok(n) if n < rest.len() => return at + n,
                    Ok(n) => at += n,
                    // What came before it in this stretch was given out: looking through it again would find it again, for ever.
                    Err(ws::Broken) => {
                        sink.push_back((Found::LostThread, self.last));
                        self.phase = Phase::hunting(0);
                        return bytes.len();
                    }
                },
                // Only `skip` and `append` begin and end it.
                Phase::Skipping(_) => return bytes.len(),
            }
        }
        at
    }

    /// From here on the stream is a WebSocket.
    fn begin_ws(&mut self, sink: &mut Sink) {
        self.turn_sip(sink);
        self.ws = Some(Box::default());
        self.phase = Phase::WebSocket;
    }

    fn receive_ws(&mut self, bytes: &[u8], sink: &mut Sink) -> Result<usize, ws::Broken> {
        let mut got = Vec::new();
        let used = self.ws.get_or_insert_default().receive(bytes, &mut got);
        for got in got {
            let found = match got {
                Got::Message(bytes) if looks_like_sip(&bytes) => {
                    Found::WsMessage { bytes, cut: None }
                }
                Got::TooLong(bytes) if looks_like_sip(&bytes) => {
                    let cut = Some(Cut::EndOfStream);
                    Found::WsMessage { bytes, cut }
                }
                Got::Message(bytes) if bytes.iter().all(|b| matches!(b, b'\r' | b'\n' | 0)) => {
                    Found::KeepAlive
                }
                Got::Message(_) | Got::TooLong(_) => Found::WsOther,
                Got::Compressed => Found::WsCompressed,
                Got::Control => Found::WsControl,
            };
            sink.push_back((found, self.last));
        }
        used
    }

    /// Notes that a start line was seen. A hole from before then counts from now on.
    fn turn_sip(&mut self, sink: &mut Sink) {
        if !self.is_sip {
            self.is_sip = true;
            if self.had_gap {
                sink.push_back((Found::Gap, self.last));
            }
        }
    }
}

/// How far `to` lies after `from`, in sequence numbers that wrap (RFC 9293 §3.4).
fn distance(from: u32, to: u32) -> i32 {
    to.wrapping_sub(from).cast_signed()
}
