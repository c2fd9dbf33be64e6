//! A history goes through a tool, and does not stay in it: what it takes of memory does not grow with the
//! history.

#![cfg(target_os = "linux")]

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::json;
use tempfile::TempDir;

use crate::support::binary;

/// Returns the peak memory of a process.
fn peak_kib(process: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).expect("it runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a process has memory");
    peak.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Returns the lines of a user, a chat and this number of messages of 16 KiB.
fn history(messages: usize) -> String {
    let id = |number: usize| format!("01a20ad7-0c2a-7768-938d-{number:012}");
    let line = |position: usize, fields: &str| {
        let time = format!("2026-11-23T15:04:05.{position:06}Z");
        format!("{{\"v\":1,\"position\":{position},\"time\":\"{time}\",{fields}}}\n")
    };
    let field = |fields: serde_json::Value| fields.to_string().trim_matches(['{', '}']).to_owned();
    let mut lines = line(1, &field(json!({ "type": "user_added", "id": id(1), "username": "ann" })));
    lines += &line(2, &field(json!({ "type": "chat_added", "id": id(2), "name": "tea", "users": [id(1)] })));
    let text = "x".repeat(16 * 1024);
    for position in 3..3 + messages {
        let said = json!({ "type": "message_added", "id": id(position), "chat": id(2), "author": id(1), "text": text });
        lines += &line(position, &field(said));
    }
    lines
}

fn start(words: &[&str], data: &Path) -> Child {
    let mut command = binary();
    command.args(words).arg("--data").arg(data).stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().expect("it starts")
}

/// Returns the peak memory of an import of these lines, measured near its end.
fn peak_of_import_kib(words: &[&str], data: &Path, lines: &str) -> u64 {
    let (most, last) = lines.split_at(lines.trim_end().rfind('\n').unwrap() + 1);
    let mut import = start(words, data);
    let mut stdin = import.stdin.take().expect("piped");
    stdin.write_all(most.as_bytes()).expect("it reads");
    let peak = peak_kib(&import);
    stdin.write_all(last.as_bytes()).expect("it reads");
    drop(stdin);
    assert!(import.wait_with_output().expect("waited for").status.success());
    peak
}

/// Returns the peak memory of a check of such a history, of its import and of its export.
fn peaks_kib(messages: usize) -> [u64; 3] {
    let (dir, lines) = (TempDir::new().unwrap(), history(messages));
    let peak_of_check = peak_of_import_kib(&["import", "--check"], dir.path(), &lines);
    let peak_of_import = peak_of_import_kib(&["import", "--segment-bytes", "1048576"], dir.path(), &lines);

    let mut export = start(&["export"], dir.path());
    // The rest of the output is longer than a pipe holds.
    let mut exported = vec![0; lines.len() - 512 * 1024];
    let mut stdout = export.stdout.take().expect("piped");
    stdout.read_exact(&mut exported).expect("it writes");
    let peak_of_export = peak_kib(&export);
    stdout.read_to_end(&mut exported).expect("it writes");
    assert!(export.wait().expect("waited for").success());
    assert_eq!(exported.len(), lines.len(), "the same history");
    [peak_of_check, peak_of_import, peak_of_export]
}

#[test]
fn memory_does_not_grow_with_the_history() {
    let (short, long) = (peaks_kib(200), peaks_kib(2_000));
    // 3 MiB and 31.
    let grown = [0, 1, 2].map(|tool| long[tool].saturating_sub(short[tool]));
    assert!(grown.iter().all(|&kib| kib < 8 * 1024), "KiB, of check, import and export: {short:?}, {long:?}");
}
