//! Who caused an event: it is in the log, shown by `export`, and a user's idempotency keys are their own.

use chinwag::domain::{Actor, ChatId, ChatName, Command, NewMessage, Refusal, Seq, Text, UserId};
use chinwag::engine::SubmitError;
use chinwag::model::Outcome;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{TestEngine, add_user, exported, imported, server_key};

#[tokio::test]
async fn an_event_keeps_who_caused_it() {
    // Given events of every kind of actor, some in the same batch.
    let server = TestEngine::start();
    let Outcome::User(ann) = server.submit(add_user("ann"), server_key("backend")).await else {
        panic!("no user")
    };
    let bob = server.add_user("bob").await;
    let (by_ann, by_bob) = (Actor::User(ann), Actor::User(bob));
    let add_chat =
        Command::AddChat { name: Some(ChatName::try_from("tea".to_owned()).unwrap()), users: vec![ann, bob] };
    let Outcome::Chat(chat) = server.submit(add_chat, by_ann.clone()).await else { panic!("no chat") };
    let message = |author, text: &str| NewMessage {
        chat,
        author,
        text: Text::try_from(text.to_owned()).unwrap(),
        with: None,
    };
    let says = |author| Command::AddMessage(message(author, "hello"));
    tokio::join!(
        server.submit(says(ann), by_ann.clone()),
        server.submit(says(ann), by_bob.clone()),
        server.submit(says(ann), server_key("backend")),
        server.submit(says(ann), server_key("other")),
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
    let copy = imported(&lines);
    assert_eq!(exported(copy.path()), lines);
}

/// Two users, and a chat of both.
struct Scene {
    server: TestEngine,
    ann: UserId,
    bob: UserId,
    chat: ChatId,
}

impl Scene {
    async fn start() -> Self {
        let server = TestEngine::start();
        let (ann, bob) = (server.add_user("ann").await, server.add_user("bob").await);
        let name = ChatName::try_from("tea".to_owned()).unwrap();
        let added =
            server.submit(Command::AddChat { name: Some(name), users: vec![ann, bob] }, Actor::Unknown).await;
        let Outcome::Chat(chat) = added else { panic!("{added:?}") };
        Self { server, ann, bob, chat }
    }

    fn says(&self, author: UserId, text: &str) -> Command {
        let text = Text::try_from(text.to_owned()).unwrap();
        Command::AddMessage(NewMessage { chat: self.chat, author, text, with: None })
    }
}

#[tokio::test]
async fn a_key_of_a_user_is_their_own() {
    // Given a request of each actor under the same key, all in few batches.
    let scene = Scene::start().await;
    let (ann, bob, cid) = (scene.ann, scene.bob, scene.server.add_user("cid").await);
    let joined = Command::AddMember { chat: scene.chat, user: cid };
    scene.server.engine.submit(joined, None, Actor::Unknown).await.unwrap();
    let requests = [
        (Actor::User(ann), scene.says(ann, "of Ann")),
        (Actor::User(bob), scene.says(bob, "of Bob")),
        // Equal requests, but of others.
        (server_key("backend"), scene.says(ann, "of Ann")),
        // The event does not name the actor.
        (Actor::User(cid), Command::AddMember { chat: scene.chat, user: ann }),
    ];
    let firsts = join_all(
        requests.iter().map(|(by, command)| scene.server.submit_keyed("k", command.clone(), by.clone())),
    );
    let firsts: Vec<_> = firsts.await.into_iter().map(|first| first.unwrap()).collect();
    assert!(firsts.iter().all(|first| !first.replayed), "{firsts:?}");
    let positions: Vec<_> = firsts.iter().map(|first| first.receipt.position.0).collect();
    assert_eq!(positions, [6, 7, 8, 9]);
    // Then each gets its own answer again, and nobody that of another,
    let check = async |server: &TestEngine| {
        for ((by, command), first) in requests.iter().zip(&firsts) {
            let again = server.submit_keyed("k", command.clone(), by.clone()).await.unwrap();
            assert_eq!((again.replayed, &again.receipt), (true, &first.receipt), "{by:?}");
            let other = server.submit_keyed("k", add_user("dee"), by.clone()).await;
            assert!(
                matches!(other, Err(SubmitError::Refused(Refusal::KeyReused { .. }))),
                "{by:?}: {other:?}"
            );
        }
        // Server keys share theirs.
        let (_, command) = &requests[2];
        for by in [server_key("other"), Actor::Unknown] {
            let again = server.submit_keyed("k", command.clone(), by).await.unwrap();
            assert_eq!((again.replayed, &again.receipt), (true, &firsts[2].receipt));
        }
        assert_eq!(server.engine.position().0, 9);
    };
    check(&scene.server).await;
    // after a restart,
    let server = scene.server.restart().await;
    check(&server).await;
    // and after an import.
    let lines = exported(server.stop().await.path());
    check(&TestEngine::start_at(imported(&lines))).await;
}
