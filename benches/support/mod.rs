//! The data that the benches share: messages whose lengths are those of a real conversation, their authors,
//! and logs that hold them.

use std::collections::HashMap;
use std::path::Path;

use chinwag::domain::{Actor, ChatId, Event, Position, Record, Seq, Timestamp, UserId};
use chinwag::log::{EventLog, FileLog, Frame, RealDisk, SEGMENT_BYTES_DEFAULT};
use tempfile::TempDir;
use uuid::{Builder, Uuid};

/// Members of every chat.
const MEMBERS: u64 = 20;

/// Users and chats. Everything in it follows from the number of chats.
#[derive(Debug, Clone, Copy)]
pub(crate) struct World {
    pub(crate) chats: u64,
}

impl World {
    /// Returns a world for this many messages, with about a thousand per chat.
    pub(crate) fn for_messages(messages: u64) -> Self {
        Self { chats: (messages / 1_000).max(10) }
    }

    /// Returns the number of users, each of whom is a member of about ten chats.
    pub(crate) fn users(self) -> u64 {
        (self.chats * 2).max(MEMBERS)
    }

    fn member(self, chat: u64, place: u64) -> UserId {
        user(((chat * MEMBERS / 2) + place) % self.users())
    }

    /// Returns chat and author of the message with this number. As on real channels, activity moves on: a
    /// hundred chats are active at a time, in random order, and then others.
    pub(crate) fn place(self, message: u64) -> (ChatId, UserId) {
        let mixed = mix(message);
        let at = (message / 1_000 + mixed % 100) % self.chats;
        (chat(at), self.member(at, (mixed >> 32) % MEMBERS))
    }

    /// Writes all users and chats.
    pub(crate) fn found(self, log: &mut LogWriter<'_>) {
        (0..self.users()).for_each(|number| log.add_user(number));
        for number in 0..self.chats {
            log.add_chat(number, (0..MEMBERS).map(|place| self.member(number, place)).collect());
        }
    }

    /// Writes messages 0 to `messages`, and returns the total bytes of their texts.
    pub(crate) fn talk(self, messages: u64, log: &mut LogWriter<'_>) -> u64 {
        for number in 0..messages {
            let (chat, author) = self.place(number);
            log.add_message(number, chat, author);
        }
        (0..messages).map(|number| text(number).len() as u64).sum()
    }
}

impl World {
    /// Edits, deletes or reacts to one of so many of the messages that were written, in turn.
    pub(crate) fn change_each(self, of: u64, messages: u64, log: &mut LogWriter<'_>) {
        let mut sent = HashMap::<ChatId, u64>::new();
        for number in 0..messages {
            let (chat, author) = self.place(number);
            let seq = sent.entry(chat).or_default();
            *seq += 1;
            if number % of > 0 {
                continue;
            }
            let seq = Seq(*seq);
            log.add(match number / of % 3 {
                0 => {
                    let text = Some(text(number + 1).into());
                    Event::MessageEdited { chat, seq, user: Some(author), text, metadata: None }
                }
                1 => Event::MessageDeleted { chat, seq, user: Some(author), erase: false },
                _ => Event::ReactionAdded { chat, seq, user: author, emoji: "👍".into() },
            });
        }
    }
}

/// Fills an empty log.
pub(crate) struct LogWriter<'l> {
    log: &'l mut dyn EventLog,
    frame: Frame,
    next: Position,
}

impl<'l> LogWriter<'l> {
    pub(crate) fn on(log: &'l mut dyn EventLog) -> Self {
        log.make_ready().expect("an empty log");
        Self { log, frame: Frame::new(Position(1)), next: Position(1) }
    }

    pub(crate) fn add_user(&mut self, number: u64) {
        self.add(Event::UserAdded { id: user(number), username: format!("user {number}").into() });
    }

    pub(crate) fn add_chat(&mut self, number: u64, users: Vec<UserId>) {
        self.add(Event::ChatAdded { id: chat(number), name: format!("chat {number}").into(), users });
    }

    pub(crate) fn add_message(&mut self, number: u64, chat: ChatId, author: UserId) {
        let id = id(3, number).into();
        self.add(Event::MessageAdded { id, chat, author, text: text(number).into() });
    }

