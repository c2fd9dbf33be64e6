//! Random histories, driven through the real router, engine and file log, and through a model so naive that
//! it is right by inspection; every read of both is compared, again after a restart, and of the history
//! exported and imported.

mod compared;
mod message;
mod naive;
mod pictures;
mod requests;
mod rules;
mod server;
mod streamed;
mod told;

use std::path::Path;
use std::time::Duration;

use chinwag::domain::Position;
use chinwag::log::SEGMENT_BYTES_MIN;
use chinwag::tools::{self, Import, Lenience};
use futures_util::future::join_all;
use proptest::prelude::*;
use serde_json::Value;
use tempfile::TempDir;

use compared::compare;
use message::NaiveMessage;
use naive::Naive;
use server::{Reply, Request, Revocation, Server};
use streamed::Streams;

/// One action of a client. Users and chats are given by a number from 0 to 99: see [`requests::named`].
#[derive(Debug, Clone)]
enum Step {
    Write {
        write: Write,
        key: Option<u8>,
    },
    /// A write that had a key is sent again.
    Retry {
        number: u8,
    },
    Restart,
}

/// A write. Names, metadata and emoji are numbers, so that the same ones come again.
#[derive(Debug, Clone)]
enum Write {
    AddUser {
        name: u8,
    },
    EditUser {
        user: u8,
        username: Option<u8>,
        metadata: Option<u8>,
    },
    AddChat {
        name: Option<u8>,
        users: Vec<u8>,
    },
    AddDirectChat {
        users: [u8; 2],
    },
    EditChat {
        chat: u8,
        name: Option<u8>,
        metadata: Option<u8>,
    },
    AddMessage(NewMessage),
    AddMessages(Vec<NewMessage>),
    EditMessage {
        at: At,
        by: By,
        text: Option<u8>,
        metadata: Option<u8>,
    },
    DeleteMessage {
        at: At,
        by: By,
    },
    AddReaction {
        at: At,
        user: u8,
        emoji: u8,
    },
    /// Removes one of the reactions that are there, by number, if there is one.
    RemoveReaction {
        at: At,
        reaction: u8,
    },
    Join {
        chat: u8,
        user: u8,
    },
    Leave {
        chat: u8,
        user: u8,
    },
    Read {
        at: At,
        user: u8,
    },
    /// Revokes tokens. Only this write is not anonymous.
    Revoke {
        user: u8,
        from: u8,
        by: u8,
    },
}

#[derive(Debug, Clone)]
struct NewMessage {
    chat: u8,
    author: u8,
    text: String,
    /// The place of the message that it replies to, as in [`At`].
    reply_to: Option<u8>,
    metadata: Option<u8>,
}

/// A message of a chat: this percentage of the messages come up to it. Above 100 it is beyond the last one.
#[derive(Debug, Clone)]
struct At {
    chat: u8,
    percent: u8,
}

/// The one who edits or deletes a message.
#[derive(Debug, Clone)]
enum By {
    Author,
    User(u8),
    Application,
}

/// Steps of a burst are sent at once, so that they share batches.
type Burst = Vec<Step>;

fn step() -> impl Strategy<Value = Step> {
    let key = prop::option::weighted(0.4, 0..40_u8);
    prop_oneof![
        12 => (write(), key).prop_map(|(write, key)| Step::Write { write, key }),
        3 => (0..40_u8).prop_map(|number| Step::Retry { number }),
        1 => Just(Step::Restart),
    ]
}

fn write() -> impl Strategy<Value = Write> {
    prop_oneof![12 => write_around_messages(), 16 => write_of_message(), 20 => change_of_message()]
}

