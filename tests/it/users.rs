//! `/users/add`

use serde_json::json;

use crate::support::{TestServer, problem};

#[tokio::test]
async fn a_username_is_taken_once() {
    let server = TestServer::start();
    let reply = server.post("/users/add", &json!({ "username": "ann" })).await;
    assert_eq!((reply.status.as_u16(), reply.position()), (201, 1));
    let again = server.post("/users/add", &json!({ "username": "ann" })).await;
    assert_eq!(problem(&again, 409, "username_taken").as_deref(), Some("username"));
}
