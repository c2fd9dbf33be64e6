//! `/chats/users/add` and `/chats/users/remove`

use std::ops::Deref;

use futures_util::future::{join, join_all};
use serde_json::{Value, json};

use crate::support::{Client, RawConnection, TestRouter, TestServer, post, problem};

/// A server, real or in process, with three users, of whom `ann` and `bob` are in the chat `den`.
pub struct Company<S = TestRouter> {
    pub server: S,
    pub ann: String,
    pub bob: String,
    pub cy: String,
    pub den: String,
}

impl Company {
    /// Starts a router in process.
    pub async fn start() -> Self {
        Self::on(TestRouter::start()).await
    }
}

impl Company<TestServer> {
    /// Kills the server and starts it again on its log.
    pub fn restarted(self) -> Self {
        Self { server: self.server.kill().restart(), ..self }
    }
}

impl<S: Deref<Target = Client>> Company<S> {
    /// Adds the users and the chat to this server, whose log must be empty.
    pub async fn on(server: S) -> Self {
        let (ann, bob) = (server.add_user("ann").await, server.add_user("bob").await);
        let cy = server.add_user("cy").await;
        let den = server.add_chat("den", &[&ann, &bob]).await;
        Self { server, ann, bob, cy, den }
    }

    /// Returns the users of the chat as this member sees them.
    async fn users_seen_by(&self, member: &str) -> Value {
        let chats = self.server.chats(member).await;
        chats.iter().find(|chat| chat["id"] == self.den).expect("a member sees it")["users"].clone()
    }

    async fn is_listed_by(&self, user: &str) -> bool {
        self.server.chats(user).await.iter().any(|chat| chat["id"] == self.den)
    }
}

#[tokio::test]
async fn an_added_user_is_listed_last_and_writes() {
    let company = Company::start().await;
    let Company { server, ann, bob, cy, den: id } = &company;
    assert!(!company.is_listed_by(cy).await);
    assert_eq!(server.join(id, cy).await, 5);
    assert_eq!(server.position().await, 5);
    for member in [ann, bob, cy] {
        assert_eq!(company.users_seen_by(member).await, json!([ann, bob, cy]));
    }
    assert_eq!(server.add_message(id, cy, "hello").await["seq"], 1);
}

#[tokio::test]
async fn a_removed_user_loses_access_but_messages_stay() {
    let company = Company::start().await;
    let Company { server, ann, bob, den: id, .. } = &company;
    server.add_message(id, bob, "one").await;
    server.add_message(id, ann, "two").await;
    let said = server.messages(id).await;
    assert_eq!(server.leave(id, bob).await, 7);

    let message = json!({ "chat": id, "author": bob, "text": "three" });
    let reply = server.post("/messages/add", &message).await;
    assert_eq!(problem(&reply, 403, "not_a_member").as_deref(), Some("author"));
    for seq in [0, 1, 2, 3] {
        let reply = server.post("/chats/read", &json!({ "chat": id, "user": bob, "seq": seq })).await;
        assert_eq!(problem(&reply, 403, "not_a_member").as_deref(), Some("user"));
    }
    assert!(server.chats(bob).await.is_empty());
    assert_eq!(company.users_seen_by(ann).await, json!([ann]));
    assert_eq!(server.messages(id).await, said);
    assert_eq!(server.add_message(id, ann, "three").await["seq"], 3);
    assert_eq!(server.position().await, 8);
}

#[tokio::test]
async fn a_returning_user_is_listed_last() {
    let company = Company::start().await;
    let Company { server, ann, bob, cy, den: id } = &company;
    server.join(id, cy).await;
    server.add_message(id, ann, "one").await;
    server.leave(id, ann).await;
    assert_eq!(company.users_seen_by(bob).await, json!([bob, cy]));
    server.join(id, ann).await;
    assert_eq!(company.users_seen_by(ann).await, json!([bob, cy, ann]));
    assert_eq!(server.add_message(id, ann, "two").await["seq"], 2);
    server.leave(id, cy).await;
    server.leave(id, bob).await;
    server.join(id, bob).await;
    assert_eq!(company.users_seen_by(ann).await, json!([ann, bob]));
}

#[tokio::test]
async fn an_empty_chat_can_be_joined_again() {
    let company = Company::on(TestServer::start()).await;
    let Company { server, ann, bob, cy, den: id } = &company;
    server.add_message(id, ann, "hello").await;
    let said = server.messages(id).await;
    server.leave(id, ann).await;
    server.leave(id, bob).await;
    for user in [ann, bob, cy] {
        assert!(!company.is_listed_by(user).await);
        let message = json!({ "chat": id, "author": user, "text": "anybody there?" });
        problem(&server.post("/messages/add", &message).await, 403, "not_a_member");
    }
    assert_eq!(server.messages(id).await, said);
    // It is still there, and so is its name.
    let again = server.post("/chats/add", &json!({ "name": "den", "users": [cy] })).await;
    assert_eq!(problem(&again, 409, "chat_name_taken").as_deref(), Some("name"));
    server.join(id, cy).await;
    assert_eq!(company.users_seen_by(cy).await, json!([cy]));
    assert_eq!(server.add_message(id, cy, "now").await["seq"], 2);
    server.leave(id, cy).await;

    let company = company.restarted();
    let Company { server, ann, cy, den: id, .. } = &company;
    assert!(!company.is_listed_by(cy).await);
    server.join(id, ann).await;
    assert_eq!(company.users_seen_by(ann).await, json!([ann]));
    assert_eq!(server.messages(id).await.len(), 2);
}

