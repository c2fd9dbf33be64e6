//! The state of a simulated disk, and how much of a call it does.

use std::io;
use std::time::Duration;

use super::chance::Chance;
use super::contents::Contents;
use super::names::Names;
use super::{Among, Call, Fault, Lie, Stop};
use crate::log::segment;

#[derive(Default)]
pub(super) struct State {
    pub(super) names: Names,
    pub(super) files: Vec<Contents>,
    pub(super) chance: Chance,
    /// Maximum bytes in all named files; `None` is no limit.
    pub(super) bytes_max: Option<usize>,
    /// Maximum bytes of a file that is written; `None` is no limit.
    pub(super) file_bytes_max: Option<u64>,
    /// Whether a full disk may also refuse new names.
    pub(super) names_need_room: bool,
    /// Whether the disk cannot reserve room, as some file systems cannot.
    pub(super) cannot_allocate: bool,
    /// The kind of call that fails once, after this number of calls of its kind.
    pub(super) fault: Option<(Fault, usize)>,
    /// The stop that will happen after this number of these calls.
    pub(super) stop: Option<(Stop, usize, Among)>,
    /// The stop that has happened, and its call.
    pub(super) stopped: Option<(Stop, Call)>,
    /// Whether a call failed with EIO since the last crash or restart.
    pub(super) eio_met: bool,
    pub(super) lie: Option<Lie>,
    /// The time that each sync of a file takes.
    pub(super) sync_duration: Duration,
    pub(super) calls: Vec<Call>,
}

/// The part of a call that is done.
#[derive(PartialEq, Eq)]
pub(super) enum Extent {
    Whole,
    /// A part: this ends in the middle of the call.
    Cut(Stop),
}

pub(super) fn stopped() -> io::Error {
    io::Error::other("stopped")
}

impl State {
    pub(super) fn begin_again(&mut self) {
        self.stop = None;
        self.stopped = None;
        self.eio_met = false;
    }

    pub(super) fn add_file(&mut self, name: &str) -> usize {
        self.files.push(Contents::named(name));
        let index = self.files.len() - 1;
        self.names.create(name, index);
        index
    }

    /// Begins a call. On a stopped machine, every call fails.
    pub(super) fn call(&mut self, what: &'static str, name: &str) -> io::Result<Extent> {
        if self.stopped.is_some() {
            return Err(stopped());
        }
        let call = Call { what, name: name.to_owned() };
        let is_change = !matches!(what, "list" | "open" | "measure" | "read");
        match &mut self.stop {
            Some((_, _, Among::Changes)) if !is_change => {}
            Some((stop, 0, _)) => {
                let stop = *stop;
                self.stopped = Some((stop, call));
                return Ok(Extent::Cut(stop));
            }
            Some((_, more, _)) => *more -= 1,
            None => {}
        }
        if is_change || what == "read" {
            self.calls.push(call);
        }
        Ok(Extent::Whole)
    }

    /// Begins a call that does nothing if it is cut.
    pub(super) fn call_whole(&mut self, what: &'static str, name: &str) -> io::Result<()> {
        match self.call(what, name)? {
            Extent::Whole => Ok(()),
            Extent::Cut(_) => Err(stopped()),
        }
    }

    /// Begins a call that changes a name. Returns whether the change is made; if the call is cut, by chance.
    pub(super) fn call_for_name(&mut self, what: &'static str, name: &str) -> io::Result<bool> {
        match self.call(what, name)? {
            // If the machine stops, the crash decides whether the change survives.
            Extent::Whole | Extent::Cut(Stop::Machine) => Ok(true),
            Extent::Cut(Stop::Process) => Ok(self.chance.below(2) == 1),
        }
    }

    pub(super) fn answer(&self) -> io::Result<()> {
        if self.stopped.is_some() { Err(stopped()) } else { Ok(()) }
    }

    pub(super) fn fault_now(&mut self, fault: Fault) -> bool {
        match &mut self.fault {
            Some((set, 0)) if *set == fault => {
                self.fault = None;
                self.eio_met = true;
                true
            }
            Some((set, more)) if *set == fault => {
                *more -= 1;
                false
            }
            Some(_) | None => false,
        }
    }

    pub(super) fn used(&self) -> usize {
        self.names.all().map(|(_, index)| self.files[index].cache().len()).sum()
    }

    pub(super) fn find_room_for_name(&mut self) -> io::Result<()> {
        let is_full =
            self.names_need_room && self.bytes_max.is_some_and(|bytes_max| self.used() >= bytes_max);
        if is_full && self.chance.one_in(3) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    /// Returns the length to which a file can grow, at most `len`.
    pub(super) fn reach(&self, index: usize, len: usize) -> usize {
        let there = self.files[index].cache().len();
        let Some(bytes_max) = self.bytes_max.filter(|_| len > there) else { return len };
        len.min(there + bytes_max.saturating_sub(self.used()))
    }

    pub(super) fn lies_about_write(&self, index: usize, bytes: &[u8]) -> bool {
        let is_segment = segment::first_in_name(&self.files[index].name).is_some();
        let zeros = || bytes.iter().all(|&byte| byte == 0);
        match self.lie {
            Some(Lie::SegmentWrite) => is_segment && !zeros(),
            Some(Lie::SegmentZeroing) => is_segment && zeros(),
            Some(Lie::SegmentSync | Lie::HeaderSync | Lie::DirectorySync) | None => false,
        }
    }

    pub(super) fn lies_about_sync(&self, index: usize) -> bool {
        let file = &self.files[index];
        match self.lie {
            Some(Lie::SegmentSync) => segment::first_in_name(&file.name).is_some(),
            Some(Lie::HeaderSync) => file.name.starts_with("spare") && file.cache().starts_with(b"CHINWAG\n"),
            Some(Lie::DirectorySync | Lie::SegmentWrite | Lie::SegmentZeroing) | None => false,
        }
    }
}

pub(super) fn eio() -> io::Error {
    io::Error::other("EIO")
}
