//! `/chats/read`, and `unread` in `/chats/get`

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::membership::Company;
use crate::support::{Client, Reply, TestServer, post_many, problem};

impl<S: std::ops::Deref<Target = Client>> Company<S> {
    async fn say(&self, author: &str, count: usize) {
        for _ in 0..count {
            self.server.add_message(&self.den, author, "hello").await;
        }
    }

    async fn unread(&self, user: &str) -> u64 {
        unread(&self.server, user, &self.den).await
    }
}

/// Returns the number of unread messages that a user sees in a chat.
async fn unread(client: &Client, user: &str, chat: &str) -> u64 {
    let chats = client.chats(user).await;
    let chat = chats.iter().find(|listed| listed["id"] == chat).expect("a member sees it");
    chat["unread"].as_u64().expect("a number")
}

#[tokio::test]
async fn messages_of_others_after_the_mark_are_unread() {
    let company = Company::start().await;
    let Company { server, ann, bob, den: id, .. } = &company;
    assert_eq!((company.unread(ann).await, company.unread(bob).await), (0, 0));
    company.say(ann, 3).await;
    company.say(bob, 2).await;
    assert_eq!((company.unread(ann).await, company.unread(bob).await), (2, 3));
    assert_eq!(server.mark_read(id, bob, 2).await, 10);
    assert_eq!(server.position().await, 10);
    assert_eq!((company.unread(ann).await, company.unread(bob).await), (2, 1));
    server.mark_read(id, ann, 4).await;
    assert_eq!((company.unread(ann).await, company.unread(bob).await), (1, 1));
    for user in [ann, bob] {
        server.mark_read(id, user, 5).await;
    }
    assert_eq!((company.unread(ann).await, company.unread(bob).await), (0, 0));
    company.say(ann, 1).await;
    assert_eq!((company.unread(ann).await, company.unread(bob).await), (0, 1));
}

#[tokio::test]
async fn own_messages_never_count() {
    let company = Company::start().await;
    let Company { server, ann, bob, den: id, .. } = &company;
    for (author, count) in [(ann, 2), (bob, 1), (ann, 1), (bob, 2), (ann, 2)] {
        company.say(author, count).await;
    }
    // Written by: a a b a b b a a
    let expected =
        [(0, 3, 5), (1, 3, 4), (2, 3, 3), (3, 2, 3), (4, 2, 2), (5, 1, 2), (6, 0, 2), (7, 0, 1), (8, 0, 0)];
    for (seq, of_ann, of_bob) in expected {
        server.mark_read(id, ann, seq).await;
        server.mark_read(id, bob, seq).await;
        assert_eq!(
            (company.unread(ann).await, company.unread(bob).await),
            (of_ann, of_bob),
            "read up to {seq}"
        );
    }
}

#[tokio::test]
async fn writing_does_not_move_the_mark() {
    let company = Company::start().await;
    company.say(&company.ann, 3).await;
    company.say(&company.bob, 1).await;
    assert_eq!(company.unread(&company.bob).await, 3);
}

#[tokio::test]
async fn each_chat_is_counted_separately() {
    let company = Company::start().await;
    let Company { server, ann, bob, den: id, .. } = &company;
    let pub_ = server.add_chat("pub", &[ann, bob]).await;
    company.say(ann, 3).await;
    server.add_message(&pub_, ann, "hello").await;
    server.mark_read(&pub_, bob, 1).await;
    assert_eq!((company.unread(bob).await, unread(server, bob, &pub_).await), (3, 0));
    server.mark_read(id, bob, 2).await;
    assert_eq!((company.unread(bob).await, unread(server, bob, &pub_).await), (1, 0));
}

#[tokio::test]
async fn a_late_member_has_all_messages_unread() {
    let company = Company::start().await;
    let Company { server, ann, bob, cy, den: id } = &company;
    company.say(ann, 4).await;
    company.say(bob, 3).await;
    server.mark_read(id, ann, 7).await;
    server.join(id, cy).await;
    assert_eq!(company.unread(cy).await, 7);
    server.mark_read(id, cy, 5).await;
    assert_eq!(company.unread(cy).await, 2);
}

