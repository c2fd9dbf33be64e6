//! Followers of an engine: what they see while others write, and when feeds end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::time::timeout;

use chinwag::domain::{ChatId, ChatName, Command, NewMessage, Position, Text, UserId, Username};
use chinwag::engine::{Begin, Engine, Follower, ReplayProgress};
use chinwag::log::MemoryLog;
use chinwag::model::Outcome;

/// Far more time than anything here takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);

async fn add(engine: &Engine, command: Command) -> Outcome {
    engine.submit(command, None).await.expect("accepted").receipt.outcome
}

/// Returns an engine with a user who is in all of this number of chats.
async fn engine_with_chats(count: usize) -> (Engine, UserId, Vec<ChatId>) {
    let (engine, _) =
        Engine::start(Box::new(MemoryLog::default()), 1_000, &ReplayProgress::default()).expect("empty");
    let username = Username::try_from("ann".to_owned()).unwrap();
    let Outcome::User(ann) = add(&engine, Command::AddUser { username }).await else { panic!("no user") };
    let mut chats = Vec::new();
    for number in 0..count {
        let name = ChatName::try_from(format!("chat {number}")).unwrap();
        let added = add(&engine, Command::AddChat { name, users: vec![ann] }).await;
        let Outcome::Chat(chat) = added else { panic!("no chat") };
        chats.push(chat);
    }
    (engine, ann, chats)
}

fn message(chat: ChatId, author: UserId) -> NewMessage {
    NewMessage { chat, author, text: Text::try_from("hello".to_owned()).unwrap() }
}

/// Returns the positions of this number of further events.
async fn positions(follower: &mut Follower, count: usize) -> Vec<u64> {
    let mut seen = Vec::new();
    while seen.len() < count {
        assert!(timeout(DEADLINE, follower.wait()).await.expect("an event in time"), "the feed has ended");
        seen.extend(follower.take().iter().map(|event| event.id.position.0));
    }
    seen.truncate(count);
    seen
}

/// Everything that is written is for one user, so the positions that a follower sees have no gap.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_attaches_during_writes_misses_nothing() {
    const ATTACHMENTS: usize = 4_000;
    // With many chats, the next events are of others, and so do not make up for one that was missed.
    let (engine, ann, chats) = engine_with_chats(64).await;
    let (engine, is_done) = (Arc::new(engine), Arc::new(AtomicBool::new(false)));
    let writes = tokio::spawn({
        let (engine, is_done) = (Arc::clone(&engine), Arc::clone(&is_done));
        async move {
            for &chat in chats.iter().cycle() {
                if is_done.load(Ordering::Relaxed) {
                    break;
                }
                add(&engine, Command::AddMessage(message(chat, ann))).await;
            }
        }
    });
    let started = Instant::now();
    for attachment in 0..ATTACHMENTS {
        // A slow machine tries it less often.
        if started.elapsed() > Duration::from_millis(1_500) {
            break;
        }
        let mut follower = engine.follow(ann, Begin::Now).expect("followed");
        let begin = follower.begin().position.0;
        let seen = positions(&mut follower, 2).await;
        assert_eq!(seen, [begin + 1, begin + 2], "attachment {attachment}, {:?}", started.elapsed());
    }
    eprintln!("{:?}", started.elapsed());
    is_done.store(true, Ordering::Relaxed);
    writes.await.expect("written");
}

/// A follower that had seen the news of one chat only would go on behind the event of the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_sees_all_chats_of_a_batch() {
    const CHATS: usize = 200;
    let (engine, ann, chats) = engine_with_chats(CHATS).await;
    let mut follower = engine.follow(ann, Begin::Now).expect("followed");
    let mut last = follower.begin().position.0;
    for _ in 0..50 {
        let batch: Vec<_> = chats.iter().map(|&chat| message(chat, ann)).collect();
        let (seen, _) = tokio::join!(
            positions(&mut follower, CHATS),
            add(&engine, Command::AddMessages(batch)),
        );
        let next = last + CHATS as u64;
        assert_eq!(seen, (last + 1..=next).collect::<Vec<_>>());
        last = next;
    }
}

#[tokio::test]
async fn pending_news_is_seen_before_a_feed_ends() {
    let (engine, ann, chats) = engine_with_chats(1).await;
    let mut follower = engine.follow(ann, Begin::Now).expect("followed");
    let mut witness = engine.follow(ann, Begin::Now).expect("followed");
    add(&engine, Command::AddMessage(message(chats[0], ann))).await;
    // News is sent to the followers in the order of their attachment.
    positions(&mut witness, 1).await;
    engine.end_following();
    assert!(timeout(DEADLINE, follower.wait()).await.expect("in time"), "the event is seen first");
    let seen: Vec<_> = follower.take().iter().map(|event| event.id.position).collect();
    assert_eq!(seen, [Position(3)]);
    assert!(!timeout(DEADLINE, follower.wait()).await.expect("in time"), "then the feed ends");
}
