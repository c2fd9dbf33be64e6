//! Reads lines one by one, with their numbers and with a maximum length.

use std::io::{BufRead, Read};

use super::ToolError;

/// Maximum bytes of a line. An event is shorter: it came in a request whose body had at most half of this.
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

    /// Reads the next line. Returns whether there is one.
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

    /// Returns the current line.
    pub(super) fn line(&self) -> &[u8] {
        &self.line
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Returns the error for the current line.
    pub(super) fn bad(&self, what: String) -> ToolError {
        ToolError::BadLine { number: self.number, what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &str) -> Result<Vec<String>, String> {
        let mut lines = Lines::new(input.as_bytes(), 5);
        let mut read = Vec::new();
        while lines.advance().map_err(|error| error.to_string())? {
            read.push(String::from_utf8(lines.line().to_vec()).expect("text"));
        }
        Ok(read)
    }

    #[test]
    fn the_last_line_need_not_end() {
        assert_eq!(read("").expect("nothing"), [""; 0]);
        assert_eq!(read("one\n\ntwo").expect("short"), ["one\n", "\n", "two"]);
    }

    #[test]
    fn a_long_line_is_refused_with_its_number() {
        assert_eq!(read("12345\n").expect_err("six bytes"), "line 1: it is longer than 5 bytes");
        assert_eq!(read("1234\n1\n123456789").expect_err("nine"), "line 3: it is longer than 5 bytes");
    }

    #[test]
    fn a_long_line_is_not_read_to_its_end() {
        let mut input: &[u8] = &[b'x'; 100];
        let mut lines = Lines::new(&mut input, 5);
        lines.advance().expect_err("too long");
        assert_eq!(input.len(), 94);
    }
}
