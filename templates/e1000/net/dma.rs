// SPDX-License-Identifier: GPL-2.0

//! What the kernel's own [`dma`](kernel::dma) lacks: streaming mappings.
//!
//! C header: [`include/linux/dma-mapping.h`](srctree/include/linux/dma-mapping.h)

use super::bindings;
use kernel::{
    device::{
        Bound,
        Device, //
    },
    dma::{
        DataDirection,
        DmaAddress, //
    },
    prelude::*, //
};

/// What C calls `DMA_MAPPING_ERROR`: the address that nothing is mapped to.
const MAPPING_ERROR: DmaAddress = DmaAddress::MAX;

/// Memory that is mapped for one transfer, and unmapped when the value is dropped.
///
/// # Invariants
///
/// `address` is the start of a live mapping of `len` bytes for `dev`, in `direction`.
pub(crate) struct Mapping<'a> {
    dev: &'a Device<Bound>,
    address: DmaAddress,
    len: u32,
    direction: DataDirection,
}

impl<'a> Mapping<'a> {
    /// Takes over a mapping that was just made.
    ///
    /// # Safety
    ///
    /// `address` is what mapping `len` bytes for `dev` in `direction` has returned, or
    /// [`MAPPING_ERROR`] if it has failed, and nobody else unmaps it.
    unsafe fn from_raw(
        dev: &'a Device<Bound>,
        address: DmaAddress,
        len: u32,
        direction: DataDirection,
    ) -> Result<Self> {
        if address == MAPPING_ERROR {
            return Err(ENOMEM);
        }
        // INVARIANT: As the caller promises, and mapping has not failed.
        Ok(Self {
            dev,
            address,
            len,
            direction,
        })
    }

    /// Maps memory that is contiguous in the kernel's address space.
    ///
    /// # Safety
    ///
    /// `buffer` points to `len` bytes of the linear mapping. If the device may write to them, they
    /// are neither freed nor accessed while the mapping exists.
    pub(super) unsafe fn single(
        dev: &'a Device<Bound>,
        buffer: *mut c_void,
        len: u32,
        direction: DataDirection,
    ) -> Result<Self> {
        // SAFETY: `dev` is valid, and `buffer` by this function's own requirements.
        let address = unsafe {
            bindings::dma_map_single(as_raw(dev), buffer, len as usize, direction.into())
        };
        // SAFETY: It was just mapped so.
        unsafe { Self::from_raw(dev, address, len, direction) }
    }

    /// Maps a fragment of a packet, for the device to read.
    ///
    /// # Safety
    ///
    /// `fragment` is valid.
    pub(super) unsafe fn fragment(
        dev: &'a Device<Bound>,
        fragment: *const bindings::skb_frag_t,
    ) -> Result<Self> {
        // SAFETY: `dev` is valid, and `fragment` by this function's own requirements.
        let (address, len) = unsafe {
            (
                bindings::skb_frag_dma_map(as_raw(dev), fragment),
                (*fragment).len,
            )
        };
        // SAFETY: It was just mapped so: the helper maps all of the fragment.
        unsafe { Self::from_raw(dev, address, len, DataDirection::ToDevice) }
    }

    /// Where the device finds the memory.
    pub(crate) fn address(&self) -> DmaAddress {
        self.address
    }

    /// How many bytes are mapped.
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// Appends the first `len` bytes, which the device has written, to a packet; then they are the
    /// device's again.
    ///
    /// # Safety
    ///
    /// `buffer` is what is mapped, for the device to write to, and `len` not more than that. `skb`
    /// is a valid packet that nobody else uses, with room for as much.
    pub(super) unsafe fn copy_to(
        &self,
        buffer: *const c_void,
        len: u32,
        skb: *mut bindings::sk_buff,
    ) {
        // SAFETY: As the caller promises, and by the type's invariants.
        unsafe { bindings::skb_put_mapped(skb, as_raw(self.dev), self.address, buffer, len) };
    }
}

impl Drop for Mapping<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type's invariants; nobody else unmaps it.
        unsafe {
            bindings::dma_unmap_page_attrs(
                as_raw(self.dev),
                self.address,
                self.len as usize,
                self.direction.into(),
                0,
            )
        };
    }
}

/// The C side's pointer to a device.
pub(super) fn as_raw(dev: &Device<Bound>) -> *mut bindings::device {
    // CAST: `Device` is a transparent wrapper of `struct device`.
    core::ptr::from_ref(dev).cast_mut().cast()
}

/// Lets a type lie in memory that a device and the CPU share: any bytes the device writes are a
/// value of it, and it has no bytes that are not initialised.
macro_rules! shared_with_device {
    ($type:ty) => {
        const _: () = {
            const fn is_plain<T: FromBytes + IntoBytes>() {}
            is_plain::<$type>();
        };

        // SAFETY: Any bytes are a value, as `zerocopy::FromBytes` says, which was asked for above.
        unsafe impl kernel::transmute::FromBytes for $type {}

        // SAFETY: No byte is uninitialised, as `zerocopy::IntoBytes` says, asked for above.
        unsafe impl kernel::transmute::AsBytes for $type {}
    };
}
pub(crate) use shared_with_device;
