//! Measures the longest time for which one event holds the model's lock, while users, keys, chats, members
//! and messages are added one by one, so that every table grows many times, and while users are erased.
//!
//! `cargo bench --bench pauses` measures; `-- --test` only shows, with small sizes, that it runs. The
//! processor's time is that of this thread alone; the clock's includes what other processes took.

#![expect(clippy::print_stdout, reason = "its result goes to stdout")]

use std::env;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chinwag::domain::{
    Actor, ChatId, ErasedMessages, Event, Fingerprint, IdempotencyKey, Record, Seq, Timestamp, UserId,
};
use chinwag::model::Model;
use hdrhistogram::Histogram;
use rustix::time::{ClockId, clock_gettime};
use uuid::Uuid;

struct Sizes {
    users: u64,
    keys: u64,
    chats: u64,
    members: u64,
    messages: u64,
}

fn main() {
    let is_test = env::args().any(|argument| argument == "--test");
    let sizes = if is_test {
        Sizes { users: 1_000, keys: 1_000, chats: 100, members: 100, messages: 1_000 }
    } else {
        Sizes { users: 10_000_000, keys: 10_000_000, chats: 1_000_000, members: 300_000, messages: 2_000_000 }
    };
    println!("| what grows | to | median | longest, processor | longest, clock |");
    println!("| --- | --- | --- | --- | --- |");
    let mut bench = Bench { model: Model::default() };
    bench.grow("users", sizes.users, |number| {
        (Event::UserAdded { id: user(number), username: format!("user {number}").into() }, None)
    });
    bench.grow("keys", sizes.keys, |number| {
        let text = format!("key {number}").into();
        let key = IdempotencyKey::recorded(text, Fingerprint([1; 16]), &Actor::Unknown);
        (Event::NothingChanged, Some(key))
    });
    bench.grow("chats", sizes.chats, |number| {
        let users = (0..3).map(|place| user((3 * number + place) % sizes.users)).collect();
        (Event::ChatAdded { id: chat(number), name: format!("chat {number}").into(), users }, None)
    });
    // A reader always holds all members, so that no join may change them in place.
    let large = bench.model.chat(chat(0)).expect("it was added");
    let mut read = Arc::clone(bench.model.members(large));
    bench.grow_read("members of a chat that is read", sizes.members, |number, model| {
        read = Arc::clone(model.members(large));
        (Event::MemberAdded { chat: chat(0), user: user(number + 3) }, None)
    });
    drop(read);
    bench.grow("messages of a chat", sizes.messages, |number| {
        let id = Uuid::from_u128(u128::from(number)).into();
        let author = user(number % 1_000);
        (Event::MessageAdded { id, chat: chat(1), author, text: "A text of some words.".into() }, None)
    });
    let marks = 1_000.min(sizes.messages);
    bench.grow("read marks far behind", marks, |number| {
        let seq = Seq(sizes.messages / 2 + number % 7);
        (Event::ReadMarked { chat: chat(1), user: user(number), seq }, None)
    });
    let erasures = 100.min(sizes.users);
    let what = format!("erasures of users with {} messages each", sizes.messages / 1_000);
    bench.grow(&what, erasures, |number| {
        (Event::UserErased { user: user(number), messages: ErasedMessages::Erase }, None)
    });
}

fn user(number: u64) -> UserId {
    Uuid::from_u128((1 << 64) + u128::from(number)).into()
}

fn chat(number: u64) -> ChatId {
    Uuid::from_u128((2 << 64) + u128::from(number)).into()
}

type Growth<'e> = (Event<'e>, Option<IdempotencyKey<'e>>);

struct Bench {
    model: Model,
}

impl Bench {
    fn grow<'e>(&mut self, what: &str, count: u64, mut event: impl FnMut(u64) -> Growth<'e>) {
        self.grow_read(what, count, |number, _| event(number));
    }

    /// Applies events one by one, and prints the median and the longest time of one.
    fn grow_read<'e>(&mut self, what: &str, count: u64, mut event: impl FnMut(u64, &Model) -> Growth<'e>) {
        let mut times = Histogram::<u64>::new(3).expect("three digits");
        let (mut longest_of_processor, mut longest_of_clock) = (Duration::ZERO, Duration::ZERO);
        for number in 0..count {
            let (event, key) = event(number, &self.model);
            let time = Timestamp::from_micros(self.model.position().0 + 1).expect("in range");
            let record = Record { time, by: Actor::Unknown, key, event };
            let (processor_before, clock) = (processor_time(), Instant::now());
            self.model.apply(&record);
            let (clock, processor) = (clock.elapsed(), processor_time().saturating_sub(processor_before));
            times.record(u64::try_from(clock.as_nanos()).expect("short")).expect("the histogram grows");
            longest_of_processor = longest_of_processor.max(processor);
            longest_of_clock = longest_of_clock.max(clock);
        }
        let median = Duration::from_nanos(times.value_at_quantile(0.5));
        println!("| {what} | {count} | {median:.1?} | {longest_of_processor:.1?} | {longest_of_clock:.1?} |");
    }
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).expect("not negative"),
        u32::try_from(time.tv_nsec).expect("less than a second"),
    )
}