    fn add(&mut self, event: Event<'_>) {
        /// Events per frame, about as many as on a busy server.
        const FRAME_EVENTS: u64 = 256;
        const TIME_OF_FIRST_US: u64 = 1_700_000_000_000_000;
        let time = Timestamp::from_micros(TIME_OF_FIRST_US + self.next.0).expect("before 9999");
        self.frame.push(&Record { time, by: Actor::Unknown, key: None, event });
        self.next = self.next.next();
        if self.next.0 - self.frame.first().0 == FRAME_EVENTS {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.log.append(&mut self.frame).expect("appended");
        self.frame.restart(self.next);
    }

    pub(crate) fn finish(mut self) {
        if !self.frame.is_empty() {
            self.flush();
        }
    }
}

pub(crate) fn open_log(dir: &Path) -> FileLog<RealDisk> {
    FileLog::new(RealDisk::lock(dir).expect("a directory of one's own"), SEGMENT_BYTES_DEFAULT)
}

/// A directory on the disk that the build is on: the system's one for temporary files is often memory, where
/// a sync costs nothing.
pub(crate) fn temporary_dir() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary directory")
}

/// Returns the number of messages of the large benches: `CHINWAG_BENCH_MESSAGES`.
pub(crate) fn messages() -> u64 {
    let default = if once() { 10_000 } else { 1_000_000 };
    std::env::var("CHINWAG_BENCH_MESSAGES")
        .map_or(default, |number| number.parse().expect("CHINWAG_BENCH_MESSAGES is a number"))
}

/// Returns whether the benches only have to run once, as criterion's do with `--test` and outside `cargo
/// bench`.
pub(crate) fn once() -> bool {
    let has = |flag: &str| std::env::args().any(|arg| arg == flag);
    has("--test") || !has("--bench")
}

pub(crate) fn user(number: u64) -> UserId {
    id(1, number).into()
}

pub(crate) fn chat(number: u64) -> ChatId {
    id(2, number).into()
}

/// Returns a UUID of version 7 that depends on the arguments only.
fn id(kind: u8, number: u64) -> Uuid {
    const IDS_PER_MILLISECOND: u64 = 50;
    const TIME_OF_FIRST_MS: u64 = 1_700_000_000_000;
    let mut random = [kind; 10];
    random[2..].copy_from_slice(&mix(number).to_le_bytes());
    Builder::from_unix_timestamp_millis(TIME_OF_FIRST_MS + number / IDS_PER_MILLISECOND, &random).into_uuid()
}

/// Returns a pseudo-random number, different for each argument (the finaliser of `SplitMix64`).
pub(crate) fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// Returns the text of the message with this number.
pub(crate) fn text(number: u64) -> &'static str {
    let percentile = mix(number) % TEXT_BYTES.len() as u64;
    &PROSE[..TEXT_BYTES[usize::try_from(percentile).expect("less than a hundred")]]
}

/// Lengths of messages in a busy public IRC channel, by percentile: the median is 43 bytes, the mean 58.
const TEXT_BYTES: [usize; 100] = [
    2, 2, 3, 3, 4, 5, 6, 6, 7, 9, 9, 10, 11, 12, 13, 14, 15, 16, 16, 17, 18, 19, 20, 20, 21, 22, 23, 24, 25,
    25, 26, 27, 28, 29, 30, 30, 31, 32, 33, 34, 35, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48,
    49, 50, 51, 52, 53, 54, 55, 57, 58, 59, 61, 62, 63, 65, 67, 68, 70, 72, 73, 75, 77, 79, 81, 84, 86, 89,
    92, 95, 97, 101, 104, 108, 112, 117, 122, 128, 135, 142, 150, 161, 174, 191, 213, 248, 322,
];

/// Source of all texts. Those of 191 bytes and more contain a quote, which JSON must escape: 4 %, as in that
/// channel.
const PROSE: &str = "so I tried that and it still says no such device, although it shows up when I list them all; \
    is there anything else that has to be loaded first, or do I need to restart the whole thing? \"no such \
    device\" is all I find, I have looked through the manual twice by now and it only talks about the old \
    version, where none of this was needed. somebody else here had the same last week, I think";
