//! Measures the messages per second that a start replays, from a log in the page cache.

use std::cell::LazyCell;
use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use tokio::runtime::Runtime;

use crate::running_engine::RunningEngine;
use crate::support::{LogWriter, World, messages, open_log, temporary_dir};

pub(crate) fn bench(criterion: &mut Criterion, runtime: &Runtime) {
    let messages = messages();
    let dir = LazyCell::new(|| {
        let dir = temporary_dir();
        let mut log = open_log(dir.path());
        let mut writer = LogWriter::on(&mut log);
        let world = World::for_messages(messages);
        world.found(&mut writer);
        world.talk(messages, &mut writer);
        writer.finish();
        dir
    });
    let mut group = criterion.benchmark_group("replay");
    group.throughput(Throughput::Elements(messages)).sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(10));
    group.bench_function(BenchmarkId::from_parameter(messages), |bencher| {
        bencher.iter_custom(|iterations| (0..iterations).map(|_| replay(dir.path(), runtime)).sum());
    });
    group.finish();
}

/// Returns the time that a start takes, without the end of the engine.
fn replay(dir: &Path, runtime: &Runtime) -> Duration {
    let log = Box::new(open_log(dir));
    let start = Instant::now();
    let running = RunningEngine::start(log, runtime);
    let took = start.elapsed();
    drop(running);
    took
}
