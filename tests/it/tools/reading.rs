//! `log verify`, `log dump` and `export` on a directory that nobody writes in.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;

use super::{OLD_LOG_EVENTS, alter, contents, export, last_used, log_of_version, old_log, tool};
use crate::support::{binary, segments};

const READING: [&[&str]; 3] = [&["log", "verify"], &["log", "dump"], &["export"]];

#[test]
fn verify_counts_the_contents() {
    let log = old_log();
    let before = contents(log.path());
    let said = tool(&["log", "verify"], log.path());
    assert_eq!(said.position(), OLD_LOG_EVENTS);
    assert_eq!((said.found("segments"), said.found("frames"), said.found("events")), ("2", "612", "612"));
    assert_eq!(said.found("bytes"), "100584", "two headers of 4,096, and the frames");
    assert!(!said.stdout.contains("torn"), "{}", said.stdout);
    assert_eq!(contents(log.path()), before, "nothing was changed");
}

#[test]
fn dump_prints_every_field_of_each_event() {
    let log = old_log();
    let dumped = tool(&["log", "dump"], log.path());
    let lines: Vec<&str> = dumped.done().stdout.lines().collect();
    let events: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.iter().map(|event| event["position"].as_u64().unwrap()).eq(1..=OLD_LOG_EVENTS));
    assert!(events.is_sorted_by(|one, next| one["time"].as_str() < next["time"].as_str()));
    // The last events hold one of each kind, except the kinds that come first.
    let some = lines[..6].iter().chain(&lines[604..]).map(|line| format!("{line}\n"));
    insta::assert_snapshot!(some.collect::<String>());
    assert_eq!(dumped.stdout, export(log.path()), "export has the same lines");
}

#[test]
fn dump_prints_who_caused_an_event() {
    let log = log_of_version("2-actors");
    let lines = export(log.path());
    let lines: Vec<&str> = lines.lines().collect();
    let some = lines[..17].iter().chain(&lines[605..]).map(|line| format!("{line}\n"));
    insta::assert_snapshot!(some.collect::<String>());
}

#[test]
fn dump_begins_at_the_given_position() {
    let log = old_log();
    let all = export(log.path());
    for from in [1, 2, 408, 409, 410, 612, 613, u64::MAX] {
        let expected: String =
            all.split_inclusive('\n').skip(usize::try_from(from - 1).unwrap_or(usize::MAX)).collect();
        let said = tool(&["log", "dump", "--from", &from.to_string()], log.path());
        assert_eq!(said.done().stdout, expected, "from {from}");
    }
}

#[test]
fn a_torn_write_is_neither_damage_nor_shown() {
    let log = old_log();
    let whole = export(log.path());
    let last = segments(log.path()).pop().unwrap();
    alter(&last, |bytes| {
        let used = last_used(bytes);
        bytes[used - 20] ^= 1;
    });
    let before = contents(log.path());
    let said = tool(&["log", "verify"], log.path());
    assert_eq!(said.position(), OLD_LOG_EVENTS - 1);
    assert!(said.found("torn").contains(last.to_str().unwrap()), "{}", said.stdout);
    let shown = export(log.path());
    assert_eq!(shown.lines().count() as u64, OLD_LOG_EVENTS - 1);
    assert!(whole.starts_with(&shown));
    assert_eq!(contents(log.path()), before, "nothing was changed");
}

#[test]
fn damage_is_exit_3_and_names_the_loss() {
    let log = old_log();
    let whole = export(log.path());
    let first = segments(log.path()).remove(0);
    alter(&first, |bytes| bytes[30_000] ^= 1);
    let before = contents(log.path());
    for words in READING {
        let said = tool(words, log.path());
        said.refused(3, &[first.to_str().unwrap(), "at byte 29", "events", "to 408 are lost"]);
        let is_list = *words != ["log", "verify"];
        assert!(whole.starts_with(&said.stdout) && said.stdout.is_empty() != is_list, "what comes before it");
    }
    assert_eq!(contents(log.path()), before, "nothing was changed");
    // Frames that are not read are not checked.
    assert_eq!(tool(&["log", "dump", "--from", "409"], log.path()).code, Some(0));
}

#[test]
fn an_unknown_version_is_exit_3() {
    let log = old_log();
    let first = segments(log.path()).remove(0);
    alter(&first, |bytes| {
        bytes[12] = 9;
        let checksum = crc32c::crc32c(&bytes[12..4096]);
        bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
    });
    for words in READING {
        tool(words, log.path()).refused(3, &[first.to_str().unwrap(), "at byte 12", "unknown version, 9"]);
    }
}

#[test]
fn a_closed_output_is_not_an_error() {
    let log = old_log();
    for words in READING {
        let mut command = binary();
        command.args(words).arg("--data").arg(log.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut stdout = BufReader::with_capacity(64, process.stdout.take().unwrap());
        stdout.read_line(&mut String::new()).unwrap();
        drop(stdout);
        let ended = process.wait_with_output().unwrap();
        assert!(ended.status.success(), "{words:?}: {ended:?}");
        assert!(ended.stderr.is_empty(), "{words:?}: {ended:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_unwritable_output_is_an_error() {
    let log = old_log();
    for words in READING {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = binary().args(words).arg("--data").arg(log.path()).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{words:?}: {output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("failed to write the output"), "{output:?}");
    }
}