#[tokio::test]
async fn the_mark_outlives_a_removal() {
    let company = Company::on(TestServer::start()).await;
    let Company { server, ann, bob, den: id, .. } = &company;
    company.say(ann, 3).await;
    company.say(bob, 2).await;
    server.mark_read(id, bob, 2).await;
    server.leave(id, bob).await;
    company.say(ann, 2).await;
    server.join(id, bob).await;
    assert_eq!(company.unread(bob).await, 3);
    // The mark has not moved back.
    server.mark_read(id, bob, 1).await;
    assert_eq!(company.unread(bob).await, 3);

    server.leave(id, bob).await;
    let company = company.restarted();
    company.server.join(&company.den, &company.bob).await;
    assert_eq!(company.unread(&company.bob).await, 3);
}

#[tokio::test]
async fn a_mark_never_moves_back() {
    let company = Company::start().await;
    let Company { server, ann, bob, den: id, .. } = &company;
    company.say(ann, 5).await;
    assert_eq!(server.mark_read(id, bob, 0).await, 9);
    assert_eq!(company.unread(bob).await, 5);
    assert_eq!(server.mark_read(id, bob, 3).await, 10);
    for seq in [3, 2, 1, 0] {
        assert_eq!(server.mark_read(id, bob, seq).await, 10, "{seq}");
        assert_eq!(company.unread(bob).await, 2, "{seq}");
    }
    assert_eq!(server.position().await, 10);
    assert_eq!(server.mark_read(id, bob, 4).await, 11);
    assert_eq!(company.unread(bob).await, 1);
}

#[tokio::test]
async fn an_empty_chat_is_read_up_to_0_only() {
    let company = Company::start().await;
    let Company { server, ann, den: id, .. } = &company;
    assert_eq!(server.mark_read(id, ann, 0).await, 4);
    check_beyond(server, &json!({ "chat": id, "user": ann, "seq": 1 }), 0).await;
    assert_eq!(server.position().await, 4);
}

#[tokio::test]
async fn a_mark_beyond_the_last_message_is_refused() {
    let company = Company::start().await;
    let Company { server, ann, bob, den: id, .. } = &company;
    company.say(ann, 17).await;
    for seq in ["18", "19", "4294967313", "9223372036854775807", "18446744073709551615"] {
        let seq: Value = seq.parse().expect("JSON");
        check_beyond(server, &json!({ "chat": id, "user": bob, "seq": seq }), 17).await;
    }
    assert_eq!((company.unread(bob).await, server.position().await), (17, 21));
    // A refused request does not use up its key.
    let body = json!({ "chat": id, "user": bob, "seq": 18 });
    problem(&server.post_under("key", "/chats/read", &body).await, 400, "invalid_field");
    company.say(ann, 1).await;
    assert_eq!(server.post_under("key", "/chats/read", &body).await.done(), 23);
    assert_eq!(company.unread(bob).await, 0);
}

async fn check_beyond(server: &Client, body: &Value, last: u64) {
    let reply = server.post("/chats/read", body).await;
    assert_eq!(problem(&reply, 400, "invalid_field").as_deref(), Some("seq"), "{body}");
    let detail = reply.json()["detail"].as_str().expect("text").to_owned();
    let numbers: Vec<_> = detail.split(|character: char| !character.is_ascii_alphanumeric()).collect();
    for number in [last.to_string(), body["seq"].to_string()] {
        assert!(numbers.contains(&number.as_str()), "{number}: {detail}");
    }
}

#[tokio::test]
async fn only_members_have_marks() {
    let company = Company::start().await;
    let Company { server, ann, cy, den: id, .. } = &company;
    company.say(ann, 2).await;
    for seq in [0, 1, 2, 3] {
        let reply = server.post("/chats/read", &json!({ "chat": id, "user": cy, "seq": seq })).await;
        assert_eq!(problem(&reply, 403, "not_a_member").as_deref(), Some("user"), "{seq}");
    }
    server.join(id, cy).await;
    assert_eq!(company.unread(cy).await, 2);
}

