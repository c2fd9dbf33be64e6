//! The API's document, and the page that shows it. `.ci/api` tries that the server keeps to the document.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use serde_json::{Map, Value, json};

use crate::support::{CALLS, Client, Reply, TestRouter, TestServer};

// Names in the document's examples.
const ANN: &str = "01a20aa4-09fe-7b4a-8d5d-3a0a2f9d6f43";
const BOB: &str = "01a20aa4-0a09-74de-9d72-3ca94e1ae31f";
const TEA: &str = "01a20aa4-0a1b-7d0e-a3cf-4b7d4ed1a2d5";

/// A change of the API is a decision, which the diff of this snapshot shows.
#[tokio::test]
async fn the_document_is_unchanged() {
    let reply = TestRouter::start().get("/openapi.json").await;
    assert_eq!((reply.status.as_u16(), reply.header("content-type")), (200, "application/json"));
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("openapi", reply.text);
    });
}

/// The same of a server whose calls need credentials: what its document has that the other one has not.
#[tokio::test]
async fn the_document_of_a_server_with_keys_is_unchanged() {
    let open = document(&TestRouter::start()).await;
    let keyed = document(&TestRouter::start_keyed()).await;
    let difference = difference(&open, &keyed).expect("there is one");
    let text = serde_json::to_string_pretty(&difference).expect("JSON");
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("openapi_keyed", text);
    });
}

/// Returns what of `one` became what in `other`: of objects, only the members that differ. A member that is gone is
/// the text "(not here)".
fn difference(one: &Value, other: &Value) -> Option<Value> {
    match (one, other) {
        (one, other) if one == other => None,
        (Value::Object(one), Value::Object(other)) => {
            let names: BTreeSet<_> = one.keys().chain(other.keys()).collect();
            let differs = |name: &String| {
                let value = match (one.get(name), other.get(name)) {
                    (Some(one), Some(other)) => difference(one, other)?,
                    (None, Some(other)) => other.clone(),
                    (Some(_), None) => json!("(not here)"),
                    (None, None) => unreachable!("one of the two has it"),
                };
                Some((name.clone(), value))
            };
            Some(names.into_iter().filter_map(differs).collect())
        }
        (_, other) => Some(other.clone()),
    }
}

#[tokio::test]
async fn every_documented_call_is_answered() {
    let server = TestRouter::start();
    let document = document(&server).await;
    for (path, item) in object(&document["paths"]) {
        for method in object(item).keys() {
            let reply = server.send(server.request(&method.to_uppercase(), path)).await;
            let (status, documented) = (reply.status.as_u16(), &item[method]["responses"]);
            assert!(documented.get(status.to_string()).is_some(), "{method} {path}: {status}");
        }
    }
}

/// Returns the paths that a server with keys answers to POST.
async fn posts() -> BTreeSet<String> {
    let document = document(&TestRouter::start_keyed()).await;
    let posts = object(&document["paths"]).iter().filter(|(_, item)| item.get("post").is_some());
    posts.map(|(path, _)| path.clone()).collect()
}

/// So a new call is tried with bodies of bad form.
#[tokio::test]
async fn every_post_is_in_the_scene() {
    let others = [
        // These are there only on a server with keys.
        "/events/token",
        "/users/tokens/revoke",
        // It leaves the other calls nobody to name.
        "/users/erase",
        // Its answer is no JSON.
        "/users/export",
    ];
    assert_eq!(posts().await, CALLS.into_iter().chain(others).map(str::to_owned).collect());
}

#[tokio::test]
async fn every_post_has_a_fuzz_seed() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/seeds/request");
    let mut without = posts().await;
    for seed in std::fs::read_dir(seeds).expect("seeds") {
        let seed = std::fs::read(seed.expect("a seed").path()).expect("read");
        let seed = String::from_utf8_lossy(&seed);
        if let Some(path) = seed.lines().next().and_then(|line| line.strip_prefix("POST ")) {
            without.remove(path);
        }
    }
    // It would erase the user of the other seeds.
    assert_eq!(without, BTreeSet::from(["/users/erase".to_owned()]));
}

#[tokio::test]
async fn every_documented_code_has_an_example() {
    let documents = [document(&TestRouter::start()).await, document(&TestRouter::start_keyed()).await];
    let mut with_example = BTreeSet::new();
    for document in &documents {
        let codes = &document["components"]["schemas"]["Code"]["enum"];
        assert_eq!(codes, &documents[0]["components"]["schemas"]["Code"]["enum"]);
        with_example.extend(problems(document).into_keys());
    }
    let codes = documents[0]["components"]["schemas"]["Code"]["enum"].as_array().expect("codes");
    let codes: BTreeSet<_> = codes.iter().map(|code| code.as_str().expect("a word").to_owned()).collect();
    assert_eq!(codes, with_example);
}

