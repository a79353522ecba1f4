// SPDX-License-Identifier: GPL-2.0

//! The memory that a device writes packets to.
//!
//! C header: [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h)

use super::{
    bindings,
    dma::Mapping,
    napi::Poll,
    skb::SkBuff, //
};
use core::ptr::NonNull;
use kernel::{
    device::{
        self,
        Bound, //
    },
    dma::{
        DataDirection,
        DmaAddress, //
    },
    prelude::*, //
};

/// Memory from which a packet can be built; dropping it frees it.
///
/// # Invariants
///
/// The pointer is to a page fragment that is ours, with [`Self::size`] bytes for `room`.
struct Fragment {
    start: NonNull<c_void>,
    room: u32,
}

// SAFETY: Memory belongs to no thread, and we own it.
unsafe impl Send for Fragment {}

impl Fragment {
    /// What lies before the room, in bytes: the stack may want to put headers there. A cache line
    /// is C's `NET_SKB_PAD`, wherever one has 32 bytes or more.
    const HEADROOM: u32 = bindings::SMP_CACHE_BYTES + bindings::NET_IP_ALIGN;

    /// How long a fragment is with that much room, in bytes.
    const fn size(room: u32) -> u32 {
        let align = bindings::SMP_CACHE_BYTES;
        // CAST: It is far from 4 GiB.
        let info = size_of::<bindings::skb_shared_info>() as u32;
        (Self::HEADROOM + room).next_multiple_of(align) + info.next_multiple_of(align)
    }

    /// Allocates one, in a poll or outside of one.
    fn new(poll: Option<&Poll<'_>>, room: u32) -> Result<Self> {
        let (size, anywhere) = (Self::size(room), c_uint::MAX);
        // SAFETY: The first is for polls alone, the second for all else.
        let start = unsafe {
            match poll {
                Some(_) => bindings::__napi_alloc_frag_align(size, anywhere),
                None => bindings::__netdev_alloc_frag_align(size, anywhere),
            }
        };
        // INVARIANT: It was just allocated for us.
        Ok(Self {
            start: NonNull::new(start).ok_or(ENOMEM)?,
            room,
        })
    }

    /// Where the room is.
    fn content(&self) -> *mut c_void {
        self.start
            .as_ptr()
            .wrapping_byte_add(Self::HEADROOM as usize)
    }

    /// Makes it a packet of the first `len` bytes of its room. C does so in a poll alone.
    fn into_packet(self, _poll: &Poll<'_>, len: u32) -> Result<SkBuff> {
        if len > self.room {
            return Err(EINVAL);
        }
        // SAFETY: The fragment is ours and as long as that, and this is a poll.
        let skb = unsafe { bindings::napi_build_skb(self.start.as_ptr(), Self::size(self.room)) };
        let skb = NonNull::new(skb).ok_or(ENOMEM)?;
        core::mem::forget(self); // The packet has it.

        // SAFETY: The packet is new and ours; there is so much room.
        unsafe {
            bindings::skb_reserve_put(skb.as_ptr(), Self::HEADROOM, len);
            Ok(SkBuff::from_raw(skb))
        }
    }

    /// Makes the first `len` bytes of its room a packet's next piece.
    fn append_to(self, packet: SkBuff, len: u32) -> Result<SkBuff> {
        if len > self.room || packet.pieces() == SkBuff::MOST_PIECES {
            return Err(EINVAL);
        }
        let (content, size) = (self.content(), Self::size(self.room));
        core::mem::forget(self); // The packet has it.

        // SAFETY: The packet is ours, with a place for one more. So is the fragment, of that size,
        // which is a part of a page, and has so many bytes there.
        unsafe { bindings::skb_add_rx_memory(packet.as_ptr(), content, len, size) };
        Ok(packet)
    }
}

impl Drop for Fragment {
    fn drop(&mut self) {
        // SAFETY: By the type's invariants.
        unsafe { bindings::page_frag_free(self.start.as_ptr()) };
    }
}

/// Memory that a device may write one packet to.
///
/// # Invariants
///
/// `mapping` is of the room of `fragment`.
pub(crate) struct ReceiveBuffer<'a> {
    // The first to be dropped.
    mapping: Mapping<'a>,
    fragment: Fragment,
}

impl<'a> ReceiveBuffer<'a> {
    /// Allocates and maps `len` bytes, in a poll or outside of one.
    pub(crate) fn new(
        dev: &'a device::Device<Bound>,
        poll: Option<&Poll<'_>>,
        len: u32,
    ) -> Result<Self> {
        let fragment = Fragment::new(poll, len)?;
        let room = fragment.content();
        // SAFETY: The room is there, and nobody looks at it until the mapping is dropped, or what
        // is mapped was synchronised for the CPU.
        let mapping = unsafe { Mapping::single(dev, room, len, DataDirection::FromDevice) }?;
        // INVARIANT: As was just done.
        Ok(Self { mapping, fragment })
    }

    /// Where the device finds the memory.
    pub(crate) fn address(&self) -> DmaAddress {
        self.mapping.address()
    }

    /// The packet that the device has written: the first `len` bytes.
    pub(crate) fn into_packet(self, poll: &Poll<'_>, len: u32) -> Result<SkBuff> {
        let Self { mapping, fragment } = self;
        drop(mapping);
        fragment.into_packet(poll, len)
    }

    /// The packet whose earlier pieces are given, and whose next one the device has written: the
    /// first `len` bytes.
    pub(crate) fn append_to(self, packet: SkBuff, len: u32) -> Result<SkBuff> {
        let Self { mapping, fragment } = self;
        drop(mapping);
        fragment.append_to(packet, len)
    }

    /// A copy of the packet that the device has written; the memory can be given to it again.
    pub(crate) fn copy_packet(&self, poll: &Poll<'_>, len: u32) -> Result<SkBuff> {
        if len > self.mapping.len() {
            return Err(EINVAL);
        }
        let skb = NonNull::new(poll.alloc(len)).ok_or(ENOMEM)?;

        // SAFETY: The packet is new and ours. Both have room for `len` bytes, and by the type's
        // invariants it is the fragment's that is mapped.
        unsafe {
            self.mapping
                .copy_to(self.fragment.content(), len, skb.as_ptr());
            Ok(SkBuff::from_raw(skb))
        }
    }
}
