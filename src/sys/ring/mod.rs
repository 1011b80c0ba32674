//! Frames out of a TPACKET_V3 ring: blocks of memory that the kernel fills and we give back, without a system call per frame
//! (the kernel's `Documentation/networking/packet_mmap.rst`).
//!
//! ```text
//! Ring ─ next_block ─► Block ─ next_frame ─► Frame      a Block borrows the Ring, a Frame borrows the Block,
//!                        └ dropped: the kernel's again   so no frame can be looked at that is not ours any more
//! ```
//!
//! A block is ours from when its status says so (acquire) until we say otherwise (release). What stands in it is the kernel's word, and still every
//! offset is checked against the block. The kernel keeps the outer VLAN tag beside a frame; here it is put back where it was on the wire.

mod map;

use std::io;
use std::mem::{offset_of, size_of};
use std::time::Duration;

use map::Map;

use super::packet::PacketSocket;
use crate::base::Timestamp;

/// How much memory, in blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingSize {
    /// Octets of a block: a power of two, a page or more. No frame can be longer.
    pub block: u32,
    /// How many.
    pub blocks: u32,
    /// When a block that isn't full is given to us all the same, in milliseconds.
    pub retire_ms: u32,
}

/// A frame in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'b> {
    /// When the kernel saw it.
    pub at: Timestamp,
    /// Its octets, VLAN tags included.
    pub bytes: &'b [u8],
    /// How many it had on the wire.
    pub original_len: usize,
    /// Sent by this host.
    pub outgoing: bool,
    /// The kernel was dropping frames when this one came.
    pub losing: bool,
    /// Its outer VLAN tag stood beside it and was put back.
    pub retagged: bool,
}

/// A packet socket with its ring.
#[derive(Debug)]
pub struct Ring {
    // Before the socket: unmapped first.
    map: Map,
    socket: PacketSocket,
    size: RingSize,
    next: u32,
}

impl Ring {
    /// Gives a socket that is not bound yet a ring.
    ///
    /// # Errors
    ///
    /// What the system says: no memory, or a kernel without rings.
    pub fn new(socket: PacketSocket, size: RingSize) -> io::Result<Self> {
        let version = libc::tpacket_versions::TPACKET_V3 as i32;
        socket.set_packet(libc::PACKET_VERSION, version)?;
        socket.set_packet(libc::PACKET_RESERVE, TAG_ROOM)?;
        let request = libc::tpacket_req3 {
            tp_block_size: size.block,
            tp_block_nr: size.blocks,
            // Version 3 packs frames of any length; these two only have to agree with the blocks.
            tp_frame_size: size.block,
            tp_frame_nr: size.blocks,
            tp_retire_blk_tov: size.retire_ms,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        // SAFETY: a plain structure without pointers, which this option takes for version 3.
        unsafe { socket.set(libc::SOL_PACKET, libc::PACKET_RX_RING, &request)? };
        let map = Map::new(&socket, size.block, size.blocks)?;
        Ok(Self {
            map,
            socket,
            size,
            next: 0,
        })
    }

    /// The socket, to set it up and to ask it.
    pub fn socket(&self) -> &PacketSocket {
        &self.socket
    }

    /// Waits until a block is ready, an error waits to be taken, or time is up.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn wait(&self, time: Duration) -> io::Result<bool> {
        if self.map.is_ours(self.next) {
            return Ok(true);
        }
        self.socket.wait(time)
    }

    /// The next block that the kernel has filled.
    pub fn next_block(&mut self) -> Option<Block<'_>> {
        if !self.map.is_ours(self.next) {
            return None;
        }
        let bytes = self.map.block(self.next);
        let header = |at| Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?));
        let left = header(BLOCK_HEADER + offset_of!(libc::tpacket_hdr_v1, num_pkts));
        let first = header(BLOCK_HEADER + offset_of!(libc::tpacket_hdr_v1, offset_to_first_pkt));
        Some(Block {
            left: left.unwrap_or(0),
            at: place(first.unwrap_or(0)),
            ring: self,
        })
    }
}

/// A block that is ours. Dropped, it is the kernel's again.
#[derive(Debug)]
pub struct Block<'r> {
    ring: &'r mut Ring,
    left: u32,
    at: usize,
}

