//! The conversation in the file: who there is, and who said what where.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use serde::Deserialize;

use super::error::Error;

/// All that is loaded, in order of first appearance.
#[derive(Debug, Default)]
pub(super) struct Corpus {
    /// The distinct nicknames, trimmed.
    pub(super) users: Vec<String>,
    pub(super) chats: Vec<Chat>,
}

#[derive(Debug)]
pub(super) struct Chat {
    pub(super) name: String,
    /// All who speak or join, in order of first appearance: indices of users.
    pub(super) members: Vec<usize>,
    pub(super) messages: Vec<Message>,
}

#[derive(Debug)]
pub(super) struct Message {
    /// The index of a user.
    pub(super) author: usize,
    pub(super) text: String,
}

impl Corpus {
    /// Reads a file until its end, or until it has given `limit` messages.
    pub(super) fn read(path: &Path, limit: Option<usize>) -> Result<Self, Error> {
        let failed = |source| Error::File { action: "read", path: path.to_owned(), source };
        let limit = limit.unwrap_or(usize::MAX);
        let mut reader = Reader::default();
        for (index, line) in open(path).map_err(failed)?.lines().enumerate() {
            if reader.messages >= limit {
                break;
            }
            let line = serde_json::from_str(&line.map_err(failed)?);
            reader.take(line.map_err(|source| Error::Line {
                path: path.to_owned(),
                line: index + 1,
                source,
            })?);
        }
        Ok(reader.corpus)
    }

    pub(super) fn message_count(&self) -> usize {
        self.chats.iter().map(|chat| chat.messages.len()).sum()
    }
}

impl Chat {
    /// What the server must have stored of this chat.
    pub(super) fn stored(&self) -> Vec<&Message> {
        self.messages.iter().filter(|message| message.is_storable()).collect()
    }
}

impl Message {
    /// Whether the server takes such a text.
    pub(super) fn is_storable(&self) -> bool {
        (1..=16_384).contains(&self.text.len())
    }
}

/// A line of the file.
#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
enum Line {
    Message { chat: String, user: String, text: String },
    Join { chat: String, user: String },
    // Who leaves stays a member: what was said before must be told.
    Leave { user: String },
}

/// Builds a conversation from lines.
#[derive(Default)]
struct Reader {
    corpus: Corpus,
    messages: usize,
    users: HashMap<String, usize>,
    chats: HashMap<String, usize>,
    /// Chats and their members.
    members: HashSet<(usize, usize)>,
}

impl Reader {
    fn take(&mut self, line: Line) {
        match line {
            Line::Message { chat, user, text } => {
                let author = self.user(&user);
                self.member(chat, author).messages.push(Message { author, text });
                self.messages += 1;
            }
            Line::Join { chat, user } => {
                let user = self.user(&user);
                self.member(chat, user);
            }
            Line::Leave { user } => {
                self.user(&user);
            }
        }
    }

    fn user(&mut self, name: &str) -> usize {
        let name = name.trim();
        if let Some(&user) = self.users.get(name) {
            return user;
        }
        let user = self.corpus.users.len();
        self.corpus.users.push(name.to_owned());
        self.users.insert(name.to_owned(), user);
        user
    }

    /// The chat, with this user in it.
    fn member(&mut self, name: String, user: usize) -> &mut Chat {
        let chats = &mut self.corpus.chats;
        let index = *self.chats.entry(name).or_insert_with_key(|name| {
            chats.push(Chat { name: name.trim().to_owned(), members: Vec::new(), messages: Vec::new() });
            chats.len() - 1
        });
        let chat = &mut chats[index];
        if self.members.insert((index, user)) {
            chat.members.push(user);
        }
        chat
    }
}

/// The file's text, whether it is gzipped or not.
fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    const GZIP: [u8; 2] = [0x1f, 0x8b];
    let mut file = BufReader::new(File::open(path)?);
    Ok(if file.fill_buf()?.starts_with(&GZIP) {
        Box::new(BufReader::new(MultiGzDecoder::new(file)))
    } else {
        Box::new(file)
    })
}
