//! All streams of a source, and what they may cost.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use super::Segment;
use super::stream::{Found, Received, Sink, Stream};
use crate::base::Timestamp;
use crate::base::bounded::{BoundedMap, keyed};
use crate::wire::Flow;
use crate::wire::tunnel::TunnelPath;

/// Limits of [`Streams`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamLimits {
    /// Streams that showed a SIP start line.
    pub sip: usize,
    /// Of these, streams from one address. Those beyond are read like all others, but can be pushed out by unknown ones.
    pub per_source: u32,
    /// Streams that have not yet shown what they are. Apart from the others, so that a flood of them pushes no trunk out.
    pub unknown: usize,
    /// Streams remembered as not SIP.
    pub not_sip: usize,
    /// Octets kept for all streams.
    pub octets: usize,
    /// Octets of one stream kept out of order.
    pub ahead: usize,
    /// How long to wait for octets that are missing.
    pub gap: Duration,
    /// How long a stream may be idle. One that goes on later is joined in the middle, at no loss.
    pub idle: Duration,
    /// How long a stream stays remembered as not SIP, before it is looked at again.
    pub not_sip_age: Duration,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self {
            // Trunks are few and long-lived. A connection for each call, 200 a second for the 64 s of `idle`, is 12,800.
            sip: 16_384,
            // One busy neighbour may need much, and none everything.
            per_source: 4_096,
            // As many again on their way through the handshake.
            unknown: 16_384,
            // Every other connection on an unfiltered link; about 100 octets each.
            not_sip: 65_536,
            // 1,000 streams in the middle of the longest message.
            octets: 64 * 1024 * 1024,
            // Four of the longest messages.
            ahead: 256 * 1024,
            // Initial retransmission timeout 1 s (RFC 6298 §2), doubled once.
            gap: Duration::from_secs(3),
            // Twice timer B (RFC 3261 §17.1.1.2): no transaction still waits for the rest of a message.
            idle: Duration::from_secs(64),
            // A few minutes of wrong memory at most; looking again costs 80 KiB of searching.
            not_sip_age: Duration::from_secs(300),
        }
    }
}

/// Which stream a segment belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StreamKey {
    /// Two sensors may see the same stream.
    pub sensor: u16,
    /// Between whom, one way.
    pub flow: Flow,
}

/// What became of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentFate {
    /// It has no payload.
    Control,
    /// It brought octets in order.
    Delivered,
    /// It brought nothing new.
    Repeated,
    /// It is kept until what is missing comes.
    Held,
    /// Its stream is something else than SIP.
    NotSip,
}

/// What happened to streams, in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamCounts {
    /// Streams begun, by SYN or in the middle.
    pub begun: u64,
    /// Found to be something else than SIP.
    pub not_sip: u64,
    /// Idle for too long.
    pub idle: u64,
    /// Pushed out for want of room.
    pub evicted: u64,
    /// Replaced by a new connection between the same ports, or by a jump of sequence numbers.
    pub replaced: u64,
    /// Ended with the capture.
    pub ended: u64,
    /// Holes given up on.
    pub gaps: u64,
}

/// Puts streams together. Sans-IO: segments go in by [`Streams::handle`], time by [`Streams::expire`], and what is found comes out of
/// [`Streams::poll_found`].
#[derive(Debug)]
pub struct Streams {
    limits: StreamLimits,
    sip: BoundedMap<StreamKey, Kept>,
    unknown: BoundedMap<StreamKey, Kept>,
    not_sip: BoundedMap<StreamKey, ()>,
    /// Streams that wait for missing octets, by when the wait began.
    gapped: BoundedMap<StreamKey, ()>,
    /// SIP streams by address.
    per_source: HashMap<(IpAddr, TunnelPath), u32, ahash::RandomState>,
    octets: usize,
    sink: Sink,
    found: std::collections::VecDeque<(StreamKey, Found, Timestamp)>,
    counts: StreamCounts,
}

#[derive(Debug)]
struct Kept {
    stream: Stream,
    /// When it was last used, and as of when it stands in the map's order of age.
    used: Timestamp,
    placed: Timestamp,
}

impl Streams {
    /// None yet.
    pub fn new(limits: StreamLimits) -> Self {
        Self {
            limits,
            sip: BoundedMap::new(limits.sip, limits.idle),
            unknown: BoundedMap::new(limits.unknown, limits.idle),
            not_sip: BoundedMap::new(limits.not_sip, limits.not_sip_age),
            gapped: BoundedMap::new(limits.sip + limits.unknown, limits.gap),
            per_source: HashMap::with_hasher(keyed()),
            octets: 0,
            sink: Sink::new(),
            found: std::collections::VecDeque::new(),
            counts: StreamCounts::default(),
        }
    }

    /// Streams kept, without those remembered as not SIP.
    pub fn open(&self) -> usize {
        self.sip.len() + self.unknown.len()
    }

