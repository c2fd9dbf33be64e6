//! Measures `/chats/get` in the model, for members of few chats and of very many.
//!
//! There are two ways to find a page: to walk all chats from the most active one, or to sort the user's own
//! chats. Each is slow for some users.

use std::cell::LazyCell;
use std::hint::black_box;

use chinwag::engine::Engine;
use chinwag::log::MemoryLog;
use chinwag::model::ChatView;
use criterion::Criterion;
use tokio::runtime::Runtime;

use crate::running_engine::RunningEngine;
use crate::support::{LogWriter, chat, once, user};

/// Member of every tenth chat, active and quiet chats alike.
const ACTIVE: u64 = 0;
/// Member of as many chats: those that were quiet for the longest time.
const QUIET: u64 = 1;
const OF_FIVE: u64 = 2;
const OF_TWENTY: u64 = 3;
/// First of the users who fill the chats.
const OTHERS: u64 = 4;

pub(crate) fn bench(criterion: &mut Criterion, runtime: &Runtime) {
    let chats = if once() { 1_000 } else { 1_000_000 };
    let running = LazyCell::new(|| RunningEngine::start(Box::new(log(chats)), runtime));
    let mut group = criterion.benchmark_group(format!("chats_get/{chats}"));
    for (name, number, limit, expected) in [
        ("all_of_5", OF_FIVE, usize::MAX, 5),
        ("page_of_20_of_20", OF_TWENTY, 20, 20),
        ("page_of_20_of_a_tenth_active", ACTIVE, 20, 20),
        ("page_of_20_of_a_tenth_quietest", QUIET, 20, 20),
    ] {
        group.bench_function(name, |bencher| {
            // The log is written and replayed before the clock starts.
            let engine = &running.engine;
            bencher.iter(|| {
                let listed = list(engine, black_box(number), limit);
                assert_eq!(listed.len(), expected);
                listed
            });
        });
    }
    group.finish();
}

fn list(engine: &Engine, number: u64, limit: usize) -> Vec<ChatView> {
    let user = engine.read(|model| model.user(user(number))).expect("a user");
    let listed = engine.list_chats(user, None, limit);
    engine.read(|model| listed.into_iter().map(|listed| model.view(Some(user), listed)).collect())
}

/// Returns a log of `chats` chats with one message each. The message of a chat is later the greater its
/// number is.
fn log(chats: u64) -> MemoryLog {
    let others = chats / 100;
    let mut log = MemoryLog::default();
    let mut writer = LogWriter::on(&mut log);
    (0..OTHERS + others).for_each(|number| writer.add_user(number));
    for number in 0..chats {
        let mut users = vec![user(OTHERS + number % others), user(OTHERS + (number + 1) % others)];
        let mut join = |number, joins| {
            if joins {
                users.push(user(number));
            }
        };
        join(ACTIVE, number % 10 == 0);
        join(QUIET, number < chats / 10);
        join(OF_FIVE, number % (chats / 5) == 0);
        join(OF_TWENTY, number % (chats / 20) == 0);
        writer.add_chat(number, users);
    }
    for number in 0..chats {
        writer.add_message(number, chat(number), user(OTHERS + number % others));
    }
    writer.finish();
    log
}
