//! The form of a history from another system: users and chats by their names, events by their times.
//!
//! | `op` | fields |
//! | --- | --- |
//! | `message` | `chat`, `user`, `time`, `text` |
//! | `join`, `leave` | `chat`, `user`, optional `time` |
//!
//! Each line may also have `chat_id` and `user_id`, by which the other system tells chats and users apart.
//!
//! The lines may come in any order. They are sorted by time, and lines with the same time keep their order. A
//! line without a time gets that of the line above it in its chat. If there is none, it gets the time of the
//! first line below it in its chat that has one. A user or a chat is added when it is first named. A user who
//! sends a message without being a member joins just before. White space at the ends of names is removed. A
//! message without text is left out, and counted.
//!
//! The times in a log grow strictly: an event that is not later than the one before it gets the time one
//! microsecond after that. Ids contain the times.

use std::borrow::Cow;
use std::collections::HashSet;
use std::io::BufRead;

use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::{ContextV7, Uuid};

use super::bad::BadLines;
use super::builder::Builder;
use super::line::{checked, parse_object};
use super::lines::Lines;
use super::names::{Named, Names};
use super::parts::parts;
use super::time::parse_foreign_time;
use super::{ToolError, shown};
use crate::domain::{
    Actor, ChatId, ChatName, Command, NewMessage, Position, Record, Stamp, Text, Timestamp, UserId, Username,
};
use crate::system_clock::uuid_at;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedLine<'l> {
    op: String,
    chat: String,
    chat_id: Option<String>,
    user: String,
    user_id: Option<String>,
    #[serde(borrow)]
    time: Option<&'l RawValue>,
    text: Option<String>,
}

/// A history that was read but is not yet in a log.
pub(super) struct NamedHistory {
    /// The system's clock, if no time may be far ahead of it.
    clock: Option<Timestamp>,
    /// Whether a text over the limit becomes several messages.
    split_long: bool,
    users: Names<Username, UserId>,
    chats: Names<ChatName, ChatId>,
    events: Vec<NamedEvent>,
    /// The time of each chat's last line that had one.
    last_time: Vec<Option<Timestamp>>,
    /// The events of each chat before its first line that has a time.
    untimed: Vec<Vec<usize>>,
    without_text: u64,
    split: u64,
}

/// The differences between the log and the lines.
pub(super) struct Changes {
    /// Number of messages that were left out.
    pub(super) without_text: u64,
    /// Number of lines that came below one of a later time.
    pub(super) out_of_order: u64,
    /// Number of users and chats that got a number at the end of their names.
    pub(super) renamed: u64,
    /// Number of texts that became several messages.
    pub(super) split: u64,
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

impl NamedHistory {
    /// Returns an empty history.
    pub(super) fn new(clock: Option<Timestamp>, split_long: bool) -> Self {
        Self {
            clock,
            split_long,
            users: Names::new(Username::CHARS_MAX),
            chats: Names::new(ChatName::CHARS_MAX),
            events: Vec::new(),
            last_time: Vec::new(),
            untimed: Vec::new(),
            without_text: 0,
            split: 0,
        }
    }

    /// Reads the current line and all lines after it.
    pub(super) fn read<R: BufRead>(
        mut self,
        lines: &mut Lines<R>,
        bad: &mut BadLines,
    ) -> Result<Self, ToolError> {
        loop {
            let taken = lines.line().and_then(|line| self.take(line, lines.number()));
            taken.or_else(|what| bad.add(lines.number(), what))?;
            if !lines.advance()? {
                break;
            }
        }
        self.remove_untimed(bad)?;
        Ok(self)
    }

