//! The form of a history from another system: users and chats by their names, events by their times.
//!
//! | `op` | fields |
//! | --- | --- |
//! | `message` | `chat`, `user`, `time`, `text` |
//! | `join`, `leave` | `chat`, `user`, optional `time` |
//!
//! The lines may come in any order. They are sorted by time, and lines with the same time keep their order. A
//! line without a time gets that of the line above it in its chat. If there is none, it gets the time of the
//! first line below it in its chat that has one. A user or a chat is added when it is first named. A user who
//! sends a message without being a member joins just before. White space at the ends of names is removed. A
//! message without text is left out, and counted.
//!
//! The times in a log grow strictly: an event that is not later than the one before it gets the time one
//! microsecond after that. Ids contain the times.

use std::collections::HashMap;
use std::io::BufRead;

use serde::Deserialize;
use uuid::{ContextV7, Uuid};

use super::builder::Builder;
use super::line::{checked, parse_object, parse_time};
use super::lines::Lines;
use super::{ToolError, shown};
use crate::domain::{
    ChatId, ChatName, Command, InvalidValue, NewMessage, Position, Record, Stamp, Text, Timestamp, UserId,
    Username,
};
use crate::system_clock::uuid_at;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedLine {
    op: String,
    chat: String,
    user: String,
    time: Option<String>,
    text: Option<String>,
}

/// A history that was read but is not yet in a log.
#[derive(Default)]
pub(super) struct NamedHistory {
    users: Names<Username, UserId>,
    chats: Names<ChatName, ChatId>,
    events: Vec<NamedEvent>,
    /// The time of each chat's last line that had one.
    last_time: Vec<Option<Timestamp>>,
    /// The events of each chat before its first line that has a time.
    untimed: Vec<Vec<usize>>,
    without_text: u64,
}

/// The differences between the log and the lines.
pub(super) struct Changes {
    /// Number of messages that were left out.
    pub(super) without_text: u64,
    /// Number of lines that came below one of a later time.
    pub(super) out_of_order: u64,
}

/// The event of a line.
struct NamedEvent {
    time: Timestamp,
    chat: usize,
    user: usize,
    action: NamedAction,
    line: u64,
}

enum NamedAction {
    Join,
    Leave,
    Send(Text),
    SendNothing,
}

/// Names, numbered in the order in which they first appear.
struct Names<N, I> {
    numbers: HashMap<String, usize>,
    names: Vec<Named<N, I>>,
}

/// A name, and the id of what it names once that is added.
struct Named<N, I> {
    name: N,
    id: Option<I>,
}

impl<N, I> Default for Names<N, I> {
    fn default() -> Self {
        Self { numbers: HashMap::new(), names: Vec::new() }
    }
}

impl<N: TryFrom<String, Error = InvalidValue>, I> Names<N, I> {
    fn number(&mut self, field: &str, name: &str) -> Result<usize, String> {
        let name = name.trim();
        if let Some(&number) = self.numbers.get(name) {
            return Ok(number);
        }
        self.names.push(Named { name: checked(field, name.to_owned())?, id: None });
        self.numbers.insert(name.to_owned(), self.names.len() - 1);
        Ok(self.names.len() - 1)
    }
}

/// Returns whether a line has this form rather than the exported one.
pub(super) fn is_named(line: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Probe {
        #[expect(dead_code, reason = "only its presence matters")]
        op: serde::de::IgnoredAny,
    }
    serde_json::from_slice::<Probe>(line).is_ok()
}

impl NamedHistory {
    /// Reads the current line and all lines after it. If a clock is given, no time may be far ahead of it.
    pub(super) fn read<R: BufRead>(
        lines: &mut Lines<R>,
        clock: Option<Timestamp>,
    ) -> Result<Self, ToolError> {
        let mut history = Self::default();
        loop {
            history.take(lines.line(), lines.number(), clock).map_err(|what| lines.bad(what))?;
            if !lines.advance()? {
                break;
            }
        }
        match history.untimed.iter().flatten().next() {
            None => Ok(history),
            Some(&untimed) => Err(ToolError::BadLine {
                number: history.events[untimed].line,
                what: "it has no time, nor has any other line of its chat".to_owned(),
            }),
        }
    }

