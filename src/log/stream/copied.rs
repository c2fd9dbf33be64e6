//! What a copy holds of its stream.

use std::fmt::{self, Write};

use super::marker;
use super::message::ChainValue;
use crate::domain::Position;
use crate::log::disk::ReadDisk;
use crate::log::{LogError, SealedFrame};

/// The frames of a copy up to one of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::log) struct Copied {
    pub(super) frames: u64,
    /// The position of the last event.
    pub(super) last: Position,
    /// The chain value before the last frame.
    pub(super) chain: ChainValue,
    /// The last frame's header, as it is in the stream.
    pub(super) header: Vec<u8>,
}

/// Follows the frames of a copy.
#[derive(Debug, Clone, Default)]
pub(in crate::log) struct CopyScan {
    pub(super) copied: Copied,
    /// The frames up to here may have been rewritten. Their headers are no longer those in the stream.
    scrubbed: Copied,
}

impl CopyScan {
    /// Begins to follow the copy on this disk.
    pub(in crate::log) fn begin(disk: &impl ReadDisk) -> Result<Self, LogError> {
        Ok(Self { copied: Copied::default(), scrubbed: marker::scrubbed(disk)? })
    }

    /// Adds the next frame.
    pub(in crate::log) fn add(&mut self, frame: &SealedFrame<'_>) {
        let Self { copied, scrubbed } = self;
        if copied.frames > 0 {
            copied.chain = copied.chain.after(&copied.header);
        }
        copied.frames += 1;
        copied.last = Position(frame.first.0 + u64::from(frame.count) - 1);
        copied.header.clear();
        copied.header.extend_from_slice(frame.header());
        if copied.last == scrubbed.last {
            copied.clone_from(scrubbed);
        }
    }

    /// Returns the frames so far, if they go beyond those that may have been rewritten before.
    pub(in crate::log) fn newly_passed(&self) -> Option<&Copied> {
        Some(&self.copied).filter(|copied| copied.last > self.scrubbed.last)
    }

    /// Returns the frames so far.
    pub(in crate::log) fn copied(&self) -> &Copied {
        &self.copied
    }
}

impl fmt::Display for Copied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { frames, last, chain, header } = self;
        write!(f, "{frames} {last} {} {}", hex(&chain.to_bytes()), hex(header))
    }
}

impl Copied {
    /// Returns `None` if the text was not written by [`Display`](fmt::Display).
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let (frames, last) = (words.next()?.parse().ok()?, words.next()?.parse().ok().map(Position)?);
        let chain = ChainValue::from_bytes(unhex(words.next()?)?.try_into().ok()?);
        let header = unhex(words.next()?)?;
        words.next().is_none().then_some(Self { frames, last, chain, header })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a text grows");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    rest.is_empty().then(|| pairs.iter().map(byte).collect())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_copied_is_read_as_it_was_written() {
        let chain = ChainValue::default().after(b"a header");
        let copied = Copied { frames: 7, last: Position(4711), chain, header: vec![0, 0xff, 16] };
        assert_eq!(Copied::parse(&copied.to_string()), Some(copied.clone()));
        for broken in ["", "7 4711", "7 4711 00 00", &format!("{copied} 1"), &copied.to_string()[1..]] {
            assert_eq!(Copied::parse(broken), None, "{broken}");
        }
    }
}
