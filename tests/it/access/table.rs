//! Who may make which call: the contract's table beside the server's document, and every call by every caller.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{Answer, ask, refused};
use crate::support::keyed::now_s;
use crate::support::{KeyedServer, Keyring, TestRouter, problem};

/// Whom, or whose, a user's token is for.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Who {
    NotUsers,
    Anyone,
    Themselves,
    Members,
    ThemselvesOrModerators,
}
use Who::*;

/// A call, the least scope of a server key, the scopes of a user's token, of which one is enough, and whom it is for.
type Row = (&'static str, &'static str, &'static [&'static str], Who);

/// The contract. A change of it is a decision.
const CONTRACT: [Row; 28] = [
    ("POST /users/add", "all", &[], NotUsers),
    ("POST /users/tokens/revoke", "all", &[], NotUsers),
    ("POST /messages/batch", "all", &[], NotUsers),
    ("POST /users/erase", "all", &[], NotUsers),
    ("POST /users/export", "read", &[], NotUsers),
    ("POST /users/list", "read", &[], NotUsers),
    ("POST /users/get", "read", &["read"], Anyone),
    ("POST /users/find", "read", &["chats"], Anyone),
    ("POST /chats/add", "all", &["chats"], Themselves),
    ("POST /chats/get", "read", &["read"], Themselves),
    ("POST /chats/read", "all", &["write"], Themselves),
    ("POST /messages/add", "all", &["write"], Themselves),
    ("POST /chats/direct", "all", &["chats"], Themselves),
    ("POST /users/edit", "all", &["write"], Themselves),
    ("POST /messages/edit", "all", &["write"], Themselves),
    ("POST /messages/delete", "all", &["write"], Themselves),
    ("POST /messages/reactions/add", "all", &["write"], Themselves),
    ("POST /messages/reactions/remove", "all", &["write"], Themselves),
    ("POST /messages/revisions/get", "read", &[], NotUsers),
    ("POST /messages/reactions/get", "read", &["read"], Members),
    ("POST /chats/edit", "all", &["chats"], Members),
    ("POST /chats/show", "read", &["read"], Members),
    ("POST /messages/get", "read", &["read"], Members),
    ("POST /chats/users/add", "all", &["chats"], Members),
    ("POST /chats/users/remove", "all", &[], ThemselvesOrModerators),
    ("GET /events", "read", &["read", "events"], Themselves),
    ("POST /events/token", "read", &["read"], Themselves),
    ("GET /metrics", "metrics", &[], NotUsers),
];
/// The calls that need no credentials.
const OPEN: [&str; 4] = ["GET /health", "GET /docs", "GET /openapi.json", "GET /"];

const SCOPES: [&str; 5] = ["read", "write", "chats", "moderate", "events"];

#[derive(Debug, Clone, Copy)]
enum Caller {
    Nobody,
    /// Credentials that are refused with this code.
    Wrong(&'static str),
    /// A server key of this scope.
    Server(&'static str),
    /// A token with these scopes.
    User(User, &'static [&'static str]),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum User {
    /// The user whom every request names, a member of the chat.
    Named,
    OtherMember,
    NotAMember,
}

/// Returns the answer of the contract's table.
fn promised(row: Option<Row>, caller: Caller, success: u16) -> Answer {
    let success = (success, None);
    let Some((_, key_scope, scopes, who)) = row else { return success };
    match caller {
        Caller::Nobody => refused(401, "credentials_missing"),
        Caller::Wrong(code) => refused(401, code),
        Caller::Server(scope) if scope == "all" || scope == key_scope => success,
        Caller::Server(_) => refused(403, "scope_missing"),
        Caller::User(..) if who == NotUsers => refused(403, "server_key_required"),
        Caller::User(_, theirs) if !scopes.is_empty() && !scopes.iter().any(|it| theirs.contains(it)) => {
            refused(403, "scope_missing")
        }
        Caller::User(user, theirs) => match (who, user) {
            (Anyone, _) | (_, User::Named) | (Members, User::OtherMember) => success,
            (ThemselvesOrModerators, User::OtherMember) if theirs.contains(&"moderate") => success,
            (Members, User::NotAMember) => refused(403, "not_a_member"),
            (ThemselvesOrModerators, User::NotAMember) if theirs.contains(&"moderate") => {
                refused(403, "not_a_member")
            }
            (Themselves | ThemselvesOrModerators | NotUsers, _) => refused(403, "not_yourself"),
        },
    }
}

fn row_of(call: &str) -> Option<Row> {
    CONTRACT.into_iter().find(|(of, ..)| *of == call)
}

/// The document comes from the table beside the routes, so that a call that is added without a row here is seen.
#[tokio::test]
async fn the_document_has_the_contracts_table() {
    let server = KeyedServer::start();
    let document = server.nobody().get("/openapi.json").await.json();
    let mut documented = BTreeMap::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let call = format!("{} {path}", method.to_uppercase());
            documented.insert(call, operation.get("security").cloned());
        }
    }
    let expected = CONTRACT.into_iter().map(|(call, key_scope, scopes, who)| {
        let mut security = vec![json!({ "server_key": [key_scope] })];
        match scopes {
            [] if who == NotUsers => {}
            [] => security.push(json!({ "user_token": [] })),
            scopes => security.extend(scopes.iter().map(|scope| json!({ "user_token": [scope] }))),
        }
        if scopes.contains(&"events") {
            security.push(json!({ "events_token": [] }));
        }
        (call.to_owned(), Some(json!(security)))
    });
    let expected: BTreeMap<_, _> = expected.chain(OPEN.map(|call| (call.to_owned(), None))).collect();
    assert_eq!(documented, expected);
}

