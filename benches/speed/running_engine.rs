//! A running engine for a measurement, which stops it at its end.

use std::sync::Arc;

use chinwag::engine::{Engine, EngineSettings, ReplayProgress, WriterEnd};
use chinwag::log::EventLog;
use tokio::runtime::Runtime;

/// An engine that stops and closes its log when it is dropped.
pub(crate) struct RunningEngine<'r> {
    pub(crate) engine: Arc<Engine>,
    end: WriterEnd,
    runtime: &'r Runtime,
}

impl<'r> RunningEngine<'r> {
    pub(crate) fn start(log: Box<dyn EventLog>, runtime: &'r Runtime) -> Self {
        let settings = EngineSettings { queue_max: 1024, can_follow_all: false, scrub: None };
        let (engine, end) =
            Engine::start(log, settings, &ReplayProgress::default()).expect("the log can be replayed");
        Self { engine: Arc::new(engine), end, runtime }
    }
}

impl Drop for RunningEngine<'_> {
    fn drop(&mut self) {
        self.engine.close();
        self.runtime.block_on(self.end.wait()).expect("nothing failed");
    }
}
