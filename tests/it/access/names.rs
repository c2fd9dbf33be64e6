//! Tokens that name their users, when names pass from one user to another

use std::time::{Duration, Instant};

use serde_json::json;

use super::fixture::now_s;
use crate::support::{KeyedServer, problem};

#[tokio::test]
async fn a_token_of_a_name_is_none_of_who_gets_the_name_later() {
    let server = KeyedServer::start_with(&["--token-sub", "username"]);
    let (anna, carl) = (server.add_user("anna").await, server.add_user("carl").await);
    let chats = json!({});
    let hers = server.with(&server.keys.token("anna"));
    assert_eq!(hers.post("/chats/get", &chats).await.status, 200);
    // Given that Carl gets the name of one who is erased,
    let erased = server.post("/users/erase", &json!({ "user": anna, "messages": "keep" })).await;
    assert_eq!(erased.status, 202);
    let rename = |user: &str, name: &str| json!({ "user": user, "username": name });
    server.post("/users/edit", &rename(&carl, "anna")).await.done();
    problem(&hers.post("/chats/get", &chats).await, 401, "token_revoked");
    // and then another one, whose name a new user gets.
    server.post("/users/edit", &rename(&carl, "charles")).await.done();
    server.add_user("anna").await;
    problem(&hers.post("/chats/get", &chats).await, 401, "token_revoked");
    // A token that is issued later is good, also after a restart.
    let later = |name: &str| {
        let iat = now_s() + 12;
        server.keys.token_with(name, json!({ "iat": iat, "exp": iat + 600 }))
    };
    let tokens = ["charles", "anna"].map(later);
    let server = server.restart();
    for token in tokens {
        let client = server.with(&token);
        let deadline = Instant::now() + Duration::from_secs(15);
        while client.post("/chats/get", &chats).await.status != 200 {
            assert!(Instant::now() < deadline, "never good");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    let hers = server.with(&server.keys.token_with("anna", json!({ "iat": now_s() - 30 })));
    problem(&hers.post("/chats/get", &chats).await, 401, "token_revoked");
}
