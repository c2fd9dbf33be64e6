//! Tools of an operator: everything that can be done with a log besides serving it, and with credentials.
//!
//! | tool | changes files | beside a running server |
//! | --- | --- | --- |
//! | [`verify`], [`dump`] | no | yes: they see every event that was acknowledged before they began |
//! | [`check_import`] | no | yes: it does not look at the data directory |
//! | [`repair`], [`scrub`], [`import`] | yes | no: they lock the data directory |
//! | [`create_stream`], [`check_stream`], [`upgrade_stream`] | no | yes |
//! | [`create_stream_from`], [`restore_stream`] | no | no: they lock the data directory |
//! | [`regenerate_stream`], [`detach`] | yes | no: it locks the data directory |
//! | [`new_server_key`] | a file of server keys | yes: the server reads it again |
//! | [`mint_token`] | no | yes |
//!
//! Each tool for logs keeps one segment in memory at a time. Results go to stdout; a progress bar goes to stderr if
//! that is a terminal.

mod bad;
mod builder;
mod credentials;
mod dump;
mod import;
mod line;
mod lines;
mod named;
mod names;
mod parts;
mod repair;
mod scrub;
mod scrubbed;
mod stream;
mod time;
mod verify;

use std::io::{self, Write};
use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};

use crate::domain::{Position, Record};
use crate::log::stream::StreamError;
use crate::log::{
    AppendError, Contents, LogError, LogId, LogReader, Progress, ReadDisk, Replay, SealedFrame,
};

pub use credentials::{CredentialsError, mint_token, new_server_key};
pub use dump::dump;
pub use import::{Import, Lenience, check_import, import};
pub use repair::repair;
pub use scrub::scrub;
pub use stream::{
    check_stream, create_stream, create_stream_from, detach, regenerate_stream, restore_stream,
    upgrade_stream,
};
pub use verify::verify;

/// The reason why a tool failed.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// The log cannot be used.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The new log cannot be written.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// A line of the input is not part of a history.
    #[error("line {number}: {what}")]
    BadLine {
        /// The line's number, from 1 on.
        number: u64,
        /// The problem with the line, as a sentence.
        what: String,
    },
    /// A check has named the bad lines.
    #[error("bad lines: {count}")]
    BadLines {
        /// Number of bad lines, those that were not named included.
        count: u64,
    },
    /// The input is an export, in which no line can be left out or become several.
    #[error(
        "--skip-bad and --split-long are for a history by names: an export's events have positions, which a \
         line that is left out or split would shift"
    )]
    ByNamesOnly,
    /// The log that was to say what is due does not hold what this copy holds.
    #[error(
        "{} does not go on from --data: it does not hold event {last} as --data does; it is an older copy, or was restored \
         from before that event",
        dir.display()
    )]
    NoContinuation {
        /// The other log's directory.
        dir: PathBuf,
        /// The last event of this copy.
        last: Position,
    },
    /// The log that was to say what is due is another one.
    #[error("{} holds log {id}, and --data holds log {own}: only a copy of a log can be scrubbed by that log", dir.display())]
    OtherLog {
        /// The other log's directory.
        dir: PathBuf,
        /// The other log's id.
        id: LogId,
        /// This log's id.
        own: LogId,
    },
    /// The input cannot be read.
    #[error("failed to read the input: {0}")]
    Input(#[source] io::Error),
    /// The output cannot be written.
    #[error("failed to write the output: {0}")]
    Output(#[source] io::Error),
}

impl From<StreamError> for ToolError {
    fn from(error: StreamError) -> Self {
        Self::Log(error.into())
    }
}

/// Ignores that the reader of the output closed it, as `head` does when it has read enough.
fn unless_closed(ended: Result<(), ToolError>) -> Result<(), ToolError> {
    match ended {
        Err(ToolError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Prints one name and value per line.
fn print(found: &[(&str, String)], mut out: impl Write) -> Result<(), ToolError> {
    let written = found.iter().try_for_each(|(name, value)| writeln!(out, "{name:<10}{value}"));
    unless_closed(written.and_then(|()| out.flush()).map_err(ToolError::Output))
}

/// Reads the whole log with a progress bar, and calls `visit` for each event.
fn walk<D: ReadDisk>(
    log: &LogReader<D>,
    mut visit: impl FnMut(Position, &Record<'_>) -> Result<(), Stop>,
) -> Result<Contents, ToolError> {
    let bar = bar(log.bytes_total()?);
    let progress = Progress::default();
    let mut walk = log.walk(&progress);
    while let Some(frame) = walk.next_frame()? {
        visit_each(&frame, &mut visit).map_err(|stop| match stop {
            Stop::Damage(cause) => ToolError::Log(walk.damaged(&cause)),
            Stop::Failed(error) => error,
        })?;
        bar.set_position(progress.bytes());
    }
    Ok(walk.into_contents())
}

fn visit_each(
    frame: &SealedFrame<'_>,
    visit: &mut impl FnMut(Position, &Record<'_>) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let mut position = frame.first;
    for record in frame.records() {
        visit(position, &record.map_err(|error| Stop::Damage(error.to_string()))?)?;
        position = position.next();
    }
    Ok(())
}

/// The reason to stop reading a log.
enum Stop {
    /// The event is invalid, so the log is damaged.
    Damage(String),
    /// Something else failed, not the log.
    Failed(ToolError),
}

/// Creates a progress bar on stderr, which is hidden if stderr is not a terminal and removed when it is
/// dropped.
fn bar(bytes_total: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {binary_bytes}/{binary_total_bytes} {eta}");
    let bar = ProgressBar::new(bytes_total).with_finish(ProgressFinish::AndClear);
    bar.with_style(style.expect("the template is well-formed"))
}

/// Returns a value from the input for an error message: shortened, and with its control characters escaped,
/// because a terminal might obey them.
fn shown(value: &str) -> String {
    const CHARS_MAX: usize = 64;
    match value.char_indices().nth(CHARS_MAX) {
        Some((cut, _)) => format!("{:?}…", &value[..cut]),
        None => format!("{value:?}"),
    }
}
