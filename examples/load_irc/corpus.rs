//! Reads a conversation from a file: users, chats, and the steps in each chat.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use serde::Deserialize;

use super::error::Error;

/// A whole conversation, in order of first appearance.
#[derive(Debug, Default)]
pub(super) struct Corpus {
    pub(super) users: Vec<User>,
    pub(super) chats: Vec<Chat>,
}

#[derive(Debug)]
pub(super) struct User {
    /// Nickname, trimmed and unique.
    pub(super) name: String,
    /// Line of the file that names it first.
    pub(super) line: usize,
}

#[derive(Debug)]
pub(super) struct Chat {
    pub(super) name: String,
    /// Line of the file that names it first.
    pub(super) line: usize,
    /// Members before the first line: indices of users, at least one.
    pub(super) founders: Vec<usize>,
    pub(super) steps: Vec<Step>,
}

/// One action of a user in a chat. A line of the file may cause several steps.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) line: usize,
    /// Index of the user.
    pub(super) user: usize,
    pub(super) action: Action,
}

#[derive(Debug)]
pub(super) enum Action {
    Join,
    /// A user who writes after leaving must have joined again, although the file does not say so.
    ImpliedJoin,
    Leave,
    /// Marks the chat as read up to this message.
    Read(u64),
    Say(String),
}

impl Corpus {
    /// Reads a file until its end, or until it has given `limit` messages.
    pub(super) fn read(path: &Path, limit: Option<usize>) -> Result<Self, Error> {
        let failed = |source| Error::File { path: path.to_owned(), source };
        let limit = limit.unwrap_or(usize::MAX);
        let mut reader = Reader::default();
        for text in open(path).map_err(failed)?.lines() {
            if reader.messages >= limit {
                break;
            }
            reader.line += 1;
            let line = serde_json::from_str(&text.map_err(failed)?);
            reader.apply(line.map_err(|source| Error::Line {
                path: path.to_owned(),
                line: reader.line,
                source,
            })?);
        }
        Ok(reader.finish())
    }

    pub(super) fn step_count(&self) -> usize {
        self.chats.iter().map(|chat| chat.steps.len()).sum()
    }
}

/// Returns whether the server accepts this text.
pub(super) fn is_storable(text: &str) -> bool {
    (1..=16_384).contains(&text.len())
}

/// A line of the file.
#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
enum Line {
    Message { chat: String, user: String, text: String },
    Join { chat: String, user: String },
    Leave { chat: String, user: String },
}

/// Builds a conversation from lines.
#[derive(Default)]
struct Reader {
    corpus: Corpus,
    line: usize,
    messages: usize,
    users: HashMap<String, usize>,
    chats: HashMap<String, usize>,
    /// State of each chat of the corpus, by the same index.
    rooms: Vec<Room>,
}

/// State of a chat while its lines are read.
#[derive(Default)]
struct Room {
    seen: HashSet<usize>,
    present: HashSet<usize>,
    last_seq: u64,
}

impl Reader {
    fn apply(&mut self, line: Line) {
        /// The author of one message in this many marks the chat as read.
        const READ_ONE_IN: u64 = 16;
        match line {
            Line::Join { chat, user } => {
                let (chat, user) = (self.chat(&chat), self.user(&user));
                self.rooms[chat].seen.insert(user);
                self.rooms[chat].present.insert(user);
                self.push(chat, user, Action::Join);
            }
            Line::Leave { chat, user } => {
                let (chat, user) = (self.chat(&chat), self.user(&user));
                self.meet(chat, user);
                // Only a member can set a read mark.
                if self.rooms[chat].present.remove(&user) {
                    self.push(chat, user, Action::Read(self.rooms[chat].last_seq));
                }
                self.push(chat, user, Action::Leave);
            }
            Line::Message { chat, user, text } => {
                self.messages += 1;
                let (chat, user) = (self.chat(&chat), self.user(&user));
                self.meet(chat, user);
                if self.rooms[chat].present.insert(user) {
                    self.push(chat, user, Action::ImpliedJoin);
                }
                let stored = is_storable(&text);
                self.push(chat, user, Action::Say(text));
                let seq = self.rooms[chat].last_seq + u64::from(stored);
                self.rooms[chat].last_seq = seq;
                if stored && seq.is_multiple_of(READ_ONE_IN) {
                    self.push(chat, user, Action::Read(seq));
                }
            }
        }
    }

    fn user(&mut self, name: &str) -> usize {
        let (name, line) = (name.trim().to_owned(), self.line);
        *self.users.entry(name).or_insert_with_key(|name| {
            self.corpus.users.push(User { name: name.clone(), line });
            self.corpus.users.len() - 1
        })
    }

    fn chat(&mut self, name: &str) -> usize {
        let (name, line) = (name.trim().to_owned(), self.line);
        *self.chats.entry(name).or_insert_with_key(|name| {
            let chat = Chat { name: name.clone(), line, founders: Vec::new(), steps: Vec::new() };
            self.corpus.chats.push(chat);
            self.rooms.push(Room::default());
            self.rooms.len() - 1
        })
    }

    /// Counts a user who appears without a join as a member from the start.
    fn meet(&mut self, chat: usize, user: usize) {
        if self.rooms[chat].seen.insert(user) {
            self.rooms[chat].present.insert(user);
            self.corpus.chats[chat].founders.push(user);
        }
    }

    fn push(&mut self, chat: usize, user: usize, action: Action) {
        self.corpus.chats[chat].steps.push(Step { line: self.line, user, action });
    }

    fn finish(mut self) -> Corpus {
        for chat in &mut self.corpus.chats {
            // A new chat needs a member: without members from the start, the first user to join.
            if chat.founders.is_empty() {
                chat.founders.extend(chat.steps.first().map(|step| step.user));
            }
        }
        self.corpus
    }
}

/// Opens a plain or gzipped file, and returns its text.
fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    const GZIP: [u8; 2] = [0x1f, 0x8b];
    let mut file = BufReader::new(File::open(path)?);
    Ok(if file.fill_buf()?.starts_with(&GZIP) {
        Box::new(BufReader::new(MultiGzDecoder::new(file)))
    } else {
        Box::new(file)
    })
}
