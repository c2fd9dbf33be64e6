//! A history from JSON lines to a log.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};

use super::builder::Builder;
use super::line::Line;
use super::lines::{LINE_BYTES_MAX, Lines};
use super::named::{Changes, NamedHistory, is_named};
use super::{ToolError, print};
use crate::domain::{Command, Event, Position, Record, Stamp};
use crate::log::{EventLog, StagedLog};

/// What to import into.
#[derive(Debug)]
pub struct Import {
    /// The directory; empty or missing.
    pub data: PathBuf,
    /// The length of a new segment of the log.
    pub segment_bytes: u64,
}

/// What came of it.
struct Imported {
    last: Position,
    /// Of a history by names.
    changes: Option<Changes>,
}

/// Makes a log of these lines: all of it, or nothing. Its rules are those of the server.
///
/// # Errors
///
/// A line is no event, or none that can follow those before it; the directory holds a log, or is in use.
pub fn import(into: &Import, input: impl Read, out: impl Write) -> Result<(), ToolError> {
    let staged = StagedLog::begin(&into.data)?;
    let mut log = staged.log(into.segment_bytes)?;
    let imported = read(&mut log, BufReader::with_capacity(256 * 1024, input));
    // The next segment, which nobody needs, is being prepared until then.
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

/// Takes in all lines, whose form the first one tells.
fn read(log: &mut dyn EventLog, input: impl BufRead) -> Result<Imported, ToolError> {
    let mut builder = Builder::on(log)?;
    let mut lines = Lines::new(input, LINE_BYTES_MAX);
    let mut changes = None;
    if lines.advance()? {
        if is_named(lines.line()) {
            changes = Some(NamedHistory::read(&mut lines)?.build(&mut builder)?);
        } else {
            read_exported(&mut builder, &mut lines)?;
        }
    }
    Ok(Imported { last: builder.finish()?, changes })
}

/// Takes in the line that has been come to, and all after it.
fn read_exported<R: BufRead>(builder: &mut Builder<'_>, lines: &mut Lines<R>) -> Result<(), ToolError> {
    let bar = bar();
    loop {
        let line = Line::parse(lines.line()).map_err(|what| lines.bad(what))?;
        let record = decide(builder, &line).map_err(|what| lines.bad(what))?;
        builder.push(&record)?;
        bar.inc(1);
        if !lines.advance()? {
            bar.finish_and_clear();
            return Ok(());
        }
    }
}

/// What the line says, if that can follow what came before.
fn decide<'l>(builder: &Builder<'_>, line: &'l Line) -> Result<Record<'l>, String> {
    let next = builder.model().position().next();
    if line.position != next {
        return Err(format!("its position is {}, and should be {next}", line.position));
    }
    builder.check_later(line.time)?;
    let stamp = Stamp { time: line.time, id: line.id };
    let event = match &line.command {
        None => Event::NothingChanged,
        Some(command) => {
            let event = builder.decide(command, stamp)?.ok_or("it changes nothing")?;
            if let (Command::AddChat { users: named, .. }, Event::ChatAdded { users, .. }) = (command, &event)
                && named.len() != users.len()
            {
                return Err("users names somebody twice".to_owned());
            }
            event
        }
    };
    if let Some(key) = &line.key {
        builder.check_free(key)?;
    }
    Ok(Record { time: line.time, key: line.key.as_ref().map(|key| key.borrowed()), event })
}

/// Counts on stderr; nothing where that is not a terminal.
fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{human_pos} events {per_sec}");
    ProgressBar::no_length().with_style(style.expect("the template is well-formed"))
}
