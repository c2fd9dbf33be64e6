//! `import` of a history from another system, whose lines name users and chats.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{export, import};
use crate::support::TestServer;

const EXCERPT: &str = include_str!("../corpus/ubuntu-irc-excerpt.jsonl");

/// Returns the messages of a chat in the order of their times: time, user and text.
type Said = Vec<(String, String, String)>;

#[tokio::test]
async fn a_real_conversation_keeps_its_times() {
    let dir = TempDir::new().unwrap();
    let said = import(dir.path(), EXCERPT);
    assert_eq!(said.found("left out"), "1 messages without text");
    assert_eq!(said.found("moved"), "31 lines that came below one of a later time");
    let mut expected: BTreeMap<String, Said> = BTreeMap::new();
    let mut users = BTreeSet::new();
    for line in EXCERPT.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        let field = |name: &str| line[name].as_str().unwrap().trim().to_owned();
        users.insert(field("user"));
        if line["op"] == "message" && line["text"] != "" {
            let text = line["text"].as_str().unwrap().to_owned();
            expected.entry(field("chat")).or_default().push((field("time"), field("user"), text));
        }
    }

    let server = TestServer::start_at(dir.path(), &[]);
    let mut names = BTreeMap::new();
    for name in &users {
        let user = server.post("/users/get", &json!({ "username": name })).await.json();
        names.insert(user["id"].as_str().unwrap().to_owned(), name.clone());
    }
    let chats = export(dir.path());
    let chats = chats.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    for chat in chats.filter(|event| event["type"] == "chat_added") {
        let mut of_chat = expected.remove(chat["name"].as_str().unwrap()).unwrap();
        of_chat.sort_by(|one, other| one.0.cmp(&other.0));
        let messages = server.messages(chat["id"].as_str().unwrap()).await;
        assert!(messages.is_sorted_by(|one, next| one["created_at"].as_str() < next["created_at"].as_str()));
        let told: Said = messages
            .iter()
            .map(|message| {
                let field = |name: &str| message[name].as_str().unwrap().to_owned();
                // Those of one minute differ in microseconds.
                let (minute, micros) = message["created_at"].as_str().unwrap().split_at(19);
                assert!(micros.starts_with(".000"), "{message}");
                (format!("{minute}Z"), names[&field("author")].clone(), field("text"))
            })
            .collect();
        assert_eq!(told, of_chat);
    }
    assert!(expected.is_empty(), "all chats are there");
}

/// Returns the events of these lines: the time of the day, the type, and the names of the users.
fn events(lines: &str) -> Vec<String> {
    let dir = TempDir::new().unwrap();
    import(dir.path(), lines).done();
    let mut names = BTreeMap::new();
    let event = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| event[name].as_str().map(str::to_owned);
        if let Some(name) = text("username") {
            names.insert(text("id").unwrap(), name);
        }
        let who =
            text("username").or_else(|| text("author").or_else(|| text("user")).map(|id| names[&id].clone()));
        let what = text("text").or_else(|| text("name")).unwrap_or_default();
        let time = text("time").unwrap()[11..26].to_owned();
        format!("{time} {} {} {what}", text("type").unwrap(), who.unwrap_or_default()).trim_end().to_owned()
    };
    export(dir.path()).lines().map(event).collect()
}

fn line(op: &str, user: &str, time: &str, text: &str) -> String {
    let mut line = json!({ "op": op, "chat": "tea ", "user": user });
    if !time.is_empty() {
        line["time"] = format!("2004-11-15T{time}").into();
    }
    if op == "message" {
        line["text"] = text.into();
    }
    format!("{line}\n")
}

