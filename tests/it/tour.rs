//! The README's tour, done with the real curl: every command is run, every answer compared.

use std::process::Command;

use crate::support::TestServer;

/// A command of the tour and the answer that the README shows under it.
struct Stop {
    command: String,
    answer: String,
}

fn stops(readme: &str) -> Vec<Stop> {
    let tour = readme.split("\n## A tour\n").nth(1).expect("the README has a tour");
    let tour = tour.split("\n## ").next().expect("a first part");
    let blocks: Vec<(&str, &str)> = tour
        .split("```")
        .skip(1)
        .step_by(2)
        .map(|block| block.split_once('\n').expect("a language, then lines"))
        .collect();
    let mut stops: Vec<Stop> = Vec::new();
    for (language, text) in blocks {
        match language {
            "sh" => stops.push(Stop { command: text.to_owned(), answer: String::new() }),
            "json" | "text" => {
                text.clone_into(&mut stops.last_mut().expect("an answer follows a command").answer);
            }
            other => panic!("the tour holds a block of {other}"),
        }
    }
    stops
}

/// Puts a letter in the place of each digit of what differs from run to run: ids, times, cursors.
fn masked(text: &str) -> String {
    let is_varying = |word: &str| {
        let hex = word.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        let time = word.ends_with('Z') && word.contains('T') && word.contains(':');
        (hex && word.len() >= 24) || time
    };
    let mask = |word: &str| word.chars().map(|c| if c.is_ascii_alphanumeric() { 'x' } else { c }).collect();
    text.split('"')
        .map(|word| if is_varying(word) { mask(word) } else { word.to_owned() })
        .collect::<Vec<_>>()
        .join("\"")
}

/// Printed between the answers.
const MARK: &str = "--- next stop ---";

#[test]
#[ignore = "needs bash, curl and jq"]
fn the_readme_tour_is_true() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let stops = stops(&readme);
    assert!(stops.len() >= 5, "the tour is there");

    // One shell for all, so that what one command keeps in a variable the next one can use.
    let script: Vec<_> =
        stops.iter().map(|stop| format!("{}\necho; echo '{MARK}'\n", stop.command)).collect();
    let server = TestServer::start();
    let script = script.concat().replace("127.0.0.1:9000", &server.address);
    let output = Command::new("bash").args(["-euo", "pipefail", "-c", &script]).output().expect("bash runs");
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{shown}\n{}", String::from_utf8_lossy(&output.stderr));

    let answers: Vec<_> = shown.split(MARK).collect();
    assert_eq!(answers.len(), stops.len() + 1);
    for (stop, answer) in stops.iter().zip(answers) {
        assert_eq!(masked(answer.trim()), masked(stop.answer.trim()), "{}", stop.command);
    }
}
