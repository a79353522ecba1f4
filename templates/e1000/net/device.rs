// SPDX-License-Identifier: GPL-2.0

//! Network devices: their life, the callbacks of a driver, and what these may do.
//!
//! A [`Registration`] owns a `struct net_device`, in whose private area a [`Driver`] lies. What a
//! driver needs only while its interface is up are two values which [`Driver::open`] returns, one
//! for each of the two ways that a packet goes. Whoever has the lock of the transmit queue has
//! `&mut` to the one, as C takes that lock for `ndo_start_xmit`; whoever polls has `&mut` to the
//! other, as one poll runs at a time. So a driver needs no lock of its own.
//!
//! C header: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h)

use super::{
    bindings,
    dma,
    ethtool,
    skb::{
        OnWire,
        SkBuff, //
    }, //
};
use core::{
    cell::{
        Cell,
        UnsafeCell, //
    },
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    device::{
        self,
        Bound, //
    },
    error::{
        from_result,
        to_result, //
    },
    irq::{
        self,
        IrqRequest,
        IrqReturn, //
    },
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic,
        Release, //
    },
    types::Opaque, //
};

/// A MAC address.
pub(crate) type MacAddress = [u8; 6];

/// What an interface offers to the stack.
#[derive(Clone, Copy)]
pub(crate) struct Features(u64);

impl Features {
    /// Packets may lie in several pieces.
    pub(crate) const SCATTER_GATHER: Self = Self(1 << bindings::NETIF_F_SG_BIT);
    /// The hardware computes a checksum from anywhere to anywhere.
    pub(crate) const CHECKSUM: Self = Self(1 << bindings::NETIF_F_HW_CSUM_BIT);
    /// The hardware cuts TCP over IPv4 into segments.
    pub(crate) const SEGMENTATION: Self = Self(1 << bindings::NETIF_F_TSO_BIT);
    /// The hardware looks at the checksums of what it receives.
    pub(crate) const RECEIVE_CHECKSUM: Self = Self(1 << bindings::NETIF_F_RXCSUM_BIT);

    /// These and those.
    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of those are among these.
    pub(crate) const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What became of a packet that was to be sent.
pub(crate) enum Sent {
    /// It is on its way, or was dropped.
    Taken,
    /// There was no room for it, and the queue is stopped.
    Busy(SkBuff),
}

/// Which packets a device has to receive beside those for its own address and for all.
pub(crate) enum Filter<'a> {
    /// Every one.
    All,
    /// Those for any group.
    AllGroups,
    /// Those for these groups.
    Groups(Groups<'a>),
}

/// The groups that an interface has joined; their list is locked.
pub(crate) struct Groups<'a>(&'a Device);

impl Groups<'_> {
    /// Calls a function with each address.
    pub(crate) fn for_each(&self, mut each: impl FnMut(&MacAddress)) {
        let list = self.0.as_raw();
        // SAFETY: The device is valid, and its list of groups is locked. Its members are the
        // `list` of a `struct netdev_hw_addr`, up to the list's own head.
        unsafe {
            let head = &raw mut (*list).mc.list;
            let mut entry = (*head).next;
            while entry != head {
                let address = kernel::container_of!(entry, bindings::netdev_hw_addr, list);
                each(&*(&raw const (*address).addr).cast::<MacAddress>());
                entry = (*entry).next;
            }
        }
    }
}

/// Speed and duplex of a link.
pub(crate) struct Link {
    /// In megabits a second.
    pub(crate) speed: u32,
    /// Whether both sides may send at once.
    pub(crate) full_duplex: bool,
}

/// How many descriptors the rings have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct RingSizes {
    /// For what is received.
    pub(crate) receive: u32,
    /// For what is sent.
    pub(crate) transmit: u32,
}

/// Packets that the hardware could not receive, and so on: what only it can count.
#[derive(Clone, Copy, Default)]
pub(crate) struct Errors {
    /// Frames with a bad checksum.
    pub(crate) crc: u64,
    /// Frames of a bad length.
    pub(crate) length: u64,
    /// Frames that there was no buffer for.
    pub(crate) missed: u64,
    /// Other errors of receiving.
    pub(crate) receive: u64,
    /// Errors of sending.
    pub(crate) transmit: u64,
    /// Collisions.
    pub(crate) collisions: u64,
}

