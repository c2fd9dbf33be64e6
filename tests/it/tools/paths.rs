//! Directories that a tool can do nothing with, or finds nothing in.

use std::path::Path;

use tempfile::TempDir;

use super::{contents, import, old_log, tool, tool_with};
use crate::support::{TestServer, segments, serve_to_end};

const ALL: [&[&str]; 5] =
    [&["log", "verify"], &["log", "dump"], &["log", "repair"], &["export"], &["import"]];

#[test]
fn a_missing_directory_is_exit_2() {
    let dir = TempDir::new().unwrap();
    let missing = dir.path().join("missing");
    for words in &ALL[..4] {
        tool(words, &missing).refused(2, &[missing.to_str().unwrap(), "No such file"]);
    }
    assert!(contents(dir.path()).is_empty() && !missing.exists());
}

#[test]
fn a_file_in_place_of_the_directory_is_exit_2() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "mine").unwrap();
    for words in ALL {
        tool(words, &file).refused(2, &[file.to_str().unwrap()]);
        tool(words, &file.join("below")).refused(2, &[file.to_str().unwrap()]);
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
}

#[test]
fn a_directory_in_place_of_a_segment_is_exit_2() {
    let log = old_log();
    let segment = segments(log.path()).remove(0);
    std::fs::remove_file(&segment).unwrap();
    std::fs::create_dir(&segment).unwrap();
    for words in &ALL[..4] {
        tool(words, log.path()).refused(2, &[segment.to_str().unwrap()]);
    }
    let ended = serve_to_end(log.path(), &[]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
}

/// Every tool refuses the file, and a repair renames it as a whole.
#[test]
fn a_foreign_file_named_as_segment_is_exit_3() {
    let noise: Vec<u8> =
        (0..100_000_u32).map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let cut_short = std::fs::read(&segments(old_log().path())[0]).unwrap()[..3_000].to_vec();
    for foreign in [Vec::new(), b"a log of another kind\n".to_vec(), vec![0; 8192], noise, cut_short] {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("00000000000000000001.log");
        std::fs::write(&file, &foreign).unwrap();
        for words in [&["log", "verify"][..], &["log", "dump"], &["export"]] {
            tool(words, dir.path()).refused(3, &[file.to_str().unwrap(), "no sound segment header"]);
        }
        assert_eq!(serve_to_end(dir.path(), &[]).code, Some(3));
        import(dir.path(), "").refused(2, &["holds a log"]);
        assert_eq!(std::fs::read(&file).unwrap(), foreign);
        let said = tool(&["log", "repair"], dir.path());
        assert_eq!(said.position(), 0);
        assert_eq!(std::fs::read(said.found("kept in")).unwrap(), foreign);
    }
}

/// A directory in which even root cannot create a file.
#[cfg(target_os = "linux")]
#[test]
fn an_unwritable_directory_is_exit_2() {
    let unwritable = Path::new("/proc/self/fdinfo");
    for words in [&["log", "repair"][..], &["import"], &["serve", "--listen", "127.0.0.1:0"]] {
        tool(words, unwritable).refused(2, &["failed to use /proc/self/fdinfo"]);
    }
}

#[test]
fn an_empty_directory_holds_no_log() {
    let dir = TempDir::new().unwrap();
    tool(&["log", "verify"], dir.path()).refused(2, &["holds no log"]);
    assert_eq!(tool(&["log", "dump"], dir.path()).done().stdout, "");
    assert_eq!(tool(&["export"], dir.path()).done().stdout, "");
    assert!(contents(dir.path()).is_empty(), "reading makes nothing");
    assert_eq!(tool(&["log", "repair"], dir.path()).position(), 0);
    assert_eq!(import(dir.path(), "").position(), 0);
}

#[test]
fn foreign_files_are_left_alone() {
    let dir = TempDir::new().unwrap();
    std::fs::create_dir(dir.path().join("lost+found")).unwrap();
    for foreign in ["notes.txt", "1.log", "00000000000000000001.log.bak", "lost+found/x"] {
        std::fs::write(dir.path().join(foreign), foreign).unwrap();
    }
    let before = contents(dir.path());
    for words in &ALL[1..4] {
        tool(words, dir.path()).done();
    }
    tool_with(&["import"], dir.path(), b"nonsense").refused(2, &["line 1"]);
    assert_eq!(import(dir.path(), &super::export(old_log().path())).position(), super::OLD_LOG_EVENTS);
    let after = contents(dir.path());
    assert!(before.iter().all(|(path, bytes)| after.get(path) == Some(bytes)));
}

#[test]
fn the_environment_says_where_the_log_is() {
    let log = old_log();
    for words in ALL {
        let output = crate::support::binary().args(words).env("CHINWAG_DATA", log.path()).output().unwrap();
        let expected = if *words == ["import"] { 2 } else { 0 };
        assert_eq!(output.status.code(), Some(expected), "{words:?}: {output:?}");
    }
}

#[test]
fn writing_beside_a_server_is_exit_4() {
    let server = TestServer::start();
    for words in [&["log", "repair"][..], &["import"]] {
        tool(words, &server.data).refused(4, &["in use", server.data.to_str().unwrap()]);
    }
}