#[tokio::test]
async fn a_seq_is_a_whole_number() {
    let company = Company::start().await;
    let Company { server, ann, den: id, .. } = &company;
    company.say(ann, 5).await;
    let wrong = [
        "null",
        "\"2\"",
        "\"\"",
        "true",
        "[]",
        "[2]",
        "{}",
        "-1",
        "-2",
        "-0.0",
        "2.0",
        "0.5",
        "2e0",
        "1e999",
        "18446744073709551616",
        "-18446744073709551616",
        "99999999999999999999999",
    ];
    for seq in wrong {
        let body = format!(r#"{{"chat":"{id}","user":"{ann}","seq":{seq}}}"#);
        let reply = server.post_raw("/chats/read", body).await;
        assert_eq!(problem(&reply, 400, "invalid_field").as_deref(), Some("seq"), "{seq}");
    }
    let reply = server.post("/chats/read", &json!({ "chat": id, "user": ann })).await;
    assert_eq!(problem(&reply, 400, "invalid_field").as_deref(), Some("seq"));
    assert_eq!(server.position().await, 9);
}

/// The readers stop at the edges of the chunks of a long history, and at the messages beside the edges.
#[tokio::test]
async fn unread_of_a_long_chat_is_exact() {
    const MESSAGES: usize = 2_600;
    let company = Company::on(TestServer::start()).await;
    let Company { server, ann, bob, cy, den: id } = &company;
    let dan = server.add_user("dan").await;
    server.join(id, cy).await;
    server.join(id, &dan).await;
    // One author writes many messages in a row, so that some chunks have few authors. Dan writes nothing, and
    // some texts are long.
    let bodies: Vec<_> = (0..MESSAGES)
        .map(|number| {
            let author = [ann, bob, cy, ann, bob][(number / 190 + usize::from(number % 7 == 0)) % 5];
            let text = "x".repeat(if number % 50 == 0 { 12_000 } else { 1 + number % 40 });
            json!({ "chat": id, "author": author, "text": text })
        })
        .collect();
    assert!(post_many(&server.address, "/messages/add", &bodies).iter().all(|reply| reply.status == 201));
    let authors: Vec<Value> =
        server.messages(id).await.into_iter().map(|mut message| message["author"].take()).collect();
    let by_hand = |user: &str, mark: usize| authors[mark..].iter().filter(|author| **author != *user).count();

    let check_reader = async |user: &str, stride: usize| {
        let edges = (256..MESSAGES).step_by(256).flat_map(|edge| [edge - 1, edge, edge + 1]);
        let mut marks: Vec<_> = edges.chain((0..MESSAGES).step_by(stride)).chain([1, MESSAGES]).collect();
        marks.sort_unstable();
        for mark in marks {
            server.mark_read(id, user, mark).await;
            let expected = by_hand(user, mark) as u64;
            assert_eq!(company.unread(user).await, expected, "{user} read up to {mark}");
        }
        assert_eq!(company.unread(user).await, 0);
    };
    let readers = [(ann, 61), (bob, 97), (cy, 131), (&dan, 173)];
    join_all(readers.map(|(user, stride)| check_reader(user, stride))).await;
}

#[tokio::test]
async fn counts_survive_a_restart() {
    let company = Company::on(TestServer::start()).await;
    let Company { server, ann, bob, cy, den: id } = &company;
    server.join(id, cy).await;
    let bodies: Vec<_> = (0..700)
        .map(|number| {
            let author = [ann, bob, cy][number % 3];
            json!({ "chat": id, "author": author, "text": "x".repeat(200) })
        })
        .collect();
    assert!(post_many(&server.address, "/messages/add", &bodies).iter().all(|reply| reply.status == 201));
    let users = [ann, bob, cy];
    for (user, mark) in users.into_iter().zip([690, 257, 0]) {
        server.mark_read(id, user, mark).await;
    }
    company.say(bob, 1).await;
    let before = join_all(users.map(|user| server.chats(user))).await;
    let authors: Vec<Value> =
        server.messages(id).await.into_iter().map(|mut message| message["author"].take()).collect();
    for ((user, mark), chats) in users.into_iter().zip([690, 257, 0]).zip(&before) {
        let by_hand = authors[mark..].iter().filter(|author| **author != *user).count();
        assert_eq!(chats[0]["unread"], by_hand);
    }
    let company = company.restarted();
    let Company { server, ann, bob, cy, den: id } = &company;
    assert_eq!(join_all([ann, bob, cy].map(|user| server.chats(user))).await, before);
    // Marks also continue from where they stood.
    assert_eq!(server.mark_read(id, ann, 690).await, server.position().await);
    assert_eq!(server.mark_read(id, ann, 701).await, server.position().await);
    assert_eq!(company.unread(ann).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_are_exact_while_others_write() {
    let company = Company::on(TestServer::start()).await;
    let Company { server, ann, bob, den: id, .. } = &company;
    let stop = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn({
        let (client, bob, stop) = (server.client(), bob.clone(), Arc::clone(&stop));
        async move {
            let mut seen = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let chat = client.chats(&bob).await.remove(0);
                let last = chat["last_message"]["seq"].as_u64().unwrap_or(0);
                // Only ann writes, and bob has read nothing, so all messages are unread.
                assert_eq!(chat["unread"].as_u64(), Some(last));
                seen.push(last);
            }
            seen
        }
    });
    let bodies: Vec<_> =
        (0..600).map(|number| json!({ "chat": id, "author": ann, "text": format!("{number}") })).collect();
    let address = server.address.clone();
    tokio::task::spawn_blocking(move || post_many(&address, "/messages/add", &bodies)).await.expect("sent");
    stop.store(true, Ordering::Relaxed);
    let seen = reader.await.expect("each count was right");
    assert!(seen.is_sorted() && !seen.is_empty());
    assert_eq!(company.unread(bob).await, 600);
}

/// A list is longer than one piece of an answer, and the chats of the later pieces change while it is sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unread_of_a_long_list_stays_exact() {
    const CHATS: usize = 400;
    let company = Company::on(TestServer::start()).await;
    let Company { server, ann, bob, .. } = &company;
    let bodies: Vec<_> =
        (0..CHATS).map(|number| json!({ "name": format!("{number}"), "users": [ann, bob] })).collect();
    let chats: Vec<_> = post_many(&server.address, "/chats/add", &bodies).iter().map(Reply::id).collect();
    let text = "x".repeat(2_000);
    let bodies: Vec<_> =
        chats.iter().map(|chat| json!({ "chat": chat, "author": bob, "text": text })).collect();
    assert!(post_many(&server.address, "/messages/add", &bodies).iter().all(|reply| reply.status == 201));
    let order = server.chats(ann).await;

    let stop = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn({
        let (client, ann, stop) = (server.client(), ann.clone(), Arc::clone(&stop));
        async move {
            while !stop.load(Ordering::Relaxed) {
                let list =
                    client.try_post("/chats/get", &json!({ "user": ann })).await.expect("the whole list");
                let list = list.json();
                let list = list.as_array().expect("a list");
                assert_eq!(list.len(), CHATS + 1);
                // Bob has written once in each chat. The chat of the company is the last one, and is empty.
                for chat in &list[..CHATS] {
                    assert!(chat["unread"].as_u64().is_some_and(|unread| unread <= 1), "{}", chat["unread"]);
                }
            }
        }
    });
    // The chats at the end of the list change, so that they do so before their piece is written.
    for chat in order[..CHATS].iter().rev().take(150).map(|chat| chat["id"].as_str().unwrap()) {
        server.add_message(chat, ann, "hello").await;
        server.mark_read(chat, ann, 2).await;
    }
    stop.store(true, Ordering::Relaxed);
    reader.await.expect("each list was right");
}
