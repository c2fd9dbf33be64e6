//! Followers of all events, compared with a naive list of everything that happened.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::join_all;
use proptest::prelude::*;
use tokio::time::timeout;

use chinwag::domain::{
    Actor, ChatId, ChatName, Command, Epoch, Event, IdempotencyKey, Position, Record, Seq, Timestamp, UserId,
    Username,
};
use chinwag::engine::{
    Begin, Engine, EngineSettings, EventId, FeedEvent, FeedEventKind, FollowError, Follower, ReplayProgress,
};
use chinwag::log::{EventLog, Frame, MemoryLog};
use chinwag::model::Outcome;

use super::{DEADLINE, add, engine, expect_next, message};

/// Something that happened.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Happened {
    UserAdded(UserId),
    ChatAdded(ChatId),
    Message(ChatId, u64),
    Joined(ChatId, UserId),
    Left(ChatId, UserId),
    Read(ChatId, UserId, u64),
}

impl From<&FeedEventKind> for Happened {
    fn from(kind: &FeedEventKind) -> Self {
        match kind {
            FeedEventKind::Message { chat, run } => {
                Self::Message(*chat, run.messages().next().expect("a run of one").seq.0)
            }
            FeedEventKind::Entered(_) => panic!("no user is followed"),
            FeedEventKind::Joined { chat, user } => Self::Joined(*chat, *user),
            FeedEventKind::Left { chat, user } => Self::Left(*chat, *user),
            FeedEventKind::Read { chat, user, seq } => Self::Read(*chat, *user, seq.0),
            FeedEventKind::UserAdded(user) => Self::UserAdded(user.id),
            FeedEventKind::ChatAdded { chat, .. } => Self::ChatAdded(chat.id),
        }
    }
}

/// Users and chats are given by a number of any size.
#[derive(Debug, Clone)]
enum Step {
    AddUser,
    AddChat { users: Vec<usize> },
    AddMessages { chat: usize, author: usize, count: usize },
    Join { chat: usize, user: usize },
    Leave { chat: usize, user: usize },
    Read { chat: usize, user: usize, seq: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let (chat, user) = (0..100_usize, 0..100_usize);
    prop_oneof![
        2 => Just(Step::AddUser),
        2 => prop::collection::vec(0..100_usize, 0..4).prop_map(|users| Step::AddChat { users }),
        6 => (chat.clone(), user.clone(), 1..5_usize)
            .prop_map(|(chat, author, count)| Step::AddMessages { chat, author, count }),
        3 => (chat.clone(), user.clone()).prop_map(|(chat, user)| Step::Join { chat, user }),
        2 => (chat.clone(), user.clone()).prop_map(|(chat, user)| Step::Leave { chat, user }),
        6 => (chat, user, 0..100_usize).prop_map(|(chat, user, seq)| Step::Read { chat, user, seq }),
    ]
}

/// Lists of everything.
#[derive(Default)]
struct Naive {
    users: Vec<UserId>,
    chats: Vec<NaiveChat>,
    /// What happened at each position, or `None` for an event that changed nothing.
    happened: Vec<Option<Happened>>,
}

struct NaiveChat {
    id: ChatId,
    members: Vec<UserId>,
    messages: u64,
    marks: BTreeMap<UserId, u64>,
}

impl NaiveChat {
    fn mark(&self, user: UserId) -> u64 {
        self.marks.get(&user).copied().unwrap_or(0)
    }
}

impl Naive {
    /// Carries out a step on the engine and on the lists. A step that changes nothing is stored, because it has a
    /// key. Steps that would be refused are left out.
    async fn carry_out(&mut self, engine: &Engine, step: &Step) {
        let Self { users, chats, happened } = self;
        let user = |number: &usize| users.get(number % users.len().max(1)).copied();
        match step {
            Step::AddUser => {
                let id = add_user(engine, &format!("user {}", users.len())).await;
                users.push(id);
                happened.push(Some(Happened::UserAdded(id)));
            }
            Step::AddChat { users: numbers } => {
                let mut members = Vec::new();
                for user in numbers.iter().filter_map(user) {
                    if !members.contains(&user) {
                        members.push(user);
                    }
                }
                let id = add_chat(engine, &format!("chat {}", chats.len()), members.clone()).await;
                chats.push(NaiveChat { id, members, messages: 0, marks: BTreeMap::new() });
                happened.push(Some(Happened::ChatAdded(id)));
            }
            Step::AddMessages { chat, author, count } => {
                let (Some(author), Some(chat)) = (user(author), named(chats, *chat)) else { return };
                if chat.members.contains(&author) {
                    let messages = (0..*count).map(|_| message(chat.id, author)).collect();
                    add(engine, Command::AddMessages(messages)).await;
                    for _ in 0..*count {
                        chat.messages += 1;
                        happened.push(Some(Happened::Message(chat.id, chat.messages)));
                    }
                }
            }
            Step::Join { chat, user: joining } => {
                let (Some(user), Some(chat)) = (user(joining), named(chats, *chat)) else { return };
                happened.push((!chat.members.contains(&user)).then(|| {
                    chat.members.push(user);
                    Happened::Joined(chat.id, user)
                }));
                let command = Command::AddMember { chat: chat.id, user };
                submit_with_key(engine, command, happened.len()).await;
            }
            Step::Leave { chat, user: leaving } => {
                let (Some(user), Some(chat)) = (user(leaving), named(chats, *chat)) else { return };
                happened.push(chat.members.contains(&user).then(|| {
                    chat.members.retain(|member| *member != user);
                    Happened::Left(chat.id, user)
                }));
                let command = Command::RemoveMember { chat: chat.id, user };
                submit_with_key(engine, command, happened.len()).await;
            }
            Step::Read { chat, user: reader, seq } => {
                let (Some(user), Some(chat)) = (user(reader), named(chats, *chat)) else { return };
                if chat.members.contains(&user) {
                    let seq = *seq as u64 % (chat.messages + 1);
                    happened.push((seq > chat.mark(user)).then(|| {
                        chat.marks.insert(user, seq);
                        Happened::Read(chat.id, user, seq)
                    }));
                    let command = Command::MarkRead { chat: chat.id, user, seq: Seq(seq) };
                    submit_with_key(engine, command, happened.len()).await;
                }
            }
        }
        assert_eq!(engine.position().0, happened.len() as u64, "{step:?}");
    }