/// The generators of clients make one class of all problems, and refuse or garble what the document leaves out.
#[tokio::test]
async fn the_document_suits_generators_of_clients() {
    let document = document(&TestRouter::start()).await;
    let mut refusals = 0;
    for_each_object(&document, &mut |object| {
        if let Some(problem) = object.get("application/problem+json") {
            let codes = &problem["schema"]["dependentSchemas"]["code"]["properties"]["code"]["enum"];
            let codes: BTreeSet<_> =
                codes.as_array().expect("codes").iter().filter_map(Value::as_str).collect();
            let examples: BTreeSet<_> =
                self::object(&problem["examples"]).keys().map(String::as_str).collect();
            assert_eq!(problem["schema"]["allOf"], json!([{ "$ref": "#/components/schemas/Problem" }]));
            assert_eq!(codes, examples);
            refusals += 1;
        }
        assert!(
            !object.contains_key("links"),
            "OpenAPI Generator takes no link with a body that is an object"
        );
    });
    assert_eq!(refusals, 33);
    for (name, schema) in object(&document["components"]["schemas"]) {
        assert!(
            ["allOf", "anyOf", "oneOf"].iter().all(|way| schema.get(way).is_none()),
            "{name} is many classes"
        );
        for (property, schema) in schema["properties"].as_object().into_iter().flatten() {
            assert_ne!(schema["type"], "null", "{name}.{property} compiles in no language");
        }
    }
}

#[tokio::test]
async fn every_reference_leads_to_a_component() {
    for document in [document(&TestRouter::start()).await, document(&TestRouter::start_keyed()).await] {
        let mut references = 0;
        for_each_object(&document, &mut |object| {
            if let Some(Value::String(reference)) = object.get("$ref") {
                let pointer = reference.strip_prefix('#').expect("within the document");
                assert!(document.pointer(pointer).is_some(), "{reference}");
                references += 1;
            }
        });
        assert!(references > 200, "{references}");
    }
}

