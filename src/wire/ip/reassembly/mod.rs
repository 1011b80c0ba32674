//! Fragments put together, within limits on everything that a sender can make us keep.
//!
//! Fragments come in any order and more than once. A fragment that overlaps another one without being the very same spoils
//! its datagram (RFC 5722 §4; Linux does so for IPv4 too): nobody can say which octets the receiver will take. Exact duplicates are let
//! pass in both versions (RFC 8200 §4.5). A datagram that will never be whole comes out of [`Reassembler::poll_lost`] with its
//! reason and its contiguous front, so that no loss is silent.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use smallvec::SmallVec;

use super::{Fragment, Packet};
use crate::base::Timestamp;
use crate::base::bounded::{BoundedMap, keyed};
use crate::wire::tunnel::TunnelPath;
use crate::wire::{Macs, Vlans};

/// Limits of a [`Reassembler`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReassemblyLimits {
    /// Datagrams in progress.
    pub datagrams: usize,
    /// Octets held for them.
    pub octets: usize,
    /// How long a datagram may take from its first fragment seen.
    pub age: Duration,
    /// Datagrams in progress from one address.
    pub per_source: u32,
    /// Octets held for datagrams from one address.
    pub per_source_octets: usize,
    /// Fragments of one datagram.
    pub fragments: usize,
}

impl Default for ReassemblyLimits {
    fn default() -> Self {
        Self {
            // 10,000 calls/s, all in fragments, one in ten never completed, for ten seconds; twice that is a flood.
            datagrams: 20_000,
            // As many datagrams of one full Ethernet frame (2,220 octets reserved for each).
            octets: 48 * 1024 * 1024,
            // Fragments of a datagram pass a tap within milliseconds of each other; receivers wait 30 s (Linux) to 60 s
            // (RFC 8200 §4.5) because they may be far apart on the net. Ten seconds outlast any reordering by the net or the capture.
            age: Duration::from_secs(10),
            // One busy neighbour may need much, and none everything.
            per_source: 5_000,
            // A quarter of all, for the same reason.
            per_source_octets: 12 * 1024 * 1024,
            // 64 KiB at an MTU of 576 are 119; a 10 KiB INVITE at the smallest MTU there is (68, RFC 791) is 214.
            fragments: 256,
        }
    }
}

/// Which datagram a fragment belongs to. In IPv6 `protocol` is 0: the fragments of a datagram may name different ones (RFC 8200 §4.5).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DatagramKey {
    /// Two sensors may see the same datagram, once each.
    pub sensor: u16,
    /// VLAN ids: the same addresses on two VLANs are two networks.
    pub vlans: Vlans,
    /// Through which tunnels it came: nor are two tunnels one network.
    pub path: TunnelPath,
    /// Hardware addresses of its first fragment to come. Fragments belong together whatever these are.
    pub macs: Macs,
    /// Sender.
    pub source: IpAddr,
    /// Receiver.
    pub destination: IpAddr,
    /// Identification.
    pub id: u32,
    /// Protocol in IPv4, 0 in IPv6.
    pub protocol: u8,
}

impl DatagramKey {
    /// The key of a fragment seen by `sensor` on `vlans`, through `path`.
    pub fn of(
        packet: &Packet<'_>,
        fragment: Fragment,
        sensor: u16,
        vlans: Vlans,
        path: TunnelPath,
    ) -> Self {
        Self {
            sensor,
            vlans,
            path,
            macs: Macs::default(),
            source: packet.source,
            destination: packet.destination,
            id: fragment.id,
            protocol: if packet.source.is_ipv4() {
                packet.protocol
            } else {
                0
            },
        }
    }
}

/// What became of a fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is kept; others are missing.
    Held,
    /// It is the very same as one that we have.
    Duplicate,
    /// It overlaps another one, or belongs to a datagram spoiled before.
    Overlap,
    /// Empty, not a multiple of eight octets and not the last, or past 64 KiB.
    Malformed,
    /// Too many fragments, or too many datagrams from this source.
    Refused,
    /// It was the last one missing.
    Complete(Datagram),
}

/// A datagram put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// What its octets begin with: a transport protocol, or in IPv6 perhaps another extension header.
    pub protocol: u8,
    /// The fragmentable part: everything behind the IP header; the contiguous front of it, if `snapped`.
    pub bytes: Vec<u8>,
    /// How long it was on the wire.
    pub said: usize,
    /// The capture kept only the front of some fragment.
    pub snapped: bool,
}