#[tokio::test]
async fn a_repeated_membership_change_creates_no_event() {
    let company = Company::on(TestServer::start()).await;
    let Company { server, ann, cy, den: id, .. } = &company;
    let before = server.chats(ann).await;
    assert_eq!(server.join(id, ann).await, 4);
    assert_eq!(server.leave(id, cy).await, 4);
    let other = server.add_user("dan").await;
    // The position at which the server found that nothing changes, not that of the earlier change.
    assert_eq!(server.join(id, ann).await, 5);
    assert_eq!(server.leave(id, &other).await, 5);
    assert_eq!(server.position().await, 5);
    assert_eq!(server.chats(ann).await, before);

    let company = company.restarted();
    let Company { server, ann, cy, den: id, .. } = &company;
    assert_eq!((server.join(id, ann).await, server.leave(id, cy).await, server.position().await), (5, 5, 5));
}

#[tokio::test]
async fn a_membership_change_answers_without_body() {
    let company = Company::on(TestServer::start()).await;
    let Company { server, ann, cy, den: id, .. } = &company;
    let (of_ann, of_cy) = (json!({ "chat": id, "user": ann }), json!({ "chat": id, "user": cy }));
    let mark = json!({ "chat": id, "user": ann, "seq": 0 });
    let calls = [
        ("/chats/users/add", of_cy.clone()),
        ("/chats/users/add", of_ann),
        ("/chats/read", mark),
        ("/chats/users/remove", of_cy.clone()),
        ("/chats/users/remove", of_cy),
    ];
    let mut connection = RawConnection::open(&server.address);
    for (path, body) in calls {
        connection.send(post(path, &body));
        let (status, headers) = connection.head().expect("answered");
        assert_eq!(status, 204, "{path}");
        for name in ["content-length", "transfer-encoding", "content-type"] {
            assert!(!headers.contains_key(name), "{path}: {name}");
        }
        assert!(headers.contains_key("chinwag-position"), "{path}");
        // The next bytes are the next answer: there was no body in between.
        connection.send(post("/users/get", &json!({ "user": ann })));
        assert_eq!(connection.reply().json()["username"], "ann");
    }
}

#[tokio::test]
async fn upper_case_ids_name_the_same_members() {
    let company = Company::start().await;
    let Company { server, ann, bob, cy, den: id } = &company;
    server.join(&id.to_uppercase(), &cy.to_uppercase()).await;
    assert_eq!(company.users_seen_by(ann).await, json!([ann, bob, cy]));
    server.leave(&id.to_uppercase(), &bob.to_uppercase()).await;
    assert_eq!(company.users_seen_by(ann).await, json!([ann, cy]));
}

#[tokio::test]
async fn only_messages_change_the_order_of_chats() {
    let server = TestServer::start();
    let (ann, bob) = (server.add_user("ann").await, server.add_user("bob").await);
    let mut chats = Vec::new();
    for number in 0..8 {
        chats.push(server.add_chat(&format!("chat {number}"), &[&ann]).await);
    }
    // Half of them with messages; the oldest chat has the latest.
    for index in [5, 3, 1, 0] {
        server.add_message(&chats[index], &ann, "hello").await;
    }
    let order: Vec<_> = [0, 1, 3, 5, 7, 6, 4, 2].map(|index: usize| chats[index].clone()).into();
    let cursors = |listed: &[Value]| listed.iter().map(|chat| chat["cursor"].clone()).collect::<Vec<_>>();
    let before = server.chats(&ann).await;
    assert_eq!(ids(&before), order);

    // In an order that is neither that of the chats nor that of their messages.
    for index in [4, 1, 6, 5, 0, 7, 2, 3] {
        server.join(&chats[index], &bob).await;
        let last = before.iter().find(|chat| chat["id"] == chats[index]).expect("listed");
        if last["last_message"].is_object() {
            server.mark_read(&chats[index], &bob, 1).await;
        }
        assert_eq!(cursors(&server.chats(&ann).await), cursors(&before));
    }
    // For a user who joined late, a chat also stands where its last message put it.
    assert_eq!(ids(&server.chats(&bob).await), order);
    for index in [3, 6, 0, 4] {
        for user in [&ann, &bob] {
            server.leave(&chats[index], user).await;
            server.join(&chats[index], user).await;
            assert_eq!(ids(&server.chats(user).await), order);
        }
    }
    server.mark_read(&chats[5], &ann, 1).await;
    for user in [&ann, &bob] {
        let listed = server.chats(user).await;
        assert_eq!((ids(&listed), cursors(&listed)), (order.clone(), cursors(&before)));
    }
    server.add_message(&chats[6], &bob, "hello").await;
    let order: Vec<_> = [6, 0, 1, 3, 5, 7, 4, 2].map(|index: usize| chats[index].clone()).into();
    let server = server.kill().restart();
    for user in [&ann, &bob] {
        assert_eq!(ids(&server.chats(user).await), order);
    }
}

