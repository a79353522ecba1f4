// SPDX-License-Identifier: GPL-2.0

//! A device without hardware or bus: a dial that can be turned from 0 to 10.
//!
//! It shows up as `/sys/bus/faux/devices/rfl_module`. Its files are in
//! `/sys/kernel/debug/rfl_module/`: `position` can be read and written, and `turns`
//! counts the writes that were accepted. (Close them before you remove the module: Linux 7.3 does
//! not keep a module for the sake of an open debugfs file, and oopses when it is closed later.)

use kernel::{
    debugfs::{
        Scope,
        ScopedDir, //
    },
    device::Device,
    faux,
    fmt,
    new_mutex,
    prelude::*,
    sync::{
        aref::ARef,
        Mutex, //
    },
    uaccess::UserSliceReader, //
};

module! {
    type: RflModule,
    name: "rfl_module",
    authors: ["Your Name"],
    description: "A device without hardware",
    license: "GPL",
}

/// The name of the device, and of its folder in debugfs.
const NAME: &CStr = c"rfl_module";

/// The last position of the dial.
const MAX: u8 = 10;

/// What changes while the module is loaded.
struct State {
    position: u8,
    turns: u64,
}

/// The device's data.
#[pin_data]
struct Dial {
    device: ARef<Device>,
    #[pin]
    state: Mutex<State>,
}

impl Dial {
    fn new(device: &Device) -> impl PinInit<Self> + '_ {
        pin_init!(Self {
            device: device.into(),
            state <- new_mutex!(State { position: 0, turns: 0 }),
        })
    }

    /// Fills the device's folder in debugfs.
    fn create_files<'a>(&'a self, dir: &ScopedDir<'a, '_>) {
        dir.read_write_callback_file(c"position", self, &Self::show, &Self::store);
        dir.read_callback_file(c"turns", self, &Self::show_turns);
    }

    /// Answers a read of `position`.
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.state.lock().position)
    }

    /// Answers a read of `turns`.
    fn show_turns(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.state.lock().turns)
    }

    /// Takes what was written to `position`: a number, as a rule with a new line after it.
    fn store(&self, reader: &mut UserSliceReader) -> Result {
        let mut buffer = [0; 8];
        let text = buffer.get_mut(..reader.len()).ok_or(EINVAL)?;
        reader.read_slice(text)?;

        let text = core::str::from_utf8(text).map_err(|_| EINVAL)?;
        let position = text.trim().parse::<u8>().map_err(|_| EINVAL)?;
        if position > MAX {
            dev_err!(self.device, "the dial ends at {MAX}\n");
            return Err(ERANGE);
        }

        let mut state = self.state.lock();
        state.position = position;
        state.turns += 1;
        dev_info!(self.device, "turned to {position}\n");

        Ok(())
    }
}

struct RflModule {
    // Fields are dropped in this order: the files go before the device whose state they show.
    _files: Pin<KBox<Scope<Dial>>>,
    _device: faux::Registration,
}

impl kernel::Module for RflModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let registration = faux::Registration::new(NAME, None)?;
        let device: &Device = registration.as_ref().as_ref();

        let files = Scope::dir(Dial::new(device), NAME, Dial::create_files);
        dev_info!(device, "here is the dial\n");

        Ok(RflModule {
            _files: KBox::pin_init(files, GFP_KERNEL)?,
            _device: registration,
        })
    }
}
