//! The memory that we share with the kernel, block by block.

use std::ffi::c_void;
use std::io;
use std::mem::offset_of;
use std::ptr::{NonNull, null_mut};
use std::slice;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::sys::packet::PacketSocket;

/// Blocks of one length, mapped from a packet socket.
#[derive(Debug)]
pub(super) struct Map {
    start: NonNull<u8>,
    block: usize,
    blocks: usize,
}

// SAFETY: the mapping belongs to this value alone and is not bound to the thread that made it.
unsafe impl Send for Map {}

impl Map {
    /// Maps the ring that the socket was just given.
    pub(super) fn new(socket: &PacketSocket, block: u32, blocks: u32) -> io::Result<Self> {
        let size = |n: u32| usize::try_from(n).map_err(|_| io::ErrorKind::InvalidInput);
        let (block, blocks) = (size(block)?, size(blocks)?);
        let length = block
            .checked_mul(blocks)
            .ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: a new mapping at a place of the kernel's choice, which touches no memory of ours.
        let start = unsafe {
            libc::mmap(
                null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                socket.raw(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self {
            start,
            block,
            blocks,
        })
    }

    /// Whether the kernel has given this block to us. What it wrote before is seen by us after.
    pub(super) fn is_ours(&self, n: u32) -> bool {
        self.status(n).load(Ordering::Acquire) & libc::TP_STATUS_USER != 0
    }

    /// Gives a block back. What we did in it is done before. Taking `&mut` ends every borrow of its octets.
    pub(super) fn give_back(&mut self, n: u32) {
        self.status(n)
            .store(libc::TP_STATUS_KERNEL, Ordering::Release);
    }

    /// The octets of a block of ours; none of a block that isn't.
    pub(super) fn block(&self, n: u32) -> &[u8] {
        if !self.is_ours(n) {
            return &[];
        }
        // SAFETY: within the mapping, all of it readable and initialised by the kernel. The block is ours, so the kernel leaves it alone until
        // `give_back`, which can't be called while this borrow of `self` lives.
        unsafe { slice::from_raw_parts(self.at(n).as_ptr(), self.block) }
    }

    /// The same, to change.
    pub(super) fn block_mut(&mut self, n: u32) -> &mut [u8] {
        if !self.is_ours(n) {
            return &mut [];
        }
        // SAFETY: as in `block`, and `&mut self` makes this the only borrow. The status word lies within, but it is looked at only through
        // `self`, which is borrowed.
        unsafe { slice::from_raw_parts_mut(self.at(n).as_ptr(), self.block) }
    }

    fn status(&self, n: u32) -> &AtomicU32 {
        let offset = offset_of!(libc::tpacket_block_desc, hdr)
            + offset_of!(libc::tpacket_hdr_v1, block_status);
        // SAFETY: within the block, which begins at a page, so the word is aligned. All of us and the kernel access it atomically while a block
        // changes hands; while it is ours, the kernel doesn't touch it.
        unsafe { AtomicU32::from_ptr(self.at(n).add(offset).as_ptr().cast()) }
    }

    /// Where a block begins; a number past the last begins again with the first.
    fn at(&self, n: u32) -> NonNull<u8> {
        let n = usize::try_from(n).unwrap_or(0) % self.blocks.max(1);
        // SAFETY: `n` is below the number of blocks, so this is within the mapping.
        unsafe { self.start.add(n * self.block) }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: the mapping of `new`, whole, and no borrow of it can outlive `self`.
        unsafe {
            libc::munmap(
                self.start.as_ptr().cast::<c_void>(),
                self.block * self.blocks,
            )
        };
    }
}