#[tokio::test]
async fn a_returning_user_sees_the_current_order() {
    let company = Company::start().await;
    let Company { server, ann, bob, den: id, .. } = &company;
    let pub_ = server.add_chat("pub", &[ann, bob]).await;
    server.leave(id, bob).await;
    server.add_message(&pub_, ann, "one").await;
    server.add_message(id, ann, "two").await;
    assert_eq!(ids(&server.chats(bob).await), [pub_.as_str()]);
    server.join(id, bob).await;
    assert_eq!(ids(&server.chats(bob).await), [id.as_str(), pub_.as_str()]);
    assert_eq!(server.chats(bob).await[0]["last_message"]["text"], "two");
}

#[tokio::test]
async fn paging_continues_after_leaving_a_chat() {
    let company = Company::start().await;
    let Company { server, ann, .. } = &company;
    let mut chats = Vec::new();
    for number in 0..6 {
        chats.push(server.add_chat(&format!("chat {number}"), &[ann]).await);
    }
    let whole = server.chats(ann).await;
    let page = server.list("/chats/get", &json!({ "user": ann, "limit": 3 })).await;
    for left in [2, 4] {
        server.leave(whole[left]["id"].as_str().expect("an id"), ann).await;
    }
    let rest = server.list("/chats/get", &json!({ "user": ann, "cursor": page[2]["cursor"] })).await;
    assert_eq!(rest, [&whole[3], &whole[5], &whole[6]].map(Value::clone));
}

#[tokio::test]
async fn membership_survives_a_restart() {
    let company = Company::on(TestServer::start()).await;
    let Company { server, ann, bob, cy, den: id } = &company;
    let pub_ = server.add_chat("pub", &[bob]).await;
    for (chat, user) in [(id, cy), (&pub_, cy), (&pub_, ann)] {
        server.join(chat, user).await;
        server.add_message(chat, user, "hello").await;
    }
    server.leave(id, ann).await;
    server.leave(&pub_, cy).await;
    server.leave(id, bob).await;
    server.join(id, bob).await;
    server.mark_read(&pub_, bob, 1).await;
    let users = [ann, bob, cy];
    let before = join_all(users.iter().map(|user| server.chats(user))).await;
    assert_eq!(company.users_seen_by(cy).await, json!([cy, bob]));
    let position = server.position().await;

    let company = company.restarted();
    let Company { server, ann, bob, cy, den: id } = &company;
    let users = [ann, bob, cy];
    assert_eq!(join_all(users.iter().map(|user| server.chats(user))).await, before);
    assert_eq!(server.position().await, position);
    let message = json!({ "chat": id, "author": ann, "text": "hello" });
    problem(&server.post("/messages/add", &message).await, 403, "not_a_member");
    assert_eq!(server.add_message(id, bob, "hello").await["seq"], 2);
}

#[tokio::test]
async fn concurrent_joins_are_listed_in_log_order() {
    let company = Company::start().await;
    let Company { server, ann, bob, cy, den: id } = &company;
    let mut users = Vec::new();
    for number in 0..32 {
        users.push(server.add_user(&format!("user {number}")).await);
    }
    let joins = users.iter().map(|user| async move { (server.join(id, user).await, user) });
    let mut joined = join_all(joins).await;
    joined.sort_unstable();
    let mut expected = vec![ann, bob];
    expected.extend(joined.iter().map(|(_, user)| *user));
    assert_eq!(company.users_seen_by(ann).await, json!(expected));

    let before = server.position().await;
    let positions = join_all((0..32).map(|_| server.join(id, cy))).await;
    assert!(positions.iter().all(|position| *position == before + 1));
    assert_eq!(server.position().await, before + 1);
    expected.push(cy);
    assert_eq!(company.users_seen_by(ann).await, json!(expected));
    join_all((0..32).map(|_| server.leave(id, ann))).await;
    assert_eq!(server.position().await, before + 2);
    assert_eq!(company.users_seen_by(cy).await, json!(expected[1..]));
}

#[tokio::test]
async fn a_removed_author_stores_no_message() {
    let company = Company::start().await;
    let Company { server, ann, bob, den: id, .. } = &company;
    for round in 0..8 {
        let message = json!({ "chat": id, "author": bob, "text": format!("round {round}") });
        let send = |count| join_all((0..count).map(|_| server.post("/messages/add", &message)));
        let ((early, left), late) = join(join(send(16), server.leave(id, bob)), send(16)).await;
        for reply in early.iter().chain(&late) {
            if reply.status == 201 {
                assert!(reply.position() < left);
            } else {
                problem(reply, 403, "not_a_member");
            }
        }
        assert_eq!(company.users_seen_by(ann).await, json!([ann]));
        server.join(id, bob).await;
    }
}

fn ids(chats: &[Value]) -> Vec<String> {
    chats.iter().map(|chat| chat["id"].as_str().expect("an id").to_owned()).collect()
}
