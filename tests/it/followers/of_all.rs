//! Followers of all events, compared with a naive list of everything that happened.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::join_all;
use proptest::prelude::*;
use tokio::time::timeout;

use chinwag::domain::{Actor, Command, Epoch, Event, Position, Record, Timestamp};
use chinwag::engine::{
    Begin, Engine, EngineSettings, EventId, FeedEvent, FeedEventKind, FollowError, Follower, ReplayProgress,
};
use chinwag::log::{EventLog, Frame, MemoryLog};

use super::happened::Happened;
use super::naive::Naive;
use super::step::{Step, step};
use super::{DEADLINE, add, add_chat, add_user, engine, expect_next, message, next_piece, seen};

const LAST: &str = "the last";

/// Follows until a user with this name is added.
async fn follow_until_the_last(mut follower: Follower) -> Vec<(u64, Happened)> {
    let is_last = |event: &FeedEvent| matches!(&event.kind, FeedEventKind::UserAdded(user) if user.username.as_deref() == Some(LAST));
    let mut all = Vec::new();
    loop {
        let piece = next_piece(&mut follower).await;
        all.extend(seen(&piece));
        if piece.last().is_some_and(is_last) {
            return all;
        }
    }
}

async fn run(steps: &[Step]) {
    // Given a follower in another thread, and a random history that ends with the last user.
    let engine = engine(true);
    let live = tokio::spawn(follow_until_the_last(engine.follow_all(Begin::Now).expect("followed")));
    let mut naive = Naive::default();
    for step in steps {
        naive.carry_out(&engine, step).await;
    }
    naive.add_user(&engine, LAST).await;
    // Then that follower has seen everything.
    naive.check_live(naive.happened_after(0), &live.await.expect("it sees all in time"));
    // And a follower from any position sees everything after it, and nothing else.
    for after in 0..naive.last() {
        let mut follower = engine.follow_all(Begin::After(Position(after))).expect("followed");
        let mut all = Vec::new();
        while all.last().is_none_or(|(position, _)| *position < naive.last()) {
            let piece = next_piece(&mut follower).await;
            all.extend(seen(&piece));
            for event in piece {
                naive.check_shown(event, None);
            }
        }
        naive.check_caught_up(naive.happened_after(after), &all);
        assert!(follower.wait().now_or_never().is_none(), "nothing else has happened");
    }
}

proptest! {
    // A history that lacks an event costs the deadline each time it is tried again.
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_time: 10_000, ..ProptestConfig::default() })]

    #[test]
    fn followers_of_all_agree_with_a_naive_list(steps in prop::collection::vec(step(), 1..150)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        runtime.unwrap().block_on(run(&steps));
    }
}

