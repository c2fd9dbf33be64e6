//! A log with everything that changes messages, chats and users.

use chinwag::domain::{
    Actor, ChatId, ChatName, Command, Emoji, ErasedMessages, MessageEdit, MessageExtras, Metadata,
    NewMessage, Reaction, Seq, Text, UserId, Username,
};
use chinwag::model::Outcome;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{WITH_CHANGES, fixture, keyed_message, message, write};
use crate::support::{Client, TestEngine, TestServer, server_key};

/// Number of events of the log with changes before anything changes.
const SENT: u64 = 608;

/// Returns the answers of the reads of what has changed in the chat `tea` after this position.
async fn changes(client: &Client, names: &Value, after: u64) -> Value {
    let (tea, mut reads) = (&names["chat tea"], json!({}));
    for user in ["user ann", "user bob"] {
        let body = json!({ "chat": tea, "user": names[user], "changed_after": after, "limit": 30 });
        reads[user] = json!(client.list("/messages/get", &body).await);
    }
    for seq in 1..=20_u64 {
        let body = json!({ "chat": tea, "seq": seq });
        let reactions = client.list("/messages/reactions/get", &body).await;
        let without_cursor = reactions.into_iter().map(|mut reaction| {
            reaction.as_object_mut().unwrap().remove("cursor");
            reaction
        });
        reads[format!("reactions to {seq}")] = without_cursor.collect();
        reads[format!("revisions of {seq}")] = json!(client.list("/messages/revisions/get", &body).await);
    }
    reads
}

fn user(names: &Value, name: &str) -> UserId {
    names[format!("user {name}")].as_str().unwrap().parse().unwrap()
}