    /// Octets kept for them.
    pub fn octets(&self) -> usize {
        self.octets
    }

    /// What happened so far.
    pub fn counts(&self) -> StreamCounts {
        self.counts
    }

    /// Takes a segment in.
    pub fn handle(&mut self, key: StreamKey, segment: &Segment<'_>, at: Timestamp) -> SegmentFate {
        // Half of all segments: an ACK and nothing else.
        if segment.payload.is_empty() && !segment.syn && !segment.fin && !segment.rst {
            return SegmentFate::Control;
        }
        let (kept, known_sip) = match self.sip.get_mut(&key) {
            Some(kept) => (Some(kept), true),
            None => (self.unknown.get_mut(&key), false),
        };
        let Some(kept) = kept else {
            return self.begin(key, segment, at);
        };
        kept.used = kept.used.max(at);
        let stream = &mut kept.stream;
        let before = stream.octets();
        if segment.syn {
            stream.note_syn(segment.first());
        }
        if stream.is_replaced_by(segment) {
            self.counts.replaced += 1;
            self.counts.begun += 1;
            stream.finish(&mut self.sink);
            let opened = segment.syn || stream.is_renewed_at(segment.first());
            *stream = begun(segment, opened, at);
        }
        let fate = self.receive(key, known_sip, segment, at, before);
        self.keep_to_octets();
        fate
    }

    /// Gives up streams that were idle for too long, and holes that did not fill.
    pub fn expire(&mut self, now: Timestamp) {
        while let Some((key, ())) = self.gapped.poll_expired(now) {
            let known_sip = self.sip.get(&key).is_some();
            self.skip_gap(&key, known_sip, now);
        }
        for known_sip in [true, false] {
            while let Some((key, kept)) = self.map(known_sip).poll_expired(now) {
                self.keep_or_drop(key, kept, known_sip, Drop::Idle);
            }
        }
        while self.not_sip.poll_expired(now).is_some() {}
    }

    /// Ends all streams: the capture has ended.
    pub fn finish(&mut self) {
        for known_sip in [true, false] {
            while let Some((key, kept)) = self.map(known_sip).pop_oldest() {
                self.counts.ended += 1;
                self.forget(&key, known_sip);
                self.end(key, kept);
            }
        }
    }

    /// What was found, in the order of finding. To be called after each of the others until it gives `None`.
    pub fn poll_found(&mut self) -> Option<(StreamKey, Found, Timestamp)> {
        self.found.pop_front()
    }

    fn map(&mut self, known_sip: bool) -> &mut BoundedMap<StreamKey, Kept> {
        if known_sip {
            &mut self.sip
        } else {
            &mut self.unknown
        }
    }

    fn begin(&mut self, key: StreamKey, segment: &Segment<'_>, at: Timestamp) -> SegmentFate {
        if segment.syn {
            self.not_sip.remove(&key);
        } else if segment.payload.is_empty() {
            return SegmentFate::Control;
        } else if self.not_sip.get(&key).is_some() {
            return SegmentFate::NotSip;
        }
        self.counts.begun += 1;
        let kept = Kept {
            stream: begun(segment, segment.syn, at),
            used: at,
            placed: at,
        };
        self.make_room(false);
        self.unknown.insert(key.clone(), kept, at);
        let fate = self.receive(key, false, segment, at, 0);
        self.keep_to_octets();
        fate
    }

    /// Hands a segment to its stream and follows up on what that did.
    fn receive(
        &mut self,
        key: StreamKey,
        known_sip: bool,
        segment: &Segment<'_>,
        at: Timestamp,
        before: usize,
    ) -> SegmentFate {
        let map = if known_sip {
            &mut self.sip
        } else {
            &mut self.unknown
        };
        let Some(Kept { stream, .. }) = map.get_mut(&key) else {
            return SegmentFate::Control;
        };
        let was_waiting = stream.has_gap();
        let received = stream.receive(segment, at, &mut self.sink);
        while stream.ahead_octets() > self.limits.ahead {
            self.counts.gaps += 1;
            stream.skip_gap(&mut self.sink);
        }
        if stream.is_closed() {
            stream.finish(&mut self.sink);
        }
        let waits = stream.has_gap();
        let turned_sip = !known_sip && stream.is_sip();
        let is_not_sip = stream.is_not_sip();
        self.octets = (self.octets + stream.octets()).saturating_sub(before);
        self.gather(&key);
        match (was_waiting, waits) {
            (false, true) => {
                // A map of the same size as those of all streams never has to push one out.
                self.gapped.insert(key.clone(), (), at);
            }
            (true, false) => {
                self.gapped.remove(&key);
            }
            _ => {}
        }
        if is_not_sip {
            let kept = self.map(known_sip).remove(&key);
            self.forget(&key, known_sip);
            self.counts.not_sip += 1;
            if let Some(kept) = kept {
                self.end(key.clone(), kept);
            }
            self.not_sip.insert(key, (), at);
            return SegmentFate::NotSip;
        }
        if turned_sip
            && self.may_be_sip(&key)
            && let Some(mut kept) = self.unknown.remove(&key)
        {
            self.make_room(true);
            *self.per_source.entry(source_of(&key)).or_default() += 1;
            kept.placed = at;
            self.sip.insert(key, kept, at);
        }
        match received {
            Received::Empty => SegmentFate::Control,
            Received::Delivered => SegmentFate::Delivered,
            Received::Repeated => SegmentFate::Repeated,
            Received::Held => SegmentFate::Held,
        }
    }