/// A datagram that was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Which one.
    pub key: DatagramKey,
    /// Why.
    pub why: LostWhy,
    /// What its octets begin with, as its first fragment (or else the first to come) says.
    pub protocol: u8,
    /// Octets from its beginning to the first hole; empty if the very first fragment is missing.
    pub front: Vec<u8>,
    /// Without a front: whether what there is reads like text, as the rest of a SIP message does.
    pub text: bool,
    /// When its last fragment came.
    pub at: Timestamp,
}

/// Why a datagram was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LostWhy {
    /// The rest did not come in time.
    Age,
    /// It was the oldest when there was no room.
    Evicted,
    /// Fragments overlapped.
    Overlap,
    /// It had too many fragments, or its source too many datagrams.
    Refused,
    /// The capture ended first.
    End,
    /// Nothing is lost: these were late duplicates from a datagram that was complete.
    Duplicate,
}

/// Puts fragments together. Sans-IO: fragments go in by [`Reassembler::handle`], time by [`Reassembler::expire`].
#[derive(Debug)]
pub struct Reassembler {
    limits: ReassemblyLimits,
    open: BoundedMap<DatagramKey, Open>,
    per_source: HashMap<(IpAddr, TunnelPath), Share, ahash::RandomState>,
    octets: usize,
    done: BoundedMap<DatagramKey, Prints>,
    lost: VecDeque<Lost>,
    begun: u64,
    spoiled: usize,
}

/// What one address takes of what there is.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    datagrams: u32,
    octets: usize,
}

/// What we remember of the fragments of a complete datagram, to know late duplicates by: offset, length, checksum.
type Prints = SmallVec<[(u16, u16, u32); 3]>;

/// A datagram in progress. Octets stand in `store` in the order of their coming, which nearly always is their order.
#[derive(Debug, Default)]
struct Open {
    protocol: u8,
    pieces: SmallVec<[Piece; 4]>,
    store: Vec<u8>,
    total: Option<u32>,
    covered: u32,
    in_order: bool,
    snapped: bool,
    spoiled: bool,
    echo: bool,
    last: Timestamp,
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    offset: u32,
    said: u32,
    start: usize,
    have: usize,
}

/// Complete datagrams remembered. At 10,000 a second this is as long as a capture may be out of order: some tenths of a second.
const REMEMBERED: usize = 4_096;

impl Reassembler {
    /// An empty one.
    pub fn new(limits: ReassemblyLimits) -> Self {
        Self {
            limits,
            open: BoundedMap::new(limits.datagrams, limits.age),
            per_source: HashMap::with_hasher(keyed()),
            octets: 0,
            done: BoundedMap::new(REMEMBERED.min(limits.datagrams), limits.age),
            lost: VecDeque::new(),
            begun: 0,
            spoiled: 0,
        }
    }

    /// Datagrams in progress.
    pub fn open(&self) -> usize {
        self.open.len().saturating_sub(self.spoiled)
    }

    /// Datagrams begun so far. Each is in progress, or was complete, or came out of [`Reassembler::poll_lost`].
    pub fn begun(&self) -> u64 {
        self.begun
    }

    /// Octets reserved for them.
    pub fn octets(&self) -> usize {
        self.octets
    }

    /// Takes a fragment in. `packet` holds its octets, `fragment` its place.
    pub fn handle(
        &mut self,
        key: DatagramKey,
        fragment: Fragment,
        packet: &Packet<'_>,
        at: Timestamp,
    ) -> Taken {
        let Some(end) = end_of(fragment, packet.said) else {
            return Taken::Malformed;
        };
        let Some(open) = self.open.get_mut(&key) else {
            return self.begin(key, fragment, packet, end, at);
        };
        if open.spoiled {
            return Taken::Overlap;
        }
        let before = open.store.capacity();
        let placed = open.place(fragment, packet, end, self.limits.fragments);
        if matches!(placed, Placed::Added) {
            open.last = at;
            if open.echo {
                open.echo = is_echo(self.done.get(&key), fragment, packet.payload);
            }
        }
        let grown = open.store.capacity().saturating_sub(before);
        self.octets += grown;
        let is_complete = open.is_complete();
        let is_too_much = grown > 0 && self.is_too_much(&key, grown);
        match placed {
            Placed::Duplicate => Taken::Duplicate,
            Placed::Overlap => {
                self.spoil(&key, LostWhy::Overlap);
                Taken::Overlap
            }
            Placed::TooMany => {
                self.spoil(&key, LostWhy::Refused);
                Taken::Refused
            }
            Placed::Added if is_complete => match self.open.remove(&key) {
                Some(open) => self.complete(key, open, at),
                None => Taken::Held,
            },
            Placed::Added if is_too_much => {
                self.spoil(&key, LostWhy::Refused);
                Taken::Refused
            }
            Placed::Added => {
                self.make_room();
                Taken::Held
            }
        }
    }

