//! The log tools, as an operator runs them.

mod backup;
mod bad_lines;
mod changes;
mod credentials;
mod import;
mod live;
mod memory;
mod named;
mod paths;
mod reading;
mod recipes;
mod repair;
mod terminal;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;

use crate::support::{binary, segments};

/// The exit code and the output of a tool.
struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Said {
    /// Returns the value after a name on stdout.
    #[track_caller]
    fn found(&self, name: &str) -> &str {
        let mut values = self.stdout.lines().filter_map(|line| line.strip_prefix(name));
        values.next().unwrap_or_else(|| panic!("no {name}: {}{}", self.stdout, self.stderr)).trim()
    }

    /// Returns the position that it printed; it must have succeeded.
    #[track_caller]
    fn position(&self) -> u64 {
        self.done().found("position").parse().expect("a number")
    }

    #[track_caller]
    fn done(&self) -> &Self {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "{}", self.stdout);
        self
    }

    #[track_caller]
    fn refused(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?} in: {}", self.stderr);
        }
    }
}

/// Runs a tool on a directory.
fn tool(words: &[&str], data: &Path) -> Said {
    tool_with(words, data, b"")
}

/// Runs a tool on a directory, with this input on stdin.
fn tool_with(words: &[&str], data: &Path, input: &[u8]) -> Said {
    let mut command = binary();
    // Warnings of slow syncs depend on the machine, not on the tool.
    command.args(words).arg("--data").arg(data).env("CHINWAG_LOG", "warn,chinwag::log::file_log=error");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().expect("it starts");
    let mut stdin = process.stdin.take().expect("piped");
    let input = input.to_vec();
    // The tool may end before it has read everything.
    let writing = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = process.wait_with_output().expect("waited for");
    writing.join().expect("no panic");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Said { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn import(data: &Path, lines: &str) -> Said {
    tool_with(&["import", "--segment-bytes", "65536"], data, lines.as_bytes())
}

/// Imports lines that may be ahead of the clock.
pub fn import_allowing_future(data: &Path, lines: &str) {
    let words = ["import", "--segment-bytes", "65536", "--allow-future"];
    tool_with(&words, data, lines.as_bytes()).done();
}

/// Returns the whole history.
fn export(data: &Path) -> String {
    let said = tool(&["export"], data);
    said.done();
    said.stdout
}

/// Returns a copy of the log with every kind of event, with keys, and with every kind of character.
fn old_log() -> TempDir {
    log_of_version("1")
}

/// Returns a copy of the log in `tests/it/old_logs` of this version.
fn log_of_version(version: &str) -> TempDir {
    let dir = TempDir::new().expect("made");
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/it/old_logs/{version}/data"));
    for segment in segments(&fixture) {
        std::fs::copy(&segment, dir.path().join(segment.file_name().expect("a file"))).expect("copied");
    }
    dir
}

/// The events of [`old_log`].
const OLD_LOG_EVENTS: u64 = 612;

/// Returns every file below a directory, with its contents.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = std::fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path());
    let files = entries.flat_map(|path| {
        if path.is_dir() {
            contents(&path)
        } else {
            [(path.clone(), std::fs::read(path).expect("read"))].into()
        }
    });
    files.collect()
}

/// Changes a file's bytes.
fn alter(file: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(file).expect("read");
    change(&mut bytes);
    std::fs::write(file, bytes).expect("written");
}

/// Returns the offset of the last byte that is not zero.
fn last_used(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|&byte| byte != 0).expect("used")
}