/// A follower that is registered late waits for ever for an event that no other one follows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_of_all_that_attaches_during_a_write_misses_nothing() {
    let engine = Arc::new(engine(true));
    let started = Instant::now();
    // A slow machine tries it less often.
    for number in (0..).take_while(|_| started.elapsed() < Duration::from_secs(1)) {
        // Given a user who is being added.
        let before = engine.position().0;
        let write = {
            let engine = Arc::clone(&engine);
            tokio::spawn(async move { add_user(&engine, &format!("user {number}")).await })
        };
        // When followers attach, each after the one before has gone, until the user is there.
        let mut follower = loop {
            let follower = engine.follow_all(Begin::Now).expect("followed");
            if engine.position().0 > before {
                break follower;
            }
        };
        // Then the last one begins after the user, or sees it.
        let begin = follower.begin().position.0;
        expect_next(&mut follower, begin, before + 1 - begin).await;
        write.await.expect("written");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_are_followed_without_a_gap() {
    const WRITERS: u64 = 4;
    const ROUNDS: u64 = 300;
    let engine = Arc::new(engine(true));
    let mut early = engine.follow_all(Begin::Now).expect("followed");
    let writers = (0..WRITERS).map(|writer| {
        let engine = Arc::clone(&engine);
        tokio::spawn(async move {
            let ann = add_user(&engine, &format!("ann {writer}")).await;
            let chat = add_chat(&engine, &format!("chat {writer}"), vec![ann]).await;
            for round in 0..ROUNDS {
                add(&engine, Command::AddMessage(message(chat, ann))).await;
                let bob = add_user(&engine, &format!("bob {writer} {round}")).await;
                add(&engine, Command::AddMember { chat, user: bob }).await;
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let all = WRITERS * (2 + 3 * ROUNDS);
    let follow_late = async {
        while engine.position().0 < all / 2 {
            tokio::task::yield_now().await;
        }
        let mut late = engine.follow_all(Begin::After(Position(all / 4))).expect("followed");
        expect_next(&mut late, all / 4, all - all / 4).await;
    };
    tokio::join!(expect_next(&mut early, 0, all), follow_late);
    for writer in writers {
        writer.await.expect("written");
    }
}

#[tokio::test]
async fn a_user_who_is_added_is_news() {
    let engine = engine(true);
    let mut follower = engine.follow_all(Begin::Now).expect("followed");
    for (number, name) in ["ann", "bob"].into_iter().enumerate() {
        let user = add_user(&engine, name).await;
        let piece = next_piece(&mut follower).await;
        assert!(seen(&piece).eq([(number as u64 + 1, Happened::UserAdded(user))]));
    }
}

/// The members of a piece's chats, and their read marks, take most of its memory.
#[tokio::test]
async fn a_piece_holds_few_large_chats() {
    const MEMBERS: usize = 100;
    const CHATS: usize = 50;
    let engine = engine(true);
    let users = join_all((0..MEMBERS).map(|number| {
        let engine = &engine;
        async move { add_user(engine, &format!("user {number}")).await }
    }))
    .await;
    join_all((0..CHATS).map(|number| {
        let (engine, users) = (&engine, users.clone());
        async move { add_chat(engine, &format!("chat {number}"), users).await }
    }))
    .await;
    let mut follower = engine.follow_all(Begin::After(Position(MEMBERS as u64))).expect("followed");
    let mut chats = 0;
    while chats < CHATS {
        let piece = next_piece(&mut follower).await;
        assert!(piece.len() <= 2, "{}", piece.len());
        chats += piece.len();
    }
}

#[tokio::test]
async fn a_follower_stays_when_one_of_another_kind_leaves() {
    let engine = engine(true);
    let ann = add_user(&engine, "ann").await;
    let chat = add_chat(&engine, "tea", vec![ann]).await;
    for all_leaves in [true, false] {
        // Given followers of a user and of all.
        let of_user = engine.follow(ann, Begin::Now).expect("followed");
        let of_all = engine.follow_all(Begin::Now).expect("followed");
        assert_eq!(engine.followers(), 2);
        // When one of them leaves.
        let (mut stays, leaves) = if all_leaves { (of_user, of_all) } else { (of_all, of_user) };
        drop(leaves);
        assert_eq!(engine.followers(), 1);
        // Then the other one is told of what happens.
        let begin = stays.begin().position.0;
        add(&engine, Command::AddMessage(message(chat, ann))).await;
        expect_next(&mut stays, begin, 1).await;
        drop(stays);
        assert_eq!(engine.followers(), 0);
    }
}

#[tokio::test]
async fn pending_news_of_all_is_seen_before_a_feed_ends() {
    // In some of the tries, the fan-out has not sent the news when the feed ends.
    for _ in 0..100 {
        let engine = engine(true);
        let mut follower = engine.follow_all(Begin::Now).expect("followed");
        let user = add_user(&engine, "ann").await;
        engine.end_following();
        assert!(seen(&next_piece(&mut follower).await).eq([(1, Happened::UserAdded(user))]));
        assert!(!timeout(DEADLINE, follower.wait()).await.expect("in time"), "then the feed ends");
        assert!(matches!(engine.follow_all(Begin::Now), Err(FollowError::ShuttingDown)));
    }
}

#[tokio::test]
async fn a_replayed_log_can_be_followed_as_a_whole() {
    // Given a log, and an engine that replays it.
    let (mut log, mut frame) = (MemoryLog::default(), Frame::new(Position(1)));
    for number in 1..=300_u64 {
        let id = uuid::Uuid::from_u128(number.into()).into();
        let event = Event::UserAdded { id, username: format!("user {number}").into() };
        let time = Timestamp::from_micros(number).expect("in range");
        frame.push(&Record { time, by: Actor::Unknown, key: None, event });
    }
    log.append(&mut frame).expect("stored");
    let settings = EngineSettings { queue_max: 10, can_follow_all: true, scrub: None };
    let (engine, _end) = Engine::start(Box::new(log), settings, &ReplayProgress::default()).expect("sound");
    // Then everything in it is seen, and a place that is not in it is not begun from.
    let mut follower = engine.follow_all(Begin::After(Position(0))).expect("followed");
    expect_next(&mut follower, 0, 300).await;
    let beyond = engine.follow_all(Begin::After(Position(301)));
    assert!(matches!(beyond, Err(FollowError::BeyondTheLog { last: Position(300) })));
    let elsewhere = EventId { position: Position(7), epoch: Epoch(1) };
    let follower = engine.follow_all(Begin::Resume(elsewhere)).expect("followed");
    assert!(follower.is_reset() && follower.begin().position == Position(300));
}

#[test]
#[should_panic(expected = "started without can_follow_all")]
fn following_all_is_asked_for_at_the_start() {
    drop(engine(false).follow_all(Begin::Now));
}