/// Calls the function with each object within a value.
fn for_each_object(value: &Value, see: &mut impl FnMut(&Map<String, Value>)) {
    match value {
        Value::Object(members) => {
            see(members);
            members.values().for_each(|member| for_each_object(member, see));
        }
        Value::Array(items) => items.iter().for_each(|item| for_each_object(item, see)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Sends the requests of the examples in their order, and compares the answers.
#[tokio::test]
async fn the_examples_match_the_answers() {
    let server = TestRouter::start();
    let document = document(&server).await;
    let mut names = vec![(BOB, server.add_user("bob").await)];
    for (path, made) in [
        ("/users/add", Some(ANN)),
        ("/users/get", None),
        ("/users/find", None),
        ("/users/list", None),
        ("/chats/add", Some(TEA)),
        ("/messages/add", None),
        ("/messages/batch", None),
        ("/messages/get", None),
        ("/chats/get", None),
        ("/chats/read", None),
        ("/chats/show", None),
        ("/chats/users/remove", None),
        ("/chats/users/add", None),
    ] {
        let call = &document["paths"][path]["post"];
        let request = &call["requestBody"]["content"]["application/json"]["example"];
        assert!(request.is_object(), "{path} has no example");
        let reply = server.post(path, &with_names(request, &names)).await;
        if let Some(name) = made {
            names.push((name, reply.id()));
        }
        let documented = &call["responses"][reply.status.as_str()]["content"]["application/json"]["example"];
        if reply.status == 204 {
            assert_eq!(documented, &Value::Null, "{path}");
        } else {
            assert_eq!(shape(&reply.json()), shape(documented), "{path}");
        }
    }
    // The stream sends a message in the same form as the list.
    let read = &document["paths"]["/messages/get"]["post"]["responses"]["200"]["content"]["application/json"];
    let streamed = &document["paths"]["/events"]["get"]["responses"]["200"]["content"]["text/event-stream"];
    let streamed = streamed["example"].as_str().expect("a stream");
    // The first event is `begin`.
    let data = streamed.lines().filter_map(|line| line.strip_prefix("data: ")).nth(1).expect("a message");
    assert_eq!(serde_json::from_str::<Value>(data).expect("JSON"), read["example"][0]);
    let health = server.get("/health").await.json();
    let call = &document["paths"]["/health"]["get"];
    assert_eq!(shape(&health), shape(&call["responses"]["200"]["content"]["application/json"]["example"]));
}

#[tokio::test]
async fn the_problem_examples_match_the_answers() {
    let server = TestRouter::start();
    let documented = problems(&document(&server).await);
    let (ann, bob) = (server.add_user("ann").await, server.add_user("bob").await);
    let tea = server.add_chat("tea", &[&bob]).await;
    let nobody = "9b2f6e0a-54a3-4c36-8a55-0f6d3c1b7a10";
    server.post_under("7f3a-1", "/users/add", &json!({ "username": "cy" })).await;
    let json = |path, body: Value| {
        server.request("POST", path).header("content-type", "application/json").body(body.to_string())
    };
    let mine = json("/messages/add", json!({ "chat": tea, "author": ann, "text": "hello" }));
    let raw = server.request("POST", "/users/add").header("content-type", "application/json");
    for (code, request) in [
        ("invalid_json", raw.body(r#"{"username": ann}"#)),
        ("invalid_field", json("/users/add", json!({ "username": "" }))),
        ("not_a_member", mine),
        ("user_not_found", json("/users/get", json!({ "user": nobody }))),
        ("chat_not_found", json("/messages/get", json!({ "chat": nobody }))),
        ("route_not_found", server.request("GET", "/nothing")),
        ("method_not_allowed", server.request("GET", "/users/add")),
        ("username_taken", json("/users/add", json!({ "username": "ann" }))),
        ("chat_name_taken", json("/chats/add", json!({ "name": "tea", "users": [ann] }))),
        ("body_too_large", json("/users/add", json!("x".repeat(1_048_575)))),
        ("unsupported_media_type", server.request("POST", "/users/add")),
        (
            "idempotency_key_reused",
            json("/users/add", json!({ "username": "di" })).header("idempotency-key", "7f3a-1"),
        ),
    ] {
        let reply = server.send(request).await;
        let mut answered =
            with_names(&reply.json(), &[(ann.as_str(), ANN.to_owned()), (&tea, TEA.to_owned())]);
        answered["request_id"] = documented[code]["request_id"].clone();
        assert_eq!(answered, documented[code], "{code}");
    }
}

#[tokio::test]
async fn the_docs_page_loads_only_local_files() {
    let server = TestServer::start();
    let page = server.get("/docs").await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    is_guarded(&page);
    // A proxy may serve the page under a prefix, so its links are relative.
    let loaded: Vec<_> = page.text.split('"').filter(|text| text.starts_with("docs/")).collect();
    assert_eq!(loaded.len(), 4, "{loaded:?}");
    let start = server.get("/docs/start.js").await;
    assert!(start.text.contains(r#"url: new URL("openapi.json", document.baseURI)"#));
    for text in [&page.text, &start.text] {
        for forbidden in ["//", "http:", "https:", "<script>", "onload="] {
            // Comments are not loaded.
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            assert!(!code.into_iter().any(|line| line.contains(forbidden)), "{forbidden}");
        }
    }
    for path in loaded.iter().map(|name| format!("/{name}")) {
        let reply = server.get(&path).await;
        let media_type = if path.contains("css") { "text/css" } else { "text/javascript" };
        assert_eq!(reply.header("content-type"), format!("{media_type}; charset=utf-8"));
        is_guarded(&reply);
        assert!(reply.text.len() > 100, "{path}");
        // An import would load from another host.
        assert!(!reply.text.contains("@import"), "{path}");
    }
}

#[tokio::test]
async fn a_file_of_a_page_comes_in_an_accepted_encoding() {
    let server = TestServer::start();
    for path in ["/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js", "/page/page.css", "/page/icon.svg"] {
        let mut plain = Vec::new();
        for (accept, is_gzip) in
            [("gzip, deflate", true), ("identity", false), ("gzip;q=0", false), ("*;q=0", false)]
        {
            let request = server.request("GET", path).header("accept-encoding", accept);
            let response = request.send().await.expect("answered");
            assert_eq!(response.headers()["vary"], "accept-encoding", "{path} {accept}");
            let encoding = response.headers().get("content-encoding").cloned();
            assert_eq!(encoding.is_some_and(|encoding| encoding == "gzip"), is_gzip, "{path} {accept}");
            let mut bytes = response.bytes().await.expect("read").to_vec();
            if is_gzip {
                let gzip = std::mem::take(&mut bytes);
                GzDecoder::new(&*gzip).read_to_end(&mut bytes).expect("gzip");
            }
            assert!(plain.is_empty() || plain == bytes, "the same content");
            plain = bytes;
        }
        assert!(String::from_utf8(plain).expect("text").len() > 300);
    }
}

/// Checks that a page may load from, and call, this server only.
#[track_caller]
fn is_guarded(reply: &Reply) {
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("x-content-type-options"), "nosniff");
    let policy = reply.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';")
    );
    assert!(!policy.contains("unsafe") && !policy.contains("http") && !policy.contains('*'), "{policy}");
}

async fn document(server: &Client) -> Value {
    server.get("/openapi.json").await.json()
}

#[track_caller]
fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap_or_else(|| panic!("not an object: {value}"))
}

/// Returns the document's examples of problems, by code.
fn problems(document: &Value) -> BTreeMap<String, Value> {
    let responses = object(&document["components"]["responses"]).values();
    let examples =
        responses.flat_map(|response| object(&response["content"]["application/problem+json"]["examples"]));
    examples.map(|(code, example)| (code.clone(), example["value"].clone())).collect()
}

fn with_names(value: &Value, names: &[(&str, String)]) -> Value {
    let text = names.iter().fold(value.to_string(), |text, (name, id)| text.replace(name, id));
    serde_json::from_str(&text).expect("still JSON")
}

/// Returns the value with the length in place of each id, time and cursor. Names, texts and counts stay.
fn shape(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(shape).collect(),
        Value::Object(members) => {
            let shaped = |(name, value): (&String, &Value)| match &**name {
                "id" | "chat" | "author" | "user" | "created_at" | "cursor" | "users" | "log" | "epoch" => {
                    (name.clone(), json!(value.to_string().len()))
                }
                _ => (name.clone(), shape(value)),
            };
            members.iter().map(shaped).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}
