//! Bodies of bad form: those that are not JSON, and fields that are missing, unknown, duplicate or of the
//! wrong type.

use serde_json::{Value, json};

use crate::support::{CALLS, Scene, problem};

#[tokio::test]
async fn a_body_that_is_not_an_object_is_invalid() {
    let scene = Scene::start().await;
    let bodies: [&[u8]; 36] = [
        b"",
        b" ",
        b"\n",
        b"null",
        b"true",
        b"[]",
        b"[{}]",
        b"\"text\"",
        b"5",
        b"nonsense",
        b"{",
        b"}",
        b"{]",
        b"{}}",
        b"{} {}",
        b"{},",
        b"{}x",
        b"{}\0",
        b"{,}",
        b"{\"a\"}",
        b"{\"a\":}",
        b"{\"a\":1,}",
        b"{a:1}",
        b"{'a':1}",
        b"{\"a\":01}",
        b"{\"a\":+1}",
        b"{\"a\":.5}",
        b"{\"a\":1.}",
        b"{\"a\":NaN}",
        b"{\"a\":Infinity}",
        b"{\"a\":\"\n\"}",
        b"{\"a\":\"\\x\"}",
        b"{\"a\":nul}",
        b"/**/{}",
        b"\xef\xbb\xbf{}",
        b"{\"a\":\"\xff\"}",
    ];
    for path in CALLS {
        for body in bodies {
            let reply = scene.server.post_raw(path, body).await;
            let shown = String::from_utf8_lossy(body);
            assert_eq!(problem(&reply, 400, "invalid_json"), None, "{path}: {shown:?}");
        }
    }
}

#[tokio::test]
async fn bad_json_around_right_fields_is_invalid() {
    let scene = Scene::start().await;
    for path in CALLS {
        let body = scene.body(path, "fresh", &json!({})).to_string();
        let (open, inside) = (&body[..body.len() - 1], &body[1..]);
        let bodies = [
            open.to_owned(),
            format!("{open},"),
            format!("{open},}}"),
            format!("{body}x"),
            format!("{body}{body}"),
            format!("\u{feff}{body}"),
            format!("[{body}]"),
            format!("{{,{inside}"),
            format!("{body}\0"),
        ];
        for body in bodies {
            problem(&scene.server.post_raw(path, body).await, 400, "invalid_json");
        }
        let in_latin_1 = body.replace("fresh", "fr\u{e9}sh").replace("hello", "h\u{e9}llo");
        let in_latin_1: Vec<_> =
            in_latin_1.chars().map(|character| u8::try_from(character).expect("Latin-1")).collect();
        if !in_latin_1.is_ascii() {
            problem(&scene.server.post_raw(path, in_latin_1).await, 400, "invalid_json");
        }
    }
    assert_eq!(scene.server.position().await, 3);
}

#[tokio::test]
async fn white_space_in_json_is_ignored() {
    let scene = Scene::start().await;
    for path in CALLS {
        let body = serde_json::to_string_pretty(&scene.body(path, "fresh", &json!({}))).expect("JSON");
        let reply = scene.server.post_raw(path, format!(" \r\n\t{body}\t\r\n ")).await;
        assert!(reply.status.is_success(), "{path}: {}", reply.text);
    }
}