    /// Compares what a feed that begins after this position has shown, each event with its position. Marks that
    /// were overtaken may be left out.
    fn check(&self, after: usize, seen: &[(u64, Happened)]) {
        let expected = self.happened.iter().enumerate().skip(after);
        let expected = expected.filter_map(|(index, happened)| Some((index as u64 + 1, (*happened)?)));
        let expected: Vec<_> =
            expected.filter(|event| !self.is_overtaken(event) || seen.contains(event)).collect();
        assert_eq!(seen, expected, "after {after}");
    }

    fn is_overtaken(&self, (_, happened): &(u64, Happened)) -> bool {
        let Happened::Read(id, user, seq) = happened else { return false };
        let chat = self.chats.iter().find(|chat| chat.id == *id).expect("it exists");
        *seq < chat.mark(*user)
    }

    /// Checks that the chat is shown as it is now.
    fn check_shown(&self, event: FeedEvent) {
        let FeedEventKind::ChatAdded { chat: shown, read_marks } = event.kind else { return };
        let chat = self.chats.iter().find(|chat| chat.id == shown.id).expect("it exists");
        assert!(shown.users.iter().eq(chat.members.iter().copied()), "{:?}", chat.id);
        let last = shown.last_message.and_then(|run| run.messages().next().map(|message| message.seq.0));
        assert_eq!(last.unwrap_or(0), chat.messages);
        let marks: BTreeMap<_, _> = read_marks.flatten().map(|(user, seq)| (user, seq.0)).collect();
        let is_member = |(user, _): &(&UserId, &u64)| chat.members.contains(user);
        assert!(marks.iter().eq(chat.marks.iter().filter(is_member)), "{marks:?}");
    }
}

/// Returns the chat that a step names by a number.
fn named(chats: &mut [NaiveChat], number: usize) -> Option<&mut NaiveChat> {
    let count = chats.len().max(1);
    chats.get_mut(number % count)
}

async fn submit_with_key(engine: &Engine, command: Command, number: usize) {
    let key = IdempotencyKey::new(format!("key-{number}"), &command, &Actor::Unknown).expect("a key");
    engine.submit(command, Some(key), Actor::Unknown).await.expect("accepted");
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

const LAST: &str = "the last";

/// Follows until a user with this name is added.
async fn follow_until_the_last(mut follower: Follower) -> Vec<(u64, Happened)> {
    let is_last =
        |event: &FeedEvent| matches!(&event.kind, FeedEventKind::UserAdded(user) if &*user.username == LAST);
    let mut all = Vec::new();
    loop {
        let piece = next_piece(&mut follower).await;
        all.extend(seen(&piece));
        if piece.last().is_some_and(is_last) {
            return all;
        }
    }
}

async fn add_user(engine: &Engine, username: &str) -> UserId {
    let username = Username::try_from(username.to_owned()).unwrap();
    let Outcome::User(user) = add(engine, Command::AddUser { username }).await else { panic!("no user") };
    user
}

async fn add_chat(engine: &Engine, name: &str, users: Vec<UserId>) -> ChatId {
    let name = ChatName::try_from(name.to_owned()).unwrap();
    let Outcome::Chat(chat) = add(engine, Command::AddChat { name, users }).await else { panic!("no chat") };
    chat
}

async fn run(steps: &[Step]) {
    // Given a follower in another thread, and a random history that ends with the last user.
    let engine = engine(true);
    let live = tokio::spawn(follow_until_the_last(engine.follow_all(Begin::Now).expect("followed")));
    let mut naive = Naive::default();
    for step in steps {
        naive.carry_out(&engine, step).await;
    }
    naive.happened.push(Some(Happened::UserAdded(add_user(&engine, LAST).await)));
    // Then that follower has seen everything.
    naive.check(0, &live.await.expect("it sees all in time"));
    // And a follower from any position sees everything after it, and nothing else.
    let last = naive.happened.len() as u64;
    for after in 0..naive.happened.len() {
        let mut follower = engine.follow_all(Begin::After(Position(after as u64))).expect("followed");
        let mut all = Vec::new();
        while all.last().is_none_or(|(position, _)| *position < last) {
            let piece = next_piece(&mut follower).await;
            all.extend(seen(&piece));
            for event in piece {
                naive.check_shown(event);
            }
        }
        naive.check(after, &all);
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
    let settings = EngineSettings { queue_max: 10, can_follow_all: true };
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
