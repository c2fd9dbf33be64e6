//! `docs/import.md`: its example, and its recipes, each run on a small export of its system.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::{export, import, tool_with};

const DOCUMENT: &str = include_str!("../../../docs/import.md");

/// Returns the blocks of code in a text: the language and the lines of each.
fn blocks(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split("```").skip(1).step_by(2).map(|block| block.split_once('\n').expect("a language, then lines"))
}

/// Returns the only block in this language.
#[track_caller]
fn block<'t>(text: &'t str, language: &str) -> Option<&'t str> {
    let found: Vec<_> = blocks(text).filter(|block| block.0 == language).map(|block| block.1).collect();
    assert!(found.len() <= 1, "{} blocks of {language}", found.len());
    found.first().copied()
}

#[test]
fn the_example_prints_what_the_document_says() {
    let (lines, printed) = (block(DOCUMENT, "json").unwrap(), block(DOCUMENT, "text").unwrap());
    let dir = TempDir::new().unwrap();
    assert_eq!(import(dir.path(), lines).done().stdout, printed);
}

/// Returns the sections below "Recipes": the name of each in lower case, and its text.
fn recipes() -> Vec<(String, &'static str)> {
    let all = DOCUMENT.split_once("\n## Recipes\n").expect("a section").1;
    let sections = all.split("\n### ").skip(1).map(|section| section.split_once('\n').expect("a heading"));
    sections.map(|(heading, text)| (heading.to_lowercase(), text)).collect()
}

/// Returns the directory with the sample of a system.
fn sample(system: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/tools/exports").join(system)
}

#[test]
fn every_system_has_a_recipe_and_a_sample() {
    let systems = ["slack", "mattermost", "telegram", "whatsapp", "discord", "zulip", "irc"];
    let recipes = recipes();
    assert_eq!(recipes.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), systems);
    for (system, text) in recipes {
        assert!(sample(&system).is_dir(), "{system}");
        assert!(block(text, "python").or(block(text, "jq")).is_some(), "{system} has a program");
    }
}

#[test]
#[ignore = "needs bash, jq and Python"]
fn every_recipe_turns_its_export_into_a_history() {
    for (system, text) in recipes() {
        let dir = TempDir::new().unwrap();
        copy(&sample(&system), dir.path());
        for (language, extension) in [("python", "py"), ("jq", "jq")] {
            if let Some(program) = block(text, language) {
                std::fs::write(dir.path().join(format!("{system}.{extension}")), program).unwrap();
            }
        }
        let command = block(text, "sh").unwrap();
        let mut shell = Command::new("bash");
        let ran = shell.args(["-euo", "pipefail", "-c", command]).current_dir(dir.path()).output().unwrap();
        assert!(ran.status.success(), "{system}: {}", String::from_utf8_lossy(&ran.stderr));

        let lines = std::fs::read_to_string(dir.path().join(format!("{system}.jsonl"))).unwrap();
        let data = dir.path().join("data");
        tool_with(&["import", "--check"], &data, lines.as_bytes()).done();
        import(&data, &lines).done();
        insta::assert_snapshot!(system, story(&export(&data)));
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            std::fs::create_dir(&to).unwrap();
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), &to).unwrap();
        }
    }
}

/// Returns what an exported history tells, by names. Joins are without their times, because a recipe may give
/// them that of the conversion.
fn story(lines: &str) -> String {
    let mut names: HashMap<String, String> = HashMap::new();
    let mut told = Vec::new();
    for event in lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        let field = |name: &str| event[name].as_str().unwrap();
        let kind = field("type");
        if let "user_added" | "chat_added" = kind {
            let name = if kind == "user_added" { "username" } else { "name" };
            names.insert(field("id").to_owned(), field(name).to_owned());
        }
        let name_of = |name: &str| names[field(name)].clone();
        told.push(match kind {
            "user_added" => continue,
            "chat_added" => {
                let founder = &names[event["users"][0].as_str().unwrap()];
                format!("[{}] begins with {founder}", field("name"))
            }
            "member_added" => format!("[{}] {} joins", name_of("chat"), name_of("user")),
            "member_removed" => format!("[{}] {} leaves", name_of("chat"), name_of("user")),
            "message_added" => {
                let (time, text) = (field("time"), field("text"));
                format!("[{}] {time} {}: {text:?}", name_of("chat"), name_of("author"))
            }
            other => panic!("a history by names holds no {other}"),
        });
    }
    told.join("\n")
}
