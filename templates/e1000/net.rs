// SPDX-License-Identifier: GPL-2.0

//! What Rust in the kernel has no abstraction of yet: network devices, packets, NAPI and streaming
//! DMA.
//!
//! This layer is thin: it has no policy, and every `unsafe` of the driver is in it. What a driver
//! can do with it is safe.

mod bindings;
mod device;
mod dma;
mod ethtool;
mod pci;
mod skb;

pub(crate) use self::{
    device::{
        Device,
        Driver,
        Errors,
        Features,
        Filter,
        Link,
        MacAddress,
        Napi,
        Poll,
        Registration,
        RingSizes,
        Sent,
        Setup, //
    },
    dma::{
        shared_with_device,
        Mapping, //
    },
    pci::Enabled,
    skb::{
        Offload,
        OnWire,
        ReceiveBuffer,
        SkBuff, //
    },
};
