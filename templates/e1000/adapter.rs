// SPDX-License-Identifier: GPL-2.0

//! The card as a network device: what the stack asks for, in terms of rings and registers.

use crate::{
    hardware::Hardware,
    net::{
        self,
        Device,
        Errors,
        Features,
        Filter,
        Link,
        MacAddress,
        Napi,
        Poll,
        Queue,
        RingSizes,
        Sent,
        SkBuff, //
    },
    receive::{
        Incoming,
        Receiver, //
    },
    registers::{
        CAUSES,
        ICR, //
    },
    ring::Ring,
    transmit::Transmitter, //
};
use kernel::{
    device::{
        self,
        Bound, //
    },
    irq::{
        IrqRequest,
        IrqReturn, //
    },
    pci,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Full,
            Relaxed, //
        },
        Arc, //
    }, //
};

/// The length in bytes of what Ethernet puts around a payload: header, VLAN tag, checksum.
const AROUND_PAYLOAD: u32 = 14 + 4 + 4;
/// The longest frame in bytes that the card takes (SDM 13.4, RCTL).
const LONGEST_FRAME: u32 = 16128;
/// The largest MTU.
pub(crate) const MAX_MTU: u32 = LONGEST_FRAME - AROUND_PAYLOAD;

/// The fewest and the most descriptors of a ring: enough for two of the largest packets, and what
/// the card takes.
const FEWEST: u32 = 128;
const MOST: u32 = Ring::MOST as u32;

/// The least time between two interrupts, in units of 256 ns: 8,000 a second at most.
const INTERRUPT_INTERVAL: u16 = 488;

/// A card, whose registers are at rest unless its interface is up.
pub(crate) struct Adapter<'bound> {
    // These are dropped from the first to the last.
    vectors: pci::IrqVectorRegistration<'bound>,
    hardware: Hardware<'bound>,
    dev: &'bound device::Device<Bound>,
    receive_len: Atomic<u32>,
    transmit_len: Atomic<u32>,
    /// The card is still to send something. Stored with the transmit queue's lock held.
    sending: Atomic<bool>,
    /// The stack may not know of the link as it is. Only polls tell it, one after the other, so
    /// that the newest is told last.
    link_changed: Atomic<bool>,
    _enabled: net::Enabled<'bound>,
}

/// What is needed to send.
pub(crate) struct Outgoing<'up> {
    transmitter: Transmitter<'up>,
    /// What `sending` of the adapter was set to.
    sending: bool,
    incoming: Arc<Incoming>,
}

impl<'bound> Adapter<'bound> {
    /// Makes a network device's driver of a card that was reset.
    pub(crate) fn new(
        dev: &'bound device::Device<Bound>,
        enabled: net::Enabled<'bound>,
        hardware: Hardware<'bound>,
        vectors: pci::IrqVectorRegistration<'bound>,
    ) -> Self {
        Self {
            vectors,
            hardware,
            dev,
            receive_len: Atomic::new(256),
            transmit_len: Atomic::new(256),
            sending: Atomic::new(false),
            link_changed: Atomic::new(false),
            _enabled: enabled,
        }
    }

    /// Tells the stack of the link.
    fn tell_link(&self, dev: &Device) {
        let link = self.hardware.link();
        if link.is_some() == dev.has_carrier() {
            return;
        }
        match &link {
            Some(link) => dev_info!(
                self.dev,
                "link up at {} Mb/s, {} duplex\n",
                link.speed,
                if link.full_duplex { "full" } else { "half" }
            ),
            None => dev_info!(self.dev, "link down\n"),
        }
        dev.set_carrier(link.is_some());
    }
}

