//! Who caused an event: it is in the log, and shown by `export`.

use std::path::Path;

use chinwag::domain::{
    Actor, ChatName, Command, IdempotencyKey, NewMessage, Position, Seq, Text, UserId, Username,
};
use chinwag::engine::{Accepted, Engine, ReplayProgress, SubmitError, WriterEnd};
use chinwag::log::{FileLog, RealDisk, SEGMENT_BYTES_MIN};
use chinwag::model::Outcome;
use chinwag::tools::{Import, Lenience, dump, import};
use serde_json::{Value, json};
use tempfile::TempDir;

/// An engine on a directory, and what it takes to restart it.
pub struct Restartable {
    pub dir: TempDir,
    pub engine: Engine,
    end: WriterEnd,
}

impl Restartable {
    pub fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let (engine, end) = open(dir.path());
        Self { dir, engine, end }
    }

    pub async fn restart(self) -> Self {
        let dir = self.stop().await;
        let (engine, end) = open(dir.path());
        Self { dir, engine, end }
    }

    pub async fn stop(mut self) -> TempDir {
        self.engine.close();
        self.end.wait().await.unwrap();
        self.dir
    }

    pub async fn submit(&self, command: Command, by: Actor<'static>) -> Outcome {
        self.engine.submit(command, None, by).await.unwrap().receipt.outcome
    }

    /// Submits under a key.
    pub async fn submit_keyed(
        &self,
        key: &str,
        command: Command,
        by: Actor<'static>,
    ) -> Result<Accepted, SubmitError> {
        let key = IdempotencyKey::new(key.to_owned(), &command).unwrap();
        self.engine.submit(command, Some(key), by).await
    }

    pub async fn add_user(&self, username: &str, by: Actor<'static>) -> UserId {
        let Outcome::User(user) = self.submit(add_user(username), by).await else { panic!("no user") };
        user
    }
}

fn open(dir: &Path) -> (Engine, WriterEnd) {
    let log = FileLog::new(RealDisk::lock(dir).unwrap(), SEGMENT_BYTES_MIN);
    Engine::start(Box::new(log), 100, &ReplayProgress::default()).unwrap()
}

pub fn add_user(username: &str) -> Command {
    Command::AddUser { username: Username::try_from(username.to_owned()).unwrap() }
}

pub fn key(name: &str) -> Actor<'static> {
    Actor::key(name.to_owned()).unwrap()
}

/// Returns the lines of an export.
pub fn exported(dir: &Path) -> String {
    let mut lines = Vec::new();
    dump(dir, Position(1), &mut lines).unwrap();
    String::from_utf8(lines).unwrap()
}

#[tokio::test]
async fn an_event_keeps_who_caused_it() {
    // Given events of every kind of actor, some in the same batch.
    let server = Restartable::start();
    let ann = server.add_user("ann", key("backend")).await;
    let bob = server.add_user("bob", Actor::Unknown).await;
    let (by_ann, by_bob) = (Actor::User(ann), Actor::User(bob));
    let add_chat =
        Command::AddChat { name: ChatName::try_from("tea".to_owned()).unwrap(), users: vec![ann, bob] };
    let Outcome::Chat(chat) = server.submit(add_chat, by_ann.clone()).await else { panic!("no chat") };
    let message =
        |author, text: &str| NewMessage { chat, author, text: Text::try_from(text.to_owned()).unwrap() };
    let says = |author| Command::AddMessage(message(author, "hello"));
    tokio::join!(
        server.submit(says(ann), by_ann.clone()),
        server.submit(says(ann), by_bob.clone()),
        server.submit(says(ann), key("backend")),
        server.submit(says(ann), key("other")),
        server.submit(says(ann), Actor::Unknown),
    );
    let both = Command::AddMessages(vec![message(ann, "one"), message(bob, "two")]);
    server.submit(both, by_bob.clone()).await;
    server.submit(Command::MarkRead { chat, user: bob, seq: Seq(3) }, by_bob.clone()).await;
    server.submit_keyed("k", Command::MarkRead { chat, user: bob, seq: Seq(3) }, by_bob).await.unwrap();
    server.submit(Command::RemoveMember { chat, user: bob }, by_ann).await;
    // When the log is exported after a restart,
    let dir = server.restart().await.stop().await;
    let lines = exported(dir.path());
    // Then each event has its actor.
    let events: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let by: Vec<_> = events.iter().map(|event| event["by"].clone()).collect();
    let (ann, bob) = (json!({ "user": ann }), json!({ "user": bob }));
    let [backend, other, nobody] = [json!({ "key": "backend" }), json!({ "key": "other" }), Value::Null];
    let expected =
        [&backend, &nobody, &ann, &ann, &bob, &backend, &other, &nobody, &bob, &bob, &bob, &bob, &ann];
    assert_eq!(by.iter().collect::<Vec<_>>(), expected);
    assert_eq!(lines.matches("\"by\"").count(), 11, "it is absent if unknown");
    let keyed = events.iter().position(|event| event["type"] == "nothing_changed").unwrap();
    assert!(
        lines.lines().nth(keyed).unwrap().contains("},\"idempotency_key\":"),
        "the key comes last: {lines}"
    );
    // And an import keeps it.
    let copy = TempDir::new().unwrap();
    let into = Import { data: copy.path().to_owned(), segment_bytes: SEGMENT_BYTES_MIN };
    import(&into, &Lenience::default(), lines.as_bytes(), std::io::sink()).unwrap();
    assert_eq!(exported(copy.path()), lines);
}
