//! Makes a log of JSON lines.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};

use super::builder::Builder;
use super::line::ExportedEvent;
use super::lines::{LINE_BYTES_MAX, Lines};
use super::named::{Changes, NamedHistory, is_named};
use super::{ToolError, print};
use crate::domain::{Command, Event, Position, Record, Stamp, Timestamp};
use crate::log::{EventLog, StagedLog};
use crate::system_clock;

/// The destination of an import.
#[derive(Debug)]
pub struct Import {
    /// The data directory, which must be empty or missing.
    pub data: PathBuf,
    /// The length of a new segment of the log, in bytes.
    pub segment_bytes: u64,
    /// Whether events may be more than a day ahead of the system's clock.
    pub allow_future: bool,
}

/// The result of an import.
struct Imported {
    last: Position,
    /// The changes to a history by names.
    changes: Option<Changes>,
}

/// Makes a log of these lines, by the server's rules. An import that fails leaves no log behind.
///
/// # Errors
///
/// Returns an error if a line is not an event, if an event cannot follow those before it, or if the directory
/// holds a log or is in use.
pub fn import(into: &Import, input: impl Read, out: impl Write) -> Result<(), ToolError> {
    let staged = StagedLog::begin(&into.data)?;
    let mut log = staged.log(into.segment_bytes)?;
    let clock = (!into.allow_future).then(system_clock::now);
    let imported = read(&mut log, BufReader::with_capacity(256 * 1024, input), clock);
    // Until it is dropped, the log may still be preparing its next segment.
    drop(log);
    let Imported { last, changes } = imported?;
    staged.publish()?;
    let mut found = vec![("position", last.to_string())];
    if let Some(Changes { without_text, out_of_order }) = changes {
        found.push(("left out", format!("{without_text} messages without text")));
        found.push(("moved", format!("{out_of_order} lines that came below one of a later time")));
    }
    print(&found, out)
}

/// Reads all lines. The first one shows which form they have.
fn read(
    log: &mut dyn EventLog,
    input: impl BufRead,
    clock: Option<Timestamp>,
) -> Result<Imported, ToolError> {
    let mut builder = Builder::on(log)?;
    let mut lines = Lines::new(input, LINE_BYTES_MAX);
    let mut changes = None;
    if lines.advance()? {
        if is_named(lines.line()) {
            changes = Some(NamedHistory::read(&mut lines, clock)?.build(&mut builder)?);
        } else {
            read_exported(&mut builder, &mut lines, clock)?;
        }
    }
    Ok(Imported { last: builder.finish()?, changes })
}

/// Reads the current line and all lines after it.
fn read_exported<R: BufRead>(
    builder: &mut Builder<'_>,
    lines: &mut Lines<R>,
    clock: Option<Timestamp>,
) -> Result<(), ToolError> {
    let bar = bar();
    loop {
        let exported = ExportedEvent::parse(lines.line(), clock).map_err(|what| lines.bad(what))?;
        let record = decide(builder, &exported).map_err(|what| lines.bad(what))?;
        builder.push(&record)?;
        bar.inc(1);
        if !lines.advance()? {
            bar.finish_and_clear();
            return Ok(());
        }
    }
}

/// Returns the record of an event, if the event can follow those before it.
fn decide<'e>(builder: &Builder<'_>, exported: &'e ExportedEvent) -> Result<Record<'e>, String> {
    let ExportedEvent { position, time, id, command, key } = exported;
    let next = builder.index().position().next();
    if *position != next {
        return Err(format!("its position is {position}; it must be {next}"));
    }
    builder.check_later(*time)?;
    let event = match command {
        None => Event::NothingChanged,
        Some(command) => {
            let stamp = Stamp { time: *time, id: *id };
            let event = builder.decide(command, stamp)?.ok_or("it changes nothing")?;
            if let (Command::AddChat { users: named, .. }, Event::ChatAdded { users, .. }) = (command, &event)
                && named.len() != users.len()
            {
                return Err("users names a user twice".to_owned());
            }
            event
        }
    };
    if let Some(key) = key {
        builder.check_free(key)?;
    }
    Ok(Record { time: *time, key: key.as_ref().map(|key| key.borrowed()), event })
}

/// Returns a counter on stderr. It shows nothing if stderr is not a terminal.
fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{human_pos} events {per_sec}");
    ProgressBar::no_length().with_style(style.expect("the template is well-formed"))
}
