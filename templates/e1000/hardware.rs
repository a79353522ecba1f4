// SPDX-License-Identifier: GPL-2.0

//! What the card does on a register's word: reset, addresses and filters, link, interrupts.

use crate::{
    eeprom::{
        Eeprom,
        Model, //
    },
    net::{
        Errors,
        Filter,
        Link,
        MacAddress, //
    },
    registers::*, //
};
use kernel::{
    device,
    io::{
        register::Array,
        Io, //
    },
    pci,
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
    time::{
        delay::fsleep,
        Delta, //
    }, //
};

/// What a register of a card reads as that is not there any more.
const GONE: u32 = !0;

/// The card's registers.
pub(crate) struct Hardware<'bound> {
    bar: pci::Bar<'bound, BAR_SIZE>,
    model: Model,
    counted: Counted,
}

/// What the card's counters, which lose what is read, have counted so far.
#[derive(Default)]
struct Counted {
    crc: Sum,
    length: Sum,
    missed: Sum,
    receive: Sum,
    transmit: Sum,
    collisions: Sum,
}

/// A sum that any CPU may add to.
struct Sum(Atomic<u64>);

impl Default for Sum {
    fn default() -> Self {
        Self(Atomic::new(0))
    }
}

impl Sum {
    /// Adds what a counter has counted since it was read last, and returns the sum.
    fn add(&self, count: impl Into<u32>) -> u64 {
        let count = match count.into() {
            GONE => 0,
            count => u64::from(count),
        };
        self.0.fetch_add(count, Relaxed).wrapping_add(count)
    }
}

impl<'bound> Hardware<'bound> {
    /// How many bytes of a frame the card writes to one buffer: what 0 stands for in RCTL.
    pub(crate) const BUFFER: u32 = 2048;
    /// The longest frame of Ethernet in bytes, with a VLAN tag and its checksum.
    pub(crate) const FRAME: u32 = 1522;

    /// Takes the card as it is.
    pub(crate) fn new(bar: pci::Bar<'bound, BAR_SIZE>, model: Model) -> Self {
        Self {
            bar,
            model,
            counted: Counted::default(),
        }
    }

    /// Whether the card answers.
    fn is_present(&self) -> bool {
        u32::from(self.bar.read(STATUS)) != GONE
    }

    /// Fails with `ENODEV`, and says so, unless the card answers.
    pub(crate) fn check_present(&self, dev: &device::Device) -> Result {
        if self.is_present() {
            return Ok(());
        }
        dev_err!(
            dev,
            "the card reads as all ones: it is not there any more\n"
        );
        Err(ENODEV)
    }

    /// Puts the card into the state that it has after power-on (SDM 14.2), with its counters at
    /// zero. May sleep.
    pub(crate) fn reset(&self) {
        self.halt();
        // It takes effect by the reset. What is left for sending is enough for the longest frame.
        self.bar.write_reg(PBA::zeroed().with_const_receive::<40>());
        self.bar.write_reg(self.bar.read(CTRL).with_reset(true));
        // The card needs 1 us before it may be touched, and then reads its EEPROM.
        fsleep(Delta::from_millis(5));
        self.mask();
        // To clear what was pending.
        let _ = self.bar.read(ICR);
    }

    /// Stops receiving, sending and interrupting. May sleep.
    pub(crate) fn halt(&self) {
        self.mask();
        self.bar.write_reg(RCTL::zeroed());
        self.bar.write_reg(TCTL::zeroed().with_pad_short(true));
        // A read makes the writes arrive; then what is being transferred has to end.
        let _ = self.bar.read(STATUS);
        fsleep(Delta::from_millis(10));
    }

    /// Brings up the link, by what the PHY agrees on with the other side (SDM 14.3).
    ///
    /// Flow control stays off.
    pub(crate) fn set_link_up(&self) {
        self.bar.write_reg(
            self.bar
                .read(CTRL)
                .with_set_link_up(true)
                .with_auto_speed_detection(true)
                .with_force_speed(false)
                .with_force_duplex(false)
                .with_invert_loss_of_signal(false)
                .with_link_reset(false),
        );
        self.bar.write_reg(FCAL::zeroed());
        self.bar.write_reg(FCAH::zeroed());
        self.bar.write_reg(FCT::zeroed());
        self.bar.write_reg(FCTTV::zeroed());
    }

    /// The link, if there is one.
    pub(crate) fn link(&self) -> Option<Link> {
        let status = self.bar.read(STATUS);
        if u32::from(status) == GONE || !status.link_up() {
            return None;
        }
        Some(Link {
            speed: match status.speed().get() {
                0 => 10,
                1 => 100,
                _ => 1000,
            },
            full_duplex: status.full_duplex(),
        })
    }

    /// Keeps the card from interrupting.
    pub(crate) fn mask(&self) {
        self.bar.write_reg(IMC::from(!0));
    }

    /// Lets these causes interrupt, beside those that may already.
    pub(crate) fn unmask(&self, causes: u32) {
        self.bar.write_reg(IMS::from(causes));
    }

    /// Has the card interrupt as if for these causes.
    pub(crate) fn raise(&self, causes: u32) {
        self.bar.write_reg(ICS::from(causes));
    }

    /// Why the card interrupts, and no more from now on; [`None`] if it does not.
    pub(crate) fn causes(&self) -> Option<ICR> {
        let causes = self.bar.read(ICR);
        (u32::from(causes) != 0 && u32::from(causes) != GONE).then_some(causes)
    }

