//! The README's tour with the real curl, and the pages of `docs/api.md` after it: every command is run, and
//! every answer is compared.

use std::process::Command;

use crate::support::TestServer;

/// A command of the tour, and the answer that the README shows under it.
struct Stop {
    command: String,
    answer: String,
}

/// Returns the stops of the section under this heading.
fn stops(document: &str, heading: &str) -> Vec<Stop> {
    let tour = document.split_once(&format!("\n{heading}\n")).expect("the section is there").1;
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

/// The data of the first event of a stream, up to the position.
const BEGIN: &str = r#"data: {"position":"#;

/// Puts a letter in the place of what differs from run to run: ids and times in quotes, the time at the end
/// of a name, positions.
fn masked(text: &str) -> String {
    let is_varying = |word: &str| {
        let hex = word.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        let time = word.ends_with('Z') && word.contains('T') && word.contains(':');
        (hex && word.len() >= 24) || time
    };
    let mask = |word: &str| word.chars().map(|c| if c.is_ascii_alphanumeric() { 'x' } else { c }).collect();
    let mask_word = |word: &str| match word.rsplit_once('-') {
        _ if is_varying(word) => mask(word),
        Some((name, time)) if time.len() == 10 && time.parse::<u32>().is_ok() => format!("{name}-x"),
        _ => word.to_owned(),
    };
    let mask_line = |line: &str| match line.strip_prefix("id: ") {
        Some(_) => "id: x".to_owned(),
        None if line.starts_with(BEGIN) => format!("{BEGIN}x}}"),
        None => line.split('"').map(mask_word).collect::<Vec<_>>().join("\""),
    };
    text.lines().map(mask_line).collect::<Vec<_>>().join("\n")
}

/// Printed between the answers.
const MARK: &str = "--- next stop ---";

#[test]
#[ignore = "needs bash, curl and jq"]
fn the_readme_tour_is_true_twice() {
    let mut tour = stops(include_str!("../../README.md"), "## A tour");
    assert!(tour.len() >= 5, "the tour is there");
    tour.extend(stops(include_str!("../../docs/api.md"), "### Pages of messages"));

    // One shell for all commands, so that a later one can use what an earlier one keeps in a variable.
    let script: Vec<_> = tour.iter().map(|stop| format!("{}\necho; echo '{MARK}'\n", stop.command)).collect();
    let server = TestServer::start();
    let script = script.concat().replace("127.0.0.1:9000", &server.address);
    for _ in 0..2 {
        let output = Command::new("bash").args(["-euo", "pipefail", "-c", &script]).output().unwrap();
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{shown}\n{}", String::from_utf8_lossy(&output.stderr));
        let answers: Vec<_> = shown.split(MARK).collect();
        assert_eq!(answers.len(), tour.len() + 1);
        for (stop, answer) in tour.iter().zip(answers) {
            assert_eq!(masked(answer.trim()), masked(stop.answer.trim()), "{}", stop.command);
        }
    }
}
