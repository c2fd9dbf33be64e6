//! Who caused an event: it is in the log, and shown by `export`.

use chinwag::domain::{Actor, ChatName, Command, NewMessage, Seq, Text};
use chinwag::model::Outcome;
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
        Command::AddChat { name: ChatName::try_from("tea".to_owned()).unwrap(), users: vec![ann, bob] };
    let Outcome::Chat(chat) = server.submit(add_chat, by_ann.clone()).await else { panic!("no chat") };
    let message =
        |author, text: &str| NewMessage { chat, author, text: Text::try_from(text.to_owned()).unwrap() };
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
