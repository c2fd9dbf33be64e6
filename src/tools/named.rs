//! A history from elsewhere: users and chats by their names, what happened by its time.
//!
//! | `op` | fields |
//! | --- | --- |
//! | `message` | `chat`, `user`, `time`, `text` |
//! | `join`, `leave` | `chat`, `user`, optional `time` |
//!
//! The lines may come in any order: they are put in that of their times, those of one time in the one they came in.
//! A line without a time has that of the line above it in its chat; where there is none, of the first one below that
//! has one. Users and chats are made when they are first named. Whoever speaks without being a member joins just
//! before. White space at the ends of names is taken off; a message without text is left out, and counted.
//!
//! Times of a log grow strictly: an event that is not later than the one before it gets the time a microsecond after
//! that. Ids are made of the times.

use std::collections::HashMap;
use std::io::BufRead;

use serde::Deserialize;
use uuid::{ContextV7, Uuid};

use super::builder::Builder;
use super::line::{checked, parse_object, parse_time};
use super::lines::Lines;
use super::{ToolError, shown};
use crate::domain::{
    ChatId, ChatName, Command, NewMessage, Position, Record, Stamp, Text, Timestamp, UserId, Username,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    op: String,
    chat: String,
    user: String,
    time: Option<String>,
    text: Option<String>,
}

/// A history, as its lines tell it.
#[derive(Default)]
pub(super) struct NamedHistory {
    users: Names<Username, UserId>,
    chats: Names<ChatName, ChatId>,
    deeds: Vec<Deed>,
    /// By chat: the time of its last line that had one.
    last_time: Vec<Option<Timestamp>>,
    /// By chat: its lines so far, while none of them had a time.
    untimed: Vec<Vec<usize>>,
    without_text: u64,
}

/// What is not as it was told.
pub(super) struct Changes {
    /// Messages that were left out.
    pub(super) without_text: u64,
    /// Lines that came below one of a later time.
    pub(super) out_of_order: u64,
}

/// What a line has somebody do.
struct Deed {
    time: Timestamp,
    chat: usize,
    user: usize,
    what: What,
    number: u64,
}

enum What {
    Join,
    Leave,
    Say(Text),
    SayNothing,
}

/// Names, numbered as they come up, with the ids of what they name once that is made.
struct Names<N, I> {
    numbers: HashMap<String, usize>,
    names: Vec<(N, Option<I>)>,
}

impl<N, I> Default for Names<N, I> {
    fn default() -> Self {
        Self { numbers: HashMap::new(), names: Vec::new() }
    }
}

impl<N: TryFrom<String, Error = crate::domain::InvalidValue>, I> Names<N, I> {
    fn number(&mut self, field: &str, name: &str) -> Result<usize, String> {
        let name = name.trim();
        if let Some(&number) = self.numbers.get(name) {
            return Ok(number);
        }
        self.names.push((checked(field, name.to_owned())?, None));
        self.numbers.insert(name.to_owned(), self.names.len() - 1);
        Ok(self.names.len() - 1)
    }
}

/// Whether a line is of this form, rather than of the exported one.
pub(super) fn is_named(line: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Probe {
        #[expect(dead_code, reason = "that it is there is all")]
        op: serde::de::IgnoredAny,
    }
    serde_json::from_slice::<Probe>(line).is_ok()
}

impl NamedHistory {
    /// Takes in the line that has been come to, and all after it.
    pub(super) fn read<R: BufRead>(lines: &mut Lines<R>) -> Result<Self, ToolError> {
        let mut history = Self::default();
        loop {
            history.take(lines.line(), lines.number()).map_err(|what| lines.bad(what))?;
            if !lines.advance()? {
                break;
            }
        }
        match history.untimed.iter().flatten().next() {
            None => Ok(history),
            Some(&untimed) => Err(ToolError::BadLine {
                number: history.deeds[untimed].number,
                what: "it has no time, nor has any other line of its chat".to_owned(),
            }),
        }
    }

