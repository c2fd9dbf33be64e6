//! The form of the exported history: each event is a JSON object on a line of its own.
//!
//! `{"v":1,"position":1,"time":"2026-11-23T15:04:05.123456Z","type":"user_added","id":"…","username":"ann"}`
//!
//! | `type` | fields |
//! | --- | --- |
//! | `user_added` | `id`, `username` |
//! | `chat_added` | `id`, `name`, `users` |
//! | `message_added` | `id`, `chat`, `author`, `text` |
//! | `message_added_with` | the same, and `reply_to` (a `seq`) or `metadata` |
//! | `message_edited` | `chat`, `seq`, `user` (`null`: the application), `text` or `metadata` |
//! | `message_deleted` | `chat`, `seq`, `user` (`null`: the application), `erase` |
//! | `reaction_added`, `reaction_removed` | `chat`, `seq`, `user`, `emoji` |
//! | `nameless_chat_added`, `direct_chat_added` | `id`, `users` |
//! | `chat_edited` | `chat`, `name` or `metadata` |
//! | `user_edited` | `user`, `username` or `metadata` |
//! | `user_erased` | `user`, `messages`: `erase` or `keep` |
//! | `member_added`, `member_removed` | `chat`, `user` |
//! | `read_marked` | `chat`, `user`, `seq` |
//! | `tokens_revoked` | `user`, `from` (Unix seconds) |
//! | `nothing_changed` | no fields; the event exists for its key |
//! | `already_so` | what the request names, of `chat`, `seq` and `user`, and `edited_at`; the event exists for its key |
//!
//! `metadata` is a text that holds JSON. A text, a name or an emoji that has left the log is empty.
//!
//! Then comes the one who caused the event, if that is known: a server key by its name, `"by":{"key":"backend"}`, or
//! a user, `"by":{"user":"…"}`.
//!
//! If the request had an idempotency key, the key comes last:
//! `"idempotency_key":{"key":"7f3a-1","fingerprint":"…"}`. The fingerprint is a digest of the request, in 32
//! hexadecimal digits.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::time::parse_time;
use super::{scrubbed, shown};
use crate::domain::{
    Actor, Command, ErasedMessages, Event, Fingerprint, IdempotencyKey, InvalidValue, MessageEdit,
    MessageExtras, Metadata, NewMessage, Position, Reaction, Record, Seq, Timestamp, UserId,
};

const VERSION: u64 = 1;

/// A line to write.
#[derive(Serialize)]
struct WrittenLine<'a> {
    v: u64,
    position: Position,
    time: Timestamp,
    #[serde(flatten)]
    event: &'a Event<'a>,
    #[serde(skip_serializing_if = "is_unknown")]
    by: &'a Actor<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<WrittenKey<'a>>,
}

#[derive(Serialize)]
struct WrittenKey<'a> {
    key: &'a str,
    fingerprint: uuid::fmt::Simple,
}

/// Writes the line of an event.
pub(super) fn write_line(out: &mut impl Write, position: Position, record: &Record<'_>) -> io::Result<()> {
    let idempotency_key = record.key.as_ref().map(|key| WrittenKey {
        key: key.text(),
        fingerprint: Uuid::from_bytes(key.fingerprint().0).simple(),
    });
    let (time, event, by) = (record.time, &record.event, &record.by);
    let line = WrittenLine { v: VERSION, position, time, event, by, idempotency_key };
    serde_json::to_writer(&mut *out, &line)?;
    out.write_all(b"\n")
}

/// An event that was parsed from a line.
#[derive(Debug)]
pub(super) struct ExportedEvent {
    pub(super) position: Position,
    pub(super) time: Timestamp,
    /// The id of what the event added, or nil if that has no id.
    pub(super) id: Uuid,
    pub(super) what: Exported,
    pub(super) by: Actor<'static>,
    pub(super) key: Option<IdempotencyKey<'static>>,
}

