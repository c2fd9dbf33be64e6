//! How fast the server writes, reads and starts. See each part's first lines for what it answers.

#[path = "../support/mod.rs"]
mod support;

mod chats_get;
mod ingest;
mod messages_get;
mod replay;

use std::sync::Arc;

use chinwag::engine::{Engine, ReplayProgress, WriterEnd};
use chinwag::log::EventLog;
use criterion::Criterion;
use tokio::runtime::Runtime;

fn main() {
    let runtime = Runtime::new().expect("a runtime");
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    ingest::bench(&mut criterion, &runtime);
    replay::bench(&mut criterion, &runtime);
    chats_get::bench(&mut criterion, &runtime);
    messages_get::bench(&mut criterion, &runtime);
    criterion.final_summary();
}

/// An engine that ends, and lets go of its log, when it is dropped.
struct Running<'r> {
    engine: Arc<Engine>,
    end: WriterEnd,
    runtime: &'r Runtime,
}

impl<'r> Running<'r> {
    fn start(log: Box<dyn EventLog>, runtime: &'r Runtime) -> Self {
        const QUEUE_MAX: usize = 1024;
        let (engine, end) =
            Engine::start(log, QUEUE_MAX, &ReplayProgress::default()).expect("the log can be replayed");
        Self { engine: Arc::new(engine), end, runtime }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.engine.close();
        self.runtime.block_on(self.end.wait()).expect("nothing failed");
    }
}
