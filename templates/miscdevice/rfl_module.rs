// SPDX-License-Identifier: GPL-2.0

//! A device file that keeps what is written to it.
//!
//! Writing to `/dev/rfl_module` appends, and everyone who reads it sees the
//! same bytes. It holds [`CAPACITY`] of them; opening it with `O_TRUNC` (the shell's `>`) makes it
//! empty again.

use kernel::{
    fs::{
        file,
        File,
        Kiocb, //
    },
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    prelude::*,
    sync::global_lock, //
};

module! {
    type: RflModule,
    name: "rfl_module",
    authors: ["Your Name"],
    description: "A device file that keeps what is written to it",
    license: "GPL",
}

/// How many bytes the device holds.
const CAPACITY: usize = 4096;

/// What was written so far.
///
/// # Invariants
///
/// `len` is at most [`CAPACITY`].
struct Buffer {
    bytes: [u8; CAPACITY],
    len: usize,
}

global_lock! {
    // SAFETY: Initialized in `RflModule::init`, before there is a device that uses it.
    unsafe(uninit) static BUFFER: Mutex<Buffer> = Buffer {
        bytes: [0; CAPACITY],
        len: 0,
    };
}

#[pin_data]
struct RflModule {
    /// The device file is there for as long as this is.
    #[pin]
    _device: MiscDeviceRegistration<OpenFile>,
}

impl kernel::InPlaceModule for RflModule {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        // SAFETY: A module is initialized once.
        unsafe { BUFFER.init() };

        try_pin_init!(Self {
            _device <- MiscDeviceRegistration::register(MiscDeviceOptions {
                name: c"rfl_module",
            }),
        })
    }
}

/// One open file. The kernel keeps its position; what else belongs to it would be a field here.
struct OpenFile;

#[vtable]
impl MiscDevice for OpenFile {
    type Ptr = KBox<Self>;

    fn open(file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Self::Ptr> {
        let this = KBox::new(OpenFile, GFP_KERNEL)?;

        if file.flags() & file::flags::O_TRUNC != 0 {
            BUFFER.lock().len = 0;
        }

        Ok(this)
    }

    fn read_iter(mut kiocb: Kiocb<'_, Self::Ptr>, iov: &mut IovIterDest<'_>) -> Result<usize> {
        let buffer = BUFFER.lock();

        // PANIC: By the type invariants, `len` does not exceed the array.
        iov.simple_read_from_buffer(kiocb.ki_pos_mut(), &buffer.bytes[..buffer.len])
    }

    fn write_iter(_kiocb: Kiocb<'_, Self::Ptr>, iov: &mut IovIterSource<'_>) -> Result<usize> {
        if iov.is_empty() {
            return Ok(0);
        }

        let mut buffer = BUFFER.lock();
        let Buffer { bytes, len } = &mut *buffer;

        // PANIC: By the type invariants, `len` does not exceed the array.
        let room = &mut bytes[*len..];
        if room.is_empty() {
            return Err(ENOSPC);
        }

        // What does not fit any more is the caller's to write again, as with any other file.
        let written = iov.copy_from_iter(room);
        if written == 0 {
            return Err(EFAULT);
        }

        // INVARIANT: At most `room` was written, which is what was left up to `CAPACITY`.
        *len += written;

        Ok(written)
    }
}
