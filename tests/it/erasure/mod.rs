//! Erasure: what is deleted, edited or erased leaves the disk, and what is not stays.

mod copies;
mod exports;
mod kills;
mod reactions;
mod scrubs;
mod users;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What every text begins with that is to leave the disk.
const CANARY: &str = "CANARY";

/// A server that scrubs as soon as it can.
const AT_ONCE: [&str; 6] = ["--keep-deleted-days", "0", "--scrub-every-s", "1", "--scrub-mib-per-s", "1000"];

/// Returns the files in the directory that hold a text.
fn holding(text: &str, dir: &Path) -> Vec<String> {
    // A file may be renamed meanwhile, so there may be complaints.
    let found = Command::new("grep").args(["-rlaF", text]).arg(dir).stderr(Stdio::null()).output();
    let files = String::from_utf8(found.expect("grep runs").stdout).expect("text");
    files.lines().map(str::to_owned).collect()
}

/// Waits until no file in the directory holds the canary.
async fn wait_until_scrubbed(dir: &Path) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while let Some(file) = holding(CANARY, dir).first() {
        assert!(Instant::now() < deadline, "{file} still holds it");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
