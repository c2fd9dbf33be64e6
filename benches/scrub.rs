//! Measures the scrub of a large log in which one message in a thousand was edited, deleted or reacted to, and what it
//! does to sends meanwhile.
//!
//! `CHINWAG_BENCH_MESSAGES=10000000 cargo bench --bench scrub`

#![expect(clippy::print_stdout, reason = "its result goes to stdout")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chinwag::domain::{Actor, Command, NewMessage, Text, Timestamp};
use chinwag::engine::{Engine, EngineSettings, ReplayProgress, ScrubSettings, WriterEnd};
use chinwag::log::{LogReader, RealDisk, Scrub, find_due};
use futures_util::future::join_all;
use hdrhistogram::Histogram;
use support::{LogWriter, World, messages, once, open_log, temporary_dir};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Of so many messages, one has changed.
const CHANGED: u64 = 1_000;
const WRITERS: usize = 64;
const MIB: u64 = 1024 * 1024;

fn main() {
    let messages = messages();
    let (dir, world) = built(messages);
    let bytes = LogReader::open(dir.path()).and_then(|log| log.bytes_total()).expect("a log");
    println!("{messages} messages, {} MB in segments", bytes / 1_000_000);

    let runtime = Runtime::new().expect("a runtime");
    let quiet = if once() { Duration::from_millis(100) } else { Duration::from_secs(30) };
    let before = sends(&dir, &runtime, world, None, quiet);
    // Meanwhile, the scrubber reads the log twice, and writes all of it anew.
    let pace = if once() { 1_000 * MIB } else { 32 * MIB };
    let during = sends(&dir, &runtime, world, Some(pace), quiet);
    println!("sends    p50 {:.2} ms, p99 {:.2} ms quiet", before[0], before[1]);
    println!(
        "         p50 {:.2} ms, p99 {:.2} ms while scrubbing at {} MiB/s",
        during[0],
        during[1],
        pace / MIB
    );

    let (dir, _) = built(messages);
    let disk = RealDisk::lock(dir.path()).expect("nobody else has it");
    let started = Instant::now();
    let found = find_due(disk.clone(), Timestamp::CLOCK_MAX).expect("a sound log");
    let finding = started.elapsed();
    let started = Instant::now();
    assert!(!found.erasures.is_empty(), "something is due");
    let (scrubbed, _) = disk.scrub(Timestamp::CLOCK_MAX, &mut || Ok(())).expect("scrubbed");
    let whole = started.elapsed();
    let per_second = |time: Duration| u128::from(bytes) / time.as_micros().max(1);
    println!("reading  {} MB/s", per_second(finding));
    println!("scrub    {} MB/s, {} segments", per_second(whole), scrubbed.segments);
}

/// Writes a log in which messages have changed.
fn built(messages: u64) -> (TempDir, World) {
    let (dir, world) = (temporary_dir(), World::for_messages(messages));
    let mut log = open_log(dir.path());
    let mut writer = LogWriter::on(&mut log);
    world.found(&mut writer);
    world.talk(messages, &mut writer);
    world.change_each(CHANGED, messages, &mut writer);
    writer.finish();
    (dir, world)
}

/// Sends messages for this time, and, if there is a pace, until a scrub at this pace is finished. Returns the median of
/// the times that a send took, and the 99th percentile, in milliseconds.
fn sends(dir: &TempDir, runtime: &Runtime, world: World, pace: Option<u64>, time: Duration) -> [f64; 2] {
    let scrub = pace.map(|bytes_per_s| ScrubSettings {
        keep_deleted: Duration::ZERO,
        interval: Duration::from_millis(50),
        bytes_per_s,
    });
    let settings = EngineSettings { queue_max: 1_024, can_follow_all: false, scrub };
    let log = Box::new(open_log(dir.path()));
    let (engine, mut end): (Engine, WriterEnd) =
        Engine::start(log, settings, &ReplayProgress::default()).expect("the log can be replayed");
    let (engine, is_over) = (Arc::new(engine), Arc::new(AtomicBool::new(false)));
    let times = runtime.block_on(async {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (engine, is_over) = (Arc::clone(&engine), Arc::clone(&is_over));
                tokio::spawn(async move {
                    let mut times = Histogram::<u64>::new(3).expect("three digits");
                    let mut number = writer as u64;
                    while !is_over.load(Ordering::Relaxed) {
                        let (chat, author) = world.place(number);
                        let text = Text::try_from(support::text(number).to_owned()).expect("a text");
                        let message = NewMessage { chat, author, text, with: None };
                        let began = Instant::now();
                        let sent = engine.submit(Command::AddMessage(message), None, Actor::Unknown).await;
                        sent.expect("sent");
                        let took_us = u64::try_from(began.elapsed().as_micros()).expect("short");
                        times.record(took_us).expect("the histogram grows");
                        number += WRITERS as u64;
                    }
                    times
                })
            })
            .collect();
        tokio::time::sleep(time).await;
        while pace.is_some() && scrubs(&engine) == 0.0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        is_over.store(true, Ordering::Relaxed);
        join_all(writers).await
    });
    engine.close();
    runtime.block_on(end.wait()).expect("nothing failed");
    let mut all = Histogram::<u64>::new(3).expect("three digits");
    for times in times {
        all.add(times.expect("no panic")).expect("of one kind");
    }
    [0.5, 0.99].map(|quantile| Duration::from_micros(all.value_at_quantile(quantile)).as_secs_f64() * 1_000.0)
}

/// Returns the number of scrubs that are finished.
fn scrubs(engine: &Engine) -> f64 {
    let families = engine.metrics();
    let family = families.iter().find(|family| family.name() == "chinwag_scrubs_total").expect("it is shown");
    family.get_metric()[0].get_counter().get_value()
}
