//! The engine on a scripted log.
//!
//! | module | what it shows |
//! | --- | --- |
//! | `answers` | a write is seen and answered when it is durable, whether or not its client waits |
//! | `batch_limits` | how much is in one batch, and what becomes of what does not fit |
//! | `decisions` | a command sees what the commands before it in its batch have decided |
//! | `failures` | what a failed append, a panic and a clean end leave |
//! | `idempotency` | a key within a batch, after a refusal, and of a write without effect |
//! | `queue` | how much may wait, and how refusals are counted |
//! | `replay` | the model after a restart, and a log whose events contradict each other |

mod answers;
mod batch_limits;
mod decisions;
mod failures;
mod idempotency;
mod queue;
mod replay;

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;
use uuid::Uuid;

use chinwag::domain::{Actor, ChatId, Command, NewMessage, Text, UserId, Username};
use chinwag::engine::{Engine, EngineSettings, ReplayProgress, SubmitError, WriterEnd};
use chinwag::model::{Outcome, Receipt};

use crate::support::{AppendOutcome, LogScript, ScriptedLog};

fn start(queue_max: usize) -> (Engine, WriterEnd, LogScript) {
    let (log, script) = ScriptedLog::new();
    start_on(log, script, queue_max)
}

fn start_on(log: ScriptedLog, script: LogScript, queue_max: usize) -> (Engine, WriterEnd, LogScript) {
    let settings = EngineSettings { queue_max, can_follow_all: false, scrub: None };
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
        Outcome::Messages(_)
        | Outcome::TokensFrom(_)
        | Outcome::ExistingChat(_)
        | Outcome::EditedAt(_)
        | Outcome::Done => panic!("no one thing was made"),
    }
}

fn add_user(username: &str) -> Command {
    Command::AddUser { username: Username::try_from(username.to_owned()).unwrap() }
}

fn message(chat: ChatId, author: UserId, text: &str) -> Command {
    Command::AddMessage(NewMessage {
        chat,
        author,
        text: Text::try_from(text.to_owned()).unwrap(),
        with: None,
    })
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