    fn take(&mut self, line: &[u8], number: u64) -> Result<(), String> {
        let line: Line = parse_object(line)?;
        let what = match (line.op.as_str(), line.text) {
            ("join", None) => What::Join,
            ("leave", None) => What::Leave,
            ("message", Some(text)) if text.is_empty() => What::SayNothing,
            ("message", Some(text)) => What::Say(checked("text", text)?),
            ("message", None) => return Err("text is missing".to_owned()),
            ("join" | "leave", Some(_)) => return Err(format!("a {} has no text", line.op)),
            (op, _) => return Err(format!("op must be message, join or leave: {}", shown(op))),
        };
        let time = line.time.as_deref().map(parse_time).transpose()?;
        if time.is_none() && !matches!(what, What::Join | What::Leave) {
            return Err("time is missing".to_owned());
        }
        let chat = self.chats.number("chat", &line.chat)?;
        let user = self.users.number("user", &line.user)?;
        self.without_text += u64::from(matches!(what, What::SayNothing));
        let time = self.time(chat, time);
        self.deeds.push(Deed { time, chat, user, what, number });
        Ok(())
    }

    /// A line's time; where only a later line will tell, that line sets it.
    fn time(&mut self, chat: usize, given: Option<Timestamp>) -> Timestamp {
        self.last_time.resize(self.chats.names.len(), None);
        self.untimed.resize(self.chats.names.len(), Vec::new());
        let Some(time) = given else {
            return self.last_time[chat].unwrap_or_else(|| {
                self.untimed[chat].push(self.deeds.len());
                Timestamp::EPOCH
            });
        };
        for earlier in std::mem::take(&mut self.untimed[chat]) {
            self.deeds[earlier].time = time;
        }
        self.last_time[chat] = Some(time);
        time
    }

    /// Has it all happen.
    pub(super) fn build(mut self, builder: &mut Builder<'_>) -> Result<Changes, ToolError> {
        let mut deeds = std::mem::take(&mut self.deeds);
        let out_of_order = count_out_of_order(&deeds);
        deeds.sort_by_key(|deed| deed.time);
        let uuids = ContextV7::new();
        for Deed { time, chat, user, what, number } in deeds {
            let mut happen = |command: Command| -> Result<Option<Uuid>, ToolError> {
                let stamp = stamp(builder, time, &uuids);
                let refused = |what| ToolError::BadLine { number, what };
                builder.check_later(stamp.time).map_err(refused)?;
                let Some(event) = builder.decide(&command, stamp).map_err(refused)? else { return Ok(None) };
                builder.push(&Record { time: stamp.time, key: None, event })?;
                Ok(Some(stamp.id))
            };
            let (username, user) = &mut self.users.names[user];
            if user.is_none() {
                *user = happen(Command::AddUser { username: username.clone() })?.map(UserId::from);
            }
            let user = user.expect("made");
            let (name, chat) = &mut self.chats.names[chat];
            if chat.is_none() {
                *chat = happen(Command::AddChat { name: name.clone(), users: vec![user] })?.map(ChatId::from);
            }
            let chat = chat.expect("made");
            match what {
                What::Join | What::SayNothing => drop(happen(Command::AddMember { chat, user })?),
                What::Leave => drop(happen(Command::RemoveMember { chat, user })?),
                What::Say(text) => {
                    happen(Command::AddMember { chat, user })?;
                    happen(Command::AddMessage(NewMessage { chat, author: user, text }))?;
                }
            }
        }
        Ok(Changes { without_text: self.without_text, out_of_order })
    }
}

fn count_out_of_order(deeds: &[Deed]) -> u64 {
    let mut latest = Timestamp::EPOCH;
    let is_late = |deed: &&Deed| {
        latest = latest.max(deed.time);
        deed.time < latest
    };
    deeds.iter().filter(is_late).count() as u64
}

/// The time, or the first that is later than the last event, and an id of it.
fn stamp(builder: &Builder<'_>, time: Timestamp, uuids: &ContextV7) -> Stamp {
    let model = builder.model();
    let free = if model.position() == Position(0) { 0 } else { model.time().as_micros() + 1 };
    let micros = time.as_micros().max(free);
    let time = Timestamp::from_micros(micros).expect("parsed times end a year before");
    let nanos = u32::try_from(micros % 1_000_000 * 1_000).expect("less than a second");
    let id = Uuid::new_v7(uuid::Timestamp::from_unix(uuids, micros / 1_000_000, nanos));
    Stamp { time, id }
}
