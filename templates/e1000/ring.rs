// SPDX-License-Identifier: GPL-2.0

//! Step 1: a ring of descriptors, in memory that the card reads and writes by itself.

use crate::net::shared_with_device;
use kernel::{
    device::{
        self,
        Bound, //
    },
    dma::{
        Coherent,
        DmaAddress, //
    },
    io::{
        io_project,
        io_read,
        io_write,
        Io, //
    },
    prelude::*, //
};

/// A descriptor of either ring (SDM 3.2.3 and 3.3), in the card's order of bytes.
///
/// All that the card writes back is in the second word, so that one read has either nothing of it
/// or all.
#[repr(C)]
#[derive(FromBytes, IntoBytes)]
struct Descriptor {
    /// Where a buffer is, or what else the first word says.
    buffer: u64,
    /// What the driver asks for, and what became of it.
    control: u64,
}

shared_with_device!(Descriptor);

/// A ring. Its indices may count on and on: an index modulo the ring's length is a place in it.
///
/// # Invariants
///
/// The length is a power of two, and at most [`Ring::MOST`].
pub(crate) struct Ring(Coherent<[Descriptor]>);

impl Ring {
    /// The most descriptors that the card takes.
    pub(crate) const MOST: u16 = 4096;

    /// Allocates a ring of `len` descriptors, all of them zero.
    pub(crate) fn new(dev: &device::Device<Bound>, len: usize) -> Result<Self> {
        if !len.is_power_of_two() || len > usize::from(Self::MOST) {
            return Err(EINVAL);
        }
        // INVARIANT: As was just looked at.
        Ok(Self(Coherent::zeroed_slice(dev, len, GFP_KERNEL)?))
    }

    /// How many descriptors it has.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The length in bytes.
    pub(crate) fn bytes(&self) -> u32 {
        // CAST: By the type's invariants, these are 64 KiB at most.
        self.0.size() as u32
    }

    /// Where the card finds it.
    pub(crate) fn address(&self) -> DmaAddress {
        self.0.dma_address()
    }

    /// Where an index is in the ring.
    #[inline]
    pub(crate) fn place(&self, index: usize) -> usize {
        // By the type's invariants nothing wraps; a check would be there for each descriptor.
        index & self.len().wrapping_sub(1)
    }

    /// The same, as the card's registers have it.
    #[inline]
    pub(crate) fn register(&self, index: usize) -> u16 {
        // CAST: By the type's invariants.
        self.place(index) as u16
    }

    /// The second word of a descriptor.
    #[inline]
    pub(crate) fn control(&self, index: usize) -> u64 {
        let place = self.place(index);
        u64::from_le(io_read!(self.0, [panic: place].control))
    }

    /// Changes the second word of a descriptor.
    #[inline]
    pub(crate) fn set_control(&self, index: usize, control: u64) {
        let place = self.place(index);
        io_write!(self.0, [panic: place].control, control.to_le());
    }

    /// Fills a descriptor. The card sees it at the latest when a register was written after that.
    #[inline]
    pub(crate) fn fill(&self, index: usize, buffer: u64, control: u64) {
        let place = self.place(index);
        io_project!(self.0, [panic: place]).copy_write(Descriptor {
            buffer: buffer.to_le(),
            control: control.to_le(),
        });
    }
}
