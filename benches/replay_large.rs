//! Measures the replay of one large log, and the disk and memory that its messages use; then those of the same
//! messages, of which every tenth was edited, deleted or reacted to.
//!
//! `CHINWAG_BENCH_MESSAGES=10000000 cargo bench --bench replay_large`

#![expect(clippy::print_stdout, reason = "its result goes to stdout")]

mod support;

use std::env;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use chinwag::engine::{Engine, EngineSettings, ReplayProgress};
use chinwag::log::{EventLog, MemoryLog};

use support::{LogWriter, World, messages, open_log, temporary_dir, text};

/// Environment variable of the process that replays: the log's directory.
const REPLAY: &str = "CHINWAG_BENCH_REPLAY";

fn main() {
    let messages = messages();
    if let Some(dir) = env::var_os(REPLAY) {
        replay(Path::new(&dir), messages);
        return;
    }
    for is_changed in [false, true] {
        let dir = temporary_dir();
        build(dir.path(), messages, is_changed);
        // In a process of its own: memory that the building left in the allocator would count as the model's.
        let program = env::current_exe().expect("this program");
        let replayed = Command::new(program).args(env::args_os().skip(1)).env(REPLAY, dir.path()).status();
        assert!(replayed.expect("started").success(), "replayed");
    }
}

fn build(dir: &Path, messages: u64, is_changed: bool) {
    let world = World::for_messages(messages);
    let mut log = open_log(dir);
    let mut writer = LogWriter::on(&mut log);
    world.found(&mut writer);
    let text_bytes = world.talk(messages, &mut writer);
    if is_changed {
        world.change_each(10, messages, &mut writer);
        println!("every tenth message is edited, deleted or reacted to");
    }
    writer.finish();
    println!(
        "{messages} messages of {} bytes of text; {} chats of 20 members each, {} users",
        per(text_bytes, messages),
        world.chats,
        world.users()
    );
}

#[expect(clippy::cast_precision_loss, reason = "for people to read")]
fn replay(dir: &Path, messages: u64) {
    let empty = start(Box::new(MemoryLog::default()), &ReplayProgress::default());
    let resident_empty = resident_bytes();
    drop(empty);

    let progress = ReplayProgress::default();
    let started = Instant::now();
    let engine = start(Box::new(open_log(dir)), &progress);
    let seconds = started.elapsed().as_secs_f64();
    let resident = resident_bytes() - resident_empty;
    assert!(progress.events() >= messages, "all of the log was replayed");
    let text_bytes: u64 = (0..messages).map(|number| text(number).len() as u64).sum();

    println!("replay   {seconds:.2} s, {:.0} messages/s", messages as f64 / seconds);
    println!(
        "log      {} bytes a message, {} MB in all",
        per(progress.bytes(), messages),
        progress.bytes() / 1_000_000
    );
    println!(
        "memory   {} bytes a message, {} without its text; {} MB in all",
        per(resident, messages),
        per(resident.saturating_sub(text_bytes), messages),
        resident / 1_000_000
    );
    drop(engine);
}

fn start(log: Box<dyn EventLog>, progress: &ReplayProgress) -> Engine {
    let settings = EngineSettings { queue_max: 1, can_follow_all: false, scrub: None };
    let (engine, _) = Engine::start(log, settings, progress).expect("the log can be replayed");
    engine
}

#[expect(clippy::cast_precision_loss, reason = "for people to read")]
fn per(bytes: u64, messages: u64) -> String {
    format!("{:.1}", bytes as f64 / messages as f64)
}

/// Returns the resident memory of this process, as the kernel reports it.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a process has memory");
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kilobytes * 1024
}
