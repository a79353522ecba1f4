// SPDX-License-Identifier: GPL-2.0

//! A queue between one producer and one consumer, without a lock.
//!
//! It is what a ring of descriptors needs beside it: the producer puts in what belongs to each
//! descriptor that it fills, the consumer takes it out when the device is done with it, and the
//! two may be on different CPUs.

use core::{
    cell::UnsafeCell,
    mem::MaybeUninit, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        Arc, //
    }, //
};

/// What both ends share.
///
/// # Invariants
///
/// - The number of slots is a power of two, and `tail - head`, wrapping, is at most that number.
/// - The slots from `head` to `tail`, modulo their number, hold values for the consumer; the
///   others are for the producer.
struct Shared<T> {
    slots: KVec<UnsafeCell<MaybeUninit<T>>>,
    /// How many values were taken out, wrapping.
    head: Atomic<usize>,
    /// How many values were put in, wrapping.
    tail: Atomic<usize>,
}

// SAFETY: A slot belongs to one end at a time, and passes to the other by a store with release
// semantics that is seen by a load with acquire semantics.
unsafe impl<T: Send> Sync for Shared<T> {}

// SAFETY: It owns its values.
unsafe impl<T: Send> Send for Shared<T> {}

impl<T> Shared<T> {
    fn slot(&self, index: usize) -> *mut T {
        // The number of slots is a power of two.
        self.slots[index & (self.slots.len() - 1)].get().cast()
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        let (mut head, tail) = (self.head.load(Relaxed), self.tail.load(Relaxed));
        while head != tail {
            // SAFETY: Both ends are gone, and by the invariants this slot holds a value.
            unsafe { core::ptr::drop_in_place(self.slot(head)) };
            head = head.wrapping_add(1);
        }
    }
}

/// The end that puts values in: several at once, or none of them.
///
/// # Invariants
///
/// The `staged` slots behind the queue's tail hold values, which the consumer does not see yet.
pub(crate) struct Producer<T> {
    shared: Arc<Shared<T>>,
    staged: usize,
}

/// The end that takes values out.
pub(crate) struct Consumer<T> {
    shared: Arc<Shared<T>>,
}

/// Makes a queue for `len` values, a power of two.
pub(crate) fn queue<T: Send>(len: usize) -> Result<(Producer<T>, Consumer<T>)> {
    if !len.is_power_of_two() {
        return Err(EINVAL);
    }
    let mut slots = KVec::with_capacity(len, GFP_KERNEL)?;
    for _ in 0..len {
        slots.push(UnsafeCell::new(MaybeUninit::uninit()), GFP_KERNEL)?;
    }
    // INVARIANT: No slot holds a value.
    let shared = Arc::new(
        Shared {
            slots,
            head: Atomic::new(0),
            tail: Atomic::new(0),
        },
        GFP_KERNEL,
    )?;
    let producer = Producer {
        shared: shared.clone(),
        staged: 0,
    };
    Ok((producer, Consumer { shared }))
}

impl<T> Producer<T> {
    /// How many values were put in, wrapping, without those that are only staged.
    pub(crate) fn tail(&self) -> usize {
        // Only this end stores it.
        self.shared.tail.load(Relaxed)
    }

    /// How many values there is room for.
    pub(crate) fn room(&self) -> usize {
        let used = self.tail().wrapping_sub(self.shared.head.load(Acquire)) + self.staged;
        self.shared.slots.len() - used
    }

    /// Puts a value behind those that were staged before; the consumer does not see it yet.
    ///
    /// Fails with `ENOSPC`, and drops the value, if there is no room.
    pub(crate) fn stage(&mut self, value: T) -> Result {
        if self.room() == 0 {
            return Err(ENOSPC);
        }
        let slot = self.shared.slot(self.tail().wrapping_add(self.staged));
        // SAFETY: There is room, so by the invariants the slot is ours and holds no value.
        unsafe { slot.write(value) };
        // INVARIANT: That slot now holds a value.
        self.staged += 1;
        Ok(())
    }

    /// Lets the consumer see what was staged.
    pub(crate) fn commit(&mut self) {
        let tail = self.tail().wrapping_add(self.staged);
        // INVARIANT: The slots up to the new tail hold values, and are the consumer's from now on.
        self.staged = 0;
        self.shared.tail.store(tail, Release);
    }

    /// Drops what was staged.
    pub(crate) fn abort(&mut self) {
        while self.staged > 0 {
            // INVARIANT: The last slot is not counted any more when its value goes.
            self.staged -= 1;
            let slot = self.shared.slot(self.tail().wrapping_add(self.staged));
            // SAFETY: By the invariants it holds a value.
            unsafe { core::ptr::drop_in_place(slot) };
        }
    }
}

impl<T> Drop for Producer<T> {
    fn drop(&mut self) {
        self.abort();
    }
}

impl<T> Consumer<T> {
    /// How many values were taken out, wrapping.
    fn head(&self) -> usize {
        // Only this end stores it.
        self.shared.head.load(Relaxed)
    }

    /// How many values the producer sees room for.
    pub(crate) fn room(&self) -> usize {
        self.shared.slots.len() - self.shared.tail.load(Relaxed).wrapping_sub(self.head())
    }

    /// Whether there is no value.
    pub(crate) fn is_empty(&self) -> bool {
        self.peek().is_none()
    }

    /// The value that comes next.
    pub(crate) fn peek(&self) -> Option<&T> {
        let head = self.head();
        if head == self.shared.tail.load(Acquire) {
            return None;
        }
        // SAFETY: By the invariants the slot holds a value, and is ours until `pop`.
        Some(unsafe { &*self.shared.slot(head) })
    }

    /// Takes the next value out.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let head = self.head();
        if head == self.shared.tail.load(Acquire) {
            return None;
        }
        // SAFETY: By the invariants the slot holds a value; it is not read again, as the slot is
        // the producer's after the store below.
        let value = unsafe { self.shared.slot(head).read() };
        // INVARIANT: The slot holds no value any more.
        self.shared.head.store(head.wrapping_add(1), Release);
        Some(value)
    }
}
