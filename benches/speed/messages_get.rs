//! Measures `/messages/get` of one long chat, from the router to the last byte of the body: once for the
//! newest 50 messages, once for all; the newest 50 of a chat in which every tenth message has changed; and the
//! ten messages of it that changed last.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Request, StatusCode};
use chinwag::config::ServeConfig;
use chinwag::engine::ReplayProgress;
use chinwag::http::{App, Router};
use chinwag::log::MemoryLog;
use criterion::{Criterion, SamplingMode, Throughput};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::running_engine::RunningEngine;
use crate::support::{LogWriter, World, chat, messages};

pub(crate) fn bench(criterion: &mut Criterion, runtime: &Runtime) {
    let messages = messages();
    let (running, router) = start(log(messages, false), runtime);
    let newest = json!({ "chat": chat(0), "limit": 50 });
    let whole = json!({ "chat": chat(0) });

    let mut group = criterion.benchmark_group(format!("messages_get/{messages}"));
    group.bench_function("newest_50", |bencher| {
        bencher.to_async(runtime).iter(|| get(&router, &newest));
    });
    let bytes = runtime.block_on(get(&router, &whole));
    group.throughput(Throughput::Bytes(bytes)).sampling_mode(SamplingMode::Flat);
    group.measurement_time(Duration::from_secs(10));
    group.bench_function("whole", |bencher| {
        bencher.to_async(runtime).iter(|| get(&router, &whole));
    });
    group.finish();
    drop((running, router));

    let (running, router) = start(log(messages, true), runtime);
    let position = running.engine.position();
    let changed = json!({ "chat": chat(0), "changed_after": position.0 - 10 });
    let mut group = criterion.benchmark_group(format!("messages_get/{messages}/changed"));
    group.bench_function("newest_50", |bencher| {
        bencher.to_async(runtime).iter(|| get(&router, &newest));
    });
    group.bench_function("changed_after_10", |bencher| {
        bencher.to_async(runtime).iter(|| get(&router, &changed));
    });
    group.finish();
}

fn start(log: MemoryLog, runtime: &Runtime) -> (RunningEngine<'_>, Router) {
    let running = RunningEngine::start(Box::new(log), runtime);
    let app = App::starting(Arc::new(ReplayProgress::default()), &ServeConfig::default());
    app.ready(Arc::clone(&running.engine));
    (running, Router::new(Arc::new(app)))
}

/// Reads the answer as a client without backpressure does, and returns the length of its body.
async fn get(router: &Router, wanted: &Value) -> u64 {
    let request = Request::post("/messages/get")
        .header("Content-Type", "application/json")
        .body(Body::from(wanted.to_string()))
        .expect("a valid request");
    let response = router.answer(request).await;
    assert_eq!(response.status(), StatusCode::OK);
    let mut body = response.into_body();
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        bytes += frame.expect("a whole answer").data_ref().map_or(0, Bytes::len) as u64;
    }
    bytes
}

fn log(messages: u64, is_changed: bool) -> MemoryLog {
    let world = World { chats: 1 };
    let mut log = MemoryLog::default();
    let mut writer = LogWriter::on(&mut log);
    world.found(&mut writer);
    world.talk(messages, &mut writer);
    if is_changed {
        world.change_each(10, messages, &mut writer);
    }
    writer.finish();
    log
}