fn write_around_messages() -> impl Strategy<Value = Write> {
    let (chat, user) = (0..100_u8, 0..100_u8);
    let users = prop::collection::vec(0..100_u8, 1..6);
    prop_oneof![
        3 => (0..12_u8).prop_map(|name| Write::AddUser { name }),
        2 => (user.clone(), one_or_both(0..12_u8))
            .prop_map(|(user, (username, metadata))| Write::EditUser { user, username, metadata }),
        2 => (prop::option::weighted(0.7, 0..8_u8), users).prop_map(|(name, users)| Write::AddChat { name, users }),
        2 => [user.clone(), user.clone()].prop_map(|users| Write::AddDirectChat { users }),
        2 => (chat.clone(), one_or_both(0..8_u8))
            .prop_map(|(chat, (name, metadata))| Write::EditChat { chat, name, metadata }),
        2 => (chat.clone(), user.clone()).prop_map(|(chat, user)| Write::Join { chat, user }),
        2 => (chat, user.clone()).prop_map(|(chat, user)| Write::Leave { chat, user }),
        2 => (user, 0..20_u8, 0..100_u8).prop_map(|(user, from, by)| Write::Revoke { user, from, by }),
    ]
}

fn write_of_message() -> impl Strategy<Value = Write> {
    let text = prop_oneof![4 => "\\PC{1,40}", 1 => "[\\x00-\\x1f]{1,5}", 1 => "x{2000,4000}"];
    // Mostly one chat and one user, because otherwise most batches would be refused.
    let one = (first_or_any(), 0..90_u8, prop::collection::vec(new_message(Just(0), "\\PC{1,9}"), 1..8))
        .prop_map(|(chat, author, messages)| {
            messages.into_iter().map(|message| NewMessage { chat, author, ..message }).collect()
        });
    let any = prop::collection::vec(new_message(first_or_any(), "\\PC{1,9}"), 1..4);
    prop_oneof![
        8 => new_message(first_or_any(), text).prop_map(Write::AddMessage),
        3 => prop_oneof![2 => one, 1 => any].prop_map(Write::AddMessages),
        5 => (at(), 0..100_u8).prop_map(|(at, user)| Write::Read { at, user }),
    ]
}

fn new_message(
    chat: impl Strategy<Value = u8>,
    text: impl Strategy<Value = String>,
) -> impl Strategy<Value = NewMessage> {
    // Also to messages of the same batch.
    let reply_to = prop::option::weighted(0.3, prop_oneof![0..110_u8, 99..106_u8]);
    let metadata = prop::option::weighted(0.2, 0..10_u8);
    (chat, 0..100_u8, text, reply_to, metadata).prop_map(|(chat, author, text, reply_to, metadata)| {
        NewMessage { chat, author, text, reply_to, metadata }
    })
}

fn change_of_message() -> impl Strategy<Value = Write> {
    let by = || prop_oneof![4 => Just(By::Author), 1 => (0..100_u8).prop_map(By::User), 1 => Just(By::Application)];
    prop_oneof![
        6 => (at(), by(), one_or_both(0..3_u8))
            .prop_map(|(at, by, (text, metadata))| Write::EditMessage { at, by, text, metadata }),
        4 => (at(), by()).prop_map(|(at, by)| Write::DeleteMessage { at, by }),
        6 => (at(), 0..100_u8, 0..4_u8).prop_map(|(at, user, emoji)| Write::AddReaction { at, user, emoji }),
        4 => (at(), 0..100_u8).prop_map(|(at, reaction)| Write::RemoveReaction { at, reaction }),
    ]
}

/// A message, often the first or the last one of the first chat, so that changes meet each other.
fn at() -> impl Strategy<Value = At> {
    let percent = prop_oneof![1 => Just(1), 1 => Just(100), 1 => 0..110_u8];
    (first_or_any(), percent).prop_map(|(chat, percent)| At { chat, percent })
}

fn first_or_any() -> impl Strategy<Value = u8> {
    prop_oneof![Just(0), 0..100_u8]
}

