//! Requests under one key at the same time.

use futures_util::future::join_all;
use serde_json::json;

use super::{Call, assert_replayed, assert_reused, writes};
use crate::support::Scene;

#[tokio::test]
async fn concurrent_equal_requests_are_done_once() {
    let scene = Scene::start().await;
    let Scene { server, .. } = &scene;
    let mut position = 3;
    for (number, Call { path, body, .. }) in writes(&scene).into_iter().enumerate() {
        let key = format!("key-{number}");
        let replies = join_all((0..64).map(|_| server.post_under(&key, path, &body))).await;
        let (again, first): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.is_replayed());
        assert_eq!((first.len(), again.len()), (1, 63), "{path}");
        assert!(first[0].status.is_success(), "{path}");
        for reply in again {
            assert_replayed(reply, first[0]);
        }
        position += 1;
        assert_eq!((server.position().await, first[0].position()), (position, position), "{path}");
    }
}

#[tokio::test]
async fn concurrent_different_requests_give_a_key_once() {
    let scene = Scene::start().await;
    let Scene { server, ann, den, .. } = &scene;
    for round in 0..8 {
        let key = format!("key-{round}");
        let body = |number: usize| json!({ "chat": den, "author": ann, "text": format!("{round} {number}") });
        // Each twice.
        let replies = (0..32).map(|index| {
            let (key, body) = (&key, body(index / 2));
            async move { server.post_under(key, "/messages/add", &body).await }
        });
        let replies = join_all(replies).await;
        let winners: Vec<_> = replies
            .iter()
            .enumerate()
            .filter(|(_, reply)| reply.status == 201)
            .map(|(index, _)| index)
            .collect();
        assert_eq!((winners.len(), winners[0] / 2), (2, winners[1] / 2), "{winners:?}");
        assert_eq!(replies[winners[0]].text, replies[winners[1]].text);
        assert_eq!(winners.iter().filter(|&&index| replies[index].is_replayed()).count(), 1);
        for reply in replies.iter().filter(|reply| reply.status != 201) {
            assert_reused(reply, &key);
        }
        let last = server.messages(den).await.pop().expect("a message");
        assert_eq!(last["text"], body(winners[0] / 2)["text"]);
        assert_eq!(last["seq"], round + 1);
    }
    assert_eq!(server.position().await, 3 + 8);
}

#[tokio::test]
async fn a_concurrent_refusal_leaves_the_key_free() {
    let scene = Scene::start().await;
    let Scene { server, ann, bob, den, .. } = &scene;
    for round in 0..8 {
        let key = format!("key-{round}");
        let body = |author: &str| json!({ "chat": den, "author": author, "text": "hello" });
        let (of_bob, of_ann) = (body(bob), body(ann));
        let bodies = [&of_bob, &of_bob, &of_ann, &of_bob, &of_ann, &of_bob];
        let replies = join_all(bodies.map(|body| server.post_under(&key, "/messages/add", body))).await;
        assert_eq!((replies[2].status.as_u16(), replies[4].status.as_u16()), (201, 201));
        assert_eq!(replies[2].text, replies[4].text);
        for index in [0, 1, 3, 5] {
            // Before the other request, he is not a member. After it, the key is used.
            assert!([403, 422].contains(&replies[index].status.as_u16()), "{}", replies[index].text);
        }
        assert_eq!(server.messages(den).await.len(), round + 1);
    }
}