#[test]
fn lines_are_sorted_stably_by_time() {
    let lines = [
        line("join", " ann", "", ""),
        line("message", "ann", "12:00:00Z", "second"),
        line("message", "bob", "12:00:00Z", "third"),
        line("leave", "bob", "", ""),
        line("message", "ann", "13:00:00.5+02:00", "first"),
        line("message", "bob", "12:00:00.000001Z", "last"),
        line("message", "cid", "12:00:00.000009Z", ""),
        line("leave", "dee", "12:00:01Z", ""),
    ];
    assert_eq!(
        events(&lines.concat()),
        [
            "11:00:00.500000 user_added ann",
            "11:00:00.500001 chat_added  tea",
            "11:00:00.500002 message_added ann first",
            "12:00:00.000000 message_added ann second",
            "12:00:00.000001 user_added bob",
            "12:00:00.000002 member_added bob",
            "12:00:00.000003 message_added bob third",
            "12:00:00.000004 member_removed bob",
            "12:00:00.000005 member_added bob",
            "12:00:00.000006 message_added bob last",
            "12:00:00.000009 user_added cid",
            "12:00:00.000010 member_added cid",
            "12:00:01.000000 user_added dee",
        ]
    );
}

#[test]
fn a_time_may_be_a_number() {
    let said = |time: Value| {
        let line = json!({ "op": "message", "chat": "tea", "user": "ann", "time": time, "text": "hi" });
        format!("{line}\n")
    };
    let slack = r#"{"op":"join","chat":"tea","user":"ann","time":"1355517523.000005"}"#;
    let with_digits = r#"{"op":"leave","chat":"tea","user":"ann","time":1355517523.0000079}"#;
    let lines = [
        said(json!("1355517524")),
        said(json!(1_355_517_525)),
        said(json!(1_355_517_526_042_u64)),
        said(json!("2012-12-14T20:38:47Z")),
        format!("{slack}\n{with_digits}\n"),
    ];
    assert_eq!(
        events(&lines.concat()),
        [
            "20:38:43.000005 user_added ann",
            "20:38:43.000006 chat_added  tea",
            "20:38:43.000008 member_removed ann",
            "20:38:44.000000 member_added ann",
            "20:38:44.000001 message_added ann hi",
            "20:38:45.000000 message_added ann hi",
            "20:38:46.042000 message_added ann hi",
            "20:38:47.000000 message_added ann hi",
        ]
    );
}

#[test]
fn ids_keep_namesakes_apart() {
    let said = |second: u32, chat: (&str, Value), user: (&str, Value)| {
        let time = format!("2004-11-15T12:00:{second:02}Z");
        let (chat, chat_id, user, user_id) = (chat.0, chat.1, user.0, user.1);
        let line = json!({ "op": "message", "chat": chat, "chat_id": chat_id, "user": user, "user_id": user_id,
            "time": time, "text": "hi" });
        format!("{line}\n")
    };
    let tea = || ("tea", json!("C1"));
    let lines = [
        said(1, tea(), ("Anna", json!("U1"))),
        said(2, tea(), ("Anna", json!("U2"))),
        said(3, tea(), ("Anna Berg", json!("U1"))),
        said(4, tea(), ("Anna", Value::Null)),
        said(5, ("tea", json!("C2")), ("Anna", json!("U2"))),
    ];
    let dir = TempDir::new().unwrap();
    let said = import(dir.path(), &lines.concat());
    assert_eq!(said.found("renamed"), "3 users and chats whose name was taken");
    assert_eq!(
        events(&lines.concat()),
        [
            "12:00:01.000000 user_added Anna",
            "12:00:01.000001 chat_added  tea",
            "12:00:01.000002 message_added Anna hi",
            "12:00:02.000000 user_added Anna 2",
            "12:00:02.000001 member_added Anna 2",
            "12:00:02.000002 message_added Anna 2 hi",
            "12:00:03.000000 message_added Anna hi",
            "12:00:04.000000 user_added Anna 3",
            "12:00:04.000001 member_added Anna 3",
            "12:00:04.000002 message_added Anna 3 hi",
            "12:00:05.000000 chat_added  tea 2",
            "12:00:05.000001 message_added Anna 2 hi",
        ]
    );
}

#[test]
fn a_history_may_begin_at_the_epoch() {
    let first = r#"{"op":"message","chat":"tea","user":"ann","time":"1970-01-01T00:00:00Z","text":"hi"}"#;
    assert_eq!(
        events(first),
        [
            "00:00:00.000000 user_added ann",
            "00:00:00.000001 chat_added  tea",
            "00:00:00.000002 message_added ann hi"
        ]
    );
}