    fn take(&mut self, line: &[u8], number: u64, clock: Option<Timestamp>) -> Result<(), String> {
        let NamedLine { op, chat, user, time, text } = parse_object(line)?;
        let action = match (op.as_str(), text) {
            ("join", None) => NamedAction::Join,
            ("leave", None) => NamedAction::Leave,
            ("message", Some(text)) if text.is_empty() => NamedAction::SendNothing,
            ("message", Some(text)) => NamedAction::Send(checked("text", text)?),
            ("message", None) => return Err("text is missing".to_owned()),
            ("join" | "leave", Some(_)) => return Err(format!("a {op} must not have a text")),
            (op, _) => return Err(format!("op must be message, join or leave: {}", shown(op))),
        };
        let time = time.as_deref().map(|time| parse_time(time, clock)).transpose()?;
        if time.is_none() && !matches!(action, NamedAction::Join | NamedAction::Leave) {
            return Err("time is missing".to_owned());
        }
        let chat = self.chats.number("chat", &chat)?;
        let user = self.users.number("user", &user)?;
        self.without_text += u64::from(matches!(action, NamedAction::SendNothing));
        let time = self.time(chat, time);
        self.events.push(NamedEvent { time, chat, user, action, line: number });
        Ok(())
    }

    /// Returns the time of a line. If only a later line can determine the time, that line sets it.
    fn time(&mut self, chat: usize, given: Option<Timestamp>) -> Timestamp {
        self.last_time.resize(self.chats.names.len(), None);
        self.untimed.resize(self.chats.names.len(), Vec::new());
        let Some(time) = given else {
            return self.last_time[chat].unwrap_or_else(|| {
                self.untimed[chat].push(self.events.len());
                Timestamp::UNIX_EPOCH
            });
        };
        for earlier in std::mem::take(&mut self.untimed[chat]) {
            self.events[earlier].time = time;
        }
        self.last_time[chat] = Some(time);
        time
    }

    /// Adds all events to the log.
    pub(super) fn build(mut self, builder: &mut Builder<'_>) -> Result<Changes, ToolError> {
        let mut events = std::mem::take(&mut self.events);
        let out_of_order = count_out_of_order(&events);
        events.sort_by_key(|event| event.time);
        let uuids = ContextV7::new();
        for NamedEvent { time, chat, user, action, line } in events {
            let mut submit = |command: Command| -> Result<Option<Uuid>, ToolError> {
                let stamp = stamp(builder, time, &uuids);
                let refused = |what| ToolError::BadLine { number: line, what };
                builder.check_later(stamp.time).map_err(refused)?;
                let Some(event) = builder.decide(&command, stamp).map_err(refused)? else { return Ok(None) };
                builder.push(&Record { time: stamp.time, key: None, event })?;
                Ok(Some(stamp.id))
            };
            let Named { name: username, id: user } = &mut self.users.names[user];
            if user.is_none() {
                *user = submit(Command::AddUser { username: username.clone() })?.map(UserId::from);
            }
            let user = user.expect("added");
            let Named { name, id: chat } = &mut self.chats.names[chat];
            if chat.is_none() {
                *chat = submit(Command::AddChat { name: name.clone(), users: vec![user] })?.map(ChatId::from);
            }
            let chat = chat.expect("added");
            match action {
                NamedAction::Join | NamedAction::SendNothing => {
                    submit(Command::AddMember { chat, user })?;
                }
                NamedAction::Leave => {
                    submit(Command::RemoveMember { chat, user })?;
                }
                NamedAction::Send(text) => {
                    submit(Command::AddMember { chat, user })?;
                    submit(Command::AddMessage(NewMessage { chat, author: user, text }))?;
                }
            }
        }
        Ok(Changes { without_text: self.without_text, out_of_order })
    }
}

fn count_out_of_order(events: &[NamedEvent]) -> u64 {
    let mut latest = Timestamp::UNIX_EPOCH;
    let is_late = |event: &&NamedEvent| {
        latest = latest.max(event.time);
        event.time < latest
    };
    events.iter().filter(is_late).count() as u64
}

/// Returns a stamp with this time, or with the first time after the last event if that is later.
fn stamp(builder: &Builder<'_>, time: Timestamp, uuids: &ContextV7) -> Stamp {
    let index = builder.index();
    let free = if index.position() == Position(0) { Timestamp::UNIX_EPOCH } else { index.time().next() };
    let time = time.max(free);
    Stamp { time, id: uuid_at(time, uuids) }
}
