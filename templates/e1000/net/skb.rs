// SPDX-License-Identifier: GPL-2.0

//! Socket buffers: packets.
//!
//! C header: [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h)

use super::{
    bindings,
    dma::Mapping,
    napi::Poll,
    offload::Offload, //
};
use core::{
    mem::ManuallyDrop,
    ptr::NonNull, //
};
use kernel::{
    device::{
        self,
        Bound, //
    },
    dma::DataDirection,
    error::to_result,
    prelude::*, //
};

/// A packet that we own; dropping it frees it.
///
/// # Invariants
///
/// The pointer is to a valid `struct sk_buff` that nobody else uses.
pub(crate) struct SkBuff(NonNull<bindings::sk_buff>);

// SAFETY: A packet belongs to no thread, and we own it.
unsafe impl Send for SkBuff {}

impl SkBuff {
    /// The most pieces that [`Self::map`] finds: the linear part, and the fragments.
    pub(crate) const MOST_PIECES: usize = 1 + bindings::MAX_SKB_FRAGS as usize;

    /// Takes ownership of a packet.
    ///
    /// # Safety
    ///
    /// `skb` is valid, and nobody else uses it from now on.
    pub(super) unsafe fn from_raw(skb: NonNull<bindings::sk_buff>) -> Self {
        // INVARIANT: As the caller promises.
        Self(skb)
    }

    /// Gives ownership away.
    pub(super) fn into_raw(self) -> *mut bindings::sk_buff {
        ManuallyDrop::new(self).as_ptr()
    }

    pub(super) fn as_ptr(&self) -> *mut bindings::sk_buff {
        self.0.as_ptr()
    }

    /// The packet's length in bytes.
    pub(crate) fn len(&self) -> u32 {
        // SAFETY: By the type's invariants.
        unsafe { (*self.as_ptr()).len }
    }

    /// The length in bytes of the linear part, at the packet's start.
    fn head_len(&self) -> u32 {
        // SAFETY: By the type's invariants.
        unsafe { (*self.as_ptr()).len - (*self.as_ptr()).data_len }
    }

    /// What a packet shares with its clones: it lies behind the linear part's memory.
    ///
    /// There is no reference to it, as any CPU may count the clones in it.
    fn info(&self) -> *const bindings::skb_shared_info {
        let skb = self.as_ptr();
        // SAFETY: By the type's invariants; every packet has one.
        unsafe {
            let end = (*skb).end;
            // It is an offset there, and a pointer elsewhere, as in `skb_end_pointer()`.
            #[cfg(CONFIG_64BIT)]
            let end = (*skb).head.add(end as usize);
            end.cast_const().cast()
        }
    }

    /// The fragments that follow the linear part.
    fn fragments(&self) -> &[bindings::skb_frag_t] {
        let info = self.info();
        // SAFETY: By the type's invariants; so many of the fragments are in use, and nobody changes
        // those of a packet that has clones.
        unsafe {
            let count = usize::from((*info).nr_frags);
            core::slice::from_raw_parts((&raw const (*info).frags).cast(), count)
        }
    }

    /// How many pieces [`Self::map`] finds.
    pub(super) fn pieces(&self) -> usize {
        1 + self.fragments().len()
    }

    /// Maps the packet's pieces, each of which is contiguous, for the device to read, and hands
    /// them to `each` in their order.
    ///
    /// The packet should live longer than the mappings. If it does not, the device sends whatever
    /// lies there then: that is wrong, but safe.
    pub(crate) fn map<'a>(
        &self,
        dev: &'a device::Device<Bound>,
        mut each: impl FnMut(Mapping<'a>) -> Result,
    ) -> Result {
        // SAFETY: By the type's invariants; the linear part has `head_len` bytes, and the device
        // only reads.
        let mut piece = unsafe {
            Mapping::single(
                dev,
                (*self.as_ptr()).data.cast(),
                self.head_len(),
                DataDirection::ToDevice,
            )
        };
        let mut fragments = self.fragments().iter();
        loop {
            each(piece?)?;
            let Some(fragment) = fragments.next() else {
                return Ok(());
            };
            // SAFETY: The reference makes it valid, and the device only reads.
            piece = unsafe { Mapping::fragment(dev, fragment) };
        }
    }