#[tokio::test]
async fn half_a_surrogate_pair_is_invalid_json() {
    let scene = Scene::start().await;
    for path in CALLS {
        let body = scene.body(path, "fresh", &json!({})).to_string();
        let open = &body[..body.len() - 1];
        for half in
            ["\\ud83e", "\\udd80", "\\ud83ex", "\\ud83e\\u0041", "\\udd80\\ud83e", "\\uD800", "\\uDFFF"]
        {
            let mut bodies = vec![
                // In an unknown field, in the name of one, and in a field within one.
                format!(r#"{open},"more":"{half}"}}"#),
                format!(r#"{open},"{half}":1}}"#),
                format!(r#"{open},"more":{{"{half}":1}}}}"#),
                format!(r#"{open},"more":[[1,"{half}"]]}}"#),
                // Beside another mistake, before or after it.
                format!(r#"{{"more":1,"most":"{half}"}}"#),
                format!(r#"{{"most":"{half}","more":1}}"#),
            ];
            for name in scene.body(path, "fresh", &json!({})).as_object().expect("members").keys() {
                bodies.push(format!(r#"{{"{name}":"{half}"}}"#));
                bodies.push(format!(r#"{{"{name}":["{half}"]}}"#));
                bodies.push(format!(r#"{{"{name}":{{"{half}":1}}}}"#));
            }
            for body in bodies {
                let reply = scene.server.post_raw(path, body.clone()).await;
                assert_eq!(reply.json()["code"], "invalid_json", "{path} {body}: {}", reply.text);
                assert_eq!(problem(&reply, 400, "invalid_json"), None);
            }
        }
    }
}

#[tokio::test]
async fn a_byte_order_mark_is_named() {
    let scene = Scene::start().await;
    let body = scene.body("/users/add", "fresh", &json!({})).to_string();
    let utf_16 =
        |order: fn(u16) -> [u8; 2]| format!("\u{feff}{body}").encode_utf16().flat_map(order).collect();
    for body in [format!("\u{feff}{body}").into_bytes(), utf_16(u16::to_be_bytes), utf_16(u16::to_le_bytes)] {
        let reply = scene.server.post_raw("/users/add", body).await;
        assert_eq!(problem(&reply, 400, "invalid_json"), None);
        assert!(reply.text.contains("byte order mark"), "{}", reply.text);
    }
}

#[tokio::test]
async fn a_deeply_nested_field_is_named() {
    let scene = Scene::start().await;
    for path in CALLS {
        let body = scene.body(path, "fresh", &json!({ "more": 0 }));
        for name in body.as_object().expect("members").keys() {
            for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
                let body_with = |value: String| {
                    let mut body = body.clone();
                    if name != "more" {
                        body.as_object_mut().expect("members").remove("more");
                    }
                    body[name] = json!("<here>");
                    body.to_string().replace("\"<here>\"", &value)
                };
                for depth in [126, 127, 128, 10_000] {
                    let deep = format!("{}1{}", open.repeat(depth), close.repeat(depth));
                    let reply = scene.server.post_raw(path, body_with(deep)).await;
                    let field = problem(&reply, 400, "invalid_field").expect("a field");
                    assert!(field.starts_with(name), "{path} {name}: {field}");
                }
                // What is not JSON comes first, however deep it is.
                let half = format!("{}\"\\ud83e\"{}", open.repeat(1_000), close.repeat(1_000));
                problem(&scene.server.post_raw(path, body_with(half)).await, 400, "invalid_json");
            }
        }
    }
}

#[tokio::test]
async fn deep_nesting_does_no_harm() {
    let scene = Scene::start().await;
    let deep = 100_000;
    for path in CALLS {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let bodies = [
                (open.repeat(deep), Some("invalid_json")),
                (format!("{{\"a\":{}", open.repeat(deep)), Some("invalid_json")),
                // Valid JSON, but nested deeper than any client needs, so either code is right.
                (format!("{{\"a\":{}1{}}}", open.repeat(deep), close.repeat(deep)), None),
                (format!("{{\"users\":{}1{}}}", open.repeat(deep), close.repeat(deep)), None),
            ];
            for (body, code) in bodies {
                let reply = scene.server.post_raw(path, body).await;
                let answered = reply.json();
                let answered = answered["code"].as_str().expect("a code");
                assert!(["invalid_json", "invalid_field"].contains(&answered), "{answered}");
                problem(&reply, 400, code.unwrap_or(answered));
            }
        }
    }
    assert_eq!(scene.server.get("/health").await.status, 200);
}

#[tokio::test]
async fn a_missing_or_null_field_is_named() {
    let scene = Scene::start().await;
    for path in CALLS {
        let body = scene.body(path, "fresh", &json!({}));
        // A chat may have no name, and the application edits and deletes without a user.
        let needed = |name: &&String| {
            let optional = [("/chats/add", "name"), ("/messages/edit", "user"), ("/messages/delete", "user")];
            !optional.contains(&(path, name.as_str()))
        };
        for name in body.as_object().expect("members").keys().filter(needed) {
            let mut without = body.clone();
            without.as_object_mut().expect("members").remove(name);
            let mut null = body.clone();
            null[name] = Value::Null;
            for body in [without, null] {
                let reply = scene.server.post(path, &body).await;
                assert_eq!(problem(&reply, 400, "invalid_field").as_ref(), Some(name), "{path}");
            }
        }
        if body != json!({}) {
            problem(&scene.server.post(path, &json!({})).await, 400, "invalid_field");
        }
    }
}

#[tokio::test]
async fn an_unknown_field_is_named() {
    let scene = Scene::start().await;
    for path in CALLS {
        for name in ["more", "", "Chat", "USER", "chat ", "user\0", "é", "users[0]", "__proto__"] {
            for value in [json!(null), json!(1), json!({ "a": [1, { "b": null }] })] {
                let reply = scene.post_over(path, json!({ name: value })).await;
                assert_eq!(problem(&reply, 400, "invalid_field").as_deref(), Some(name), "{path}");
            }
        }
    }
    // A field of another call is also unknown.
    let others = [
        ("/chats/get", "after"),
        ("/messages/get", "cursor"),
        ("/users/add", "id"),
        ("/messages/add", "seq"),
    ];
    for (path, name) in others {
        let reply = scene.post_over(path, json!({ name: null })).await;
        assert_eq!(problem(&reply, 400, "invalid_field").as_deref(), Some(name), "{path}");
    }
}

#[tokio::test]
async fn a_field_given_twice_is_named() {
    let scene = Scene::start().await;
    let optional = [("/chats/get", "limit"), ("/messages/get", "after"), ("/messages/get", "before")];
    let mut cases: Vec<_> =
        optional.map(|(path, name)| (path, name.to_owned(), json!(1))).into_iter().collect();
    for path in CALLS {
        let body = scene.body(path, "fresh", &json!({}));
        cases.extend(
            body.as_object()
                .expect("members")
                .iter()
                .map(|(name, value)| (path, name.clone(), value.clone())),
        );
    }
    for (path, name, value) in cases {
        let body = scene.body(path, "fresh", &json!({ (name.as_str()): value })).to_string();
        let open = &body[..body.len() - 1];
        let escaped = format!("\\u{:04x}{}", name.as_bytes()[0], &name[1..]);
        let bodies = [
            format!(r#"{open},"{name}":{value}}}"#),
            format!(r#"{open},"{name}":null}}"#),
            format!(r#"{{"{name}":null,{}"#, &body[1..]),
            format!(r#"{open},"{escaped}":{value}}}"#),
        ];
        for body in bodies {
            let reply = scene.server.post_raw(path, body.clone()).await;
            assert_eq!(problem(&reply, 400, "invalid_field").as_ref(), Some(&name), "{path} {body}");
        }
    }
    assert_eq!(scene.server.position().await, 3);
}

#[tokio::test]
async fn a_value_of_the_wrong_type_is_named() {
    let scene = Scene::start().await;
    let strings = [
        ("/users/add", "username"),
        ("/chats/add", "name"),
        ("/chats/get", "user"),
        ("/chats/get", "cursor"),
        ("/messages/add", "chat"),
        ("/messages/add", "author"),
        ("/messages/add", "text"),
        ("/messages/get", "chat"),
        ("/users/edit", "username"),
        ("/chats/edit", "name"),
        ("/messages/edit", "text"),
        ("/messages/reactions/add", "emoji"),
        ("/messages/reactions/get", "emoji"),
        ("/messages/reactions/get", "cursor"),
    ];
    for (path, name) in strings {
        for value in [json!(5), json!(true), json!(false), json!([]), json!(["x"]), json!({}), json!(1.5)] {
            let reply = scene.post_over(path, json!({ name: value })).await;
            assert_eq!(problem(&reply, 400, "invalid_field").as_deref(), Some(name), "{path} {value}");
        }
    }
    for path in ["/messages/add", "/messages/edit", "/chats/edit", "/users/edit"] {
        for value in [json!(5), json!(true), json!([]), json!("{}"), json!(1.5)] {
            let reply = scene.post_over(path, json!({ "metadata": value })).await;
            assert_eq!(problem(&reply, 400, "invalid_field").as_deref(), Some("metadata"), "{path} {value}");
        }
    }
    for value in [json!(5), json!("x"), json!(scene.ann), json!(true), json!({}), json!({ "0": scene.ann })] {
        let reply = scene.post_over("/chats/add", json!({ "users": value })).await;
        assert_eq!(problem(&reply, 400, "invalid_field").as_deref(), Some("users"), "{value}");
    }
    for value in [json!(5), json!(null), json!(false), json!([scene.ann]), json!({}), json!("x")] {
        let reply = scene.post_over("/chats/add", json!({ "users": [scene.ann, value] })).await;
        assert_eq!(problem(&reply, 400, "invalid_field").as_deref(), Some("users[1]"), "{value}");
    }
}

#[tokio::test]
async fn a_number_is_whole_and_in_range() {
    let scene = Scene::start().await;
    let never = [
        "-1",
        "-0.0",
        "0.5",
        "2.0",
        "1e2",
        "1E2",
        "1e0",
        "1e999",
        "1e-999",
        "-1e999",
        "\"5\"",
        "\"\"",
        "true",
        "[]",
        "[5]",
        "{}",
        "12345678901234567890123",
        "-12345678901234567890",
        "9223372036854775808.5",
    ];
    let limits =
        ["0", "10001", "4294967297", "18446744073709551615", "18446744073709551616", "99999999999999999999"];
    let options = [("/chats/get", "limit"), ("/messages/get", "limit"), ("/messages/get", "after")];
    for (path, name) in options.into_iter().chain([("/messages/get", "before")]) {
        let body = scene.body(path, "fresh", &json!({})).to_string();
        let of_limit = limits.iter().filter(|_| name == "limit");
        for number in never.iter().chain(of_limit) {
            let body = format!("{},\"{name}\":{number}}}", &body[..body.len() - 1]);
            let reply = scene.server.post_raw(path, body).await;
            assert_eq!(problem(&reply, 400, "invalid_field").as_deref(), Some(name), "{path} {number}");
        }
        for number in ["1", "10000", "null", " 5 "] {
            let body = format!("{},\"{name}\":{number}}}", &body[..body.len() - 1]);
            assert_eq!(scene.server.post_raw(path, body).await.status, 200, "{path} {name} {number}");
        }
    }
}

#[tokio::test]
async fn a_seq_is_whole_and_not_negative() {
    let scene = Scene::start().await;
    for (path, name) in [
        ("/messages/edit", "seq"),
        ("/messages/delete", "seq"),
        ("/messages/reactions/add", "seq"),
        ("/messages/reactions/remove", "seq"),
        ("/messages/reactions/get", "seq"),
        ("/messages/revisions/get", "seq"),
        ("/messages/add", "reply_to"),
    ] {
        let body = scene.body(path, "fresh", &json!({ name: "<here>" })).to_string();
        let post = |number: &str| scene.server.post_raw(path, body.replace("\"<here>\"", number));
        for number in
            ["-1", "-0.0", "0.5", "2.0", "1e2", "\"1\"", "true", "[1]", "{}", "18446744073709551616"]
        {
            let reply = post(number).await;
            assert_eq!(problem(&reply, 400, "invalid_field").as_deref(), Some(name), "{path} {number}");
        }
        // There is no message yet, so none has such a number.
        for number in ["0", "1", "4294967297", "18446744073709551615"] {
            let reply = post(number).await;
            assert_eq!(problem(&reply, 404, "message_not_found").as_deref(), Some(name), "{path} {number}");
        }
    }
    assert_eq!(scene.server.position().await, 3);
}

#[tokio::test]
async fn an_id_has_one_form() {
    let scene = Scene::start().await;
    let Scene { ann, den, .. } = &scene;
    let forms = |id: &str| {
        vec![
            String::new(),
            format!("{{{id}}}"),
            format!("urn:uuid:{id}"),
            id.replace('-', ""),
            format!("{id}0"),
            format!(" {id}"),
            format!("{id}\n"),
            id[..35].to_owned(),
            id.replace('-', "_"),
            format!("{}g", &id[..35]),
            format!("{}é", &id[..34]),
            // As long as an id, but the hyphens stand elsewhere.
            format!("{}-{}", &id[1..9], &id[9..]),
            format!("0000{}", id.replace('-', "")),
            "ann".to_owned(),
            "1".to_owned(),
        ]
    };
    let fields = [
        ("/chats/get", "user", ann),
        ("/messages/add", "chat", den),
        ("/messages/add", "author", ann),
        ("/messages/get", "chat", den),
    ];
    for (path, name, id) in fields {
        for form in forms(id) {
            let reply = scene.post_over(path, json!({ name: form })).await;
            assert_eq!(problem(&reply, 400, "invalid_field").as_deref(), Some(name), "{path} {form}");
        }
        assert!(scene.post_over(path, json!({ name: id.to_uppercase() })).await.status.is_success());
    }
    for form in forms(ann) {
        let reply = scene.post_over("/chats/add", json!({ "users": [ann, form] })).await;
        assert_eq!(problem(&reply, 400, "invalid_field").as_deref(), Some("users[1]"), "{form}");
    }
}
