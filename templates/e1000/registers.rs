// SPDX-License-Identifier: GPL-2.0

//! The card's registers, in BAR 0.
//!
//! Intel's *PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual*, "SDM" in
//! this driver, has a section in chapter 13 for each register, under the same name.

use kernel::io::register;

/// The size in bytes of BAR 0.
pub(crate) const BAR_SIZE: usize = 0x20000;

register! {
    /// Device control.
    pub(crate) CTRL(u32) @ 0x0 {
        /// Reset everything but the PCI configuration.
        26:26 reset => bool;
        /// Let the driver, not the PHY, choose duplex.
        12:12 force_duplex => bool;
        /// Let the driver, not the PHY, choose the speed.
        11:11 force_speed => bool;
        /// Invert the sense of a loss of signal.
        7:7 invert_loss_of_signal => bool;
        /// Let the MAC talk to the PHY.
        6:6 set_link_up => bool;
        /// Find out the speed that the PHY has agreed on.
        5:5 auto_speed_detection => bool;
        /// Keep the link in reset.
        3:3 link_reset => bool;
    }

    /// Device status.
    pub(crate) STATUS(u32) @ 0x8 {
        /// 0: 10, 1: 100, 2 and 3: 1000 megabits a second.
        7:6 speed;
        /// There is a link.
        1:1 link_up => bool;
        /// Both sides may send at once.
        0:0 full_duplex => bool;
    }

    /// EEPROM control and data, bit by bit.
    pub(crate) EECD(u32) @ 0x10 {
        /// What the EEPROM says.
        3:3 data_out => bool;
        /// What we say.
        2:2 data_in => bool;
        /// Chip select.
        1:1 select => bool;
        /// The clock.
        0:0 clock => bool;
    }

    /// EEPROM read, a word at a time; the 82544 has no such register.
    pub(crate) EERD(u32) @ 0x14 {
        /// The word that was read.
        31:16 data;
        /// Which word to read.
        15:8 address;
        /// The word is there.
        4:4 done => bool;
        /// Begin.
        0:0 start => bool;
    }

    /// Flow control address, low.
    pub(crate) FCAL(u32) @ 0x28 {
        31:0 address;
    }

    /// Flow control address, high.
    pub(crate) FCAH(u32) @ 0x2c {
        15:0 address;
    }

    /// Flow control type.
    pub(crate) FCT(u32) @ 0x30 {
        15:0 ethertype;
    }

    /// Why the card interrupts; reading clears it. The same bits are in [`ICS`],
    /// [`IMS`] and [`IMC`].
    pub(crate) ICR(u32) @ 0xc0 {
        /// The receiver's timer ran out: a packet has come.
        7:7 receive_timer => bool;
        /// A packet had to be dropped.
        6:6 receive_overrun => bool;
        /// Few descriptors are left for receiving.
        4:4 receive_threshold => bool;
        /// A sequence error of the link.
        3:3 receive_sequence => bool;
        /// The link has changed.
        2:2 link_change => bool;
        /// A descriptor was sent, and written back.
        0:0 transmit_written => bool;
    }

    /// The least time between interrupts.
    pub(crate) ITR(u32) @ 0xc4 {
        /// In units of 256 ns.
        15:0 interval;
    }

    /// Sets causes.
    pub(crate) ICS(u32) @ 0xc8 {
        31:0 causes;
    }

    /// Lets causes interrupt.
    pub(crate) IMS(u32) @ 0xd0 {
        31:0 causes;
    }

    /// Keeps causes from interrupting.
    pub(crate) IMC(u32) @ 0xd8 {
        31:0 causes;
    }

    /// Receive control.
    pub(crate) RCTL(u32) @ 0x100 {
        /// Do not hand over the frame's checksum.
        26:26 strip_crc => bool;
        /// Receive what is for everybody.
        15:15 broadcast => bool;
        /// Receive frames of more than 1522 bytes.
        5:5 long_packets => bool;
        /// Receive what is for any group.
        4:4 all_multicast => bool;
        /// Receive what is for any card.
        3:3 all_unicast => bool;
        1:1 enable => bool;
    }

    /// Flow control transmit timer.
    pub(crate) FCTTV(u32) @ 0x170 {
        15:0 time;
    }

    /// Transmit control.
    pub(crate) TCTL(u32) @ 0x400 {
        /// How far apart, in byte times, two stations may collide.
        21:12 collision_distance;
        /// How often to try again.
        11:4 collision_threshold;
        /// Make short packets long enough.
        3:3 pad_short => bool;
        1:1 enable => bool;
    }

    /// The gap between packets.
    pub(crate) TIPG(u32) @ 0x410 {
        29:20 receive_2;
        19:10 receive_1;
        9:0 transmit;
    }

    /// How much of the packet memory is for receiving.
    pub(crate) PBA(u32) @ 0x1000 {
        /// In KiB, of 64.
        15:0 receive;
    }

    /// Where the ring for receiving lies, low.
    pub(crate) RDBAL(u32) @ 0x2800 {
        31:0 address;
    }

    /// The same, high.
    pub(crate) RDBAH(u32) @ 0x2804 {
        31:0 address;
    }

    /// Its length.
    pub(crate) RDLEN(u32) @ 0x2808 {
        /// In bytes, a multiple of 128.
        19:0 bytes;
    }

    /// The descriptor that the card writes next.
    pub(crate) RDH(u32) @ 0x2810 {
        15:0 index;
    }

    /// The descriptor behind the last that the card may write.
    pub(crate) RDT(u32) @ 0x2818 {
        15:0 index;
    }

    /// How long to wait for more before interrupting.
    pub(crate) RDTR(u32) @ 0x2820 {
        15:0 delay;
    }

    /// Where the ring for sending lies, low.
    pub(crate) TDBAL(u32) @ 0x3800 {
        31:0 address;
    }

    /// The same, high.
    pub(crate) TDBAH(u32) @ 0x3804 {
        31:0 address;
    }

    /// Its length.
    pub(crate) TDLEN(u32) @ 0x3808 {
        /// In bytes, a multiple of 128.
        19:0 bytes;
    }

    /// The descriptor that the card reads next.
    pub(crate) TDH(u32) @ 0x3810 {
        15:0 index;
    }

    /// The descriptor behind the last that the card may read.
    pub(crate) TDT(u32) @ 0x3818 {
        15:0 index;
    }

    /// How long to wait for more before interrupting.
    pub(crate) TIDV(u32) @ 0x3820 {
        15:0 delay;
    }

    /// When descriptors are fetched and written back.
    pub(crate) TXDCTL(u32) @ 0x3828 {
        /// Thresholds are in descriptors, not in cache lines.
        24:24 in_descriptors => bool;
        /// How many to gather before writing back.
        21:16 write_back;
    }

    /// Frames with a bad checksum, since the last reading; so for all that follow.
    pub(crate) CRCERRS(u32) @ 0x4000 {
        31:0 count;
    }

    /// Frames with an error of the physical layer.
    pub(crate) RXERRC(u32) @ 0x400c {
        31:0 count;
    }

    /// Frames for which the packet memory had no room.
    pub(crate) MPC(u32) @ 0x4010 {
        31:0 count;
    }

    /// Frames given up after too many collisions.
    pub(crate) ECOL(u32) @ 0x4018 {
        31:0 count;
    }

    /// Frames that collided too late.
    pub(crate) LATECOL(u32) @ 0x4020 {
        31:0 count;
    }

    /// Collisions.
    pub(crate) COLC(u32) @ 0x4028 {
        31:0 count;
    }

    /// Frames whose length is not what their header says.
    pub(crate) RLEC(u32) @ 0x4040 {
        31:0 count;
    }

    /// Frames that are too short.
    pub(crate) RUC(u32) @ 0x40a4 {
        31:0 count;
    }

    /// Frames that are too long.
    pub(crate) ROC(u32) @ 0x40ac {
        31:0 count;
    }

    /// Receive checksum control.
    pub(crate) RXCSUM(u32) @ 0x5000 {
        /// Look at the checksums of TCP and UDP.
        9:9 transport => bool;
        /// Look at the checksum of IPv4.
        8:8 network => bool;
    }

    /// The groups whose packets to receive, a bit for each hash.
    pub(crate) MTA(u32)[128] @ 0x5200 {
        31:0 groups;
    }

    /// The card's own addresses, low four bytes.
    pub(crate) RAL(u32)[16, stride = 8] @ 0x5400 {
        31:0 address;
    }

    /// The same, high two bytes.
    pub(crate) RAH(u32)[16, stride = 8] @ 0x5404 {
        /// It counts.
        31:31 valid => bool;
        15:0 address;
    }
}

/// The causes that always interrupt: what has come, and what became of the link.
pub(crate) const CAUSES: u32 = ICR::RECEIVE_TIMER_MASK
    | ICR::RECEIVE_OVERRUN_MASK
    | ICR::RECEIVE_THRESHOLD_MASK
    | ICR::RECEIVE_SEQUENCE_MASK
    | ICR::LINK_CHANGE_MASK;
