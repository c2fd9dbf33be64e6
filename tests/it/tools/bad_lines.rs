//! `import` with flags for lines that are bad: `--check`, `--skip-bad` and `--split-long`.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Said, contents, export, old_log, tool_with};
use crate::support::TestServer;

fn import_with(flags: &[&str], data: &Path, lines: &str) -> Said {
    tool_with(&[&["import", "--segment-bytes", "65536"], flags].concat(), data, lines.as_bytes())
}

/// Returns the line of a message.
fn said(second: usize, text: &str) -> String {
    let time = 1_100_520_000 + second;
    let line = json!({ "op": "message", "chat": "tea", "user": "ann", "time": time, "text": text });
    format!("{line}\n")
}

/// Returns the texts of all messages, in the order of the log.
fn texts(data: &Path) -> Vec<String> {
    let events = export(data);
    let events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.filter_map(|event| event["text"].as_str().map(str::to_owned)).collect()
}

/// Three bad lines among good ones. The last event of the good ones has position 4.
fn three_bad() -> String {
    let untimed = json!({ "op": "join", "chat": "den", "user": "bob" });
    let no_name = said(2, "no name").replace("ann", " ");
    let lines = [said(1, "one"), format!("{untimed}\n"), "{}\n".into(), no_name, "\n".into(), said(3, "two")];
    lines.concat()
}

#[test]
fn a_check_names_every_bad_line() {
    let dir = TempDir::new().unwrap();
    let checked = import_with(&["--check"], dir.path(), &three_bad());
    checked.refused(2, &["bad lines: 3"]);
    let named: Vec<_> = checked.stdout.lines().collect();
    let expected = [
        "line 2: it has no time, nor has any other line of its chat",
        "line 3: missing field `op`",
        "line 4: user must not be empty",
    ];
    assert_eq!(named.len(), expected.len(), "{named:?}");
    assert!(named.iter().zip(expected).all(|(named, expected)| named.starts_with(expected)), "{named:?}");
    assert!(contents(dir.path()).is_empty(), "nothing is written");
}

#[test]
fn a_check_of_an_export_names_every_bad_line() {
    let log = old_log();
    let lines = export(log.path());
    let kinds: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // No later event rests on it.
    let mark = kinds.iter().position(|event| event["type"] == "read_marked").unwrap();
    let mut bad: Vec<String> = lines.lines().map(str::to_owned).collect();
    bad[mark] = "{}".to_owned();
    bad.push(String::new());
    bad.push(bad[0].clone());
    let checked = import_with(&["--check"], &log.path().join("data"), &bad.join("\n"));
    checked.refused(2, &["bad lines: 2"]);
    let named: Vec<_> = checked.stdout.lines().collect();
    assert!(named[0].starts_with(&format!("line {}: missing field", mark + 1)), "{named:?}");
    assert!(named[1].starts_with(&format!("line {}: its position is 1", bad.len())), "{named:?}");
    assert_eq!(named.len(), 2);
    // A bad first line counts as one, too.
    let first = lines.replacen('{', "nonsense {", 1);
    let checked = import_with(&["--check"], Path::new("nowhere"), &first);
    checked.refused(2, &["bad lines: "]);
    assert!(!checked.stdout.contains("its position is"), "{}", checked.stdout);
}

#[test]
fn a_check_counts_what_it_does_not_name() {
    let lines = "nonsense\n".repeat(105) + &said(1, "good") + &"{}\n".repeat(18);
    let checked = import_with(&["--check"], Path::new("nowhere"), &lines);
    checked.refused(2, &["bad lines: 123"]);
    let named: Vec<_> = checked.stdout.lines().collect();
    assert_eq!(named.len(), 101);
    assert!(named[99].starts_with("line 100: it is not a JSON object"), "{}", named[99]);
    assert_eq!(named[100], "and 23 more bad lines");
}