/// The mistakes of a first attempt.
#[test]
fn a_first_line_of_no_form_is_explained() {
    let table: [(&str, &[&str]); 4] = [
        ("[\n  {\n", &["line 1", "begins a JSON array", "jq -c '.[]'"]),
        ("{\n  \"name\": \"tea\",\n", &["line 1: the JSON object does not end on its line", "at column"]),
        (r#"{"type":"message","channel":"tea","text":"hi"}"#, &["line 1", "neither op", "docs/import.md"]),
        (r#"{"op":"message","channel":"tea"}"#, &["unknown field `channel`", "expected one of", "`chat`"]),
    ];
    let dir = TempDir::new().unwrap();
    for (lines, words) in table {
        import(&dir.path().join("data"), lines).refused(2, words);
        assert!(!dir.path().join("data").exists());
    }
}

#[test]
fn a_bad_line_is_refused_with_its_number() {
    let good = line("message", "ann", "12:00:00Z", "hi");
    let other_chat = r#"{"op":"join","chat":"den","user":"ann"}"#.to_owned();
    let table: Vec<(String, &[&str])> = vec![
        ("{\n".into(), &["EOF", "does not end on its line", "jq -c ."]),
        ("[\n".into(), &["not a JSON object", "begins a JSON array", "jq -c '.[]'"]),
        (line("kick", "ann", "12:00:00Z", ""), &["\"kick\""]),
        (line("message", "ann", "", "hi"), &["time is missing"]),
        (line("message", "ann", "noon", "hi"), &["RFC 3339", "Unix seconds", "noon"]),
        (good.replace("12:00:00Z", "12:00:00"), &["with an offset"]),
        (good.replace("\"2004-11-15T12:00:00Z\"", "true"), &["RFC 3339", "true"]),
        (good.replace("\"2004-11-15T12:00:00Z\"", "1100520000000000"), &["Unix seconds or milliseconds"]),
        (good.replace("\"op\"", "\"user_id\":\"\",\"op\""), &["user_id must not be empty"]),
        (good.replace("\"op\"", "\"user_id\":7,\"op\""), &["invalid type", "expected a string"]),
        (good.replace("\"op\":\"message\",", ""), &["missing field `op`"]),
        (good.replace("\"ann\"", &format!("\"{}\"", "é".repeat(65))), &["user must have at most 64"]),
        (good.replace("tea", &"é".repeat(129)), &["chat must have at most 128"]),
        (line("message", "  ", "12:00:00Z", "hi"), &["user must not be empty"]),
        (line("message", "a\nb", "12:00:00Z", "hi"), &["user must not contain control characters"]),
        (
            line("message", "ann", "12:00:00Z", &"x".repeat(16_385)),
            &["text must have at most 16384", "--split-long"],
        ),
        (good.replace("\"hi\"", "null"), &["text is missing"]),
        (good.replace("message", "join"), &["a join must not have a text"]),
        (good.replace("\"op\"", "\"thread\":1,\"op\""), &["unknown field `thread`", "`chat_id`, `user`"]),
        (other_chat, &["no time, nor has any other line of its chat"]),
        (r#"{"v":1,"position":2}"#.into(), &["unknown field `v`"]),
    ];
    let dir = TempDir::new().unwrap();
    for (bad, words) in table {
        let said = import(&dir.path().join("data"), &(good.clone() + &bad));
        said.refused(2, &["line 2: "]);
        said.refused(2, words);
        assert!(said.stderr.len() < 500, "{}", said.stderr);
        assert!(!dir.path().join("data").exists(), "left behind by {bad}");
    }
}

#[tokio::test]
async fn a_user_of_the_first_moment_is_listed() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    let said = |name: &str, time: u64| {
        json!({ "op": "message", "chat": "den", "user": name, "time": time, "text": "hello" }).to_string()
    };
    import(&data, &[said("zero", 0), said("one", 1)].join("\n"));
    let users = TestServer::start_at(&data, &[]).list("/users/list", &json!({})).await;
    assert_eq!(users.iter().map(|user| &user["username"]).collect::<Vec<_>>(), ["zero", "one"]);
}
