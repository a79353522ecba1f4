// SPDX-License-Identifier: GPL-2.0

//! What the words of descriptors say: those of the receive ring, and of the transmit ring.

use crate::net::Offload;
use kernel::{
    bitfield,
    prelude::*, //
};

bitfield! {
    /// What the card says of a packet that it has received: the second word (SDM 3.2.3).
    pub(crate) struct ReceiveStatus(u64) {
        /// The data is wrong.
        47:47 data_error => bool;
        /// The IPv4 checksum is wrong.
        46:46 network_checksum_wrong => bool;
        /// The TCP or UDP checksum is wrong.
        45:45 transport_checksum_wrong => bool;
        /// The frame is wrong: its checksum, a symbol, the sequence, the carrier.
        44:40 frame_errors;
        /// The TCP or UDP checksum was looked at.
        37:37 transport_checksum => bool;
        /// Forget what is said of checksums.
        34:34 ignore_checksums => bool;
        /// The packet ends in this buffer.
        33:33 end_of_packet => bool;
        /// The card is done with this descriptor.
        32:32 done => bool;
        /// How many bytes it has written.
        15:0 length;
    }
}

impl ReceiveStatus {
    /// Whether the card has looked at the packet's checksums, and found nothing wrong.
    #[inline]
    pub(crate) fn checksums_are_right(self) -> bool {
        self.transport_checksum()
            && !self.ignore_checksums()
            && !self.network_checksum_wrong()
            && !self.transport_checksum_wrong()
    }
}

bitfield! {
    /// What the card is to do with a piece of a packet, and whether it has done so: the second word
    /// (SDM 3.3.7).
    pub(crate) struct TransmitCommand(u64) {
        /// Put the TCP or UDP checksum in.
        41:41 insert_transport_checksum => bool;
        /// Put the IPv4 checksum in.
        40:40 insert_network_checksum => bool;
        /// The card is done with this descriptor.
        32:32 done => bool;
        /// Interrupts may be delayed.
        31:31 interrupt_delay => bool;
        /// This is not a legacy descriptor.
        29:29 extended => bool;
        /// Write `done` back.
        27:27 report_status => bool;
        /// Cut the packet into segments.
        26:26 segment => bool;
        /// Add the frame's checksum.
        25:25 insert_crc => bool;
        /// The packet ends here.
        24:24 end_of_packet => bool;
        /// 1 for data.
        23:20 kind;
        /// How many bytes.
        19:0 length;
    }
}

bitfield! {
    /// A context, for the packets that follow: where the headers are that an offload changes. The
    /// first word (SDM 3.3.6).
    pub(crate) struct ContextOffsets(u64) {
        /// Where the TCP or UDP checksum ends; 0 for the packet's end.
        63:48 transport_end;
        /// Where the TCP or UDP checksum goes.
        47:40 transport_checksum;
        /// Where the TCP or UDP checksum starts.
        39:32 transport_start;
        /// Where the IPv4 checksum ends.
        31:16 network_end;
        /// Where the IPv4 checksum goes.
        15:8 network_checksum;
        /// Where the IPv4 checksum starts.
        7:0 network_start;
    }
}

bitfield! {
    /// A context's second word: how to cut a packet into segments (SDM 3.3.6).
    pub(crate) struct ContextCommand(u64) {
        /// The most payload of a segment.
        63:48 mss;
        /// The length of all the headers.
        47:40 headers;
        /// The card is done with this descriptor.
        32:32 done => bool;
        /// This is not a legacy descriptor.
        29:29 extended => bool;
        /// Cut packets into segments.
        26:26 segment => bool;
        /// The packet is IPv4.
        25:25 ipv4 => bool;
        /// The packet is TCP.
        24:24 tcp => bool;
        /// 0 for a context.
        23:20 kind;
        /// The payload's length.
        19:0 payload;
    }
}

/// Where an IPv4 header has its checksum.
const IPV4_CHECKSUM: u8 = 10;
/// Where a TCP header has its checksum.
const TCP_CHECKSUM: u8 = 16;

/// The context for an offload of a packet of `len` bytes.
pub(crate) fn context(offload: Offload, len: u32) -> Result<(ContextOffsets, ContextCommand)> {
    let command = ContextCommand::zeroed().with_extended(true);
    Ok(match offload {
        Offload::Checksum { start, place } => (
            ContextOffsets::zeroed()
                .with_transport_start(start)
                .with_transport_checksum(place),
            command,
        ),
        Offload::Segment {
            network,
            transport,
            headers,
            mss,
            ..
        } => (
            ContextOffsets::zeroed()
                .with_network_start(network)
                .with_network_checksum(network.saturating_add(IPV4_CHECKSUM))
                .with_network_end(transport.saturating_sub(1))
                .with_transport_start(transport)
                .with_transport_checksum(transport.saturating_add(TCP_CHECKSUM)),
            command
                .try_with_payload(u64::from(len.saturating_sub(u32::from(headers))))?
                .with_segment(true)
                .with_ipv4(true)
                .with_tcp(true)
                .with_headers(headers)
                .with_mss(mss),
        ),
    })
}