impl Block<'_> {
    /// The next frame.
    pub fn next_frame(&mut self) -> Option<Frame<'_>> {
        self.left = self.left.checked_sub(1)?;
        let bytes = self.ring.map.block_mut(self.ring.next);
        let Some(header) = bytes.get(self.at..).and_then(Header::read) else {
            self.left = 0;
            return None;
        };
        let start = self.at + usize::from(header.mac);
        let kind_at = self.at + KIND;
        self.at += place(header.next);
        let outgoing = bytes.get(kind_at) == Some(&libc::PACKET_OUTGOING);
        let mut end = start + place(header.kept);
        // Never, unless the kernel is at fault: a frame that ends outside of its block is cut there, and counts as cut.
        end = end.min(bytes.len());
        let (start, retagged) = match header.tag() {
            Some(tag) => put_back(bytes, start, tag).map_or((start, false), |s| (s, true)),
            None => (start, false),
        };
        let more = if retagged { TAG } else { 0 };
        Some(Frame {
            at: header.at(),
            bytes: bytes.get(start..end).unwrap_or_default(),
            original_len: place(header.length) + more,
            outgoing,
            losing: header.status & libc::TP_STATUS_LOSING != 0,
            retagged,
        })
    }
}

impl Drop for Block<'_> {
    fn drop(&mut self) {
        self.ring.map.give_back(self.ring.next);
        self.ring.next = (self.ring.next + 1) % self.ring.size.blocks.max(1);
    }
}

/// Octets of a VLAN tag.
const TAG: usize = 4;
/// Room in front of each frame so that a tag fits in. More than the tag keeps IP aligned.
const TAG_ROOM: i32 = 16;
/// Where a block's header begins, after version and offset.
const BLOCK_HEADER: usize = offset_of!(libc::tpacket_block_desc, hdr);
/// Where a frame's packet type stands: an address follows the header.
const KIND: usize = size_of::<libc::tpacket3_hdr>().next_multiple_of(libc::TPACKET_ALIGNMENT)
    + offset_of!(libc::sockaddr_ll, sll_pkttype);

/// What stands before a frame (`struct tpacket3_hdr`).
struct Header {
    next: u32,
    sec: u32,
    nsec: u32,
    kept: u32,
    length: u32,
    status: u32,
    mac: u16,
    tci: u32,
    tpid: u16,
}

impl Header {
    fn read(bytes: &[u8]) -> Option<Self> {
        use libc::{tpacket_hdr_variant1 as V, tpacket3_hdr as H};
        let long = |at: usize| Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?));
        let short = |at: usize| Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?));
        let variant = offset_of!(H, hv1);
        Some(Self {
            next: long(offset_of!(H, tp_next_offset))?,
            sec: long(offset_of!(H, tp_sec))?,
            nsec: long(offset_of!(H, tp_nsec))?,
            kept: long(offset_of!(H, tp_snaplen))?,
            length: long(offset_of!(H, tp_len))?,
            status: long(offset_of!(H, tp_status))?,
            mac: short(offset_of!(H, tp_mac))?,
            tci: long(variant + offset_of!(V, tp_vlan_tci))?,
            tpid: short(variant + offset_of!(V, tp_vlan_tpid))?,
        })
    }

    fn at(&self) -> Timestamp {
        Timestamp::from_secs(self.sec.into()).plus(Duration::from_nanos(self.nsec.into()))
    }

    /// The VLAN tag that the kernel keeps beside the frame.
    fn tag(&self) -> Option<[u8; TAG]> {
        if self.status & libc::TP_STATUS_VLAN_VALID == 0 {
            return None;
        }
        // Kernels before 3.14 say no TPID, and knew only this one.
        let tpid = match self.status & libc::TP_STATUS_VLAN_TPID_VALID {
            0 => 0x8100,
            _ => self.tpid,
        };
        let [t1, t2] = tpid.to_be_bytes();
        let [_, _, c1, c2] = self.tci.to_be_bytes();
        Some([t1, t2, c1, c2])
    }
}

/// Puts a VLAN tag behind the two hardware addresses at `start`, by moving these into the room before them; gives the new start.
fn put_back(bytes: &mut [u8], start: usize, tag: [u8; TAG]) -> Option<usize> {
    let new = start.checked_sub(TAG)?;
    let front = bytes.get_mut(new..start + 12)?;
    front.copy_within(TAG.., 0);
    front.last_chunk_mut::<TAG>().map(|place| *place = tag)?;
    Some(new)
}

fn place(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_put_back_behind_the_addresses() {
        let mut bytes = *b"....ddddddssssssTTpacket";
        assert_eq!(put_back(&mut bytes, 4, *b"vlan"), Some(0));
        assert_eq!(&bytes, b"ddddddssssssvlanTTpacket");
        assert_eq!(put_back(&mut bytes, 3, *b"vlan"), None);
        assert_eq!(put_back(&mut [0; 10], 4, *b"vlan"), None);
    }

    #[test]
    fn a_header_that_ends_early_is_none() {
        assert!(Header::read(&[0; 35]).is_none());
        let mut header = [0; size_of::<libc::tpacket3_hdr>()];
        header[4..8].copy_from_slice(&7u32.to_ne_bytes());
        header[8..12].copy_from_slice(&9u32.to_ne_bytes());
        let at = Header::read(&header).unwrap().at();
        assert_eq!(at.nanos(), 7_000_000_009);
    }
}
