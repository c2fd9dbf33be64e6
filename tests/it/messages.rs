//! `/messages/add` and `/messages/get`

use serde_json::{Value, json};

use crate::support::{Client, TestRouter, TestServer, assert_id, assert_time, post_many, problem};

#[tokio::test]
async fn a_message_answers_id_seq_and_time() {
    let (server, ann, den) = server_with_messages(0).await;
    for seq in 1..=3 {
        let body = json!({ "chat": den, "author": ann, "text": "hello" });
        let reply = server.post("/messages/add", &body).await;
        assert_eq!(reply.status, 201);
        assert_eq!(reply.header("content-type"), "application/json");
        assert_eq!(reply.position(), 2 + seq);
        let added = reply.json();
        assert_id(&added["id"]);
        assert_time(&added["created_at"]);
        assert_eq!(added, json!({ "id": added["id"], "seq": seq, "created_at": added["created_at"] }));
    }
}

#[tokio::test]
async fn a_message_has_just_these_members() {
    let (server, ann, den) = server_with_messages(0).await;
    let added = server.add_message(&den, &ann, "hello").await;
    let expected = json!({
        "id": added["id"], "chat": den, "author": ann, "text": "hello", "created_at": added["created_at"], "seq": 1,
    });
    assert_eq!(server.messages(&den).await, [expected]);
}

#[tokio::test]
async fn each_chat_counts_its_own_messages() {
    let (server, ann, den) = server_with_messages(0).await;
    let pub_ = server.add_chat("pub", &[&ann]).await;
    for seq in 1..=5 {
        for chat in [&den, &pub_] {
            assert_eq!(server.add_message(chat, &ann, "hello").await["seq"], seq);
        }
    }
    for chat in [den, pub_] {
        let messages = server.messages(&chat).await;
        assert!(messages.iter().all(|message| message["chat"] == chat.as_str()), "{messages:?}");
        assert_eq!(seqs(&messages), [1, 2, 3, 4, 5]);
    }
}

#[tokio::test]
async fn times_strictly_increase_in_log_order() {
    let server = TestRouter::start();
    let ann = server.add_user("ann").await;
    let mut times = Vec::new();
    for number in 0..50 {
        let chat = server.add_chat(&format!("chat {number}"), &[&ann]).await;
        times.push(server.add_message(&chat, &ann, "hello").await["created_at"].clone());
    }
    let chats = server.chats(&ann).await;
    let made = chats.iter().rev().map(|chat| chat["created_at"].clone());
    let times: Vec<_> = made.zip(times).flat_map(|(made, sent)| [made, sent]).collect();
    // All are equally long, so that they are ordered as their texts are.
    assert!(times.windows(2).all(|pair| pair[0].as_str() < pair[1].as_str()), "{times:?}");
}

#[tokio::test]
async fn texts_have_1_to_16384_bytes() {
    let (server, ann, den) = server_with_messages(0).await;
    let crabs = "🦀".repeat(4_096);
    for text in
        ["x", "é", &"x".repeat(16_384), &"\0".repeat(16_384), &crabs, &format!("x{}", &crabs[..16_380])]
    {
        server.add_message(&den, &ann, text).await;
        let newest = server.list("/messages/get", &json!({ "chat": den, "limit": 1 })).await;
        assert_eq!(newest[0]["text"], text);
    }
    for text in ["", &"x".repeat(16_385), &format!("{crabs}x"), &"é".repeat(8_193)] {
        let body = json!({ "chat": den, "author": ann, "text": text });
        let reply = server.post("/messages/add", &body).await;
        assert_eq!(problem(&reply, 400, "invalid_field").as_deref(), Some("text"), "{} bytes", text.len());
    }
}