/// What an event was.
#[derive(Debug)]
pub(super) enum Exported {
    /// The command that becomes the event.
    Command(Command),
    /// The event, which changed nothing and exists for its key.
    Unchanged(Event<'static>),
    /// The event, of which something has left the log, so that it is not known what command it was.
    Scrubbed(Event<'static>),
}

/// A line that was read, with the fields of all events.
#[derive(Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLine {
    v: u64,
    position: u64,
    time: String,
    r#type: String,
    id: Option<String>,
    username: Option<String>,
    name: Option<String>,
    users: Option<Vec<String>>,
    chat: Option<String>,
    author: Option<String>,
    user: Option<String>,
    text: Option<String>,
    seq: Option<u64>,
    from: Option<u64>,
    reply_to: Option<u64>,
    metadata: Option<String>,
    emoji: Option<String>,
    erase: Option<bool>,
    messages: Option<ErasedMessages>,
    edited_at: Option<String>,
    by: Option<RawActor>,
    idempotency_key: Option<RawKey>,
}

#[derive(PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawActor {
    Key(String),
    User(String),
}

#[derive(PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKey {
    key: String,
    fingerprint: String,
}

impl ExportedEvent {
    /// Parses a line. If a clock is given, the line's time must not be far ahead of it.
    ///
    /// # Errors
    ///
    /// Returns what is wrong with the line.
    pub(super) fn parse(line: &[u8], clock: Option<Timestamp>) -> Result<Self, String> {
        let mut raw: RawLine = parse_object(line)?;
        if raw.v != VERSION {
            return Err(unknown_version(raw.v));
        }
        let kind = std::mem::take(&mut raw.r#type);
        let (id, what) = if raw.is_scrubbed() {
            let event = scrubbed::parse(line, &kind)?;
            let frame = raw.frame();
            raw = RawLine { by: raw.by, idempotency_key: raw.idempotency_key, ..frame };
            (Uuid::nil(), Exported::Scrubbed(event))
        } else {
            raw.exported(&kind)?
        };
        let by = raw.by.take().map_or(Ok(Actor::Unknown), RawActor::check)?;
        let key = raw.idempotency_key.take().map(|key| key.check(&by)).transpose()?;
        let (position, time) = (Position(raw.position), parse_time(&raw.time, clock)?);
        if raw != raw.frame() {
            return Err(format!("it has a field that no {kind} has"));
        }
        if matches!(what, Exported::Unchanged(_)) && key.is_none() {
            return Err(format!("a {kind} must have an idempotency_key"));
        }
        Ok(Self { position, time, id, what, by, key })
    }
}

impl RawLine {
    /// Returns what every line has.
    fn frame(&self) -> Self {
        Self { v: self.v, position: self.position, time: self.time.clone(), ..Self::default() }
    }

    /// Returns whether something of the event has left the log.
    fn is_scrubbed(&self) -> bool {
        let texts = [&self.username, &self.name, &self.text, &self.emoji, &self.metadata];
        texts.iter().any(|text| text.as_deref() == Some(""))
    }

