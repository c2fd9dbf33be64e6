//! Reads lines one by one, with their numbers and with a maximum length.

use std::io::{BufRead, Read};

use super::ToolError;

/// Maximum bytes of a line. An event is shorter: it came in a request whose body had at most half of this.
pub(super) const LINE_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// Reads lines. Blank ones are skipped, and so is a byte order mark at the start of a line, where an editor
/// or `cat` leaves one.
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

    /// Reads the next line that is not blank. Returns whether there is one.
    pub(super) fn advance(&mut self) -> Result<bool, ToolError> {
        loop {
            if self.is_too_long() && !self.line.ends_with(b"\n") {
                self.input.skip_until(b'\n').map_err(ToolError::Input)?;
            }
            self.line.clear();
            let mut input = (&mut self.input).take(self.bytes_max + 1);
            input.read_until(b'\n', &mut self.line).map_err(ToolError::Input)?;
            if self.line.is_empty() {
                return Ok(false);
            }
            self.number += 1;
            if self.is_too_long() || !without_mark(&self.line).trim_ascii().is_empty() {
                return Ok(true);
            }
        }
    }

    /// Returns the current line.
    ///
    /// # Errors
    ///
    /// The line is too long, and was not read to its end.
    pub(super) fn line(&self) -> Result<&[u8], String> {
        if self.is_too_long() {
            return Err(format!("it is longer than {} bytes", self.bytes_max));
        }
        Ok(without_mark(&self.line))
    }

    /// Returns the number of the current line, from 1 on. Blank lines count.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    fn is_too_long(&self) -> bool {
        self.line.len() as u64 > self.bytes_max
    }
}

fn without_mark(line: &[u8]) -> &[u8] {
    line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns each line with its number.
    fn read(input: &str) -> Vec<(u64, Result<String, String>)> {
        let mut lines = Lines::new(input.as_bytes(), 5);
        let mut read = Vec::new();
        while lines.advance().expect("bytes in memory") {
            let line = lines.line().map(|line| String::from_utf8(line.to_vec()).expect("text"));
            read.push((lines.number(), line));
        }
        read
    }

    fn good(number: u64, line: &str) -> (u64, Result<String, String>) {
        (number, Ok(line.to_owned()))
    }

    #[test]
    fn the_last_line_need_not_end() {
        assert_eq!(read(""), []);
        assert_eq!(read("one\ntwo"), [good(1, "one\n"), good(2, "two")]);
    }

    #[test]
    fn blank_lines_are_skipped_and_counted() {
        assert_eq!(read("\n\r\none\n \t\n\ntwo\n\n"), [good(3, "one\n"), good(6, "two\n")]);
    }

    #[test]
    fn byte_order_marks_are_skipped() {
        assert_eq!(read("\u{feff}1\n\u{feff}\n\u{feff}2"), [good(1, "1\n"), good(3, "2")]);
        assert_eq!(read("1\u{feff}"), [good(1, "1\u{feff}")]);
    }

    #[test]
    fn a_long_line_is_bad_and_the_next_is_read() {
        let bad = |number| (number, Err("it is longer than 5 bytes".to_owned()));
        assert_eq!(read("12345\n"), [bad(1)]);
        assert_eq!(read("12345\n1\n"), [bad(1), good(2, "1\n")]);
        assert_eq!(
            read("1234\n1\n123456789\n\n1"),
            [good(1, "1234\n"), good(2, "1\n"), bad(3), good(5, "1")]
        );
    }

    #[test]
    fn a_long_line_is_not_read_to_its_end() {
        let mut input: &[u8] = &[b'x'; 100];
        let mut lines = Lines::new(&mut input, 5);
        assert!(lines.advance().expect("bytes in memory"));
        lines.line().expect_err("too long");
        assert_eq!(input.len(), 94);
    }
}
