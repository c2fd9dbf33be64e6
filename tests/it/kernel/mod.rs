//! The promise against the real kernel: its processes, its file systems, its block layer. For Linux, as root,
//! with strace, e2fsprogs, fuse3 and qemu-storage-daemon; `.ci/kernel` installs them and runs this.
//!
//! A disk is a file that qemu-storage-daemon exports by FUSE, behind a loop device. So a disk can fail, or
//! record its requests, without a kernel module.

pub mod block;
mod disk_error;
mod disk_full;
mod kill;
mod power_cut;
pub mod strace;
mod sync_order;
mod threads;
mod vanished;
mod write_log;

use std::process::{Command, Stdio};

use crate::support::Client;

/// Runs a tool, which must succeed.
#[track_caller]
pub fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {}, {said}", output.status);
}

/// A number from the environment.
pub fn number(variable: &str, default: u32) -> u32 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|error| panic!("{variable}: {error}")),
        Err(_) => default,
    }
}

/// Returns the seed of the dice: `CHINWAG_SEED`, or a new one in each run.
pub fn seed() -> u64 {
    let since_epoch = std::time::UNIX_EPOCH.elapsed().expect("a clock that is right");
    number("CHINWAG_SEED", since_epoch.subsec_nanos()).into()
}

/// Numbers that look like chance and are the same for the same seed (`SplitMix64`).
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.roll() % end
    }

    /// One of them.
    pub fn choose<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len() as u64)).expect("64 bits")]
    }
}

/// Creates an author and `count` chats of that author.
async fn add_chats(client: &Client, count: usize) -> (String, Vec<String>) {
    let author = client.add_user("ann").await;
    let mut chats = Vec::new();
    for number in 0..count {
        chats.push(client.add_chat(&format!("chat {number}"), &[&author]).await);
    }
    (author, chats)
}