/// A driver of a network device. It is dropped when the device is unregistered.
///
/// While the interface is up, the callbacks come in this order: `open`, `start`, `rearm`; any of
/// `interrupt`, `transmit`, `poll` and `rearm`; `halt`. The layer itself takes the interface down
/// and up again where a change needs it.
pub(crate) trait Driver: Send + Sync + Sized {
    /// The driver's name, for `/proc/interrupts`.
    const NAME: &'static CStr;

    /// What the driver needs to send.
    type Transmitter<'up>: Send
    where
        Self: 'up;

    /// What it needs to receive.
    type Receiver<'up>: Send
    where
        Self: 'up;

    /// The device's interrupt.
    fn interrupt_line(&self) -> Result<IrqRequest<'_>>;

    /// Allocates what the interface needs to be up. The hardware is at rest, and stays so.
    fn open<'up>(&'up self, dev: &Device) -> Result<(Self::Transmitter<'up>, Self::Receiver<'up>)>;

    /// Lets the hardware work with what `open` has made; it does not interrupt yet.
    fn start(
        &self,
        dev: &Device,
        transmitter: &mut Self::Transmitter<'_>,
        receiver: &mut Self::Receiver<'_>,
    );

    /// Stops the hardware: when this returns, it neither reads nor writes memory, and does not
    /// interrupt.
    fn halt(&self);

    /// Handles an interrupt, which may be another device's.
    fn interrupt(&self, napi: &Napi) -> IrqReturn;

    /// Sends a packet. There may be `more` to come at once.
    fn transmit(
        &self,
        dev: &Device,
        napi: &Napi,
        transmitter: &mut Self::Transmitter<'_>,
        packet: SkBuff,
        more: bool,
    ) -> Sent;

    /// Whether something was given to the hardware that [`Self::reclaim`] has not seen done.
    fn is_sending(&self) -> bool;

    /// Cleans up behind what was sent, in a poll.
    fn reclaim(&self, dev: &Device, transmitter: &mut Self::Transmitter<'_>, poll: &Poll<'_>);

    /// Receives up to `poll.budget()` packets and returns their number. Returning the whole budget
    /// says that there are more.
    fn poll(&self, dev: &Device, receiver: &mut Self::Receiver<'_>, poll: &Poll<'_>) -> u32;

    /// Lets the hardware interrupt: at the start, and after the last poll.
    fn rearm(&self);

    /// Says why nothing was sent for so long; the layer then takes the interface down and up.
    fn transmit_timed_out(&self, dev: &Device);

    /// Changes what is received.
    fn set_filter(&self, filter: Filter<'_>);

    /// Changes the interface's own address.
    fn set_address(&self, address: &MacAddress);

    /// Changes the offloads that the stack has switched on.
    fn set_features(&self, features: Features);

    /// What the hardware has counted so far.
    fn errors(&self) -> Errors;

    /// The link as the hardware sees it; [`None`] without one.
    fn link(&self) -> Option<Link>;

    /// The rings' sizes, of now or of the next time that the interface comes up.
    fn ring_sizes(&self) -> RingSizes;

    /// The most that [`Self::set_ring_sizes`] takes.
    fn largest_rings(&self) -> RingSizes;

    /// Takes the sizes for the next time that the interface comes up, rounded to what the hardware
    /// can do.
    fn set_ring_sizes(&self, sizes: RingSizes);
}

/// A network device.
///
/// # Invariants
///
/// It is a valid `struct net_device`.
#[repr(transparent)]
pub(crate) struct Device(Opaque<bindings::net_device>);

// SAFETY: The methods may be called on any CPU.
unsafe impl Sync for Device {}

impl Device {
    /// # Safety
    ///
    /// `dev` is valid for as long as the reference is used.
    pub(super) unsafe fn from_raw<'a>(dev: *mut bindings::net_device) -> &'a Self {
        // SAFETY: `Device` is a transparent wrapper.
        unsafe { &*dev.cast() }
    }

