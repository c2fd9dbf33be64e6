//! Progress is for people: shown on a terminal, and nowhere else.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tempfile::TempDir;

use super::{export, old_log, tool_with};
use crate::support::binary;

#[test]
fn progress_is_shown_on_terminals_only() {
    let log = old_log();
    let lines = export(log.path());
    let table = [
        (&["log", "verify"][..], "KiB "),
        (&["log", "dump"], "KiB "),
        (&["log", "repair"], "KiB "),
        (&["export"], "KiB "),
        (&["import"], " events "),
    ];
    for (words, progress) in table {
        let dir = TempDir::new().unwrap();
        let is_import = *words == ["import"];
        let (data, input) = if is_import { (dir.path(), lines.as_str()) } else { (log.path(), "") };
        let piped = tool_with(words, data, input.as_bytes());
        piped.done();

        let terminal: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let name = ptsname(&terminal, Vec::new()).unwrap();
        let other_end = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let mut command = binary();
        let again = TempDir::new().unwrap();
        let stdin = dir.path().join("lines");
        std::fs::write(&stdin, input).unwrap();
        command.args(words).arg("--data").arg(if is_import { again.path() } else { data });
        command.stdin(File::open(stdin).unwrap()).env("TERM", "xterm").stderr(other_end);
        let output = command.output().unwrap();
        // The command's copy of the other end would keep the terminal open.
        drop(command);
        let mut shown = Vec::new();
        // Reading from a terminal whose other end is closed fails.
        drop(File::from(terminal).read_to_end(&mut shown));
        let shown = String::from_utf8_lossy(&shown);
        assert!(shown.contains(progress), "{words:?}: {shown:?}");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), piped.stdout, "{words:?}");
    }
}
