//! Makes a log of JSON lines, or checks whether one could be made.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::bad::BadLines;
use super::builder::Builder;
use super::line::{Exported, ExportedEvent, parse_object};
use super::lines::{LINE_BYTES_MAX, Lines};
use super::named::{Changes, NamedHistory};
use super::{ToolError, print, unless_closed};
use crate::domain::{Actor, Command, Event, Facts, Position, Record, Stamp, Timestamp};
use crate::log::StagedLog;
use crate::system_clock;

/// The destination of an import.
#[derive(Debug)]
pub struct Import {
    /// The data directory, which must be empty or missing.
    pub data: PathBuf,
    /// The length of a new segment of the log, in bytes.
    pub segment_bytes: u64,
}

/// The rules that are relaxed for the lines.
#[derive(Debug, Default)]
pub struct Lenience {
    /// Whether events may be more than a day ahead of the system's clock.
    pub allow_future: bool,
    /// Whether bad lines of a history by names are left out.
    pub skip_bad: bool,
    /// Whether a text over the limit, in a history by names, becomes several messages.
    pub split_long: bool,
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
pub fn import(
    into: &Import,
    lenience: &Lenience,
    input: impl Read,
    out: impl Write,
) -> Result<(), ToolError> {
    let staged = StagedLog::begin(&into.data)?;
    let mut log = staged.log(into.segment_bytes)?;
    let mut bad = if lenience.skip_bad { BadLines::collected() } else { BadLines::refused() };
    let imported = Builder::on(&mut log).and_then(|builder| read(builder, lenience, input, &mut bad));
    // Until it is dropped, the log may still be preparing its next segment.
    drop(log);
    let imported = imported?;
    // Lines of which not one is good are not a history.
    if let (Position(0), Some(first)) = (imported.last, bad.first()) {
        return Err(first);
    }
    staged.publish()?;
    report(&imported, lenience, &bad, out)
}

/// Checks all lines as [`import`] does, names each bad line, and writes nothing else.
///
/// # Errors
///
/// Returns an error if a line is bad.
pub fn check_import(lenience: &Lenience, input: impl Read, mut out: impl Write) -> Result<(), ToolError> {
    let mut bad = BadLines::collected();
    let imported = read(Builder::without_log(), lenience, input, &mut bad)?;
    let count = bad.count();
    if count == 0 {
        return report(&imported, lenience, &bad, out);
    }
    let written = bad.into_report().iter().try_for_each(|line| writeln!(out, "{line}"));
    unless_closed(written.and_then(|()| out.flush()).map_err(ToolError::Output))?;
    Err(ToolError::BadLines { count })
}

/// Prints what became of the lines.
fn report(
    imported: &Imported,
    lenience: &Lenience,
    bad: &BadLines,
    out: impl Write,
) -> Result<(), ToolError> {
    let mut found = vec![("position", imported.last.to_string())];
    if let Some(Changes { without_text, out_of_order, renamed, split }) = imported.changes {
        found.push(("left out", format!("{without_text} messages without text")));
        found.push(("moved", format!("{out_of_order} lines that came below one of a later time")));
        found.push(("renamed", format!("{renamed} users and chats whose name was taken")));
        if lenience.split_long {
            found.push(("split", format!("{split} texts over the limit")));
        }
        if lenience.skip_bad {
            found.push(("skipped", format!("{} bad lines", bad.count())));
        }
    }
    print(&found, out)
}

/// The form of all lines.
enum Form {
    Exported,
    ByNames,
}

impl Form {
    /// Returns the form of a line.
    fn of(line: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Probe {
            op: Option<IgnoredAny>,
            v: Option<IgnoredAny>,
        }
        match parse_object(line)? {
            Probe { op: Some(_), .. } => Ok(Self::ByNames),
            Probe { v: Some(_), .. } => Ok(Self::Exported),
            Probe { op: None, v: None } => Err(
                "it has neither op, as each line of a history by names, nor v, as each line of an export; \
                 docs/import.md has examples"
                    .to_owned(),
            ),
        }
    }
}

/// Reads all lines. The first one that is of either form shows the form of all.
fn read(
    mut builder: Builder<'_>,
    lenience: &Lenience,
    input: impl Read,
    bad: &mut BadLines,
) -> Result<Imported, ToolError> {
    let clock = (!lenience.allow_future).then(system_clock::now);
    let mut lines = Lines::new(BufReader::with_capacity(256 * 1024, input), LINE_BYTES_MAX);
    let mut changes = None;
    while lines.advance()? {
        let form = match lines.line().and_then(Form::of) {
            Ok(form) => form,
            Err(what) => {
                bad.add(lines.number(), what)?;
                continue;
            }
        };
        match form {
            Form::ByNames => {
                let history = NamedHistory::new(clock, lenience.split_long).read(&mut lines, bad)?;
                changes = Some(history.build(&mut builder)?);
            }
            Form::Exported if lenience.skip_bad || lenience.split_long => return Err(ToolError::ByNamesOnly),
            Form::Exported => read_exported(&mut builder, &mut lines, clock, bad)?,
        }
        break;
    }
    Ok(Imported { last: builder.finish()?, changes })
}

/// Reads the current line and all lines after it.
fn read_exported<R: BufRead>(
    builder: &mut Builder<'_>,
    lines: &mut Lines<R>,
    clock: Option<Timestamp>,
    bad: &mut BadLines,
) -> Result<(), ToolError> {
    let bar = bar();
    // A bad line leaves no gap, so that the lines after it are not all bad.
    let mut next = Position(bad.count() + 1);
    loop {
        let exported = lines.line().and_then(|line| ExportedEvent::parse(line, clock));
        match exported.as_ref().map_err(String::clone).and_then(|event| decide(builder, event, next)) {
            Ok(record) => builder.push(&record)?,
            Err(what) => bad.add(lines.number(), what)?,
        }
        let position = exported.map_or(next, |event| event.position);
        next = Position(position.0.saturating_add(1));
        bar.inc(1);
        if !lines.advance()? {
            bar.finish_and_clear();
            return Ok(());
        }
    }
}

/// Returns the record of an event, if the event can follow those before it.
fn decide<'e>(
    builder: &Builder<'_>,
    exported: &'e ExportedEvent,
    next: Position,
) -> Result<Record<'e>, String> {
    let ExportedEvent { position, time, id, what, by, key } = exported;
    if *position != next {
        return Err(format!("its position is {position}; it must be {next}"));
    }
    builder.check_later(*time)?;
    if let Actor::User(user) = by
        && !builder.index().user_exists(*user)
    {
        return Err(format!("by names a user who does not exist: {user}"));
    }
    let event = match what {
        Exported::Unchanged(event) => {
            if let &Event::AlreadySo { edited_at: Some(edited_at), .. } = event
                && edited_at >= *time
            {
                return Err(format!("its edited_at is {edited_at}; it must be before its time"));
            }
            builder.check_recorded(event)?;
            event.clone()
        }
        Exported::Scrubbed(event) => {
            builder.check_recorded(event)?;
            event.clone()
        }
        Exported::Command(command) => {
            let stamp = Stamp { time: *time, id: *id };
            let event = builder.decide(command, stamp)?.ok_or("it changes nothing")?;
            check_whole(command, &event)?;
            event
        }
    };
    if let Some(key) = key {
        builder.check_free(key)?;
    }
    let by = by.borrowed();
    Ok(Record { time: *time, by, key: key.as_ref().map(|key| key.borrowed()), event })
}

/// Checks that the event is all that the line says.
fn check_whole(command: &Command, event: &Event<'_>) -> Result<(), String> {
    if let (
        Command::AddChat { users: named, .. },
        Event::ChatAdded { users, .. } | Event::NamelessChatAdded { users, .. },
    ) = (command, event)
        && named.len() != users.len()
    {
        return Err("users names a user twice".to_owned());
    }
    if let (Command::RevokeTokens { from: named, .. }, Event::TokensRevoked { from, .. }) = (command, event)
        && named < from
    {
        return Err(format!("its from is {named}; it must be at least {from}, after the one before"));
    }
    Ok(())
}

/// Returns a counter on stderr. It shows nothing if stderr is not a terminal.
fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{human_pos} events {per_sec}");
    ProgressBar::no_length().with_style(style.expect("the template is well-formed"))
}