/// A right request of a call: its path, its body, its answer, and whom it is for if that is not whom the call is for.
struct Request {
    call: &'static str,
    query: String,
    body: Value,
    success: u16,
    who: Option<Who>,
}

/// Returns requests of every call, which name Ann and her chat.
fn requests(ann: &str, others: [&str; 2], den: &str, fresh: usize) -> Vec<Request> {
    let [dan, eve] = others;
    let post = |call, body, success| Request { call, query: String::new(), body, success, who: None };
    let get = |call, query: String| Request { call, query, body: Value::Null, success: 200, who: None };
    let of = |who, request| Request { who: Some(who), ..request };
    let name = format!("fresh {fresh}");
    vec![
        post("POST /users/add", json!({ "username": name }), 201),
        post("POST /users/tokens/revoke", json!({ "user": eve }), 200),
        post("POST /users/erase", json!({ "user": eve, "messages": "keep" }), 202),
        post("POST /users/export", json!({ "user": ann }), 200),
        post(
            "POST /messages/batch",
            json!({ "messages": [{ "chat": den, "author": ann, "text": "a" }] }),
            201,
        ),
        post("POST /users/list", json!({}), 200),
        post("POST /users/get", json!({ "user": ann }), 200),
        post("POST /users/get", json!({ "users": [ann, dan] }), 200),
        of(Themselves, post("POST /users/get", json!({ "username": "ann" }), 200)),
        post("POST /users/find", json!({ "prefix": "a" }), 200),
        post("POST /chats/add", json!({ "name": name, "users": [dan, ann] }), 201),
        post("POST /chats/get", json!({ "user": ann }), 200),
        post("POST /chats/read", json!({ "chat": den, "user": ann, "seq": 0 }), 204),
        post("POST /messages/add", json!({ "chat": den, "author": ann, "text": "a" }), 201),
        of(Themselves, post("POST /chats/direct", json!({ "users": [ann, dan] }), 200)),
        post("POST /chats/edit", json!({ "chat": den, "metadata": { "fresh": fresh } }), 204),
        post("POST /users/edit", json!({ "user": ann, "metadata": { "fresh": fresh } }), 204),
        post("POST /messages/edit", json!({ "chat": den, "seq": 1, "user": ann, "text": name }), 200),
        post("POST /messages/delete", json!({ "chat": den, "seq": 2, "user": ann }), 204),
        post("POST /messages/revisions/get", json!({ "chat": den, "seq": 1 }), 200),
        post(
            "POST /messages/reactions/add",
            json!({ "chat": den, "seq": 1, "user": ann, "emoji": "+1" }),
            204,
        ),
        post(
            "POST /messages/reactions/remove",
            json!({ "chat": den, "seq": 1, "user": ann, "emoji": "-1" }),
            204,
        ),
        post("POST /messages/reactions/get", json!({ "chat": den, "seq": 1 }), 200),
        post("POST /chats/show", json!({ "chat": den }), 200),
        of(Themselves, post("POST /chats/show", json!({ "chat": den, "user": ann }), 200)),
        post("POST /messages/get", json!({ "chat": den }), 200),
        post("POST /chats/users/add", json!({ "chat": den, "user": dan }), 204),
        post("POST /chats/users/remove", json!({ "chat": den, "user": ann }), 204),
        get("GET /events", format!("?user={ann}")),
        of(Anyone, get("GET /events", String::new())),
        post("POST /events/token", json!({ "user": ann }), 201),
        get("GET /metrics", String::new()),
        get("GET /health", String::new()),
        get("GET /docs", String::new()),
        get("GET /openapi.json", String::new()),
        get("GET /", String::new()),
    ]
}

