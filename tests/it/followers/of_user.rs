//! Followers of one user that catch up, compared with a naive list of everything that happened.

use futures_util::FutureExt;
use proptest::prelude::*;

use chinwag::domain::Position;
use chinwag::engine::Begin;

use super::naive::Naive;
use super::step::{Step, step};
use super::{engine, next_piece, seen};

async fn run(steps: &[Step]) {
    // Given a random history that ends, for each user, with a chat of that user alone.
    let engine = engine(false);
    let mut naive = Naive::default();
    for step in steps {
        naive.carry_out(&engine, step).await;
    }
    let users: Vec<_> = naive.users().take(4).collect();
    let last = naive.last();
    for (number, user) in users.iter().enumerate() {
        naive.add_chat(&engine, format!("the last {number}"), vec![*user]).await;
    }
    // Then each user sees what happened after any position in the chats that they were in, and nothing else.
    for (user, last) in users.into_iter().zip(last + 1..) {
        for after in 0..last {
            let mut follower = engine.follow(user, Begin::After(Position(after))).expect("followed");
            let mut all = Vec::new();
            while all.last().is_none_or(|(position, _)| *position < last) {
                let piece = next_piece(&mut follower).await;
                all.extend(seen(&piece));
                for event in piece {
                    naive.check_shown(event, Some(user));
                }
            }
            naive.check_caught_up(naive.seen_after(after, user), &all);
            assert!(follower.wait().now_or_never().is_none(), "nothing else has happened");
        }
    }
}

proptest! {
    // A history that lacks an event costs the deadline each time it is tried again.
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_time: 10_000, ..ProptestConfig::default() })]

    #[test]
    fn followers_of_a_user_agree_with_a_naive_list(steps in prop::collection::vec(step(), 1..150)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        runtime.unwrap().block_on(run(&steps));
    }
}