impl net::Driver for Adapter<'_> {
    const NAME: &'static CStr = c"rfl_module";

    type Transmitter<'up>
        = Outgoing<'up>
    where
        Self: 'up;
    type Receiver<'up>
        = Receiver<'up>
    where
        Self: 'up;

    fn interrupt_line(&self) -> Result<IrqRequest<'_>> {
        Ok(self.vectors.index(0)?.into())
    }

    fn open<'up>(&'up self, dev: &Device) -> Result<(Outgoing<'up>, Receiver<'up>)> {
        self.hardware.check_present(self.dev)?;
        let RingSizes { receive, transmit } = self.ring_sizes();
        let frame = dev.mtu() + AROUND_PAYLOAD;
        let receiver = Receiver::new(&self.hardware, self.dev, receive as usize, frame)?;
        let outgoing = Outgoing {
            transmitter: Transmitter::new(&self.hardware, self.dev, transmit as usize)?,
            sending: false,
            incoming: receiver.incoming(),
        };
        Ok((outgoing, receiver))
    }

    fn start(&self, dev: &Device, outgoing: &mut Outgoing<'_>, receiver: &mut Receiver<'_>) {
        self.hardware.reset();
        self.hardware.set_address(&dev.address());
        self.hardware.set_link_up();
        self.hardware.set_interrupt_interval(INTERRUPT_INTERVAL);
        self.set_features(dev.features());
        outgoing.transmitter.start();
        receiver.start();
        self.sending.store(false, Relaxed);
        self.link_changed.store(true, Relaxed);
    }

    fn begin(&self) {
        self.rearm(false);
        // A poll tells the stack of the link.
        self.hardware.raise(ICR::LINK_CHANGE_MASK);
    }

    fn halt(&self) {
        self.hardware.halt();
        // The next reset clears what the card has counted.
        self.hardware.errors();
    }

    /// Step 4: the interrupt.
    fn interrupt(&self, napi: &Napi) -> IrqReturn {
        let Some(causes) = self.hardware.causes() else {
            return IrqReturn::None;
        };
        if causes.link_change() || causes.receive_sequence() {
            self.link_changed.store(true, Relaxed);
        }
        napi.schedule(|| self.hardware.mask());
        IrqReturn::Handled
    }

    fn transmit(
        &self,
        queue: Queue<'_>,
        napi: &Napi,
        outgoing: &mut Outgoing<'_>,
        packet: SkBuff,
    ) -> Sent {
        let (sent, told) = outgoing.transmitter.send(queue, packet);
        if told {
            let sending = outgoing.transmitter.is_sending();
            let was_sending = core::mem::replace(&mut outgoing.sending, sending);
            if sending != was_sending {
                self.sending.store(sending, Relaxed);
            }
            // A poll asks for the interrupt that tells when the rest is sent. And an answer that
            // has come already need not wait for its own.
            if sending && !was_sending || !napi.is_scheduled() && outgoing.incoming.is_ready() {
                napi.schedule(|| {});
            }
        }
        sent
    }

    fn is_sending(&self) -> bool {
        self.sending.load(Relaxed)
    }

    fn reclaim(&self, queue: Queue<'_>, outgoing: &mut Outgoing<'_>, poll: &Poll<'_>) -> bool {
        outgoing.transmitter.reclaim(queue, Some(poll));
        outgoing.sending = outgoing.transmitter.is_sending();
        self.sending.store(outgoing.sending, Relaxed);
        outgoing.sending
    }

    fn poll(&self, dev: &Device, receiver: &mut Receiver<'_>, poll: &Poll<'_>) -> u32 {
        if self.link_changed.load(Relaxed) && self.link_changed.xchg(false, Full) {
            self.tell_link(dev);
        }
        receiver.receive(dev, poll)
    }

    fn rearm(&self, sending: bool) {
        let sent = if sending {
            ICR::TRANSMIT_WRITTEN_MASK
        } else {
            0
        };
        self.hardware.unmask(CAUSES | sent);
    }

    fn transmit_timed_out(&self, _dev: &Device) {
        dev_err!(
            self.dev,
            "nothing was sent for too long; the card is reset\n"
        );
    }

    fn set_filter(&self, filter: Filter<'_>) {
        self.hardware.set_filter(filter);
    }

    fn set_address(&self, address: &MacAddress) {
        self.hardware.set_address(address);
    }

    fn set_features(&self, features: Features) {
        self.hardware
            .set_receive_checksum(features.has(Features::RECEIVE_CHECKSUM));
    }

    fn errors(&self) -> Errors {
        self.hardware.errors()
    }

    fn link(&self) -> Option<Link> {
        self.hardware.link()
    }

    fn ring_sizes(&self) -> RingSizes {
        RingSizes {
            receive: self.receive_len.load(Relaxed),
            transmit: self.transmit_len.load(Relaxed),
        }
    }

    fn largest_rings(&self) -> RingSizes {
        RingSizes {
            receive: MOST,
            transmit: MOST,
        }
    }

    fn set_ring_sizes(&self, sizes: RingSizes) {
        let round = |len: u32| len.clamp(FEWEST, MOST).next_power_of_two();
        self.receive_len.store(round(sizes.receive), Relaxed);
        self.transmit_len.store(round(sizes.transmit), Relaxed);
    }
}
