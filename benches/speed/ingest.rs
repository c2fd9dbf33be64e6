//! Measures the messages per second that the server stores, durably and in memory. Each of several writers
//! sends the next message as soon as the last one is answered.
//!
//! Over HTTP the clients share the processors with the server: compare such a figure only with others of this
//! bench.

use std::cell::{LazyCell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chinwag::config::ServeConfig;
use chinwag::domain::{Actor, Command, NewMessage, Text};
use chinwag::engine::Engine;
use chinwag::log::{EventLog, MemoryLog};
use chinwag::server::Files;
use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::http_server::{Connection, HttpServer, post};
use crate::running_engine::RunningEngine;
use crate::support::{LogWriter, World, open_log, temporary_dir, text};

const WRITERS: [usize; 4] = [1, 16, 64, 256];
pub(crate) const WORLD: World = World { chats: 100 };

pub(crate) fn bench(criterion: &mut Criterion, runtime: &Runtime) {
    for kept in ["durable", "ephemeral"] {
        for writers in WRITERS {
            // Created at the first sample, because a filter may exclude it.
            let dir = LazyCell::new(temporary_dir);
            let engine = LazyCell::new(|| RunningEngine::start(log_of_world(kept, &dir), runtime));
            measure(criterion, &format!("ingest/engine/{kept}"), writers, |messages| {
                runtime.block_on(submit_all(&engine.engine, writers, messages))
            });
        }
    }
    for kept in ["durable", "ephemeral"] {
        for writers in WRITERS {
            let dir = LazyCell::new(temporary_dir);
            let server = LazyCell::new(|| Server::start(log_of_world(kept, &dir), writers, runtime));
            measure(criterion, &format!("ingest/http/{kept}"), writers, |messages| server.post_all(messages));
        }
    }
}

/// Measures how long messages take. One iteration is one message of any writer.
pub(crate) fn measure(
    criterion: &mut Criterion,
    group: &str,
    writers: usize,
    mut store: impl FnMut(u64) -> Duration,
) {
    let mut group = criterion.benchmark_group(group);
    group.throughput(Throughput::Elements(1)).sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    group.bench_function(BenchmarkId::from_parameter(writers), |bencher| bencher.iter_custom(&mut store));
    group.finish();
}

/// Returns a log that holds users and chats.
pub(crate) fn log_of_world(kept: &str, dir: &TempDir) -> Box<dyn EventLog> {
    let found = |log: &mut dyn EventLog| {
        let mut writer = LogWriter::on(log);
        WORLD.found(&mut writer);
        writer.finish();
    };
    if kept == "durable" {
        found(&mut open_log(dir.path()));
        Box::new(open_log(dir.path()))
    } else {
        let mut log = MemoryLog::default();
        found(&mut log);
        Box::new(log)
    }
}

async fn submit_all(engine: &Arc<Engine>, writers: usize, messages: u64) -> Duration {
    let sent = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..writers {
        let (engine, sent) = (Arc::clone(engine), Arc::clone(&sent));
        tasks.spawn(async move {
            while let Some(number) = next(&sent, messages) {
                let (chat, author) = WORLD.place(number);
                let text = Text::try_from(text(number).to_owned()).expect("a valid text");
                engine
                    .submit(
                        Command::AddMessage(NewMessage { chat, author, text, with: None }),
                        None,
                        Actor::Unknown,
                    )
                    .await
                    .expect("written");
            }
        });
    }
    tasks.join_all().await;
    start.elapsed()
}

/// Returns the number of the next message, or `None` after `messages` of them.
pub(crate) fn next(sent: &AtomicU64, messages: u64) -> Option<u64> {
    let number = sent.fetch_add(1, Ordering::Relaxed);
    (number < messages).then_some(number)
}

/// A server, and connections to it.
struct Server<'r> {
    connections: RefCell<Vec<Connection>>,
    server: HttpServer<'r>,
}

impl<'r> Server<'r> {
    fn start(log: Box<dyn EventLog>, connections: usize, runtime: &'r Runtime) -> Self {
        let server = HttpServer::start(log, ServeConfig::default(), Files::default(), runtime);
        Self { connections: RefCell::new(server.connect(connections)), server }
    }

    fn post_all(&self, messages: u64) -> Duration {
        let sent = Arc::new(AtomicU64::new(0));
        self.server.runtime.block_on(async {
            let start = Instant::now();
            let mut tasks = JoinSet::new();
            for mut connection in self.connections.take() {
                let sent = Arc::clone(&sent);
                tasks.spawn(async move {
                    while let Some(number) = next(&sent, messages) {
                        let (chat, author) = WORLD.place(number);
                        post(&mut connection, chat, author, number, None).await;
                    }
                    connection
                });
            }
            self.connections.replace(tasks.join_all().await);
            start.elapsed()
        })
    }
}