/// Commands that change messages, chats and users, each under its number as the key: every event, with each of its
/// fields and without. After them, Ann's chat has a message that replies, and two with metadata.
fn changing(names: &Value) -> Vec<(Command, Actor<'static>)> {
    let [ann, bob, cid, dan, eve] = ["ann", "bob", "cíd", "dan", "eve"].map(|name| user(names, name));
    let chat: ChatId = names["chat tea"].as_str().unwrap().parse().unwrap();
    let den: ChatId = names["chat den"].as_str().unwrap().parse().unwrap();
    let metadata = |json: &str| Some(Metadata::try_from(json.to_owned()).unwrap());
    let with = |text: &str, reply_to: Option<u64>, metadata| NewMessage {
        chat,
        author: ann,
        text: Text::try_from(text.to_owned()).unwrap(),
        with: MessageExtras::of(reply_to.map(Seq), metadata),
    };
    let edit = |seq, user, text: Option<&str>, metadata| {
        let text = text.map(|text| Text::try_from(text.to_owned()).unwrap());
        Command::EditMessage(Box::new(MessageEdit { chat, seq: Seq(seq), user, text, metadata }))
    };
    let delete = |seq, user, is_moderator, erase| Command::DeleteMessage {
        chat,
        seq: Seq(seq),
        user,
        is_moderator,
        erase,
    };
    let reaction = |seq, user, emoji: &str| {
        let emoji = Emoji::try_from(emoji.to_owned()).unwrap();
        Box::new(Reaction { chat, seq: Seq(seq), user, emoji })
    };
    let chat_name = |name: &str| Some(ChatName::try_from(name.to_owned()).unwrap());
    let username = |name: &str| Some(Username::try_from(name.to_owned()).unwrap());
    let (by, backend) = (Actor::User, server_key("backend"));
    vec![
        (Command::AddMessage(with("a reply", Some(1), None)), by(ann)),
        (Command::AddMessage(with("data", None, metadata(r#"{"a":[1.0,"\u00e9"]}"#))), backend.clone()),
        (Command::AddMessages(vec![with("both", Some(2), metadata("{\"b\": {}}"))]), backend.clone()),
        (edit(2, Some(ann), Some("edited by ann"), None), by(ann)),
        (edit(2, None, Some("edited by the application"), metadata(r#"{"c":null}"#)), backend.clone()),
        (edit(2, None, None, metadata("{}")), Actor::Unknown),
        // These find it so.
        (edit(2, None, Some("edited by the application"), metadata("{ }")), backend.clone()),
        (edit(3, Some(ann), Some("3"), None), by(ann)),
        (Command::AddReaction(reaction(3, ann, "👍")), by(ann)),
        (Command::AddReaction(reaction(3, bob, "👍")), backend.clone()),
        (Command::AddReaction(reaction(3, bob, "+1")), by(bob)),
        (Command::AddReaction(reaction(3, eve, "👍")), by(eve)),
        (Command::RemoveReaction(reaction(3, ann, "👍")), by(ann)),
        (Command::AddReaction(reaction(4, bob, "👍")), by(bob)),
        (edit(6, Some(ann), Some("edited, then deleted"), None), by(ann)),
        (delete(6, Some(ann), false, false), by(ann)),
        (delete(6, Some(ann), false, false), by(ann)),
        (delete(7, Some(bob), true, false), by(bob)),
        (delete(9, None, false, true), backend.clone()),
        (delete(4, None, false, false), Actor::Unknown),
        (Command::AddChat { name: None, users: vec![ann, cid] }, by(ann)),
        (Command::AddDirectChat { users: [ann, bob] }, by(ann)),
        (Command::AddDirectChat { users: [bob, ann] }, by(bob)),
        (Command::AddDirectChat { users: [eve, dan] }, backend.clone()),
        (Command::EditChat { chat, name: chat_name("coffee"), metadata: metadata(r#"{"a":1}"#) }, by(ann)),
        (Command::EditChat { chat, name: None, metadata: metadata(r#"{"a":2}"#) }, backend.clone()),
        (Command::EditChat { chat: den, name: chat_name("lair"), metadata: None }, Actor::Unknown),
        (Command::EditUser { user: bob, username: username("bób"), metadata: None }, backend.clone()),
        (Command::EditUser { user: bob, username: None, metadata: metadata(r#"{"a":1}"#) }, by(bob)),
        // These find them so.
        (Command::EditUser { user: bob, username: None, metadata: metadata(r#"{"a":1}"#) }, by(bob)),
        (Command::EditChat { chat: den, name: chat_name("lair"), metadata: None }, backend.clone()),
        (Command::EraseUser { user: dan, messages: ErasedMessages::Keep }, backend.clone()),
        (Command::EraseUser { user: eve, messages: ErasedMessages::Erase }, backend.clone()),
        (Command::EraseUser { user: eve, messages: ErasedMessages::Erase }, backend),
    ]
}

#[tokio::test]
async fn an_old_log_keeps_what_has_changed() {
    // Given a log that was written when messages, chats and users could change for the first time.
    let expected = std::fs::read_to_string(fixture(WITH_CHANGES).join("answers.json")).unwrap();
    let expected: Value = serde_json::from_str(&expected).unwrap();
    let server = TestServer::start_on_copy_of(&fixture(WITH_CHANGES).join("data"));
    assert_eq!(changes(&server, &expected["names"], SENT).await, expected["changes"]);
    // Then each of its writes is known by its key.
    let (stopped, _) = server.terminate();
    let dir = TempDir::new().unwrap();
    for segment in stopped.segments() {
        std::fs::copy(&segment, dir.path().join(segment.file_name().unwrap())).unwrap();
    }
    let server = TestEngine::start_at(dir);
    for (number, (command, by)) in changing(&expected["names"]).into_iter().enumerate() {
        let retried = server.submit_keyed(&number.to_string(), command, by).await.unwrap();
        assert!(retried.replayed, "{number}");
        assert_eq!(json!(retried.receipt), expected["receipts"][number], "{number}");
    }
}

/// Writes the fixture of a log with everything that changes messages, chats and users.
#[tokio::test]
#[ignore = "writes the fixture of a log with changes"]
async fn write_the_fixture_with_changes() {
    let dir = fixture(WITH_CHANGES);
    assert!(!dir.exists(), "{} already exists, and is not changed", dir.display());
    let server = TestEngine::start();
    let mut names = json!({});
    for name in ["ann", "bob", "cíd", "dan", "eve"] {
        names[format!("user {name}")] = json!(server.add_user(name).await.to_string());
    }
    let mut chats = Vec::new();
    for (name, members) in [("tea", vec!["ann", "bob", "dan", "eve"]), ("den", vec!["cíd"])] {
        let users = members.into_iter().map(|name| user(&names, name)).collect();
        let name = Some(ChatName::try_from(name.to_owned()).unwrap());
        let added = server.submit(Command::AddChat { name, users }, Actor::Unknown).await;
        let Outcome::Chat(chat) = added else { panic!("no chat: {added:?}") };
        chats.push(chat);
    }
    // Every fifth message is of a user who is erased.
    for number in 1..=600 {
        let author = match number % 10 {
            0 => user(&names, "dan"),
            5 => user(&names, "eve"),
            _ => user(&names, "ann"),
        };
        server.submit(message(chats[0], author, &number.to_string()), Actor::Unknown).await;
    }
    let under_a_key = message(chats[0], user(&names, "ann"), "under a key");
    server.submit_keyed("old-key", under_a_key, Actor::Unknown).await.unwrap();
    assert_eq!(server.engine.position().0, SENT);
    names["chat tea"] = json!(chats[0].to_string());
    names["chat den"] = json!(chats[1].to_string());
    let mut receipts = Vec::new();
    for (number, (command, by)) in changing(&names).into_iter().enumerate() {
        let accepted = server.submit_keyed(&number.to_string(), command, by).await.unwrap();
        assert!(!accepted.replayed, "{number}");
        receipts.push(json!(accepted.receipt));
    }
    for number in 0..300 {
        let text = format!("{number} {}", "x".repeat(number % 90));
        server.submit(message(chats[0], user(&names, "bob"), &text), Actor::Unknown).await;
    }
    let server = TestServer::start_on_copy_of(server.stop().await.path());
    let keyed = keyed_message(&server, &names).await;
    assert_eq!(keyed.header("idempotent-replayed"), "true");
    let more = json!({ "changes": changes(&server, &names, SENT).await, "receipts": receipts });
    write(&dir, server, &names, &keyed.json(), more).await;
}