    /// Returns the id of what the event added, and what it was.
    fn exported(&mut self, kind: &str) -> Result<(Uuid, Exported), String> {
        let has_id = matches!(
            kind,
            "user_added"
                | "chat_added"
                | "nameless_chat_added"
                | "direct_chat_added"
                | "message_added"
                | "message_added_with"
        );
        let id = if has_id { own_id(&take("id", &mut self.id)?)? } else { Uuid::nil() };
        let command = match kind {
            "user_added" => Command::AddUser { username: value("username", &mut self.username)? },
            "chat_added" => {
                Command::AddChat { name: Some(value("name", &mut self.name)?), users: self.members()? }
            }
            "nameless_chat_added" => Command::AddChat { name: None, users: self.members()? },
            "direct_chat_added" => {
                let users = <[UserId; 2]>::try_from(self.members()?).ok();
                let users = users.filter(|[one, other]| one != other);
                Command::AddDirectChat { users: users.ok_or("users must hold two ids, of different users")? }
            }
            "message_added" => Command::AddMessage(self.message(None)?),
            "message_added_with" => {
                let extras = MessageExtras {
                    reply_to: self.reply_to.take().map(Seq),
                    metadata: self.metadata.take().map(metadata).transpose()?,
                };
                Command::AddMessage(self.message(Some(Box::new(extras)))?)
            }
            "message_edited" => Command::EditMessage(Box::new(self.edit()?)),
            "message_deleted" => Command::DeleteMessage {
                chat: id_of("chat", &mut self.chat)?,
                seq: Seq(take("seq", &mut self.seq)?),
                user: self.user_if_any()?,
                // The log does not say whether it was the author who deleted it.
                is_moderator: true,
                erase: take("erase", &mut self.erase)?,
            },
            "reaction_added" => Command::AddReaction(Box::new(self.reaction()?)),
            "reaction_removed" => Command::RemoveReaction(Box::new(self.reaction()?)),
            "chat_edited" => {
                self.check_edit("name", self.name.as_ref())?;
                Command::EditChat {
                    chat: id_of("chat", &mut self.chat)?,
                    name: self.name.take().map(|name| checked("name", name)).transpose()?,
                    metadata: self.metadata.take().map(metadata).transpose()?,
                }
            }
            "user_edited" => {
                self.check_edit("username", self.username.as_ref())?;
                Command::EditUser {
                    user: id_of("user", &mut self.user)?,
                    username: self.username.take().map(|name| checked("username", name)).transpose()?,
                    metadata: self.metadata.take().map(metadata).transpose()?,
                }
            }
            "user_erased" => Command::EraseUser {
                user: id_of("user", &mut self.user)?,
                messages: take("messages", &mut self.messages)?,
            },
            "member_added" => Command::AddMember {
                chat: id_of("chat", &mut self.chat)?,
                user: id_of("user", &mut self.user)?,
            },
            "member_removed" => Command::RemoveMember {
                chat: id_of("chat", &mut self.chat)?,
                user: id_of("user", &mut self.user)?,
            },
            "read_marked" => Command::MarkRead {
                chat: id_of("chat", &mut self.chat)?,
                user: id_of("user", &mut self.user)?,
                seq: Seq(take("seq", &mut self.seq)?),
            },
            "tokens_revoked" => Command::RevokeTokens {
                user: id_of("user", &mut self.user)?,
                from: unix_seconds(take("from", &mut self.from)?)?,
            },
            "nothing_changed" => return Ok((id, Exported::Unchanged(Event::NothingChanged))),
            "already_so" => return Ok((id, Exported::Unchanged(self.already_so()?))),
            _ => return Err(format!("there is no type {}", shown(kind))),
        };
        Ok((id, Exported::Command(command)))
    }
}

impl RawLine {
    fn members(&mut self) -> Result<Vec<UserId>, String> {
        let users = take("users", &mut self.users)?;
        if users.is_empty() {
            return Err("users must hold at least one id".to_owned());
        }
        users.iter().map(|user| parse_id("users", user)).collect()
    }

    fn message(&mut self, with: Option<Box<MessageExtras>>) -> Result<NewMessage, String> {
        let (chat, author) = (id_of("chat", &mut self.chat)?, id_of("author", &mut self.author)?);
        Ok(NewMessage { chat, author, text: value("text", &mut self.text)?, with })
    }

    /// Checks that an edit edits something: the field of this name, or the metadata.
    fn check_edit(&self, name: &str, field: Option<&String>) -> Result<(), String> {
        if field.is_none() && self.metadata.is_none() {
            return Err(format!("{name} or metadata is missing"));
        }
        Ok(())
    }

    fn edit(&mut self) -> Result<MessageEdit, String> {
        self.check_edit("text", self.text.as_ref())?;
        Ok(MessageEdit {
            chat: id_of("chat", &mut self.chat)?,
            seq: Seq(take("seq", &mut self.seq)?),
            user: self.user_if_any()?,
            text: self.text.take().map(|text| checked("text", text)).transpose()?,
            metadata: self.metadata.take().map(metadata).transpose()?,
        })
    }

    fn reaction(&mut self) -> Result<Reaction, String> {
        Ok(Reaction {
            chat: id_of("chat", &mut self.chat)?,
            seq: Seq(take("seq", &mut self.seq)?),
            user: id_of("user", &mut self.user)?,
            emoji: value("emoji", &mut self.emoji)?,
        })
    }

    fn already_so(&mut self) -> Result<Event<'static>, String> {
        Ok(Event::AlreadySo {
            chat: self.chat.take().map(|chat| parse_id("chat", &chat)).transpose()?,
            seq: self.seq.take().map(Seq),
            user: self.user_if_any()?,
            edited_at: self.edited_at.take().map(|time| parse_time(&time, None)).transpose()?,
        })
    }

    fn user_if_any(&mut self) -> Result<Option<UserId>, String> {
        self.user.take().map(|user| parse_id("user", &user)).transpose()
    }
}

/// Checks the metadata of a field.
pub(super) fn metadata(json: String) -> Result<Metadata, String> {
    let given = shown(&json);
    Metadata::try_from(json).map_err(|invalid| format!("metadata {invalid}: {given}"))
}

