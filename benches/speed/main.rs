//! Measures writes, reads and starts of the server. The first lines of each module say what it measures.

#[path = "../support/mod.rs"]
mod support;

mod access;
mod chats_get;
mod http_server;
mod ingest;
mod messages_get;
mod replay;
mod running_engine;

use criterion::Criterion;
use tokio::runtime::Runtime;

fn main() {
    let runtime = Runtime::new().expect("a runtime");
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    access::bench(&mut criterion, &runtime);
    ingest::bench(&mut criterion, &runtime);
    replay::bench(&mut criterion, &runtime);
    chats_get::bench(&mut criterion, &runtime);
    messages_get::bench(&mut criterion, &runtime);
    criterion.final_summary();
}
