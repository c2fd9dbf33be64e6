//! Lines of stdin, numbered, of bounded length.

use std::io::{BufRead, Read};

use super::ToolError;

/// The longest line, bytes. No event is longer: it came in a request's body of at most half of this.
pub(super) const LINE_BYTES_MAX: u64 = 128 * 1024 * 1024;

pub(super) struct Lines<R> {
    input: R,
    bytes_max: u64,
    number: u64,
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R, bytes_max: u64) -> Self {
        Self { input, bytes_max, number: 0, line: Vec::new() }
    }

    /// Goes on to the next line; false if there is none.
    pub(super) fn advance(&mut self) -> Result<bool, ToolError> {
        self.line.clear();
        let mut input = (&mut self.input).take(self.bytes_max + 1);
        input.read_until(b'\n', &mut self.line).map_err(ToolError::Input)?;
        self.number += 1;
        if self.line.len() as u64 > self.bytes_max {
            return Err(self.bad(format!("it is longer than {} bytes", self.bytes_max)));
        }
        Ok(!self.line.is_empty())
    }

    /// The line that it has come to.
    pub(super) fn line(&self) -> &[u8] {
        &self.line
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// What to say of that line.
    pub(super) fn bad(&self, what: String) -> ToolError {
        ToolError::BadLine { number: self.number, what }
    }
}
