//! Fills a server with a conversation before a measurement. The same one is written for every server.

use std::io::{BufWriter, Write, stdout};
use std::path::PathBuf;

use chinwag::log::{EventLog, Progress};
use clap::Args;
use serde_json::json;
use uuid::Uuid;

use crate::support::{LogWriter, World, chat, mix, open_log, text, user};

#[derive(Args)]
pub(crate) struct FillArgs {
    /// Data directory; created if it is missing
    dir: PathBuf,
    #[arg(long)]
    chats: u64,
    #[arg(long)]
    messages: u64,
    /// Number of members to print, each with one of their chats, chosen from the whole conversation
    #[arg(long, default_value_t = 1_000)]
    named: u64,
}

/// Fills a log, and prints the total bytes of the texts, the bytes of the log, and some members.
pub(crate) fn fill(args: &FillArgs) {
    let world = World { chats: args.chats };
    let mut log = open_log(&args.dir);
    let mut writer = LogWriter::on(&mut log);
    world.found(&mut writer);
    let text_bytes = world.talk(args.messages, &mut writer);
    writer.finish();
    drop(log);
    let progress = Progress::default();
    let mut log = open_log(&args.dir);
    let mut replay = log.replay(&progress).expect("a log");
    while replay.next_frame().expect("a sound log").is_some() {}
    let members = (0..args.named).map(|number| {
        /// Messages per chat until every chat has been written to.
        const NUMBERS_A_CHAT: u64 = 1_000;
        let (chat, user) = world.place(mix(number) % (args.chats * NUMBERS_A_CHAT));
        [Uuid::from(chat), Uuid::from(user)]
    });
    let members: Vec<_> = members.collect();
    println!("{}", json!({ "text_bytes": text_bytes, "log_bytes": progress.bytes(), "members": members }));
}

#[derive(Args)]
pub(crate) struct FillListsArgs {
    /// Data directory; created if it is missing
    dir: PathBuf,
    /// Number of chats of the busier user
    #[arg(long)]
    chats: u64,
}

/// Fills a log, and prints the ids of the two users, the busier one first.
pub(crate) fn fill_lists(args: &FillListsArgs) {
    const FEW_CHATS: u64 = 20;
    let mut log = open_log(&args.dir);
    let mut writer = LogWriter::on(&mut log);
    (0..2).for_each(|number| writer.add_user(number));
    for number in 0..args.chats + FEW_CHATS {
        let member = user(u64::from(number >= args.chats));
        writer.add_chat(number, vec![member]);
        writer.add_message(number, chat(number), member);
    }
    writer.finish();
    println!("{}", json!([Uuid::from(user(0)), Uuid::from(user(1))]));
}

#[derive(Args)]
pub(crate) struct RedisArgs {
    #[arg(long)]
    chats: u64,
    #[arg(long)]
    messages: u64,
}

/// Prints one `XADD` per message: a stream for each chat, and the 16 bytes of the author's id.
pub(crate) fn redis_commands(args: &RedisArgs) {
    let world = World { chats: args.chats };
    let mut out = BufWriter::new(stdout().lock());
    for number in 0..args.messages {
        let (chat, author) = world.place(number);
        let (chat, author) = (Uuid::from(chat).to_string(), Uuid::from(author));
        let words: [&[u8]; 7] =
            [b"XADD", chat.as_bytes(), b"*", b"author", author.as_bytes(), b"text", text(number).as_bytes()];
        write!(out, "*{}\r\n", words.len()).expect("stdout is open");
        for word in words {
            write!(out, "${}\r\n", word.len()).expect("stdout is open");
            out.write_all(word).expect("stdout is open");
            out.write_all(b"\r\n").expect("stdout is open");
        }
    }
    out.flush().expect("stdout is open");
}
