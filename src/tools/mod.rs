//! What an operator does with a log besides serving it.
//!
//! | tool | changes something | beside a running server |
//! | --- | --- | --- |
//! | [`verify`], [`dump`] | no | yes: they see all that was acknowledged before they began |
//! | [`repair`], [`import`] | yes | no: they take the data directory's lock |
//!
//! Each reads one segment at a time. What they find out goes to stdout, how far they are to stderr if that is a
//! terminal.

mod builder;
mod dump;
mod import;
mod line;
mod lines;
mod named;
mod repair;
mod verify;

use std::io::{self, Write};

use indicatif::{ProgressBar, ProgressStyle};

use crate::domain::{Position, Record};
use crate::log::{AppendError, Contents, DecodeError, Files, LogError, LogReader, Progress};

pub use dump::dump;
pub use import::{Import, import};
pub use repair::repair;
pub use verify::verify;

/// Why a tool did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// The log cannot be used.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The log that was being made cannot be written.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// What came in is no history.
    #[error("line {number}: {what}")]
    BadLine {
        /// The line's number; the first is 1.
        number: u64,
        /// What is wrong with it.
        what: String,
    },
    /// What comes in cannot be read.
    #[error("failed to read the input: {0}")]
    Input(#[source] io::Error),
    /// What goes out cannot be written.
    #[error("failed to write the output: {0}")]
    Output(#[source] io::Error),
}

/// Whoever reads the output may have seen enough.
fn unless_closed(ended: Result<(), ToolError>) -> Result<(), ToolError> {
    match ended {
        Err(ToolError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Prints what was found out, a name and a value a line.
fn print(found: &[(&str, String)], mut out: impl Write) -> Result<(), ToolError> {
    let written = found.iter().try_for_each(|(name, value)| writeln!(out, "{name:<10}{value}"));
    unless_closed(written.and_then(|()| out.flush()).map_err(ToolError::Output))
}

/// Shows every event to the visitor, with a progress bar.
fn walk<F: Files>(
    log: &LogReader<F>,
    mut visit: impl FnMut(Position, &Record<'_>) -> Result<(), Stop>,
) -> Result<Contents, ToolError> {
    let progress = Progress::default();
    let bar = bar(log.bytes_total()?);
    let mut failed = None;
    let walked = log.walk(&progress, &mut |frame| {
        let mut position = frame.first;
        frame.records(|record| {
            visit(position, &record).map_err(|stop| match stop {
                Stop::Contradiction(what) => DecodeError::OtherString(what),
                Stop::Failed(error) => {
                    failed = Some(error);
                    DecodeError::Other("the visitor failed")
                }
            })?;
            position = position.next();
            Ok(())
        })?;
        bar.set_position(progress.bytes());
        Ok(())
    });
    bar.finish_and_clear();
    match failed {
        Some(error) => Err(error),
        None => Ok(walked?),
    }
}

/// Why no more events are to be shown.
enum Stop {
    /// The event cannot be: the log is damaged.
    Contradiction(String),
    /// It has nothing to do with the log.
    Failed(ToolError),
}

/// A progress bar on stderr; none where that is not a terminal.
fn bar(bytes_total: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {binary_bytes}/{binary_total_bytes} {eta}");
    ProgressBar::new(bytes_total).with_style(style.expect("the template is well-formed"))
}

/// Somebody's own words, cut to a length that a message can bear, with what a terminal might obey made harmless.
fn shown(value: &str) -> String {
    const CHARS_MAX: usize = 64;
    match value.char_indices().nth(CHARS_MAX) {
        Some((cut, _)) => format!("{:?}…", &value[..cut]),
        None => format!("{value:?}"),
    }
}