#[tokio::test]
async fn any_text_comes_back_character_for_character() {
    let server = TestServer::start();
    let (ann, den) = add_messages(&server, 0).await;
    let ascii_and_latin: String = ('\0'..='\u{ff}').collect();
    let edges = "\u{7ff}\u{800}\u{d7ff}\u{e000}\u{fdd0}\u{fffd}\u{fffe}\u{ffff}\u{10000}\u{10ffff}";
    let texts = [
        &ascii_and_latin,
        edges,
        "\0",
        "\0\0\0",
        " ",
        "\r\n",
        "\n\r",
        "\u{feff}bom",
        "e\u{301} is not é",
        "👩‍👩‍👧‍👦 🇩🇪",
        "\u{202e}txet",
        "\u{2028}\u{2029}",
        r#"\u0041 \" \\ \n {"a":[]}"#,
        "</script>",
        "  both ends \t",
        "null",
    ];
    for text in texts {
        server.add_message(&den, &ann, text).await;
    }
    let messages = server.messages(&den).await;
    for (message, text) in messages.iter().zip(texts) {
        assert_eq!(message["text"], text);
    }
    assert_eq!(messages.len(), texts.len());
    let server = server.kill().restart();
    assert_eq!(server.messages(&den).await, messages);
}

#[tokio::test]
async fn escapes_in_requests_are_decoded() {
    let (server, ann, den) = server_with_messages(0).await;
    let body = format!(
        r#"{{"ch\u0061t":"{den}","author":"{ann}","text":"\u0041\ud83e\udd80\u0000\/\b\f\n\r\t\"\\"}}"#
    );
    assert_eq!(server.post_raw("/messages/add", body).await.status, 201);
    assert_eq!(server.messages(&den).await[0]["text"], "A🦀\0/\u{8}\u{c}\n\r\t\"\\");
}

#[tokio::test]
async fn only_members_write() {
    let (server, ann, den) = server_with_messages(0).await;
    let bob = server.add_user("bob").await;
    server.add_chat("pub", &[&ann, &bob]).await;
    let reply = server.post("/messages/add", &json!({ "chat": den, "author": bob, "text": "hello" })).await;
    assert_eq!(problem(&reply, 403, "not_a_member").as_deref(), Some("author"));
    assert!(server.messages(&den).await.is_empty());
}

#[tokio::test]
async fn limit_after_and_before_select_the_page() {
    const NEVER: u64 = u64::MAX;
    let (server, _, den) = server_with_messages(10).await;
    let whole = server.messages(&den).await;
    let bounds = [0, 1, 2, 5, 9, 10, 11, 12, 10_000, NEVER];
    for limit in [None, Some(1), Some(3), Some(9), Some(10), Some(11), Some(10_000)] {
        let most = limit.unwrap_or(10);
        let newest = |mut seqs: Vec<usize>| seqs.split_off(seqs.len().saturating_sub(most));
        let mut pages = vec![(json!({}), newest((1..=10).collect()))];
        for bound in bounds {
            let after = (1..=10).filter(|&seq| seq as u64 > bound).take(most).collect();
            pages.push((json!({ "after": bound }), after));
            let before = (1..=10).filter(|&seq| (seq as u64) < bound).collect();
            pages.push((json!({ "before": bound, "after": null }), newest(before)));
        }
        for (mut body, expected) in pages {
            body["chat"] = json!(den);
            body["limit"] = json!(limit);
            let expected: Vec<_> = expected.into_iter().map(|seq| whole[seq - 1].clone()).collect();
            assert_eq!(server.list("/messages/get", &body).await, expected, "{body}");
        }
    }
}

#[tokio::test]
async fn after_and_before_cannot_be_given_together() {
    let (server, _, den) = server_with_messages(3).await;
    for limit in [json!(null), json!(2)] {
        let body = json!({ "chat": den, "after": 1, "before": 3, "limit": limit });
        let reply = server.post("/messages/get", &body).await;
        assert!(matches!(problem(&reply, 400, "invalid_field").as_deref(), Some("after" | "before")));
    }
}

