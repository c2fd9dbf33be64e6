//! The engine on a scripted log: what is decided in one batch, what is visible when, and what a failed append
//! leaves.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;
use uuid::Uuid;

use chinwag::domain::{
    Actor, ChatId, ChatName, Command, Event, IdempotencyKey, NewMessage, Position, Record, Refusal, Seq,
    Text, Timestamp, UserId, Username,
};
use chinwag::engine::{
    Accepted, Engine, EngineSettings, ReplayProgress, SubmitError, WriterEnd, WriterError,
};
use chinwag::log::{EventLog, FileLog, Frame, LogError, MemoryLog, RealDisk, SEGMENT_BYTES_MIN};
use chinwag::model::{Model, Outcome, Receipt};

use crate::support::{AppendOutcome, LogScript, ScriptedLog};

fn start(queue_max: usize) -> (Engine, WriterEnd, LogScript) {
    let (log, script) = ScriptedLog::new();
    start_on(log, script, queue_max)
}

fn start_on(log: ScriptedLog, script: LogScript, queue_max: usize) -> (Engine, WriterEnd, LogScript) {
    let settings = EngineSettings { queue_max, can_follow_all: false };
    let (engine, end) =
        Engine::start(Box::new(log), settings, &ReplayProgress::default()).expect("an empty log");
    (engine, end, script)
}

/// Submits a first command, "plug", and holds the writer at its append: what is submitted next becomes one
/// batch.
async fn plug(engine: &Engine, script: &LogScript) -> impl Future<Output = ()> {
    let mut plug = Box::pin(submit(engine, add_user("plug")));
    assert!(timeout(Duration::ZERO, &mut plug).await.is_err(), "it waits");
    script.wait_for_appends(1);
    async move {
        plug.await.expect("stored");
    }
}

/// Submits without a key.
async fn submit(engine: &Engine, command: Command) -> Result<Receipt, SubmitError> {
    engine.submit(command, None, Actor::Unknown).await.map(|accepted| accepted.receipt)
}

fn id(receipt: &Receipt) -> Uuid {
    match &receipt.outcome {
        Outcome::User(id) => (*id).into(),
        Outcome::Chat(id) => (*id).into(),
        Outcome::Message(message) => message.id.into(),
        Outcome::Messages(_) | Outcome::TokensFrom(_) | Outcome::Done => panic!("no one thing was made"),
    }
}

fn add_user(username: &str) -> Command {
    Command::AddUser { username: Username::try_from(username.to_owned()).unwrap() }
}

fn message(chat: ChatId, author: UserId, text: &str) -> Command {
    Command::AddMessage(NewMessage { chat, author, text: Text::try_from(text.to_owned()).unwrap() })
}

async fn submit_as_one_batch(
    engine: &Engine,
    script: &LogScript,
    commands: &[Command],
    outcome: AppendOutcome,
) -> Vec<Result<Receipt, SubmitError>> {
    let plug = plug(engine, script).await;
    // Joined futures are polled in order, so the commands are queued in order.
    let batch = join_all(commands.iter().map(|command| submit(engine, command.clone())));
    let (answers, (), ()) =
        tokio::join!(batch, plug, async { script.give([AppendOutcome::Stored, outcome]) });
    answers
}

#[tokio::test]
async fn nothing_is_seen_or_answered_before_it_is_durable() {
    let (engine, _end, script) = start(10);
    let mut submitted = std::pin::pin!(submit(&engine, add_user("ann")));
    for _ in 0..20 {
        let answered = timeout(Duration::from_millis(5), &mut submitted).await;
        assert!(answered.is_err(), "answered before the log has it: {answered:?}");
        engine.read(|model| assert!(model.user_named("ann").is_none() && model.position().0 == 0));
    }
    script.give([AppendOutcome::Stored]);
    submitted.await.expect("stored");
    engine.read(|model| assert!(model.user_named("ann").is_some() && model.position().0 == 1));
}

#[tokio::test]
async fn a_refusal_within_a_batch_waits_for_its_sync() {
    let (engine, _end, script) = start(10);
    let plug = plug(&engine, &script).await;
    let mut both =
        Box::pin(async { tokio::join!(submit(&engine, add_user("ann")), submit(&engine, add_user("ann"))) });
    let patience = Duration::from_millis(50);
    assert!(timeout(patience, &mut both).await.is_err());
    script.give([AppendOutcome::Stored]);
    plug.await;
    assert!(timeout(patience, &mut both).await.is_err(), "neither the success nor the refusal");
    script.give([AppendOutcome::Stored]);
    let (first, second) = both.await;
    assert!(first.is_ok());
    assert!(matches!(second, Err(SubmitError::Refused(Refusal::UsernameTaken { .. }))), "{second:?}");
}

