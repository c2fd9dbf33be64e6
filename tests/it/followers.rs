//! Followers of an engine: what they see while others write, and when feeds end.

mod happened;
mod naive;
mod of_all;
mod of_user;
mod step;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::time::timeout;

use chinwag::domain::{Actor, ChatId, ChatName, Command, NewMessage, Position, Text, UserId, Username};
use chinwag::engine::{Begin, Engine, EngineSettings, FeedEvent, Follower, ReplayProgress};
use chinwag::log::MemoryLog;
use chinwag::model::Outcome;

use happened::Happened;

/// Far more time than anything here takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);

async fn add(engine: &Engine, command: Command) -> Outcome {
    engine.submit(command, None, Actor::Unknown).await.expect("accepted").receipt.outcome
}

fn engine(can_follow_all: bool) -> Engine {
    let settings = EngineSettings { queue_max: 10_000, can_follow_all, scrub: None };
    let (engine, _) = Engine::start(Box::new(MemoryLog::default()), settings, &ReplayProgress::default())
        .expect("an empty log can be replayed");
    engine
}

async fn add_user(engine: &Engine, username: &str) -> UserId {
    let username = Username::try_from(username.to_owned()).unwrap();
    let Outcome::User(user) = add(engine, Command::AddUser { username }).await else { panic!("no user") };
    user
}

async fn add_chat(engine: &Engine, name: &str, users: Vec<UserId>) -> ChatId {
    let name = ChatName::try_from(name.to_owned()).unwrap();
    let Outcome::Chat(chat) = add(engine, Command::AddChat { name: Some(name), users }).await else {
        panic!("no chat")
    };
    chat
}

/// Returns an engine with a user who is in all of this number of chats.
async fn engine_with_chats(count: usize) -> (Engine, UserId, Vec<ChatId>) {
    let engine = engine(false);
    let username = Username::try_from("ann".to_owned()).unwrap();
    let Outcome::User(ann) = add(&engine, Command::AddUser { username }).await else { panic!("no user") };
    let chats = (0..count).map(|number| {
        let name = ChatName::try_from(format!("chat {number}")).unwrap();
        add(&engine, Command::AddChat { name: Some(name), users: vec![ann] })
    });
    let chats = join_all(chats).await.into_iter().map(|added| {
        let Outcome::Chat(chat) = added else { panic!("no chat") };
        chat
    });
    let chats = chats.collect();
    (engine, ann, chats)
}

fn message(chat: ChatId, author: UserId) -> NewMessage {
    NewMessage { chat, author, text: Text::try_from("hello".to_owned()).unwrap(), with: None }
}

/// Waits for this number of further events, whose positions must follow that of the event before them.
async fn expect_next(follower: &mut Follower, last: u64, count: u64) {
    let mut next = last + 1;
    while next <= last + count {
        assert!(timeout(DEADLINE, follower.wait()).await.expect("an event in time"), "the feed has ended");
        for event in follower.take() {
            assert_eq!(event.id.position.0, next, "each event once, in order");
            next += 1;
        }
    }
}

/// Takes the next piece of events, which is small.
async fn next_piece(follower: &mut Follower) -> Vec<FeedEvent> {
    let waited = timeout(Duration::from_secs(10), follower.wait()).await;
    assert!(waited.expect("an event in time"), "the feed has ended");
    let piece = follower.take();
    assert!(piece.len() <= 64);
    piece
}

fn seen(piece: &[FeedEvent]) -> impl Iterator<Item = (u64, Happened)> {
    piece.iter().map(|event| (event.id.position.0, Happened::from(&event.kind)))
}

/// Writes to one chat after the other, so that the event behind one that was missed does not make up for it.
async fn write_to(chats: Vec<ChatId>, author: UserId, engine: Arc<Engine>, is_done: Arc<AtomicBool>) {
    for &chat in chats.iter().cycle().take_while(|_| !is_done.load(Ordering::Relaxed)) {
        add(&engine, Command::AddMessage(message(chat, author))).await;
    }
}

/// Everything that is written is for one user, so the positions that a follower sees have no gap.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_attaches_during_writes_misses_nothing() {
    const WRITERS: usize = 4;
    // It takes long enough to follow so many that a write could fall in between.
    let (engine, ann, chats) = engine_with_chats(1_000).await;
    let (engine, is_done) = (Arc::new(engine), Arc::new(AtomicBool::new(false)));
    let writers: Vec<_> = chats
        .chunks(chats.len() / WRITERS)
        .map(|chats| tokio::spawn(write_to(chats.to_vec(), ann, Arc::clone(&engine), Arc::clone(&is_done))))
        .collect();
    let started = Instant::now();
    // A slow machine tries it less often.
    while started.elapsed() < Duration::from_millis(1_500) {
        let mut follower = engine.follow(ann, Begin::Now).expect("followed");
        let begin = follower.begin().position.0;
        expect_next(&mut follower, begin, 1).await;
    }
    is_done.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.expect("written");
    }
}

/// A follower that had got the news of one chat first would go on behind the events of the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_sees_all_chats_of_a_batch() {
    const BATCHES: u64 = 50;
    let (engine, ann, chats) = engine_with_chats(200).await;
    let mut follower = engine.follow(ann, Begin::Now).expect("followed");
    let begin = follower.begin().position.0;
    let write = async {
        for _ in 0..BATCHES {
            let batch = chats.iter().map(|&chat| message(chat, ann)).collect();
            add(&engine, Command::AddMessages(batch)).await;
        }
    };
    tokio::join!(expect_next(&mut follower, begin, BATCHES * chats.len() as u64), write);
}

#[tokio::test]
async fn pending_news_is_seen_before_a_feed_ends() {
    // In some of the tries, the fan-out has not sent the news when the feed ends.
    for _ in 0..100 {
        let (engine, ann, chats) = engine_with_chats(1).await;
        let mut follower = engine.follow(ann, Begin::Now).expect("followed");
        add(&engine, Command::AddMessage(message(chats[0], ann))).await;
        engine.end_following();
        assert!(timeout(DEADLINE, follower.wait()).await.expect("in time"), "the event is seen first");
        let seen: Vec<_> = follower.take().iter().map(|event| event.id.position).collect();
        assert_eq!(seen, [Position(3)]);
        assert!(!timeout(DEADLINE, follower.wait()).await.expect("in time"), "then the feed ends");
    }
}