#[tokio::test]
async fn an_empty_chat_is_an_empty_list() {
    let (server, _, den) = server_with_messages(0).await;
    for body in
        [json!({}), json!({ "limit": 1 }), json!({ "after": 0 }), json!({ "before": 1, "limit": 10_000 })]
    {
        let mut body = body;
        body["chat"] = json!(den);
        let reply = server.post("/messages/get", &body).await;
        assert_eq!((reply.status.as_u16(), reply.text.as_str()), (200, "[]"), "{body}");
        assert_eq!(reply.header("content-type"), "application/json");
    }
}

#[tokio::test]
async fn three_thousand_messages_come_back_in_order() {
    let server = TestServer::start();
    let (ann, den) = add_messages(&server, 0).await;
    let text = |number: usize| format!("{number} {}", "é".repeat(number % 97));
    let bodies: Vec<_> =
        (0..3_000).map(|number| json!({ "chat": den, "author": ann, "text": text(number) })).collect();
    let added: Vec<_> =
        post_many(&server.address, "/messages/add", &bodies).iter().map(|reply| reply.json()).collect();
    let mut expected: Vec<_> = (0..3_000)
        .map(|number| {
            let (id, seq, created_at) = (&added[number]["id"], &added[number]["seq"], &added[number]["created_at"]);
            let text = text(number);
            json!({ "id": id, "seq": seq, "created_at": created_at, "chat": den, "author": ann, "text": text })
        })
        .collect();
    expected.sort_by_key(|message| message["seq"].as_u64());
    let whole = server.messages(&den).await;
    assert_eq!(whole, expected);
    assert!(seqs(&whole).into_iter().eq(1..=3_000));
    assert!(whole.windows(2).all(|pair| pair[0]["created_at"].as_str() < pair[1]["created_at"].as_str()));
    for limit in [333, 1_000, 10_000] {
        assert_eq!(forward(&server, &den, limit).await, whole, "by {limit}");
        assert_eq!(backward(&server, &den, limit).await, whole, "by {limit}");
    }
}

/// Returns a router in process with a chat of one user, the user, and the chat, which holds `count` messages.
async fn server_with_messages(count: usize) -> (TestRouter, String, String) {
    let server = TestRouter::start();
    let (ann, den) = add_messages(&server, count).await;
    (server, ann, den)
}

/// Adds a user, a chat of that user, and `count` messages; returns the user and the chat.
async fn add_messages(server: &Client, count: usize) -> (String, String) {
    let ann = server.add_user("ann").await;
    let den = server.add_chat("den", &[&ann]).await;
    for number in 1..=count {
        server.add_message(&den, &ann, &format!("message {number}")).await;
    }
    (ann, den)
}

/// Pages through all messages from the earliest on, `limit` at a time.
async fn forward(server: &Client, chat: &str, limit: usize) -> Vec<Value> {
    let (mut all, mut after) = (Vec::new(), json!(0));
    loop {
        let page =
            server.list("/messages/get", &json!({ "chat": chat, "after": after, "limit": limit })).await;
        assert!(page.len() <= limit);
        let (Some(first), Some(last)) = (page.first(), page.last()) else { return all };
        assert!(first["seq"].as_u64() > after.as_u64(), "{} after {after}", first["seq"]);
        after = last["seq"].clone();
        all.extend(page);
    }
}

/// Pages through all messages from the newest back, `limit` at a time.
async fn backward(server: &Client, chat: &str, limit: usize) -> Vec<Value> {
    let mut all = server.list("/messages/get", &json!({ "chat": chat, "limit": limit })).await;
    loop {
        let before = &all[0]["seq"];
        let page =
            server.list("/messages/get", &json!({ "chat": chat, "before": before, "limit": limit })).await;
        assert!(page.len() <= limit);
        let Some(last) = page.last() else { return all };
        assert!(last["seq"].as_u64() < before.as_u64(), "{} before {before}", last["seq"]);
        all = [page, all].concat();
    }
}

fn seqs(messages: &[Value]) -> Vec<u64> {
    messages.iter().map(|message| message["seq"].as_u64().expect("a number")).collect()
}