#[tokio::test]
async fn every_caller_gets_the_promised_answer() {
    // Given a chat of Ann and Bob, and Eve, whose tokens are revoked.
    let server = KeyedServer::start();
    let [ann, bob, cat, dan, eve] = ["ann", "bob", "cat", "dan", "eve"].map(|name| server.add_user(name));
    let (ann, bob, cat, dan, eve) = (ann.await, bob.await, cat.await, dan.await, eve.await);
    let den = server.add_chat("den", &[&ann, &bob]).await;
    for text in ["first", "second"] {
        server.add_message(&den, &ann, text).await;
    }
    let direct = json!({ "users": [ann, dan] });
    assert_eq!(server.post("/chats/direct", &direct).await.status, 201);
    let (keys, strangers) = (&server.keys, Keyring::new());
    let all_scopes = SCOPES.join(" ");
    let expired = json!({ "iat": now_s() - 900, "exp": now_s() - 600, "scope": all_scopes });
    let revoked = keys.scoped(&eve, &all_scopes);
    assert_eq!(server.post("/users/tokens/revoke", &json!({ "user": eve })).await.status, 200);

    let token = |user: User, scopes: &'static [&'static str]| {
        let id = match user {
            User::Named => &ann,
            User::OtherMember => &bob,
            User::NotAMember => &cat,
        };
        (Some(keys.scoped(id, &scopes.join(" "))), Caller::User(user, scopes))
    };
    let server_key = |name, scope| (Some(keys.server_key(name).to_owned()), Caller::Server(scope));
    let mut callers = vec![
        (None, Caller::Nobody),
        (Some(strangers.server_key("backend").to_owned()), Caller::Wrong("credentials_invalid")),
        (Some(strangers.scoped(&ann, &all_scopes)), Caller::Wrong("credentials_invalid")),
        (Some(keys.server_key("former").to_owned()), Caller::Wrong("token_expired")),
        (Some(keys.token_with(&ann, expired)), Caller::Wrong("token_expired")),
        (Some(revoked), Caller::Wrong("token_revoked")),
        server_key("backend", "all"),
        server_key("reader", "read"),
        server_key("scraper", "metrics"),
        (Some(keys.token(&ann)), Caller::User(User::Named, &["read", "write"])),
        (Some(keys.token(&bob)), Caller::User(User::OtherMember, &["read", "write"])),
        (Some(keys.token(&cat)), Caller::User(User::NotAMember, &["read", "write"])),
    ];
    callers.extend((0..SCOPES.len()).map(|at| token(User::Named, &SCOPES[at..=at])));
    for user in [User::Named, User::OtherMember, User::NotAMember] {
        callers.extend([token(user, &SCOPES), token(user, &[])]);
    }

    // When each of them makes each call, then the table says what happens.
    let mut called = BTreeSet::new();
    for (fresh, (credential, caller)) in callers.into_iter().enumerate() {
        let client = server.nobody().bearing(credential.as_deref());
        for Request { call, query, body, success, who } in requests(&ann, [&dan, &eve], &den, fresh) {
            let row = row_of(call).map(|(call, key, scopes, of)| (call, key, scopes, who.unwrap_or(of)));
            called.insert(call);
            let (method, path) = call.split_once(' ').unwrap();
            let mut request = client.request(method, &format!("{path}{query}"));
            if !body.is_null() {
                request = request.header("content-type", "application/json").body(body.to_string());
            }
            assert_eq!(ask(request).await, promised(row, caller, success), "{call} {body} by {caller:?}");
            if path == "/chats/users/remove" {
                server.join(&den, &ann).await;
            }
        }
    }
    assert_eq!(called, CONTRACT.map(|(call, ..)| call).into_iter().chain(OPEN).collect());
}

#[tokio::test]
async fn an_open_server_knows_no_credentials() {
    let server = TestRouter::start();
    let ann = server.add_user("ann").await;
    for path in ["/events/token", "/users/tokens/revoke"] {
        let reply = server.post(path, &json!({ "user": ann })).await;
        assert_eq!(problem(&reply, 404, "route_not_found"), None, "{path}");
    }
    // It looks at none, so a bad one is no reason to refuse.
    let bad = server.bearing(Some("cw_wrong"));
    assert_eq!(bad.post("/chats/get", &json!({ "user": ann })).await.status, 200);
    assert_eq!(
        problem(&bad.post("/chats/get", &json!({})).await, 400, "invalid_field").as_deref(),
        Some("user")
    );
}

/// A field that names the caller may be left out, and then names the caller.
#[tokio::test]
async fn users_may_leave_themselves_out() {
    let server = KeyedServer::start();
    let ann = server.add_user("ann").await;
    let den = server.add_chat("den", &[&ann]).await;
    let page = server.with(&server.keys.token(&ann));
    for (path, body, field) in [
        ("/messages/add", json!({ "chat": den, "text": "hello" }), "author"),
        ("/chats/get", json!({}), "user"),
        ("/chats/read", json!({ "chat": den, "seq": 1 }), "user"),
        ("/events/token", json!({}), "user"),
    ] {
        assert!(page.post(path, &body).await.status.is_success(), "{path}");
        let mut null = body.clone();
        null[field] = Value::Null;
        assert!(page.post(path, &null).await.status.is_success(), "{path}");
        let by_server = server.post(path, &body).await;
        assert_eq!((by_server.status.as_u16(), by_server.json()["field"].as_str()), (400, Some(field)));
    }
    assert_eq!(server.messages(&den).await[0]["author"], ann.as_str());
    assert_eq!(
        server.post("/chats/show", &json!({ "chat": den })).await.json()["read_marks"][0]["user"],
        *ann
    );
}