#[tokio::test]
async fn a_check_needs_no_directory() {
    let server = TestServer::start();
    server.add_user("ann").await;
    let data = &server.data;
    let files = || {
        let mut files = contents(data);
        // The server prepares it in the background.
        files.remove(&data.join("spare"));
        files
    };
    let before = files();
    let checked = import_with(&["--check"], data, &said(1, "good"));
    assert_eq!(checked.position(), 3, "as an import would print it");
    assert_eq!(checked.found("left out"), "0 messages without text");
    let log = old_log();
    assert_eq!(import_with(&["--check"], data, &export(log.path())).position(), super::OLD_LOG_EVENTS);
    assert_eq!(files(), before);
}

#[test]
fn bad_lines_can_be_left_out() {
    let dir = TempDir::new().unwrap();
    let imported = import_with(&["--skip-bad"], dir.path(), &(three_bad() + &said(4, &"x".repeat(16_385))));
    assert_eq!(imported.position(), 4);
    assert_eq!(imported.found("skipped"), "4 bad lines");
    assert_eq!(texts(dir.path()), ["one", "two"]);
}

#[test]
fn a_bad_line_takes_no_name() {
    let dir = TempDir::new().unwrap();
    let with_ids = |line: &str, id: &str| line.replace("\"op\"", &format!("\"user_id\":\"{id}\",\"op\""));
    let bad = with_ids(&said(1, "bad"), "1").replace("\"tea\"", "\"\"");
    let imported = import_with(&["--skip-bad"], dir.path(), &(bad + &with_ids(&said(1, "good"), "2")));
    assert_eq!(imported.found("skipped"), "1 bad lines");
    assert_eq!(imported.found("renamed"), "0 users and chats whose name was taken");
}

#[test]
fn lines_without_one_that_is_good_are_an_error() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    for lines in
        ["nonsense\n{}\n", "\n{\"op\":\"kick\"}\n", "x\n{\"op\":\"join\",\"chat\":\"a\",\"user\":\"b\"}"]
    {
        let number = if lines.starts_with('\n') { "line 2: " } else { "line 1: " };
        import_with(&["--skip-bad"], &data, lines).refused(2, &[number]);
        assert!(!data.exists(), "left behind by {lines}");
    }
    assert_eq!(import_with(&["--skip-bad"], &data, "").position(), 0);
}

#[test]
fn an_export_is_neither_skipped_nor_split() {
    let (log, dir) = (old_log(), TempDir::new().unwrap());
    let (lines, data) = (export(log.path()), dir.path().join("data"));
    for flags in [&["--skip-bad"][..], &["--split-long"], &["--check", "--split-long"]] {
        import_with(flags, &data, &lines).refused(2, &["a history by names", "positions"]);
        assert!(!data.exists(), "{flags:?}");
    }
    import_with(&["--check", "--skip-bad"], &data, &lines).refused(2, &["cannot be used with"]);
}

#[test]
fn long_texts_become_several_messages() {
    let dir = TempDir::new().unwrap();
    let words = "Wörter und mehr 🦀 ".repeat(1_500);
    let lines = said(1, "short") + &said(2, &words) + &said(2, "after it");
    assert_eq!(
        import_with(&["--check", "--split-long"], dir.path(), &lines).found("split"),
        "1 texts over the limit"
    );
    let imported = import_with(&["--split-long"], dir.path(), &lines);
    assert_eq!(imported.found("split"), "1 texts over the limit");
    let texts = texts(dir.path());
    let (first, last) = (texts.first().unwrap(), texts.last().unwrap());
    assert_eq!((first.as_str(), last.as_str()), ("short", "after it"));
    let parts = &texts[1..texts.len() - 1];
    assert_eq!((parts.len(), parts.concat() == words), (3, true));
    assert!(parts.iter().all(|part| part.len() <= 16_384 && part.ends_with(' ')));
    assert_eq!(imported.position(), 2 + 5);
}