    pub(super) fn as_raw(&self) -> *mut bindings::net_device {
        self.0.get()
    }

    /// The largest payload of a packet, in bytes.
    pub(crate) fn mtu(&self) -> u32 {
        // SAFETY: By the type's invariants. C changes it under a lock, and reads it without.
        unsafe { (&raw const (*self.as_raw()).mtu).read_volatile() }
    }

    /// The interface's own address.
    pub(crate) fn address(&self) -> MacAddress {
        // SAFETY: By the type's invariants; an Ethernet device's address has six bytes.
        unsafe { *(*self.as_raw()).dev_addr.cast() }
    }

    /// The features that are switched on.
    pub(crate) fn features(&self) -> Features {
        // SAFETY: By the type's invariants.
        Features(unsafe { (*self.as_raw()).features })
    }

    /// Says that there is a link, or that there is none.
    pub(crate) fn set_carrier(&self, present: bool) {
        // SAFETY: By the type's invariants.
        unsafe {
            if present {
                bindings::netif_carrier_on(self.as_raw())
            } else {
                bindings::netif_carrier_off(self.as_raw())
            }
        }
    }

    /// Whether there is a link, as was said last.
    pub(crate) fn has_carrier(&self) -> bool {
        // SAFETY: By the type's invariants.
        unsafe { bindings::netif_carrier_ok(self.as_raw()) }
    }

    /// Lets no more packets come to be sent.
    pub(crate) fn stop_queue(&self) {
        // SAFETY: By the type's invariants.
        unsafe { bindings::netif_stop_queue(self.as_raw()) };
    }

    /// Lets packets come again, and those that wait.
    pub(crate) fn wake_queue(&self) {
        // SAFETY: By the type's invariants.
        unsafe { bindings::netif_wake_queue(self.as_raw()) };
    }

    /// Whether the queue was stopped.
    pub(crate) fn queue_stopped(&self) -> bool {
        // SAFETY: By the type's invariants.
        unsafe { bindings::netif_queue_stopped(self.as_raw()) }
    }

    /// Counts a packet that was put into the ring. Returns whether the hardware should be told.
    pub(crate) fn sent(&self, wire: OnWire, more: bool) -> bool {
        // SAFETY: By the type's invariants.
        unsafe {
            bindings::dev_sw_netstats_tx_add(self.as_raw(), wire.packets, wire.bytes);
            bindings::__netdev_sent_queue(self.as_raw(), wire.in_ring, more)
        }
    }

    /// Counts packets that the hardware is done with, and their length in the ring.
    pub(crate) fn completed(&self, packets: u32, in_ring: u32) {
        // SAFETY: By the type's invariants.
        unsafe { bindings::netdev_completed_queue(self.as_raw(), packets, in_ring) };
    }

    /// Counts a packet that is not sent, although it should be.
    pub(crate) fn transmit_dropped(&self) {
        // SAFETY: By the type's invariants.
        unsafe { bindings::dev_core_stats_tx_dropped_inc(self.as_raw()) };
    }

    /// Counts a packet that is lost for want of memory.
    pub(crate) fn receive_dropped(&self) {
        // SAFETY: By the type's invariants.
        unsafe { bindings::dev_core_stats_rx_dropped_inc(self.as_raw()) };
    }
}

/// What schedules a poll.
#[repr(transparent)]
pub(crate) struct Napi(Opaque<bindings::napi_struct>);

impl Napi {
    /// Asks for a poll. `mask` is called before it begins; it is not if a poll is due anyway, or
    /// goes on, in which case there will be another.
    pub(crate) fn schedule(&self, mask: impl FnOnce()) {
        // SAFETY: It is a valid `struct napi_struct`, which was added to its device.
        unsafe {
            if bindings::napi_schedule_prep(self.0.get()) {
                mask();
                bindings::__napi_schedule(self.0.get());
            }
        }
    }

    /// Whether a poll is due, or goes on.
    pub(crate) fn is_scheduled(&self) -> bool {
        // SAFETY: It is valid. Others change the word at any time, and one look at it will do.
        let state = unsafe { (&raw const (*self.0.get()).state).read_volatile() };
        state & (1 << bindings::NAPI_STATE_SCHED) != 0
    }
}

