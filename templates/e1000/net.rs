// SPDX-License-Identifier: GPL-2.0

//! What Rust in the kernel has no abstraction of yet: network devices, packets, NAPI and streaming
//! DMA.
//!
//! This layer is thin: it has no policy. What a driver can do with it is safe, but for one promise
//! that C needs and no type can hold: that a [`Registration`] is not forgotten.
//!
//! A registration owns a `struct net_device`, in whose private area a [`Driver`] lies. What a
//! driver needs only while its interface is up are two values which [`Driver::open`] returns, one
//! for each of the two ways that a packet goes. Whoever has the lock of the transmit queue has
//! `&mut` to the one, as C takes that lock for `ndo_start_xmit`; whoever polls has `&mut` to the
//! other, as one poll runs at a time. So a driver needs no lock of its own.

mod bindings;
mod buffer;
mod callbacks;
mod device;
mod dma;
mod driver;
mod ethtool;
mod interface;
mod napi;
mod offload;
mod pci;
mod registration;
mod skb;

pub(crate) use self::{
    buffer::ReceiveBuffer,
    device::{
        Device,
        MacAddress,
        Queue, //
    },
    dma::{
        shared_with_device,
        Mapping, //
    },
    driver::{
        Driver,
        Errors,
        Features,
        Filter,
        Link,
        RingSizes,
        Sent, //
    },
    napi::{
        Napi,
        Poll, //
    },
    offload::{
        Offload,
        OnWire, //
    },
    pci::Enabled,
    registration::{
        Registration,
        Setup, //
    },
    skb::SkBuff,
};