/// What an edit changes: a name or text, metadata, or both.
fn one_or_both(text: impl Strategy<Value = u8>) -> impl Strategy<Value = (Option<u8>, Option<u8>)> {
    (text, 0..10_u8, 0..3)
        .prop_map(|(text, metadata, which)| ((which > 0).then_some(text), (which < 2).then_some(metadata)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_read_agrees_with_a_naive_model(
        bursts in prop::collection::vec(prop::collection::vec(step(), 1..12), 1..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(bursts));
    }
}

async fn run(bursts: Vec<Burst>) {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::open(dir.path());
    let mut naive = Naive::default();
    let mut streams = Streams::default();
    for burst in opening().into_iter().chain(bursts) {
        send(&server, dir.path(), &mut naive, &burst).await;
        if burst.iter().any(|step| matches!(step, Step::Restart)) {
            server.close().await;
            server = Server::open(dir.path());
            streams.resume(&server).await;
        }
        streams.follow(&server, &naive).await;
        streams.check(&naive).await;
        streamed::check_from_the_past(&server, &naive).await;
        compare(&server, &naive).await;
    }
    server.close().await;
    let server = Server::open(dir.path());
    compare(&server, &naive).await;
    server.close().await;

    let copy = copied(dir.path());
    let server = Server::open(copy.path());
    let keyed: Vec<_> = naive.keyed.iter().map(|(request, _)| request.clone()).collect();
    for request in keyed {
        let reply = server.send(&request).await;
        assert!(reply.replayed, "{request:?}");
        naive.take(&request, &reply);
    }
    compare(&server, &naive).await;

    // What a scrub has taken out is missed by nobody, but for the earlier texts.
    tools::scrub(dir.path(), None, Duration::ZERO, &mut Vec::new()).unwrap();
    let messages = naive.chats.iter_mut().flat_map(|chat| &mut chat.messages);
    messages.for_each(NaiveMessage::forget_replaced);
    compare(&Server::open(dir.path()), &naive).await;
    compare(&Server::open(copied(dir.path()).path()), &naive).await;
}

/// Returns a directory with what the log in this one becomes when it is exported and imported.
fn copied(dir: &Path) -> TempDir {
    let (exported, copy) = (export(dir), tempfile::tempdir().unwrap());
    let into = Import { data: copy.path().to_owned(), segment_bytes: SEGMENT_BYTES_MIN };
    tools::import(&into, &Lenience::default(), exported.as_slice(), &mut Vec::new()).unwrap();
    assert!(export(copy.path()) == exported, "byte for byte");
    copy
}

/// Returns what comes first: users and chats, because without them most writes are refused.
fn opening() -> [Burst; 2] {
    let step = |write| Step::Write { write, key: None };
    let users = (0..4).map(|name| step(Write::AddUser { name }));
    let chats = [
        Write::AddChat { name: Some(0), users: vec![0, 1, 2, 3] },
        Write::AddChat { name: None, users: vec![1, 0] },
        Write::AddDirectChat { users: [0, 1] },
    ];
    [users.collect(), chats.map(step).into()]
}

/// Sends the requests of a burst at once, and has the naive model check the answers.
async fn send(server: &Server, dir: &Path, naive: &mut Naive, burst: &[Step]) {
    let requests: Vec<_> = burst.iter().filter_map(|step| naive.request(step)).collect();
    // Joined futures are polled in order: commands are queued, and so decided, in the order of the burst.
    let replies = join_all(requests.iter().map(|request| server.send(request))).await;
    let lines =
        export(dir).split(|byte| *byte == b'\n').map(serde_json::from_slice::<Value>).collect::<Vec<_>>();
    naive.times = lines.into_iter().flatten().map(|event| event["time"].clone()).collect();
    for (request, reply) in requests.iter().zip(replies) {
        naive.take(request, &reply);
    }
}

fn export(dir: &Path) -> Vec<u8> {
    let mut lines = Vec::new();
    tools::dump(dir, Position(1), &mut lines).unwrap();
    lines
}