#[tokio::test]
async fn within_a_batch_a_name_is_taken_once() {
    let (engine, _end, script) = start(100);
    let ann = {
        script.give([AppendOutcome::Stored]);
        id(&submit(&engine, add_user("ann")).await.unwrap()).into()
    };
    let name = ChatName::try_from("tea".to_owned()).unwrap();
    let add_chat = Command::AddChat { name, users: vec![ann] };
    let commands = [add_user("bob"), add_user("bob"), add_chat.clone(), add_chat];
    let answers = submit_as_one_batch(&engine, &script, &commands, AppendOutcome::Stored).await;
    assert!(
        matches!(
            answers.as_slice(),
            [
                Ok(_),
                Err(SubmitError::Refused(Refusal::UsernameTaken { .. })),
                Ok(_),
                Err(SubmitError::Refused(Refusal::ChatNameTaken { .. })),
            ]
        ),
        "{answers:?}"
    );
    engine.read(|model| assert_eq!(model.position().0, 4));
}

/// Returns the number of these commands that are in their first batch. The log has room for that batch only.
async fn count_first_batch(
    commands: &[(Command, Actor<'static>)],
    engine: &Engine,
    script: &LogScript,
) -> usize {
    let plug = plug(engine, script).await;
    let commands = commands.iter().cloned();
    let batches = join_all(commands.map(|(command, by)| engine.submit(command, None, by)));
    let outcomes = [AppendOutcome::Stored, AppendOutcome::Stored, AppendOutcome::NoRoom];
    let (answers, (), ()) = tokio::join!(batches, plug, async { script.give(outcomes) });
    let (stored, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert!(refused.iter().all(|answer| matches!(answer, Err(SubmitError::StorageFull))), "{refused:?}");
    stored.len()
}

#[tokio::test]
async fn a_batch_has_at_most_1024_commands() {
    let (engine, _end, script) = start(2_000);
    let commands: Vec<_> =
        (0..1_500).map(|number| (add_user(&format!("user {number}")), Actor::Unknown)).collect();
    assert_eq!(count_first_batch(&commands, &engine, &script).await, 1_024);
}

#[tokio::test]
async fn a_batch_of_1_mib_gets_no_more_commands() {
    let (engine, _end, script) = start(2_000);
    script.give([AppendOutcome::Stored, AppendOutcome::Stored]);
    let ann = id(&submit(&engine, add_user("ann")).await.unwrap()).into();
    let name = ChatName::try_from("tea".to_owned()).unwrap();
    let chat = id(&submit(&engine, Command::AddChat { name, users: vec![ann] }).await.unwrap()).into();
    script.wait_for_appends(2);
    let commands = vec![(message(chat, ann, &"x".repeat(16 * 1024)), Actor::Unknown); 100];
    assert_eq!(count_first_batch(&commands, &engine, &script).await, 64);
}

#[tokio::test]
async fn a_batch_names_at_most_254_actors() {
    let (engine, _end, script) = start(1_000);
    script.give([AppendOutcome::Stored, AppendOutcome::Stored]);
    let ann = id(&submit(&engine, add_user("ann")).await.unwrap()).into();
    let name = ChatName::try_from("tea".to_owned()).unwrap();
    let chat = id(&submit(&engine, Command::AddChat { name, users: vec![ann] }).await.unwrap()).into();
    script.wait_for_appends(2);
    // Authors of their own messages, and those who were named before, are not counted.
    let own = vec![(message(chat, ann, "hi"), Actor::User(ann)); 300];
    let keys = (0..300).map(|number| Actor::key(format!("key-{number}")).unwrap());
    let by_keys = keys.flat_map(|key| vec![(message(chat, ann, "hi"), key); 2]);
    let commands: Vec<_> = own.into_iter().chain(by_keys).collect();
    assert_eq!(count_first_batch(&commands, &engine, &script).await, 300 + 2 * 253 + 1);
}

#[tokio::test]
async fn a_batch_that_does_not_fit_is_stored_in_parts() {
    // Given a log whose frames have room for a few users.
    let (mut log, script) = ScriptedLog::new();
    log.frame_bytes_max = 400;
    let (engine, _end, script) = start_on(log, script, 100);
    let users: Vec<_> = (0..12).map(|number| add_user(&format!("user {number}"))).collect();
    // When more are in one batch, with one who comes twice.
    let commands: Vec<_> = users.iter().chain(&users[..1]).cloned().collect();
    let plug = plug(&engine, &script).await;
    let batch = join_all(commands.iter().map(|command| submit(&engine, command.clone())));
    let outcomes = (0..commands.len()).map(|_| AppendOutcome::Stored);
    let (answers, (), ()) = tokio::join!(batch, plug, async { script.give(outcomes) });
    // Then several appends store each once, in order, and each gets its own answer.
    let positions: Vec<_> = answers.iter().flatten().map(|receipt| receipt.position.0).collect();
    assert!(positions.is_sorted() && positions.len() == users.len(), "{positions:?}");
    assert!(matches!(answers.last(), Some(Err(SubmitError::Refused(Refusal::UsernameTaken { .. })))));
    assert_eq!(engine.position().0, 13);
    assert!(script.appends() > 1, "one frame has no room for them");
}

#[tokio::test]
async fn a_command_that_does_not_fit_is_refused() {
    let (mut log, script) = ScriptedLog::new();
    log.frame_bytes_max = 400;
    let (engine, _end, script) = start_on(log, script, 100);
    script.give([AppendOutcome::Stored, AppendOutcome::Stored, AppendOutcome::Stored]);
    let ann = id(&submit(&engine, add_user("ann")).await.unwrap()).into();
    let name = ChatName::try_from("tea".to_owned()).unwrap();
    let chat = id(&submit(&engine, Command::AddChat { name, users: vec![ann] }).await.unwrap()).into();
    let refused = submit(&engine, message(chat, ann, &"x".repeat(400))).await;
    assert!(
        matches!(refused, Err(SubmitError::TooLarge { bytes, bytes_max: 400 }) if bytes > 400),
        "{refused:?}"
    );
    // A shorter one fits.
    assert_eq!(submit(&engine, message(chat, ann, "x")).await.expect("stored").position.0, 3);
}

#[tokio::test]
async fn a_batch_without_room_leaves_no_trace() {
    let (engine, _end, script) = start(100);
    let commands = [add_user("bob"), add_user("bob"), add_user("plug")];
    let answers = submit_as_one_batch(&engine, &script, &commands, AppendOutcome::NoRoom).await;
    // The second bob was refused because of the first, who does not exist now.
    assert!(
        matches!(
            answers.as_slice(),
            [
                Err(SubmitError::StorageFull),
                Err(SubmitError::StorageFull),
                Err(SubmitError::Refused(Refusal::UsernameTaken { .. })),
            ]
        ),
        "{answers:?}"
    );
    engine.read(|model| assert!(model.user_named("bob").is_none() && model.position().0 == 1));
    script.give([AppendOutcome::Stored]);
    assert_eq!(submit(&engine, add_user("bob")).await.expect("stored").position.0, 2);
}

/// Submits under a key.
async fn submit_keyed(engine: &Engine, key: &str, command: Command) -> Result<Accepted, SubmitError> {
    submit_keyed_by(Actor::Unknown, engine, key, command).await
}

async fn submit_keyed_by(
    by: Actor<'static>,
    engine: &Engine,
    key: &str,
    command: Command,
) -> Result<Accepted, SubmitError> {
    let key = IdempotencyKey::new(key.to_owned(), &command, &by).unwrap();
    engine.submit(command, Some(key), by).await
}

#[tokio::test]
async fn within_a_batch_users_keys_are_their_own() {
    let (engine, _end, script) = start(10);
    let plug = plug(&engine, &script).await;
    let [ann, bob] = [1, 2].map(|user| Actor::User(Uuid::from_u128(user).into()));
    let requests = [(ann.clone(), "a"), (bob, "b"), (Actor::Unknown, "c"), (ann.clone(), "a"), (ann, "d")];
    let batch = requests.map(|(by, username)| submit_keyed_by(by, &engine, "k", add_user(username)));
    let (answers, (), ()) = tokio::join!(join_all(batch), plug, async {
        script.give([AppendOutcome::Stored, AppendOutcome::Stored]);
    });
    let positions: Vec<_> = answers
        .iter()
        .map(|answer| answer.as_ref().ok().map(|accepted| (accepted.receipt.position.0, accepted.replayed)))
        .collect();
    assert_eq!(
        positions,
        [Some((2, false)), Some((3, false)), Some((4, false)), Some((2, true)), None],
        "{answers:?}"
    );
    assert!(matches!(answers[4], Err(SubmitError::Refused(Refusal::KeyReused { .. }))), "{answers:?}");
}

#[tokio::test]
async fn concurrent_writes_under_one_key_become_one_event() {
    let (engine, _end, script) = start(10);
    let plug = plug(&engine, &script).await;
    let ann = || submit_keyed(&engine, "k", add_user("ann"));
    let bob = submit_keyed(&engine, "k", add_user("bob"));
    let mut all = Box::pin(async { tokio::join!(ann(), ann(), bob) });
    assert!(timeout(Duration::from_millis(20), &mut all).await.is_err());
    script.give([AppendOutcome::Stored]);
    plug.await;
    assert!(timeout(Duration::from_millis(50), &mut all).await.is_err(), "none before the first is durable");
    script.give([AppendOutcome::Stored]);
    let (first, second, third) = all.await;
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!((first.replayed, second.replayed), (false, true));
    assert_eq!(first.receipt, second.receipt);
    assert!(matches!(third, Err(SubmitError::Refused(Refusal::KeyReused { .. }))), "{third:?}");
    engine.read(|model| assert_eq!(model.position().0, 2));
}

#[tokio::test]
async fn a_refusal_or_full_disk_leaves_keys_free() {
    let (engine, _end, script) = start(10);
    script.give([AppendOutcome::Stored, AppendOutcome::NoRoom]);
    submit(&engine, add_user("ann")).await.unwrap();
    let refused = submit_keyed(&engine, "k", add_user("ann")).await;
    assert!(matches!(refused, Err(SubmitError::Refused(Refusal::UsernameTaken { .. }))), "{refused:?}");
    let refused = submit_keyed(&engine, "k", add_user("bob")).await;
    assert!(matches!(refused, Err(SubmitError::StorageFull)), "{refused:?}");
    script.give([AppendOutcome::Stored]);
    assert!(!submit_keyed(&engine, "k", add_user("cid")).await.unwrap().replayed);
    let retried = submit_keyed(&engine, "k", add_user("cid")).await.unwrap();
    assert_eq!((retried.replayed, retried.receipt.position.0), (true, 2));
}

#[tokio::test]
async fn a_write_without_effect_is_stored_with_keys_only() {
    let (engine, _end, script) = start(10);
    script.give((0..10).map(|_| AppendOutcome::Stored));
    let ann = id(&submit(&engine, add_user("ann")).await.unwrap()).into();
    let name = ChatName::try_from("tea".to_owned()).unwrap();
    let chat = id(&submit(&engine, Command::AddChat { name, users: vec![ann] }).await.unwrap()).into();
    let (join, leave) = (Command::AddMember { chat, user: ann }, Command::RemoveMember { chat, user: ann });
    let is_member =
        || engine.read(|model| model.has_member(model.chat(chat).unwrap(), model.user(ann).unwrap()));

    assert_eq!(submit(&engine, join.clone()).await.unwrap().position.0, 2, "nothing was written");
    let first = submit_keyed(&engine, "join", join.clone()).await.unwrap();
    assert_eq!((first.replayed, first.receipt.position.0), (false, 3));
    assert_eq!(submit(&engine, leave).await.unwrap().position.0, 4);
    let retried = submit_keyed(&engine, "join", join).await.unwrap();
    assert_eq!((retried.replayed, retried.receipt), (true, first.receipt));
    assert!(!is_member(), "the retry does not undo what came between");
}

#[tokio::test]
async fn within_a_batch_joins_and_marks_happen_once() {
    let (engine, _end, script) = start(100);
    script.give((0..3).map(|_| AppendOutcome::Stored));
    let ann = id(&submit(&engine, add_user("ann")).await.unwrap()).into();
    let bob = id(&submit(&engine, add_user("bob")).await.unwrap()).into();
    let name = ChatName::try_from("tea".to_owned()).unwrap();
    let chat = id(&submit(&engine, Command::AddChat { name, users: vec![ann] }).await.unwrap()).into();
    let said = message(chat, ann, "hi");
    script.give([AppendOutcome::Stored]);
    submit(&engine, said).await.unwrap();
    script.wait_for_appends(4);

    let (join, leave) = (Command::AddMember { chat, user: bob }, Command::RemoveMember { chat, user: bob });
    let read = Command::MarkRead { chat, user: bob, seq: Seq(1) };
    let batch = [join.clone(), join.clone(), read.clone(), read.clone(), leave, read, join];
    let answers = submit_as_one_batch(&engine, &script, &batch, AppendOutcome::Stored).await;
    let positions: Vec<_> =
        answers.iter().map(|answer| answer.as_ref().ok().map(|receipt| receipt.position.0)).collect();
    assert_eq!(positions, [Some(6), Some(6), Some(7), Some(7), Some(8), None, Some(9)], "{answers:?}");
    let not_a_member = |answer: &Result<Receipt, SubmitError>| {
        matches!(answer, Err(SubmitError::Refused(Refusal::NotAMember { .. })))
    };
    assert!(not_a_member(&answers[5]), "{answers:?}");
}

#[tokio::test]
async fn within_a_batch_a_mark_sees_earlier_messages() {
    let (engine, _end, script) = start(100);
    script.give([AppendOutcome::Stored, AppendOutcome::Stored]);
    let ann = id(&submit(&engine, add_user("ann")).await.unwrap()).into();
    let name = ChatName::try_from("tea".to_owned()).unwrap();
    let chat = id(&submit(&engine, Command::AddChat { name, users: vec![ann] }).await.unwrap()).into();
    script.wait_for_appends(2);

    let read = |seq| Command::MarkRead { chat, user: ann, seq: Seq(seq) };
    let batch = [read(1), message(chat, ann, "hi"), read(1), read(2)];
    let answers = submit_as_one_batch(&engine, &script, &batch, AppendOutcome::Stored).await;
    let is_beyond = |answer: &Result<Receipt, SubmitError>| {
        matches!(answer, Err(SubmitError::Refused(Refusal::BeyondLastMessage { .. })))
    };
    assert_eq!(answers.iter().map(is_beyond).collect::<Vec<_>>(), [true, false, false, true], "{answers:?}");
    assert!(answers[1].is_ok() && answers[2].is_ok(), "{answers:?}");
}

#[tokio::test]
async fn a_failed_append_ends_the_writer() {
    let (engine, mut end, script) = start(10);
    // A second append would succeed, but the writer must not try it.
    script.give([AppendOutcome::Failed, AppendOutcome::Stored]);
    assert!(matches!(submit(&engine, add_user("ann")).await, Err(SubmitError::Failed)));
    let refused = submit(&engine, add_user("bob")).await;
    assert!(matches!(refused, Err(SubmitError::ShuttingDown)), "{refused:?}");
    assert!(matches!(end.wait().await, Err(WriterError::Log(_))));
    engine.read(|model| assert_eq!(model.position().0, 0));
    let refused = submit(&engine, add_user("bob")).await;
    assert!(matches!(refused, Err(SubmitError::ShuttingDown)), "{refused:?}");
}

#[tokio::test]
async fn only_a_failed_batch_has_an_unknown_fate() {
    let (engine, _end, script) = start(10);
    let mut failing = Box::pin(submit(&engine, add_user("ann")));
    assert!(timeout(Duration::ZERO, &mut failing).await.is_err(), "it waits");
    script.wait_for_appends(1);
    let queued = join_all(["bob", "cid"].map(|name| submit(&engine, add_user(name))));
    let fail = async { script.give([AppendOutcome::Failed]) };
    let (failed, queued, ()) = tokio::join!(failing, queued, fail);
    assert!(matches!(failed, Err(SubmitError::Failed)), "{failed:?}");
    assert!(
        matches!(queued.as_slice(), [Err(SubmitError::ShuttingDown), Err(SubmitError::ShuttingDown)]),
        "{queued:?}"
    );
}

#[tokio::test]
async fn a_panic_in_the_writer_is_reported() {
    let (engine, mut end, script) = start(10);
    drop(script);
    assert!(matches!(submit(&engine, add_user("ann")).await, Err(SubmitError::Failed)));
    assert!(matches!(end.wait().await, Err(WriterError::Panicked)));
}

#[tokio::test]
async fn a_full_queue_refuses_without_losing_queued_writes() {
    let (engine, _end, script) = start(3);
    let plug = plug(&engine, &script).await;
    let names: Vec<_> = (0..20).map(|number| format!("user {number}")).collect();
    let answers = join_all(names.iter().map(|name| submit(&engine, add_user(name))));
    let release = async { script.give([AppendOutcome::Stored, AppendOutcome::Stored]) };
    let (answers, (), ()) = tokio::join!(answers, plug, release);
    for (index, (name, answer)) in names.iter().zip(&answers).enumerate() {
        assert!(
            matches!((index, answer), (0..3, Ok(_)) | (3.., Err(SubmitError::Overloaded))),
            "{answers:?}"
        );
        assert_eq!(engine.read(|model| model.user_named(name).is_some()), answer.is_ok());
    }
}

#[tokio::test]
async fn queued_writes_are_limited_by_bytes() {
    let (engine, _end, script) = start(1_000);
    let plug = plug(&engine, &script).await;
    // 16 MB each; four of them are still short of the bound. The chat that they name does not exist.
    let text = "x".repeat(16_384);
    let message = |_| {
        let (chat, author) = (Uuid::from_u128(1).into(), Uuid::from_u128(2).into());
        NewMessage { chat, author, text: Text::try_from(text.clone()).unwrap() }
    };
    let long = || submit(&engine, Command::AddMessages((0..1_000).map(message).collect()));
    let answers = join_all((0..6).map(|_| long()));
    let (answers, (), ()) = tokio::join!(answers, plug, async { script.give([AppendOutcome::Stored]) });
    let overloaded = |answer: &Result<Receipt, SubmitError>| matches!(answer, Err(SubmitError::Overloaded));
    assert_eq!(answers.iter().map(overloaded).collect::<Vec<_>>(), [false, false, false, false, false, true]);
    assert!(!overloaded(&long().await), "there is room again");
}

#[tokio::test]
async fn a_refused_write_gives_its_bytes_back() {
    let (engine, _end, script) = start(1);
    let plug = plug(&engine, &script).await;
    let texts = 1_000;
    let text = Text::try_from("x".repeat(16_384)).unwrap();
    let message = |_| {
        let (chat, author) = (Uuid::from_u128(1).into(), Uuid::from_u128(2).into());
        NewMessage { chat, author, text: text.clone() }
    };
    // 16 MB each: the refused ones are beyond the bound of 64 MiB together.
    let long = || submit(&engine, Command::AddMessages((0..texts).map(message).collect()));
    let queued = submit(&engine, add_user("ann"));
    let refused = async {
        for _ in 0..5 {
            assert!(matches!(long().await, Err(SubmitError::Overloaded)));
        }
        script.give([AppendOutcome::Stored, AppendOutcome::Stored]);
    };
    let (queued, (), ()) = tokio::join!(queued, refused, plug);
    queued.expect("stored");
    script.give([AppendOutcome::Stored]);
    submit(&engine, add_user("bob")).await.expect("there is room");
}

/// Returns the values of `chinwag_writes_refused_total` by reason.
fn refusals(engine: &Engine) -> Vec<(String, u64)> {
    let families = engine.metrics();
    let refused = families.iter().find(|family| family.name() == "chinwag_writes_refused_total");
    let counts = refused.expect("counted").get_metric().iter().map(|count| {
        let [label] = count.get_label() else { panic!("one label: {count:?}") };
        assert_eq!(label.name(), "reason");
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
        (label.value().to_owned(), count.get_counter().get_value() as u64)
    });
    counts.collect()
}

#[tokio::test]
async fn refused_writes_are_counted_by_reason() {
    let (engine, _end, script) = start(1);
    script.give([AppendOutcome::Stored, AppendOutcome::NoRoom]);
    submit(&engine, add_user("ann")).await.expect("stored");
    submit(&engine, add_user("ann")).await.expect_err("a rule");
    submit(&engine, add_user("bob")).await.expect_err("no room");
    script.wait_for_appends(2);
    let plug = plug(&engine, &script).await;
    let overload = join_all(["bob", "cid", "dan", "eve"].map(|name| submit(&engine, add_user(name))));
    let release = async { script.give([AppendOutcome::Stored, AppendOutcome::Failed]) };
    tokio::join!(overload, release, plug);
    submit(&engine, add_user("bob")).await.expect_err("stopped");
    let reasons = refusals(&engine);
    let reasons: Vec<_> = reasons.iter().map(|(reason, count)| (reason.as_str(), *count)).collect();
    let expected = [
        ("log_failed", 1),
        ("overloaded", 3),
        ("rule", 1),
        ("shutting_down", 1),
        ("storage_full", 1),
        ("unavailable", 0),
        ("unconfirmed", 0),
    ];
    assert_eq!(reasons, expected);
}

#[tokio::test]
async fn a_client_that_goes_away_changes_nothing() {
    let (engine, _end, script) = start(10);
    {
        let submitted = submit(&engine, add_user("ann"));
        let patience = Duration::from_millis(20);
        assert!(timeout(patience, submitted).await.is_err(), "given up");
    }
    script.give([AppendOutcome::Stored, AppendOutcome::Stored]);
    assert_eq!(submit(&engine, add_user("bob")).await.expect("stored").position.0, 2);
    engine.read(|model| assert!(model.user_named("ann").is_some()));
}

#[tokio::test]
async fn closing_finishes_accepted_writes_and_refuses_others() {
    let (engine, mut end, script) = start(10);
    let taken = submit(&engine, add_user("ann"));
    let close = async {
        engine.close();
        assert!(matches!(submit(&engine, add_user("bob")).await, Err(SubmitError::ShuttingDown)));
        script.give([AppendOutcome::Stored]);
    };
    let (taken, ()) = tokio::join!(taken, close);
    assert!(taken.is_ok());
    end.wait().await.expect("a clean end");
}

#[tokio::test]
async fn a_replayed_model_equals_the_written_one() {
    let disk = tempfile::tempdir().unwrap();
    let open = || {
        let disk = RealDisk::lock(disk.path()).unwrap();
        let log = FileLog::new(disk, SEGMENT_BYTES_MIN);
        let settings = EngineSettings { queue_max: 10, can_follow_all: true };
        Engine::start(Box::new(log), settings, &ReplayProgress::default()).unwrap()
    };
    let (engine, mut end) = open();
    let ann = id(&submit(&engine, add_user("ann")).await.unwrap()).into();
    for chat in 0..5 {
        let name = ChatName::try_from(format!("chat {chat}")).unwrap();
        let chat = id(&submit(&engine, Command::AddChat { name, users: vec![ann] }).await.unwrap()).into();
        for number in 0..300 {
            submit(&engine, message(chat, ann, &format!("message {number}"))).await.unwrap();
        }
    }
    engine.close();
    end.wait().await.unwrap();
    let (replayed, _end) = open();
    engine.read(|written| replayed.read(|read| assert!(written == read, "the models differ")));
    assert_eq!(replayed.read(Model::position).0, 1 + 5 * 301);
}

#[test]
fn contradicting_events_are_damage_instead_of_a_panic() {
    let user = |time, id: u128, username: &'static str| Record {
        time: Timestamp::from_micros(time).unwrap(),
        by: Actor::Unknown,
        key: None,
        event: Event::UserAdded { id: Uuid::from_u128(id).into(), username: username.into() },
    };
    let at = |time, event| {
        let time = Timestamp::from_micros(time).unwrap();
        Record { time, by: Actor::Unknown, key: None, event }
    };
    let nobody = Uuid::from_u128(99);
    let chat = Event::ChatAdded { id: nobody.into(), name: "tea".into(), users: vec![nobody.into()] };
    let text = "hello".into();
    let message = Event::MessageAdded { id: nobody.into(), chat: nobody.into(), author: nobody.into(), text };
    let revoked = |id: u128, from| at(2, Event::TokensRevoked { user: Uuid::from_u128(id).into(), from });
    let contradictions = [
        user(2, 1, "bob"),
        user(2, 2, "ann"),
        user(1, 2, "bob"),
        at(2, chat),
        at(2, message),
        revoked(99, 5),
        revoked(1, 0),
        revoked(1, u64::MAX),
    ];
    for contradiction in contradictions {
        let mut log = MemoryLog::default();
        let mut frame = Frame::new(Position(1));
        frame.push(&user(1, 1, "ann"));
        frame.push(&contradiction);
        log.append(&mut frame).unwrap();
        let settings = EngineSettings { queue_max: 1, can_follow_all: false };
        let started = Engine::start(Box::new(log), settings, &ReplayProgress::default());
        assert!(matches!(started, Err(LogError::Damaged { .. })), "{contradiction:?}");
    }
}