impl RawActor {
    fn check(self) -> Result<Actor<'static>, String> {
        match self {
            Self::User(user) => parse_id("by", &user).map(Actor::User),
            Self::Key(name) => {
                let given = shown(&name);
                Actor::key(name).map_err(|invalid| format!("the name of a key in by {invalid}: {given}"))
            }
        }
    }
}

impl RawKey {
    fn check(self, by: &Actor<'_>) -> Result<IdempotencyKey<'static>, String> {
        let Self { key, fingerprint } = self;
        let digits = Some(&fingerprint).filter(|digits| digits.len() == 32);
        let bytes = digits.and_then(|digits| Uuid::try_parse(digits).ok()).map(Uuid::into_bytes);
        let bytes =
            bytes.ok_or_else(|| format!("the fingerprint {} is not 32 digits", shown(&fingerprint)))?;
        let refused = format!("the key {}", shown(&key));
        IdempotencyKey::from_parts(key, Fingerprint(bytes), by)
            .map_err(|invalid| format!("{refused} {invalid}"))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "this is what serde calls")]
fn is_unknown(by: &&Actor<'_>) -> bool {
    by.is_unknown()
}

fn take<T>(name: &str, field: &mut Option<T>) -> Result<T, String> {
    field.take().ok_or_else(|| format!("{name} is missing"))
}

fn value<T: TryFrom<String, Error = InvalidValue>>(
    name: &str,
    field: &mut Option<String>,
) -> Result<T, String> {
    checked(name, take(name, field)?)
}

/// Checks the text of a field.
pub(super) fn checked<T: TryFrom<String, Error = InvalidValue>>(
    name: &str,
    text: String,
) -> Result<T, String> {
    let given = shown(&text);
    T::try_from(text).map_err(|invalid| format!("{name} {invalid}: {given}"))
}

fn id_of<T: std::str::FromStr>(name: &str, field: &mut Option<String>) -> Result<T, String> {
    parse_id(name, &take(name, field)?)
}

fn parse_id<T: std::str::FromStr>(name: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{name} must be a UUID in the hyphenated form: {}", shown(text)))
}

/// Checks that these are Unix seconds up to the year 9999.
fn unix_seconds(seconds: u64) -> Result<u64, String> {
    let time = seconds.checked_mul(1_000_000).and_then(Timestamp::from_micros);
    time.map(|_| seconds)
        .ok_or_else(|| format!("from must be Unix seconds up to the year 9999; it is {seconds}"))
}

/// Parses a UUID of version 7, as the server generates them. To the API, any other UUID names nothing.
pub(super) fn own_id(text: &str) -> Result<Uuid, String> {
    let id = Uuid::from(parse_id::<UserId>("id", text)?);
    let is_own = id.get_version() == Some(uuid::Version::SortRand);
    if is_own { Ok(id) } else { Err(format!("id must be a UUID of version 7: {}", shown(text))) }
}

/// Parses a JSON object with the fields of `T`.
pub(super) fn parse_object<'l, T: Deserialize<'l>>(line: &'l [u8]) -> Result<T, String> {
    // Without the line end, an object that does not end there ends on line 1 for serde.
    let line = line.trim_ascii_end();
    match line.trim_ascii_start().first() {
        Some(b'{') => serde_json::from_slice(line).map_err(|error| describe(line, &error)),
        // Serde would also accept an array of the fields' values.
        Some(b'[') => {
            let remedy =
                "each line must be an object of its own, as `jq -c '.[]'` writes the elements of an array";
            Err(format!("it begins a JSON array and is not a JSON object; {remedy}"))
        }
        _ => Err("it is not a JSON object".to_owned()),
    }
}

fn describe(line: &[u8], error: &serde_json::Error) -> String {
    #[derive(Deserialize)]
    struct Version {
        v: u64,
    }
    match serde_json::from_slice(line) {
        Ok(Version { v }) if v != VERSION => unknown_version(v),
        Ok(_) | Err(_) => {
            let message = error.to_string().replace(" at line 1 column", " at column");
            let cut = message.char_indices().nth(200).map_or(message.len(), |(cut, _)| cut);
            let message = message[..cut].escape_debug();
            if error.is_eof() {
                format!("the JSON object does not end on its line; `jq -c .` writes one a line: {message}")
            } else {
                message.to_string()
            }
        }
    }
}

fn unknown_version(v: u64) -> String {
    format!("it is of version {v}; this release reads version {VERSION}")
}
