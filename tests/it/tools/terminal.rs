//! Progress is for people: shown on a terminal, and nowhere else.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::{old_log, tool};
use crate::support::binary;

#[test]
fn progress_is_shown_on_a_terminal_and_not_in_a_pipe() {
    let log = old_log();
    for words in [&["log", "verify"][..], &["export"]] {
        let piped = tool(words, log.path());
        piped.done();

        let terminal: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let name = ptsname(&terminal, Vec::new()).unwrap();
        let other_end = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let mut command = binary();
        command.args(words).arg("--data").arg(log.path()).env("TERM", "xterm").stderr(other_end);
        let output = command.output().unwrap();
        // Its copy of the other end would keep the terminal open.
        drop(command);
        let mut shown = Vec::new();
        // A terminal whose other end is closed fails to be read.
        drop(File::from(terminal).read_to_end(&mut shown));
        let shown = String::from_utf8_lossy(&shown);
        assert!(shown.contains("iB/"), "{words:?}: {shown:?}");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), piped.stdout, "{words:?}");
    }
}