    /// Takes a line. Nothing is changed if it is bad.
    fn take(&mut self, line: &[u8], number: u64) -> Result<(), String> {
        let NamedLine { op, chat, chat_id, user, user_id, time, text } = parse_object(line)?;
        let actions = match (op.as_str(), text) {
            ("join", None) => vec![NamedAction::Join],
            ("leave", None) => vec![NamedAction::Leave],
            ("message", Some(text)) if text.is_empty() => vec![NamedAction::SendNothing],
            ("message", Some(text)) => self.texts(text)?.into_iter().map(NamedAction::Send).collect(),
            ("message", None) => return Err("text is missing".to_owned()),
            ("join" | "leave", Some(_)) => return Err(format!("a {op} must not have a text")),
            (op, _) => return Err(format!("op must be message, join or leave: {}", shown(op))),
        };
        let time = time.map(|time| parse_time(time, self.clock)).transpose()?;
        if time.is_none() && op == "message" {
            return Err("time is missing".to_owned());
        }
        let chat_name = checked("chat", chat.trim().to_owned())?;
        let username = checked("user", user.trim().to_owned())?;
        for (field, id) in [("chat_id", &chat_id), ("user_id", &user_id)] {
            if id.as_ref().is_some_and(String::is_empty) {
                return Err(format!("{field} must not be empty; leave it out if there is none"));
            }
        }
        let chat = self.chats.number(chat_id, chat_name);
        let user = self.users.number(user_id, username);
        self.split += u64::from(actions.len() > 1);
        for action in actions {
            self.without_text += u64::from(matches!(action, NamedAction::SendNothing));
            let time = self.time(chat, time);
            self.events.push(NamedEvent { time, chat, user, action, line: number });
        }
        Ok(())
    }

    /// Returns the texts of the messages that a text becomes.
    fn texts(&self, text: String) -> Result<Vec<Text>, String> {
        if text.len() <= Text::BYTES_MAX {
            return Ok(vec![checked("text", text)?]);
        }
        if !self.split_long {
            return Err(checked::<Text>("text", text).expect_err("too long") + "; --split-long splits it");
        }
        parts(&text, Text::BYTES_MAX).map(|part| checked("text", part.to_owned())).collect()
    }

    /// Returns the time of a line. If only a later line can determine the time, that line sets it.
    fn time(&mut self, chat: usize, given: Option<Timestamp>) -> Timestamp {
        self.last_time.resize(self.chats.len(), None);
        self.untimed.resize(self.chats.len(), Vec::new());
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

    /// Removes the events for which no line has set the time. Their lines are bad.
    fn remove_untimed(&mut self, bad: &mut BadLines) -> Result<(), ToolError> {
        let mut untimed: Vec<usize> = self.untimed.drain(..).flatten().collect();
        untimed.sort_unstable();
        for &event in &untimed {
            let what = "it has no time, nor has any other line of its chat";
            bad.add(self.events[event].line, what.to_owned())?;
        }
        let untimed: HashSet<usize> = untimed.into_iter().collect();
        let mut numbers = 0..;
        self.events.retain(|_| !numbers.next().is_some_and(|event| untimed.contains(&event)));
        Ok(())
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
                builder.push(&Record { time: stamp.time, by: Actor::Unknown, key: None, event })?;
                Ok(Some(stamp.id))
            };
            let Named { name: username, id: user } = self.users.named(user);
            if user.is_none() {
                *user = submit(Command::AddUser { username: username.clone() })?.map(UserId::from);
            }
            let user = user.expect("added");
            let Named { name, id: chat } = self.chats.named(chat);
            if chat.is_none() {
                *chat = submit(Command::AddChat { name: Some(name.clone()), users: vec![user] })?
                    .map(ChatId::from);
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
                    submit(Command::AddMessage(NewMessage { chat, author: user, text, with: None }))?;
                }
            }
        }
        let renamed = self.users.renamed() + self.chats.renamed();
        Ok(Changes { without_text: self.without_text, out_of_order, renamed, split: self.split })
    }
}

/// Parses a time that is a JSON string or a JSON number, whose digits are kept.
fn parse_time(time: &RawValue, clock: Option<Timestamp>) -> Result<Timestamp, String> {
    let is_string = time.get().starts_with('"');
    let text: Cow<'_, str> = if is_string {
        serde_json::from_str(time.get()).map_err(|error| format!("time is not a string: {error}"))?
    } else {
        time.get().into()
    };
    parse_foreign_time(&text, clock)
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