/// A poll that is going on.
pub(crate) struct Poll<'a> {
    dev: &'a Device,
    napi: *mut bindings::napi_struct,
    budget: c_int,
    /// How many packets, and bytes, were received.
    received: Cell<(u32, u32)>,
}

impl Poll<'_> {
    /// How many packets may be received.
    pub(crate) fn budget(&self) -> u32 {
        // CAST: C's budget is not negative.
        self.budget as u32
    }

    /// A new packet with `len` bytes of room, or null.
    pub(super) fn alloc(&self, len: u32) -> *mut bindings::sk_buff {
        // SAFETY: We are in the poll of this `struct napi_struct`.
        unsafe { bindings::napi_alloc_skb(self.napi, len) }
    }

    /// Hands a packet to the stack, which merges it with others if it can.
    pub(crate) fn receive(&self, packet: SkBuff) {
        let (packets, bytes) = self.received.get();
        self.received.set((packets + 1, bytes + packet.len()));
        let skb = packet.into_raw();
        // SAFETY: The packet was ours, and we are in the poll of this `struct napi_struct`.
        unsafe {
            bindings::skb_set_protocol(skb, self.dev.as_raw());
            bindings::gro_receive_skb(&raw mut (*self.napi).gro, skb);
        }
    }
}

impl Drop for Poll<'_> {
    fn drop(&mut self) {
        let (packets, bytes) = self.received.get();
        if packets > 0 {
            // SAFETY: The device is valid, and we are still on the CPU that polls.
            unsafe { bindings::dev_sw_netstats_rx_add(self.dev.as_raw(), packets, bytes) };
        }
    }
}

/// What the private area of a `struct net_device` holds.
#[repr(C)]
pub(super) struct Private<T: Driver> {
    napi: Opaque<bindings::napi_struct>,
    /// Takes the interface down and up when nothing was sent for too long.
    restart: Opaque<bindings::work_struct>,
    /// An [`Up`] while the interface is up, else null.
    up: Atomic<*mut c_void>,
    pub(super) driver: T,
}

/// What there is while the interface is up.
struct Up<'up, T: Driver> {
    /// The first to be dropped.
    _line: Pin<KBox<irq::Registration<'up, Line<'up, T>>>>,
    transmitter: UnsafeCell<T::Transmitter<'up>>,
    receiver: UnsafeCell<T::Receiver<'up>>,
}

/// What handles the interrupt.
struct Line<'up, T: Driver> {
    napi: &'up Napi,
    driver: &'up T,
}

// SAFETY: `Napi` may be scheduled on any CPU, and `T` is `Sync`.
unsafe impl<T: Driver> Sync for Line<'_, T> {}

impl<T: Driver> irq::Handler for Line<'_, T> {
    fn handle(&self) -> IrqReturn {
        self.driver.interrupt(self.napi)
    }
}

impl<T: Driver> Private<T> {
    fn napi(&self) -> &Napi {
        // SAFETY: `Napi` is a transparent wrapper.
        unsafe { &*self.napi.get().cast() }
    }

