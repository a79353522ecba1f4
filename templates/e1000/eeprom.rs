// SPDX-License-Identifier: GPL-2.0

//! The card's EEPROM, which holds its address and a checksum.

use crate::{
    net::MacAddress,
    registers::*, //
};
use kernel::{
    io::{
        poll::read_poll_timeout,
        Io, //
    },
    pci,
    prelude::*,
    time::{
        delay::udelay,
        Delta, //
    }, //
};

/// How many words its checksum covers, itself included (SDM 5.6).
const WORDS: u8 = 0x40;

/// What these words add up to.
const SUM: u16 = 0xbaba;

/// The models, as far as they differ.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Model {
    /// 82544: its EEPROM is read bit by bit.
    I82544,
    /// 82540 and 82545.
    I8254x,
}

/// The EEPROM, behind the card's registers.
pub(crate) struct Eeprom<'a, 'bound> {
    bar: &'a pci::Bar<'bound, BAR_SIZE>,
    model: Model,
}

impl<'a, 'bound> Eeprom<'a, 'bound> {
    /// The EEPROM of a card of that model.
    pub(crate) fn new(bar: &'a pci::Bar<'bound, BAR_SIZE>, model: Model) -> Self {
        Self { bar, model }
    }

    /// The card's address, if the checksum is right. May sleep.
    ///
    /// Fails with `EIO` if it is not, and with `ETIMEDOUT` if the EEPROM does not answer.
    pub(crate) fn address(&self) -> Result<MacAddress> {
        let mut address = MacAddress::default();
        let mut sum = 0_u16;
        for index in 0..WORDS {
            let word = match self.model {
                Model::I82544 => self.read_by_bits(index),
                Model::I8254x => self.read(index)?,
            };
            sum = sum.wrapping_add(word);
            // The first three words are the address (SDM 5.6).
            if let Some(bytes) = address.chunks_exact_mut(2).nth(usize::from(index)) {
                bytes.copy_from_slice(&word.to_le_bytes());
            }
        }
        if sum == SUM {
            Ok(address)
        } else {
            Err(EIO)
        }
    }

    fn read(&self, word: u8) -> Result<u16> {
        self.bar
            .write_reg(EERD::zeroed().with_start(true).with_address(word));
        let read = read_poll_timeout(
            || Ok(self.bar.read(EERD)),
            |read| read.done(),
            Delta::from_micros(5),
            Delta::from_millis(10),
        )?;
        Ok(read.data().cast::<u16>().get())
    }

    /// Reads a word by Microwire: a start bit, the opcode 10, six bits of address, and then
    /// sixteen bits of data come back, all with the highest bit first (SDM chapter 5).
    fn read_by_bits(&self, word: u8) -> u16 {
        const READ: u16 = 0b110;

        let idle = self
            .bar
            .read(EECD)
            .with_select(false)
            .with_clock(false)
            .with_data_in(false);
        let selected = idle.with_select(true);
        self.bar.write_reg(selected);
        udelay(Delta::from_micros(1));

        let command = READ << 6 | u16::from(word & 0x3f);
        for bit in (0..9).rev() {
            self.clock(selected.with_data_in(command >> bit & 1 != 0));
        }
        let mut value = 0;
        for _ in 0..16 {
            value = value << 1 | u16::from(self.clock(selected));
        }
        self.bar.write_reg(idle);
        udelay(Delta::from_micros(1));
        value
    }

    /// Gives the EEPROM one clock, of at most 1 MHz, and returns what it says at its height.
    fn clock(&self, lines: EECD) -> bool {
        let set = |clock| {
            self.bar.write_reg(lines.with_clock(clock));
            udelay(Delta::from_micros(1));
        };
        set(false);
        set(true);
        let data = self.bar.read(EECD).data_out();
        set(false);
        data
    }
}