    /// Makes the packet as long as Ethernet demands; [`None`] if there is no memory for it.
    pub(crate) fn pad(self) -> Option<Self> {
        if self.len() >= bindings::ETH_ZLEN {
            return Some(self);
        }
        // SAFETY: By the type's invariants. If it fails, C has freed the packet.
        if unsafe { bindings::eth_skb_pad(self.as_ptr()) } != 0 {
            self.into_raw();
            return None;
        }
        Some(self)
    }

    /// What the hardware is to compute, if anything.
    ///
    /// A segmentation needs headers that hold nothing of the whole packet's length: they are
    /// changed to be so. A checksum that the hardware cannot reach is computed at once.
    pub(crate) fn offload(&mut self) -> Result<Option<Offload>> {
        // SAFETY: By the type's invariants.
        if unsafe { (*self.info()).gso_size } != 0 {
            return self.segmentation().map(Some);
        }
        // SAFETY: By the type's invariants, here and below.
        if !unsafe { bindings::skb_checksum_partial(self.as_ptr()) } {
            return Ok(None);
        }
        // SAFETY: As above; a partial checksum has a start and an offset.
        let (start, offset) = unsafe {
            (
                bindings::skb_checksum_start_offset(self.as_ptr()),
                i32::from(bindings::skb_csum_offset(self.as_ptr())),
            )
        };
        if let (Ok(start), Ok(place)) = (u8::try_from(start), u8::try_from(start + offset)) {
            return Ok(Some(Offload::Checksum { start, place }));
        }
        // SAFETY: As above.
        to_result(unsafe { bindings::skb_checksum_help(self.as_ptr()) })?;
        Ok(None)
    }

    fn segmentation(&mut self) -> Result<Offload> {
        let skb = self.as_ptr();

        // SAFETY: By the type's invariants. `skb_cow_head` makes the headers ours to change, and
        // the stack puts TCP over IPv4 into the linear part of a packet to be segmented; no other
        // kind of segmentation is offered to it.
        unsafe {
            to_result(bindings::skb_cow_head(skb, 0))?;
            let (ip, tcp) = (bindings::ip_hdr(skb), bindings::tcp_hdr(skb));
            // A packet that is forwarded has its headers where the Ethernet header has left them:
            // at an even address.
            let addresses = (&raw const (*ip).__bindgen_anon_1.__bindgen_anon_1).read_unaligned();
            let check = !bindings::tcp_v4_check(0, addresses.saddr, addresses.daddr, 0);
            (&raw mut (*ip).tot_len).write_unaligned(0);
            (&raw mut (*ip).check).write_unaligned(0);
            (&raw mut (*tcp).check).write_unaligned(check);

            let info = self.info();
            Ok(Offload::Segment {
                network: u8::try_from(bindings::skb_network_offset(skb))?,
                transport: u8::try_from(bindings::skb_transport_offset(skb))?,
                headers: u8::try_from(bindings::skb_tcp_all_headers(skb))?,
                mss: (*info).gso_size,
                segments: (*info).gso_segs,
            })
        }
    }

    /// Says that the packet is about to be on the wire.
    pub(crate) fn timestamp(&self) {
        // SAFETY: By the type's invariants.
        unsafe {
            if (*self.info()).tx_flags != 0 {
                bindings::skb_tx_timestamp(self.as_ptr());
            }
        }
    }

    /// Frees a packet that was sent, in a poll or outside of one.
    pub(crate) fn consume(self, poll: Option<&Poll<'_>>) {
        let budget = poll.map_or(0, |poll| poll.budget() as c_int);
        // SAFETY: By the type's invariants; we own the packet, and 0 stands for no poll.
        unsafe { bindings::napi_consume_skb(self.into_raw(), budget) };
    }
}

impl Drop for SkBuff {
    fn drop(&mut self) {
        // SAFETY: By the type's invariants, the packet is ours.
        unsafe { bindings::dev_kfree_skb_any(self.as_ptr()) };
    }
}