    /// Brings the interface up.
    ///
    /// # Safety
    ///
    /// The RTNL lock is held, the interface is down, and `self` is the private area of `dev`.
    unsafe fn up<'up>(&'up self, dev: &Device) -> Result {
        let (transmitter, receiver) = self.driver.open(dev)?;
        let line = Line {
            napi: self.napi(),
            driver: &self.driver,
        };
        let request = self.driver.interrupt_line()?;
        // SAFETY: It is not forgotten: `down` drops it, at the latest when the device is
        // unregistered, and thus before `self`.
        let line =
            unsafe { irq::Registration::new(request, irq::Flags::SHARED, T::NAME, Ok(line)) };
        let mut up = KBox::new(
            Up::<'up, T> {
                _line: KBox::pin_init(line, GFP_KERNEL)?,
                transmitter: UnsafeCell::new(transmitter),
                receiver: UnsafeCell::new(receiver),
            },
            GFP_KERNEL,
        )?;

        let Up {
            transmitter,
            receiver,
            ..
        } = &mut *up;
        self.driver
            .start(dev, transmitter.get_mut(), receiver.get_mut());
        self.up.store(KBox::into_raw(up).cast(), Release);

        // SAFETY: The device is valid, NAPI was disabled while the interface was down, and the
        // list of groups is valid under its lock.
        unsafe {
            bindings::netif_addr_lock_bh(dev.as_raw());
            set_rx_mode::<T>(dev.as_raw());
            bindings::netif_addr_unlock_bh(dev.as_raw());
            bindings::napi_enable(self.napi.get());
            bindings::netif_trans_update(dev.as_raw());
            bindings::netif_start_queue(dev.as_raw());
        }
        // A link that is there by now can be used at once; of any other the hardware will tell.
        dev.set_carrier(self.driver.link().is_some());
        self.driver.rearm();
        Ok(())
    }

    /// Takes the interface down, if it is up.
    ///
    /// # Safety
    ///
    /// As for [`Self::up`].
    unsafe fn down<'up>(&'up self, dev: &Device) {
        let up = self.up.load(Acquire).cast::<Up<'up, T>>();
        if up.is_null() {
            return;
        }
        // SAFETY: The device is valid, and NAPI was enabled by `up`. From here on no poll runs, so
        // that nobody wakes the queue; and then no packet is being sent.
        unsafe {
            bindings::napi_disable(self.napi.get());
            bindings::netif_tx_disable(dev.as_raw());
            bindings::netif_carrier_off(dev.as_raw());
        }
        self.driver.halt();
        self.up.store(core::ptr::null_mut(), Release);
        // SAFETY: It comes from `up`, nobody sees it any more, and the hardware is at rest. Its
        // interrupt goes first.
        drop(unsafe { KBox::from_raw(up) });
        // SAFETY: The device is valid, and its queue is stopped.
        unsafe { bindings::netdev_reset_queue(dev.as_raw()) };
    }

    /// Takes the interface down and up, if it is up.
    ///
    /// # Safety
    ///
    /// The RTNL lock is held, and `self` is the private area of `dev`.
    unsafe fn restart(&self, dev: &Device) -> Result {
        if self.up.load(Acquire).is_null() {
            return Ok(());
        }
        // SAFETY: As the caller promises.
        unsafe {
            self.down(dev);
            self.up(dev)
        }
    }

    /// Makes a change that needs the interface to be down, by `change`; if it does not come up
    /// again, undoes the change by `undo`.
    ///
    /// # Safety
    ///
    /// The RTNL lock is held, and `self` is the private area of `dev`.
    pub(super) unsafe fn change(
        &self,
        dev: &Device,
        change: impl FnOnce(),
        undo: impl FnOnce(),
    ) -> Result {
        let was_up = !self.up.load(Acquire).is_null();
        change();
        // SAFETY: As the caller promises.
        let result = unsafe { self.restart(dev) };
        if result.is_err() && was_up {
            undo();
            // SAFETY: As the caller promises; the interface is down. If it stays so, C has to know.
            unsafe {
                if self.up(dev).is_err() {
                    bindings::dev_close(dev.as_raw());
                }
            }
        }
        result
    }
}

/// The callbacks.
///
/// # Safety
///
/// Each is called with a device that a [`Registration`] of `T` owns, and with the locks held that
/// `include/linux/netdevice.h` and Documentation/networking/netdevices.rst name.
struct Callbacks<T>(PhantomData<T>);

/// The driver's part of a device.
///
/// # Safety
///
/// A [`Registration`] of `T` owns the device.
pub(super) unsafe fn parts<'a, T: Driver + 'a>(
    dev: *mut bindings::net_device,
) -> (&'a Device, &'a Private<T>) {
    // SAFETY: As the caller promises.
    unsafe {
        let dev = Device::from_raw(dev);
        (dev, &*bindings::netdev_priv(dev.as_raw()).cast())
    }
}

