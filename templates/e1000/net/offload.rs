// SPDX-License-Identifier: GPL-2.0

//! What the hardware computes for a packet that is sent.

use super::skb::SkBuff;

/// What the hardware is to compute for a packet. Offsets are in bytes from the packet's start.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offload {
    /// The ones' complement sum of everything from `start` on belongs at `place`.
    Checksum {
        /// Where to begin.
        start: u8,
        /// Where the checksum lies.
        place: u8,
    },
    /// The packet is to be cut into segments of TCP over IPv4, each with headers of its own.
    Segment {
        /// Where the IPv4 header lies.
        network: u8,
        /// Where the TCP header lies.
        transport: u8,
        /// The length of all the headers.
        headers: u8,
        /// The most bytes of payload in a segment.
        mss: u16,
        /// How many segments there will be.
        segments: u16,
    },
}

/// What becomes of a packet on the wire, for the statistics.
#[derive(Clone, Copy)]
pub(crate) struct OnWire {
    /// How many packets.
    pub(super) packets: u32,
    /// Their length in bytes, with all their headers.
    pub(super) bytes: u32,
    /// The length in bytes of the one packet in the ring.
    pub(super) in_ring: u32,
}

impl OnWire {
    /// For a packet with its offload.
    pub(crate) fn new(packet: &SkBuff, offload: Option<Offload>) -> Self {
        let in_ring = packet.len();
        let (packets, bytes) = match offload {
            Some(Offload::Segment {
                headers, segments, ..
            }) => {
                let packets = u32::from(segments.max(1));
                (packets, in_ring + (packets - 1) * u32::from(headers))
            }
            _ => (1, in_ring),
        };
        Self {
            packets,
            bytes,
            in_ring,
        }
    }
}