    /// The least time between two interrupts, in units of 256 ns.
    pub(crate) fn set_interrupt_interval(&self, interval: u16) {
        self.bar.write_reg(ITR::zeroed().with_interval(interval));
    }

    /// Step 3 for the transmit ring: where it lies, and that nothing is in it (SDM 14.5).
    pub(crate) fn start_transmit(&self, address: u64, bytes: u32) {
        self.bar.write_reg(TDBAL::from(address as u32));
        self.bar.write_reg(TDBAH::from((address >> 32) as u32));
        self.bar.write_reg(TDLEN::from(bytes));
        self.bar.write_reg(TDH::zeroed());
        self.bar.write_reg(TDT::zeroed());
        self.bar.write_reg(TIDV::zeroed());
        // Each descriptor is written back when it is sent.
        self.bar.write_reg(
            TXDCTL::zeroed()
                .with_in_descriptors(true)
                .with_const_write_back::<1>(),
        );
        // The gaps for copper, and the collisions of half duplex (SDM 13.4).
        self.bar.write_reg(
            TIPG::zeroed()
                .with_const_transmit::<8>()
                .with_const_receive_1::<8>()
                .with_const_receive_2::<6>(),
        );
        self.bar.write_reg(
            TCTL::zeroed()
                .with_enable(true)
                .with_pad_short(true)
                .with_const_collision_threshold::<0x0f>()
                .with_const_collision_distance::<0x40>(),
        );
    }

    /// Step 3 for the receive ring (SDM 14.4), for `long` frames of more than [`Self::FRAME`] bytes
    /// as well. None of it is the card's yet.
    pub(crate) fn start_receive(&self, address: u64, bytes: u32, long: bool) {
        self.bar.write_reg(RDTR::zeroed());
        self.bar.write_reg(RDBAL::from(address as u32));
        self.bar.write_reg(RDBAH::from((address >> 32) as u32));
        self.bar.write_reg(RDLEN::from(bytes));
        self.bar.write_reg(RDH::zeroed());
        self.bar.write_reg(RDT::zeroed());
        self.bar.write_reg(
            RCTL::zeroed()
                .with_enable(true)
                .with_broadcast(true)
                .with_long_packets(long)
                .with_strip_crc(true),
        );
    }

    /// Lets the card read up to the descriptor before this one.
    pub(crate) fn give_transmit(&self, tail: u16) {
        self.bar.write_reg(TDT::zeroed().with_index(tail));
    }

    /// Lets the card write up to the descriptor before this one.
    pub(crate) fn give_receive(&self, tail: u16) {
        self.bar.write_reg(RDT::zeroed().with_index(tail));
    }

    /// Whether the card looks at the checksums of what it receives.
    pub(crate) fn set_receive_checksum(&self, on: bool) {
        self.bar
            .write_reg(RXCSUM::zeroed().with_network(on).with_transport(on));
    }

    /// Changes the card's own address, the first of sixteen that it compares with.
    pub(crate) fn set_address(&self, address: &MacAddress) {
        let [a, b, c, d, e, f] = *address;
        let high = u16::from_le_bytes([e, f]);
        self.bar
            .write(RAL::at(0), RAL::from(u32::from_le_bytes([a, b, c, d])));
        self.bar.write(
            RAH::at(0),
            RAH::zeroed().with_valid(true).with_address(high),
        );
    }

    /// Changes which packets the card receives beside those for its own address and for all.
    ///
    /// Groups are found by a hash, so that a few more may come; the stack sorts those out.
    pub(crate) fn set_filter(&self, filter: Filter<'_>) {
        let mut table = [0_u32; 128];
        if let Filter::Groups(groups) = &filter {
            groups.for_each(|address| {
                // The hash is bits 47 to 36 of the address (SDM 13.5, MTA).
                let hash = usize::from(u16::from_le_bytes([address[4], address[5]]) >> 4);
                table[hash / 32 % table.len()] |= 1 << (hash % 32);
            });
        }
        for (index, groups) in table.into_iter().enumerate() {
            if let Some(place) = MTA::try_at(index) {
                self.bar.write(place, MTA::from(groups));
            }
        }
        let all = matches!(filter, Filter::All);
        let old = self.bar.read(RCTL);
        let new = old
            .with_all_unicast(all)
            .with_all_multicast(all || matches!(filter, Filter::AllGroups));
        // QEMU receives nothing for a second after each writing.
        if u32::from(new) != u32::from(old) {
            self.bar.write_reg(new);
        }
    }

    /// What the card has counted since the driver took it.
    pub(crate) fn errors(&self) -> Errors {
        let (bar, counted) = (&self.bar, &self.counted);
        counted.length.add(bar.read(RLEC));
        counted.length.add(bar.read(RUC));
        counted.transmit.add(bar.read(ECOL));
        Errors {
            crc: counted.crc.add(bar.read(CRCERRS)),
            length: counted.length.add(bar.read(ROC)),
            missed: counted.missed.add(bar.read(MPC)),
            receive: counted.receive.add(bar.read(RXERRC)),
            transmit: counted.transmit.add(bar.read(LATECOL)),
            collisions: counted.collisions.add(bar.read(COLC)),
        }
    }

    /// The address in the EEPROM, if its checksum is right. May sleep.
    ///
    /// Fails with `EIO` if it is not, and with `ETIMEDOUT` if the EEPROM does not answer.
    pub(crate) fn read_address(&self) -> Result<MacAddress> {
        Eeprom::new(&self.bar, self.model).address()
    }
}
