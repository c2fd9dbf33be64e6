//! Known attacks over HTTP: on tokens, on the headers that carry them, and of one user on the others.

use aws_lc_rs::hmac;
use serde_json::{Value, json};

use super::{ask, fresh_address, refused};
use crate::support::keyed::{b64, claims, header, now_s};
use crate::support::{Client, KeyedServer, Keyring, RawConnection, Reply, head, problem};

const SECRET_OF_RSA: [&str; 2] = [
    include_str!("../../../src/access/tests/keys/rsa.pem"),
    include_str!("../../../src/access/tests/keys/public.json"),
];

/// Returns a token of this header and these claims that is signed with this secret by HS256.
fn by_secret(secret: &[u8], header: &Value, claims: &Value) -> String {
    let message = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
    format!("{message}.{}", b64(tag))
}

/// Returns the text of an object with this member.
fn with(object: &Value, name: &str, value: &Value) -> String {
    let mut object = object.clone();
    object[name] = value.clone();
    object.to_string()
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a list of attacks")]
async fn forged_tokens_are_all_refused_alike() {
    let server = KeyedServer::start();
    let (ann, keys) = (server.add_user("ann").await, &server.keys);
    let (good, now) = (claims(&ann, json!({})), now_s());
    let text = good.to_string();
    // Given tokens of every algorithm, which are good,
    for (kid, _) in Keyring::KIDS {
        let token = keys.signed(kid, &header(kid).to_string(), &text);
        let page = server.with(&token);
        assert_eq!(ask(page.json_request("/chats/get").body("{}")).await, (200, None), "{kid}");
    }

    let mut forged: Vec<(String, String)> = Vec::new();
    let mut add = |what: &str, token: String| forged.push((what.to_owned(), token));
    // when the algorithm is another one,
    for alg in ["none", "None", "NONE", "", "HS384", "HS512", "PS256", "ES384", "hs256"] {
        for kid in ["secret", "rsa"] {
            add(alg, keys.signed(kid, &with(&header(kid), "alg", &json!(alg)), &text));
            add(alg, format!("{}.{}.", b64(with(&header(kid), "alg", &json!(alg))), b64(&text)));
        }
    }
    // a public key serves as a secret,
    let public: Value = serde_json::from_str(SECRET_OF_RSA[1]).unwrap();
    let jwk = keys.token_keys()["keys"].clone();
    let secrets = [
        SECRET_OF_RSA[0].to_owned(),
        SECRET_OF_RSA[0].trim_end().to_owned(),
        public["keys"][3].to_string(),
        jwk[3].to_string(),
        jwk[3]["n"].as_str().unwrap().to_owned(),
        String::new(),
    ];
    for secret in secrets {
        for kid in ["rsa", "secret", "ed25519"] {
            let header = json!({ "alg": "HS256", "kid": kid });
            add("a public key as a secret", by_secret(secret.as_bytes(), &header, &good));
        }
    }
    // the header names or brings another key,
    for (name, value) in [
        ("kid", json!("rsa")),
        ("kid", json!("unknown")),
        ("kid", json!("../../../../dev/null")),
        ("kid", json!("' OR 1=1 --")),
        ("kid", json!("secret\u{0}")),
        ("kid", json!("")),
        ("kid", json!(null)),
        ("kid", json!(0)),
        ("kid", json!(["secret"])),
        ("jku", json!("http://127.0.0.1:1/keys")),
        ("x5u", json!("http://127.0.0.1:1/keys")),
        ("jwk", jwk[0].clone()),
        ("x5c", json!([])),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("typ", json!(1)),
        ("alg", json!(null)),
        ("alg", json!(["HS256"])),
    ] {
        add(&format!("{name} {value}"), keys.signed("secret", &with(&header("secret"), name, &value), &text));
    }
    add("no kid", keys.signed("secret", r#"{"alg":"HS256"}"#, &text));
    // a claim is missing, wrong, of a wrong type, or there twice,
    for name in ["sub", "aud", "iat", "exp"] {
        add(&format!("no {name}"), keys.token_with(&ann, json!({ name: null })));
        for value in [json!(null), json!({}), json!([[]]), json!(true), json!(-1), json!("9999999999")] {
            add(&format!("{name} {value}"), sign(keys, &with(&good, name, &value)));
        }
        add(&format!("{name} twice"), sign(keys, &format!(r#"{{"{name}":{},{}"#, good[name], &text[1..])));
    }
    for (what, over) in [
        ("another audience", json!({ "aud": "other" })),
        ("other audiences", json!({ "aud": ["other", "CHINWAG", "chinwag "] })),
        ("too long", json!({ "exp": now + 2_592_001 })),
        ("issued ahead", json!({ "iat": now + 120 })),
        ("expires before it is issued", json!({ "iat": now, "exp": now - 1 })),
        ("not yet", json!({ "nbf": now + 600 })),
        ("nbf of a wrong type", json!({ "nbf": "0" })),
        ("scope of a wrong type", json!({ "scope": ["read"] })),
        ("by name", json!({ "sub": "ann" })),
        ("nobody", json!({ "sub": "0193a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b" })),
        ("not as this server writes ids", json!({ "sub": ann.replace('-', "") })),
        ("oversize", json!({ "pad": "x".repeat(4_096) })),
    ] {
        add(what, keys.token_with(&ann, over));
    }
    add("a time that is no number", sign(keys, &text.replace(&good["exp"].to_string(), "1e999")));
    add("claims in a list", sign(keys, &format!("[{text}]")));
    add("claims that are not JSON", sign(keys, "{"));
    add("alg twice", keys.signed("secret", r#"{"alg":"none","alg":"HS256","kid":"secret"}"#, &text));
    // the text is not that of a token,
    let token = keys.token(&ann);
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (head, body) = message.split_once('.').unwrap();
    let other = keys.token(&server.add_user("bob").await);
    let (other_message, other_signature) = other.rsplit_once('.').unwrap();
    for (what, token) in [
        ("no signature", format!("{message}.")),
        ("no third part", message.to_owned()),
        ("a fourth part", format!("{token}.")),
        ("five parts", format!("{token}.{message}")),
        ("no claims", format!("{head}..{signature}")),
        ("no header", format!(".{body}.{signature}")),
        ("padded", format!("{token}=")),
        ("the signature of another", format!("{message}.{other_signature}")),
        ("the claims of another", format!("{other_message}.{signature}")),
        ("two", format!("{token}, {token}")),
        ("a scheme more", format!("Bearer {token}")),
        ("nothing", String::new()),
        ("dots", "..".to_owned()),
        ("a key too long", format!("{}A", keys.server_key("backend"))),
        ("a key too short", keys.server_key("backend")[..45].to_owned()),
        ("a key in capitals", keys.server_key("backend").to_uppercase()),
        ("the hash of a key", keys.api_keys().split_whitespace().nth(2).unwrap().to_owned()),
    ] {
        add(what, token);
    }
    // or a token for a stream's URL is in the header.
    let page = server.with(&token);
    let event_token =
        page.post("/events/token", &json!({})).await.json()["token"].as_str().unwrap().to_owned();
    add("a token for a URL", event_token);

    // Then none is told from another, and nothing of it is shown.
    let usual = presenting(&server, "POST /chats/get", b"Bearer wrong").json();
    for (what, token) in forged {
        for call in ["POST /chats/get", "GET /events"] {
            let reply = presenting(&server, call, format!("Bearer {token}").as_bytes());
            assert_eq!(reply.status, 401, "{what}");
            assert_eq!(problem(&reply, 401, "credentials_invalid"), None, "{what}");
            assert_eq!(reply.json()["detail"], usual["detail"], "{what}");
        }
    }
}

fn sign(keys: &Keyring, claims: &str) -> String {
    keys.signed("secret", &header("secret").to_string(), claims)
}

/// Sends a request with this header `Authorization`.
fn presenting(server: &KeyedServer, call: &str, value: &[u8]) -> Reply {
    let (method, path) = call.split_once(' ').unwrap();
    let address = format!("X-Forwarded-For: {}", fresh_address());
    let request = head(method, path, &[&address, "Content-Type: application/json", "Content-Length: 2"]);
    let request = request.strip_suffix("\r\n").unwrap().as_bytes();
    let mut connection = RawConnection::open(&server.server.address);
    connection.send([request, b"Authorization: ", value, b"\r\n\r\n{}"].concat());
    connection.reply()
}

#[tokio::test]
async fn other_headers_let_nobody_in() {
    let server = KeyedServer::start();
    let ann = server.add_user("ann").await;
    let token = server.keys.token(&ann);
    let key = server.keys.server_key("backend");
    for (value, status) in [
        (format!("Bearer {token}"), 200),
        (format!("bEaReR   {token}"), 200),
        (token.clone(), 401),
        (format!("Bearer{token}"), 401),
        (format!("Bearer:{token}"), 401),
        (format!("Bearer\t{token}"), 401),
        (format!("Token {token}"), 401),
        (format!("JWT {token}"), 401),
        (format!("DPoP {token}"), 401),
        (format!("Basic {}", b64(format!("backend:{key}"))), 401),
        (format!("Basic {key}"), 401),
        (format!("Bearer \"{token}\""), 401),
        (format!("Bearer {token};"), 401),
        (format!("Bearer {token} {key}"), 401),
        (format!("Bearer {key},{key}"), 401),
        ("Bearer".to_owned(), 401),
        (String::new(), 401),
    ] {
        assert_eq!(presenting(&server, "POST /chats/get", value.as_bytes()).status, status, "{value:?}");
    }
    for bytes in [&b"Bearer \xff\xfe"[..], b"\xc3\xa9", "Bearer käse".as_bytes()] {
        let reply = presenting(&server, "POST /chats/get", bytes);
        assert_eq!(problem(&reply, 401, "credentials_invalid"), None);
    }
    // These bytes are no request. Such a request may be answered without a body.
    for bytes in [b"Bearer a\0b".to_vec(), b"Bearer a\x7fb".to_vec(), vec![b'x'; 64 * 1024]] {
        assert!(presenting(&server, "POST /chats/get", &bytes).status.is_client_error());
    }
    // Nobody is let in by a header of a proxy, by a cookie, or by the credentials of a URL.
    for header in [
        format!("Cookie: token={token}"),
        format!("X-Api-Key: {key}"),
        format!("Proxy-Authorization: Bearer {key}"),
        format!("X-Authorization: Bearer {key}"),
        "X-Forwarded-User: ann".to_owned(),
        "X-Forwarded-For: 127.0.0.1".to_owned(),
        "Forwarded: for=127.0.0.1".to_owned(),
    ] {
        for path in ["/metrics", "/events", &format!("http://backend:{key}@localhost/metrics"), "/m%65trics"]
        {
            let mut connection = RawConnection::open(&server.server.address);
            connection.send(head("GET", path, &[&header]));
            problem(&connection.reply(), 401, "credentials_missing");
        }
    }
}

#[tokio::test]
async fn a_token_is_not_older_than_its_user() {
    let server = KeyedServer::start();
    let ann = server.add_user("ann").await;
    let asks = async |iat: i64| {
        let token = server.keys.token_with(&ann, json!({ "iat": iat }));
        ask(server.with(&token).json_request("/chats/get").body("{}")).await
    };
    let now = now_s();
    assert_eq!(asks(now - 30).await, (200, None), "the clocks may differ");
    assert_eq!(asks(now - 120).await, refused(401, "token_revoked"), "the id was another user's");
}

#[tokio::test]
async fn urls_take_nothing_but_their_own_tokens() {
    let server = KeyedServer::start();
    let (ann, bob) = (server.add_user("ann").await, server.add_user("bob").await);
    let (token, key) = (server.keys.token(&ann), server.keys.server_key("backend"));
    let page = server.with(&token);
    let bought = page.post("/events/token", &json!({})).await.json()["token"].as_str().unwrap().to_owned();
    let get = async |path: String| ask(server.nobody().request("GET", &path)).await;

    assert_eq!(get(format!("/events?token={bought}")).await, (200, None));
    assert_eq!(get(format!("/events?token={bought}&user={ann}")).await, (200, None));
    assert_eq!(get(format!("/events?token={bought}&user={bob}")).await, refused(403, "not_yourself"));
    for full in [&*token, key, &token.replace('.', "%2E"), &key.replace('c', "%63"), "a.b.c", "cw_"] {
        assert_eq!(get(format!("/events?token={full}")).await, refused(403, "token_too_broad"), "{full}");
    }
    let (last, start) = (bought.len() - 1, &bought[..bought.len() - 1]);
    let changed = if bought.ends_with('A') { "B" } else { "A" };
    let mut middle = bought.clone().into_bytes();
    middle[last / 2] = if middle[last / 2] == b'A' { b'B' } else { b'A' };
    let middle = String::from_utf8(middle).unwrap();
    for wrong in ["", "x", "cwe_", start, &format!("{start}{changed}"), &format!("{bought}A"), &middle] {
        assert_eq!(
            get(format!("/events?token={wrong}")).await,
            refused(401, "credentials_invalid"),
            "{wrong}"
        );
    }
    // Other calls take none, and the token buys no other one.
    for path in ["/metrics", "/chats/get", "/users/list", "/events/token", "/messages/get"] {
        let method = if path == "/metrics" { "GET" } else { "POST" };
        let request = server.nobody().request(method, &format!("{path}?token={bought}"));
        assert_eq!(ask(request).await, refused(401, "credentials_missing"), "{path}");
        let request = server.with(&bought).request(method, path);
        assert_eq!(ask(request).await, refused(401, "credentials_invalid"), "{path}");
    }
    // It ends with the token that bought it: when Ann's tokens are revoked.
    server.post("/users/tokens/revoke", &json!({ "user": ann })).await;
    assert_eq!(get(format!("/events?token={bought}")).await, refused(401, "token_revoked"));
}

/// Sends as many wrong keys as no address may. Returns the statuses.
fn guess(server: &KeyedServer, forwarded: impl Fn(usize) -> String) -> Vec<u16> {
    let request = |number| {
        let guessed = format!("Authorization: Bearer cw_{number:043}");
        head("GET", "/metrics", &[&guessed, &format!("X-Forwarded-For: {}", forwarded(number))]).into_bytes()
    };
    let requests: Vec<_> = (0..400).map(request).collect();
    let replies = RawConnection::open(&server.server.address).pipeline(&requests);
    for reply in replies.iter().filter(|reply| reply.status == 429) {
        problem(reply, 429, "rate_limited");
        assert!(reply.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0));
    }
    replies.iter().map(|reply| reply.status.as_u16()).collect()
}

#[tokio::test]
async fn an_address_that_guesses_is_slowed() {
    // The peer is no trusted proxy, so what it says about others does not count.
    let server = KeyedServer::start_with(&["--trusted-proxies", "192.0.2.0/24"]);
    let statuses = guess(&server, |number| format!("203.0.113.{}", number % 256));
    assert!(statuses[..100].iter().all(|&status| status == 401));
    assert!(statuses.contains(&429), "{statuses:?}");
    // Good credentials pass, and missing ones do not count.
    let scraper = server.with(server.keys.server_key("scraper"));
    assert_eq!(scraper.get("/metrics").await.status, 200);
    for _ in 0..3 {
        problem(&server.nobody().get("/metrics").await, 401, "credentials_missing");
    }
}

#[tokio::test]
async fn a_client_behind_a_proxy_answers_for_itself() {
    let server = KeyedServer::start();
    // A client may write anything to the left of what the proxy writes.
    let statuses = guess(&server, |number| format!("198.51.100.{}, 203.0.113.9", number % 256));
    assert!(statuses.contains(&429), "{statuses:?}");
    let statuses = guess(&server, |number| format!("203.0.113.9, 10.1.{}.{}", number / 256, number % 256));
    assert!(statuses.iter().all(|&status| status == 401), "others are not slowed");
}

/// Ann and Bob are in the chat; Cat, who has every scope, is not.
struct Victims {
    server: KeyedServer,
    ann: String,
    bob: String,
    cat: String,
    den: String,
    page: Client,
}

impl Victims {
    async fn start() -> Self {
        let server = KeyedServer::start();
        let (ann, bob, cat) =
            (server.add_user("ann").await, server.add_user("bob").await, server.add_user("cat").await);
        let den = server.add_chat("den", &[&ann, &bob]).await;
        server.add_message(&den, &ann, "between us").await;
        let page = server.with(&server.keys.scoped(&cat, "read write chats moderate events"));
        Self { server, ann, bob, cat, den, page }
    }
}

#[tokio::test]
async fn a_stranger_gets_nothing_of_a_chat() {
    let Victims { server, ann, bob, cat, den, page } = Victims::start().await;
    let before = server.position().await;
    for (path, body) in [
        ("/messages/get", json!({ "chat": den })),
        ("/messages/get", json!({ "chat": den, "after": 0, "limit": 1 })),
        ("/chats/show", json!({ "chat": den })),
        ("/chats/show", json!({ "chat": den, "user": cat })),
        ("/messages/add", json!({ "chat": den, "text": "hello" })),
        ("/messages/add", json!({ "chat": den, "author": cat, "text": "hello" })),
        ("/chats/read", json!({ "chat": den, "seq": 1 })),
        ("/chats/users/add", json!({ "chat": den, "user": cat })),
        ("/chats/users/add", json!({ "chat": den, "user": ann })),
        ("/chats/users/remove", json!({ "chat": den, "user": ann })),
    ] {
        let reply = page.post(path, &body).await;
        problem(&reply, 403, "not_a_member");
        assert!(!reply.text.contains("between us") && !reply.text.contains("\"den\""), "{}", reply.text);
    }
    assert_eq!(page.list("/chats/get", &json!({})).await, Vec::<Value>::new());
    // To leave what one is not in is no secret, and changes nothing.
    assert_eq!(page.leave(&den, &cat).await, before);
    assert_eq!(server.position().await, before);
    assert_eq!(server.chats(&ann).await[0]["users"], json!([ann, bob]));

    // A member who was removed is a stranger again, and a member who has no such scope removes nobody.
    server.join(&den, &cat).await;
    assert_eq!(page.messages(&den).await.len(), 1);
    let no_moderator = server.with(&server.keys.scoped(&cat, "read write chats"));
    let remove_ann = json!({ "chat": den, "user": ann });
    problem(&no_moderator.post("/chats/users/remove", &remove_ann).await, 403, "not_yourself");
    server.leave(&den, &cat).await;
    for path in ["/messages/get", "/chats/show"] {
        problem(&page.post(path, &json!({ "chat": den })).await, 403, "not_a_member");
    }
    problem(&page.post("/chats/users/remove", &remove_ann).await, 403, "not_a_member");
}

#[tokio::test]
async fn nobody_acts_for_another_user() {
    let Victims { server, ann, bob, cat, den, page } = Victims::start().await;
    server.join(&den, &cat).await;
    let before = server.position().await;
    for (path, body, field) in [
        ("/messages/add", json!({ "chat": den, "author": ann, "text": "forged" }), "author"),
        ("/chats/read", json!({ "chat": den, "user": ann, "seq": 1 }), "user"),
        ("/chats/get", json!({ "user": ann }), "user"),
        ("/chats/show", json!({ "chat": den, "user": ann }), "user"),
        ("/chats/add", json!({ "name": "trap", "users": [ann, bob] }), "users"),
        ("/users/get", json!({ "username": "ann" }), "username"),
        ("/events/token", json!({ "user": ann }), "user"),
    ] {
        let reply = page.post(path, &body).await;
        assert_eq!(problem(&reply, 403, "not_yourself").as_deref(), Some(field), "{path}");
    }
    for user in [&ann, &ann.to_uppercase()] {
        let request = page.request("GET", &format!("/events?user={user}"));
        assert_eq!(ask(request).await, refused(403, "not_yourself"));
    }
    for path in ["/messages/batch", "/users/list", "/users/add", "/users/tokens/revoke"] {
        problem(&page.post(path, &json!({})).await, 403, "server_key_required");
    }
    assert_eq!(server.position().await, before, "nothing is written");

    // A name that there is not is refused in the same way: names cannot be guessed.
    let [there, not_there] = ["bob", "eve"].map(|name| json!({ "username": name }));
    let (there, not_there) =
        (page.post("/users/get", &there).await, page.post("/users/get", &not_there).await);
    problem(&not_there, 403, "not_yourself");
    let without_id = |reply: &Reply| {
        let mut body = reply.json();
        body.as_object_mut().unwrap().remove("request_id");
        body.to_string()
    };
    assert_eq!(without_id(&there).replace("bob", "eve"), without_id(&not_there));
    assert_eq!(page.post("/users/get", &json!({ "username": "cat" })).await.status, 200);
    let reader = server.with(&server.keys.token(&cat));
    problem(&reader.post("/users/find", &json!({ "prefix": "a" })).await, 403, "scope_missing");
}

#[tokio::test]
async fn idempotency_keys_of_others_are_out_of_reach() {
    let Victims { server, ann, bob, den, .. } = Victims::start().await;
    let (ann_page, bob_page) = (server.with(&server.keys.token(&ann)), server.with(&server.keys.token(&bob)));
    let body = |text: &str| json!({ "chat": den, "text": text });
    let first = ann_page.post_under("k", "/messages/add", &body("Ann's")).await;
    // Bob, and the backend, can neither read nor spoil Ann's answer, with her values or with others.
    let same = json!({ "chat": den, "author": ann, "text": "Ann's" });
    problem(&bob_page.post_under("k", "/messages/add", &same).await, 403, "not_yourself");
    let others = [
        bob_page.post_under("k", "/messages/add", &body("Bob's")).await,
        server.post_under("k", "/messages/add", &same).await,
    ];
    for other in others {
        assert_eq!((other.status.as_u16(), other.is_replayed()), (201, false), "{}", other.text);
        assert_ne!(other.json()["id"], first.json()["id"]);
    }
    // Ann's is hers after a restart, too, whether she names herself or not.
    let server = server.restart();
    for body in [body("Ann's"), same] {
        let again = server.with(&server.keys.token(&ann)).post_under("k", "/messages/add", &body).await;
        assert!(again.is_replayed());
        assert_eq!(again.json(), first.json());
    }
}
