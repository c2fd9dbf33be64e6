//! Dumps a log as JSON lines.

use std::io::{BufWriter, Write};
use std::path::Path;

use super::line::write_line;
use super::{Stop, ToolError, unless_closed, walk};
use crate::domain::Position;
use crate::log::LogReader;

/// Prints a line for each event of the log in this directory, from this position on.
///
/// # Errors
///
/// The log is damaged, and every event before the damage was printed; or the log cannot be read.
pub fn dump(dir: &Path, from: Position, out: impl Write) -> Result<(), ToolError> {
    let mut out = BufWriter::with_capacity(256 * 1024, out);
    let walked = walk(&LogReader::open(dir)?.starting_at(from), |position, record| {
        if position < from {
            return Ok(());
        }
        write_line(&mut out, position, record).map_err(|error| Stop::Failed(ToolError::Output(error)))
    });
    let flushed = out.flush().map_err(ToolError::Output);
    unless_closed(walked.map(|_| ()).and(flushed))
}