    /// Gives up what is too old. What was given up comes out of [`Reassembler::poll_lost`].
    pub fn expire(&mut self, now: Timestamp) {
        while let Some((key, open)) = self.open.poll_expired(now) {
            self.give_up(key, open, LostWhy::Age);
        }
        while self.done.poll_expired(now).is_some() {}
    }

    /// Gives up everything: the capture has ended.
    pub fn finish(&mut self) {
        while let Some((key, open)) = self.open.pop_oldest() {
            self.give_up(key, open, LostWhy::End);
        }
    }

    /// The next datagram that was given up. To be called after each of the others until it gives `None`.
    pub fn poll_lost(&mut self) -> Option<Lost> {
        self.lost.pop_front()
    }

    fn begin(
        &mut self,
        key: DatagramKey,
        fragment: Fragment,
        packet: &Packet<'_>,
        end: u32,
        at: Timestamp,
    ) -> Taken {
        self.begun += 1;
        let mut open = Open {
            protocol: packet.protocol,
            in_order: true,
            last: at,
            echo: is_echo(self.done.get(&key), fragment, packet.payload),
            ..Open::default()
        };
        // Room for a second fragment half as long: an INVITE with an Identity is one full frame and a bit.
        let len = packet.payload.len();
        open.store.reserve_exact(len + len / 2);
        open.place(fragment, packet, end, self.limits.fragments);
        let share = self.per_source.entry(source_of(&key)).or_default();
        share.datagrams += 1;
        share.octets += open.store.capacity();
        self.octets += open.store.capacity();
        if share.datagrams > self.limits.per_source || share.octets > self.limits.per_source_octets
        {
            self.give_up(key, open, LostWhy::Refused);
            return Taken::Refused;
        }
        if let Some((key, open)) = self.open.insert(key, open, at) {
            self.give_up(key, open, LostWhy::Evicted);
        }
        self.make_room();
        Taken::Held
    }

    fn complete(&mut self, key: DatagramKey, open: Open, at: Timestamp) -> Taken {
        self.forget(&key, &open);
        let prints = open
            .pieces
            .iter()
            .map(|p| print_of(p.offset, open.octets_of(p)))
            .collect();
        self.done.insert(key, prints, at);
        let said = open.total.unwrap_or(open.covered) as usize;
        Taken::Complete(Datagram {
            protocol: open.protocol,
            said,
            snapped: open.snapped,
            bytes: open.into_front(),
        })
    }

    /// Gives a datagram up and stays deaf to the rest of it until its time is over (RFC 5722 §4).
    fn spoil(&mut self, key: &DatagramKey, why: LostWhy) {
        let Some(open) = self.open.get_mut(key) else {
            return;
        };
        let gone = std::mem::take(open);
        open.spoiled = true;
        self.spoiled += 1;
        let octets = gone.store.capacity();
        self.octets = self.octets.saturating_sub(octets);
        if let Some(share) = self.per_source.get_mut(&source_of(key)) {
            share.octets = share.octets.saturating_sub(octets);
        }
        self.push_lost(key.clone(), gone, why);
    }

    /// Notes that a datagram has grown, and says whether its source now takes too much.
    fn is_too_much(&mut self, key: &DatagramKey, grown: usize) -> bool {
        let Some(share) = self.per_source.get_mut(&source_of(key)) else {
            return false;
        };
        share.octets += grown;
        share.octets > self.limits.per_source_octets
    }

    fn make_room(&mut self) {
        while self.octets > self.limits.octets {
            let Some((key, open)) = self.open.pop_oldest() else {
                return;
            };
            self.give_up(key, open, LostWhy::Evicted);
        }
    }

    fn give_up(&mut self, key: DatagramKey, open: Open, why: LostWhy) {
        self.forget(&key, &open);
        if open.spoiled {
            self.spoiled -= 1;
        } else {
            self.push_lost(key, open, why);
        }
    }

    fn forget(&mut self, key: &DatagramKey, open: &Open) {
        self.octets = self.octets.saturating_sub(open.store.capacity());
        let source = source_of(key);
        if let Some(share) = self.per_source.get_mut(&source) {
            share.datagrams = share.datagrams.saturating_sub(1);
            share.octets = share.octets.saturating_sub(open.store.capacity());
            if share.datagrams == 0 {
                self.per_source.remove(&source);
            }
        }
    }