impl<T: Driver> Callbacks<T> {
    const OPS: bindings::net_device_ops = bindings::net_device_ops {
        ndo_open: Some(Self::open),
        ndo_stop: Some(Self::stop),
        ndo_start_xmit: Some(Self::start_xmit),
        ndo_set_rx_mode: Some(set_rx_mode::<T>),
        ndo_set_mac_address: Some(Self::set_mac_address),
        ndo_validate_addr: Some(bindings::eth_validate_addr),
        ndo_change_mtu: Some(Self::change_mtu),
        ndo_tx_timeout: Some(Self::tx_timeout),
        ndo_get_stats64: Some(Self::get_stats64),
        ndo_set_features: Some(Self::set_features),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// See [`Callbacks`].
    unsafe extern "C" fn open(dev: *mut bindings::net_device) -> c_int {
        // SAFETY: See [`Callbacks`]; it is down, and RTNL is held.
        from_result(|| unsafe {
            let (dev, private) = parts::<T>(dev);
            private.up(dev).map(|()| 0)
        })
    }

    /// # Safety
    ///
    /// See [`Callbacks`].
    unsafe extern "C" fn stop(dev: *mut bindings::net_device) -> c_int {
        // SAFETY: See [`Callbacks`]; RTNL is held.
        unsafe {
            let (dev, private) = parts::<T>(dev);
            private.down(dev);
        }
        0
    }

    /// # Safety
    ///
    /// See [`Callbacks`].
    unsafe extern "C" fn start_xmit(
        skb: *mut bindings::sk_buff,
        dev: *mut bindings::net_device,
    ) -> bindings::netdev_tx_t {
        // SAFETY: See [`Callbacks`].
        let (dev, private) = unsafe { parts::<T>(dev) };
        // SAFETY: C gives us the packet.
        let packet = unsafe { SkBuff::from_raw(NonNull::new_unchecked(skb)) };
        let up = private.up.load(Acquire).cast::<Up<'_, T>>();
        if up.is_null() {
            dev.transmit_dropped();
            return bindings::netdev_tx_NETDEV_TX_OK;
        }
        // SAFETY: `up` is there until after `netif_tx_disable` in `down`, which waits for us; and
        // the lock of the one queue is held, so that nobody else has the transmitter.
        let transmitter = unsafe { &mut *(*up).transmitter.get() };
        // SAFETY: It reads a variable of this CPU, on which we stay.
        let more = unsafe { bindings::netdev_xmit_more() };
        match private
            .driver
            .transmit(dev, private.napi(), transmitter, packet, more)
        {
            Sent::Taken => bindings::netdev_tx_NETDEV_TX_OK,
            Sent::Busy(packet) => {
                packet.into_raw(); // C keeps it.
                bindings::netdev_tx_NETDEV_TX_BUSY
            }
        }
    }

    /// # Safety
    ///
    /// See [`Callbacks`].
    unsafe extern "C" fn poll(napi: *mut bindings::napi_struct, budget: c_int) -> c_int {
        // SAFETY: `napi` was added to a device that a registration of `T` owns.
        let (dev, private) = unsafe { parts::<T>((*napi).dev) };
        let up = private.up.load(Acquire).cast::<Up<'_, T>>();
        let poll = Poll {
            dev,
            napi,
            budget,
            received: Cell::new((0, 0)),
        };
        // SAFETY: `up` is there from before `napi_enable` until after `napi_disable`, which waits
        // for us. Who has the queue's lock has the transmitter; if somebody else does, he sends,
        // and reclaims by himself.
        unsafe {
            if private.driver.is_sending() && bindings::netdev_trylock_queue(dev.as_raw()) {
                let transmitter = &mut *(*up).transmitter.get();
                private.driver.reclaim(dev, transmitter, &poll);
                bindings::netdev_unlock_queue(dev.as_raw());
            }
        }
        // SAFETY: As above; and one poll runs at a time, so that nobody else has the receiver.
        let receiver = unsafe { &mut *(*up).receiver.get() };
        // CAST: It is at most the budget.
        let done = private.driver.poll(dev, receiver, &poll) as c_int;
        drop(poll);
        // SAFETY: We are in the poll of `napi`.
        if done < budget && unsafe { bindings::napi_complete_done(napi, done) } {
            private.driver.rearm();
        }
        done
    }

    /// # Safety
    ///
    /// See [`Callbacks`].
    unsafe extern "C" fn set_mac_address(
        dev: *mut bindings::net_device,
        address: *mut c_void,
    ) -> c_int {
        // SAFETY: See [`Callbacks`]; RTNL is held, and `address` is a `struct sockaddr`.
        from_result(|| unsafe {
            to_result(bindings::eth_prepare_mac_addr_change(dev, address))?;
            bindings::eth_commit_mac_addr_change(dev, address);
            let (dev, private) = parts::<T>(dev);
            private.driver.set_address(&dev.address());
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// See [`Callbacks`].
    unsafe extern "C" fn change_mtu(dev: *mut bindings::net_device, mtu: c_int) -> c_int {
        // SAFETY: See [`Callbacks`]; RTNL is held, and C has checked `mtu` against the device's
        // bounds.
        from_result(|| unsafe {
            let (dev, private) = parts::<T>(dev);
            let field = &raw mut (*dev.as_raw()).mtu;
            let old = field.read_volatile();
            private.change(
                dev,
                || field.write_volatile(mtu as u32),
                || field.write_volatile(old),
            )?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// See [`Callbacks`].
    unsafe extern "C" fn tx_timeout(dev: *mut bindings::net_device, _queue: c_uint) {
        // SAFETY: See [`Callbacks`]. The work is cancelled before the device goes.
        unsafe {
            let (dev, private) = parts::<T>(dev);
            private.driver.transmit_timed_out(dev);
            bindings::schedule_work(private.restart.get());
        }
    }

    /// # Safety
    ///
    /// See [`Callbacks`].
    unsafe extern "C" fn restart(work: *mut bindings::work_struct) {
        // SAFETY: `work` is the `restart` of a private area, whose device is there until the work
        // was cancelled. The device's unregistering takes it down first, under RTNL.
        unsafe {
            let private = kernel::container_of!(Opaque::cast_from(work), Private<T>, restart);
            let dev = (*(*private).napi.get()).dev;
            let (dev, private) = parts::<T>(dev);
            bindings::rtnl_lock();
            if bindings::netif_running(dev.as_raw()) && private.restart(dev).is_err() {
                bindings::dev_close(dev.as_raw());
            }
            bindings::rtnl_unlock();
        }
    }

    /// # Safety
    ///
    /// See [`Callbacks`].
    unsafe extern "C" fn get_stats64(
        dev: *mut bindings::net_device,
        stats: *mut bindings::rtnl_link_stats64,
    ) {
        // SAFETY: See [`Callbacks`]; `stats` is ours to fill.
        unsafe {
            let (dev, private) = parts::<T>(dev);
            bindings::dev_get_tstats64(dev.as_raw(), stats);
            let errors = private.driver.errors();
            (*stats).rx_crc_errors = errors.crc;
            (*stats).rx_length_errors = errors.length;
            (*stats).rx_missed_errors = errors.missed;
            (*stats).rx_errors = errors.crc + errors.length + errors.receive;
            (*stats).tx_errors = errors.transmit;
            (*stats).collisions = errors.collisions;
        }
    }

    /// # Safety
    ///
    /// See [`Callbacks`].
    unsafe extern "C" fn set_features(dev: *mut bindings::net_device, features: u64) -> c_int {
        // SAFETY: See [`Callbacks`].
        let (_, private) = unsafe { parts::<T>(dev) };
        private.driver.set_features(Features(features));
        0
    }
}

/// # Safety
///
/// A [`Registration`] of `T` owns the device, and the lock of its addresses is held.
unsafe extern "C" fn set_rx_mode<T: Driver>(dev: *mut bindings::net_device) {
    // SAFETY: As the caller promises.
    let (dev, private) = unsafe { parts::<T>(dev) };
    // SAFETY: The device is valid.
    let flags = unsafe { (*dev.as_raw()).flags };
    private
        .driver
        .set_filter(if flags & bindings::net_device_flags_IFF_PROMISC != 0 {
            Filter::All
        } else if flags & bindings::net_device_flags_IFF_ALLMULTI != 0 {
            Filter::AllGroups
        } else {
            Filter::Groups(Groups(dev))
        });
}

/// What a device has when it is registered.
pub(crate) struct Setup {
    /// Its own address.
    pub(crate) address: MacAddress,
    /// What the hardware can do; all of it is switched on.
    pub(crate) features: Features,
    /// The largest MTU in bytes.
    pub(crate) max_mtu: u32,
}

/// A network device that is registered; dropping it takes it down and unregisters it.
///
/// # Invariants
///
/// `dev` is registered, and its private area holds a valid `Private<T>`.
pub(crate) struct Registration<'bound, T: Driver + 'bound> {
    dev: NonNull<bindings::net_device>,
    _owns: PhantomData<(&'bound Device, T)>,
}

// SAFETY: A device may be unregistered on any CPU.
unsafe impl<T: Driver> Send for Registration<'_, T> {}

/// A device that was allocated; dropping it frees it.
struct Allocated(NonNull<bindings::net_device>);

impl Drop for Allocated {
    fn drop(&mut self) {
        // SAFETY: It was allocated, is not registered, and nobody else knows of it.
        unsafe { bindings::free_netdev(self.0.as_ptr()) };
    }
}

impl<'bound, T: Driver + 'bound> Registration<'bound, T> {
    /// Registers an Ethernet device with one queue, below the device that carries it.
    pub(crate) fn new(
        parent: &'bound device::Device<Bound>,
        setup: Setup,
        driver: T,
    ) -> Result<Self> {
        const {
            // C aligns the private area to a cache line, which is that long at least.
            assert!(align_of::<Private<T>>() <= 32);
        }
        let size = c_int::try_from(size_of::<Private<T>>())?;
        // SAFETY: It only allocates.
        let dev = unsafe { bindings::alloc_etherdev_mqs(size, 1, 1) };
        let dev = NonNull::new(dev).ok_or(ENOMEM)?;
        let allocated = Allocated(dev);
        let dev = dev.as_ptr();

        // SAFETY: The device is ours alone until it is registered, and its private area is zeroed,
        // aligned for any type, and as large as a `Private<T>`.
        let private = unsafe {
            let private = bindings::netdev_priv(dev).cast::<Private<T>>();
            (&raw mut (*private).up).write(Atomic::new(core::ptr::null_mut()));
            (&raw mut (*private).driver).write(driver);

            bindings::SET_NETDEV_DEV(dev, dma::as_raw(parent));
            bindings::netdev_use_tstats(dev);
            bindings::netdev_allow_live_address_change(dev);
            bindings::eth_hw_addr_set(dev, setup.address.as_ptr());
            (*dev).netdev_ops = &Callbacks::<T>::OPS;
            (*dev).ethtool_ops = ethtool::ops::<T>();
            (*dev).hw_features = setup.features.0;
            (*dev).vlan_features = setup.features.0;
            (*dev).features |= setup.features.0;
            (*dev).max_mtu = setup.max_mtu;
            bindings::netif_napi_add(dev, (*private).napi.get(), Some(Callbacks::<T>::poll));
            bindings::INIT_WORK((*private).restart.get(), Some(Callbacks::<T>::restart));
            bindings::netif_carrier_off(dev);
            private
        };

        // SAFETY: The device has all that it needs.
        if let Err(error) = to_result(unsafe { bindings::register_netdev(dev) }) {
            // SAFETY: `driver` was written above, and nobody uses it.
            unsafe { core::ptr::drop_in_place(&raw mut (*private).driver) };
            return Err(error);
        }
        core::mem::forget(allocated);
        // INVARIANT: As was done above.
        Ok(Self {
            dev: NonNull::new(dev).ok_or(EINVAL)?,
            _owns: PhantomData,
        })
    }
}

impl<T: Driver> Drop for Registration<'_, T> {
    fn drop(&mut self) {
        let _allocated = Allocated(self.dev);
        let dev = self.dev.as_ptr();

        // SAFETY: By the type's invariants. Unregistering takes the device down; then the work
        // finds nothing to do, nobody schedules it again, and nobody else uses the driver.
        unsafe {
            bindings::unregister_netdev(dev);
            let private = bindings::netdev_priv(dev).cast::<Private<T>>();
            bindings::cancel_work_sync((*private).restart.get());
            core::ptr::drop_in_place(&raw mut (*private).driver);
        }
    }
}