    fn skip_gap(&mut self, key: &StreamKey, known_sip: bool, now: Timestamp) {
        let map = if known_sip {
            &mut self.sip
        } else {
            &mut self.unknown
        };
        // It may have been replaced by one without a gap.
        let Some(Kept { stream, .. }) = map.get_mut(key).filter(|k| k.stream.has_gap()) else {
            return;
        };
        let before = stream.octets();
        self.counts.gaps += 1;
        stream.skip_gap(&mut self.sink);
        if stream.is_closed() {
            stream.finish(&mut self.sink);
        }
        let waits = stream.has_gap();
        self.octets = (self.octets + stream.octets()).saturating_sub(before);
        self.gather(key);
        if waits {
            self.gapped.insert(key.clone(), (), now);
        }
    }

    /// Keeps to the limits on all streams together.
    fn keep_to_octets(&mut self) {
        while self.octets > self.limits.octets {
            // The unknown go first.
            let known_sip = self.unknown.is_empty();
            if self.sip.is_empty() && known_sip {
                self.octets = 0;
                return;
            }
            self.evict_one(known_sip);
        }
    }

    fn make_room(&mut self, known_sip: bool) {
        let limit = if known_sip {
            self.limits.sip
        } else {
            self.limits.unknown
        };
        while self.map(known_sip).len() >= limit.max(1) {
            self.evict_one(known_sip);
        }
    }

    /// Takes out one of the streams that were not used for long. The map is in the order of placing; those used since get a
    /// second chance, as in the clock algorithm, so that no use costs a move.
    fn evict_one(&mut self, known_sip: bool) {
        let mut tries = self.map(known_sip).len();
        while let Some((key, kept)) = self.map(known_sip).pop_oldest() {
            tries = tries.saturating_sub(1);
            let drop = if tries == 0 { Drop::Now } else { Drop::Unused };
            if self.keep_or_drop(key, kept, known_sip, drop) {
                return;
            }
        }
    }

    /// Puts a stream back that was used since it was placed, or drops it. Says whether it was dropped.
    fn keep_or_drop(
        &mut self,
        key: StreamKey,
        mut kept: Kept,
        known_sip: bool,
        drop: Drop,
    ) -> bool {
        if kept.used > kept.placed && drop != Drop::Now {
            kept.placed = kept.used;
            let placed = kept.placed;
            self.map(known_sip).insert(key, kept, placed);
            return false;
        }
        match drop {
            Drop::Idle => self.counts.idle += 1,
            Drop::Unused | Drop::Now => self.counts.evicted += 1,
        }
        self.forget(&key, known_sip);
        self.end(key, kept);
        true
    }

    /// Whether there is room among the SIP streams for one more of this source.
    fn may_be_sip(&self, key: &StreamKey) -> bool {
        let has = self.per_source.get(&source_of(key)).copied();
        has.unwrap_or(0) < self.limits.per_source
    }

    /// Takes a stream that has left its map off the account of its source.
    fn forget(&mut self, key: &StreamKey, known_sip: bool) {
        let source = source_of(key);
        if let Some(n) = self.per_source.get_mut(&source).filter(|_| known_sip) {
            *n = n.saturating_sub(1);
            if *n == 0 {
                self.per_source.remove(&source);
            }
        }
    }

    fn end(&mut self, key: StreamKey, mut kept: Kept) {
        self.octets = self.octets.saturating_sub(kept.stream.octets());
        if kept.stream.has_gap() {
            self.gapped.remove(&key);
        }
        kept.stream.finish(&mut self.sink);
        self.gather(&key);
    }

    fn gather(&mut self, key: &StreamKey) {
        while let Some((found, at)) = self.sink.pop_front() {
            self.found.push_back((key.clone(), found, at));
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drop {
    Idle,
    Unused,
    Now,
}

/// Whose quota a stream counts against.
fn source_of(key: &StreamKey) -> (IpAddr, TunnelPath) {
    (key.flow.source.ip(), key.flow.path.clone())
}

fn begun(segment: &Segment<'_>, opened: bool, at: Timestamp) -> Stream {
    if opened {
        Stream::opened(segment.first(), at)
    } else {
        Stream::joined(segment.first(), at)
    }
}