    fn push_lost(&mut self, key: DatagramKey, open: Open, why: LostWhy) {
        self.lost.push_back(Lost {
            key,
            why: if open.echo { LostWhy::Duplicate } else { why },
            protocol: open.protocol,
            at: open.last,
            text: open
                .pieces
                .first()
                .is_some_and(|p| is_text(open.octets_of(p))),
            front: open.into_front(),
        });
    }
}

/// Whose quota a datagram counts against.
fn source_of(key: &DatagramKey) -> (IpAddr, TunnelPath) {
    (key.source, key.path.clone())
}

enum Placed {
    Added,
    Duplicate,
    Overlap,
    TooMany,
}

impl Open {
    fn place(&mut self, fragment: Fragment, packet: &Packet<'_>, end: u32, most: usize) -> Placed {
        let offset = u32::from(fragment.offset);
        let at = self.pieces.partition_point(|p| p.offset < offset);
        let said = end - offset;
        if let Some(p) = self.pieces.get(at).filter(|p| p.offset == offset) {
            // A duplicate is the same in all: place, length, octets, and in being the last.
            let is_last = self.total == Some(end);
            return if p.said == said
                && self.octets_of(p) == packet.payload
                && is_last != fragment.more
            {
                Placed::Duplicate
            } else {
                Placed::Overlap
            };
        }
        let before = at.checked_sub(1).and_then(|i| self.pieces.get(i));
        let after = self.pieces.get(at);
        let past_end = |p: &Piece| !fragment.more && p.offset >= end;
        if before.is_some_and(|p| p.offset + p.said > offset)
            || after.is_some_and(|p| p.offset < end || past_end(p))
            || self.total.is_some_and(|t| end > t || !fragment.more)
        {
            return Placed::Overlap;
        }
        if self.pieces.len() >= most {
            return Placed::TooMany;
        }
        self.in_order &= at == self.pieces.len();
        if offset == 0 {
            self.protocol = packet.protocol;
        }
        if !fragment.more {
            self.total = Some(end);
        }
        self.covered += said;
        self.snapped |= packet.payload.len() < packet.said;
        let piece = Piece {
            offset,
            said,
            start: self.store.len(),
            have: packet.payload.len(),
        };
        self.store.extend_from_slice(packet.payload);
        self.pieces.insert(at, piece);
        Placed::Added
    }

    /// Pieces never overlap, so a sum is enough.
    fn is_complete(&self) -> bool {
        self.total == Some(self.covered)
    }

    fn octets_of(&self, piece: &Piece) -> &[u8] {
        self.store
            .get(piece.start..piece.start + piece.have)
            .unwrap_or_default()
    }

    /// The octets from the beginning to the first hole.
    fn into_front(self) -> Vec<u8> {
        if self.in_order && !self.snapped && self.is_complete() {
            return self.store;
        }
        let mut front = Vec::new();
        let mut next = 0;
        for piece in &self.pieces {
            if piece.offset != next {
                break;
            }
            front.extend_from_slice(self.octets_of(piece));
            if piece.have < piece.said as usize {
                break;
            }
            next = piece.offset + piece.said;
        }
        front
    }
}

/// Where a fragment ends, if its place and length can be.
fn end_of(fragment: Fragment, said: usize) -> Option<u32> {
    let end = usize::from(fragment.offset).checked_add(said)?;
    if said == 0 || end > usize::from(u16::MAX) || (fragment.more && !said.is_multiple_of(8)) {
        return None;
    }
    u32::try_from(end).ok()
}

fn is_echo(done: Option<&Prints>, fragment: Fragment, octets: &[u8]) -> bool {
    done.is_some_and(|prints| prints.contains(&print_of(u32::from(fragment.offset), octets)))
}

/// A checksum is enough, although a sender can forge it: an echo is only ever silent about what is not complete.
fn print_of(offset: u32, octets: &[u8]) -> (u16, u16, u32) {
    let short = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
    (
        short(offset as usize),
        short(octets.len()),
        crc32c::crc32c(octets),
    )
}

/// Whether the first octets are printable ASCII and line ends. Eight random octets pass with a chance of 1 : 2,000, 64 never.
fn is_text(octets: &[u8]) -> bool {
    !octets.is_empty()
        && octets
            .iter()
            .take(64)
            .all(|b| matches!(b, b'\r' | b'\n' | b'\t' | b' '..=b'~'))
}

#[cfg(test)]
mod tests;
