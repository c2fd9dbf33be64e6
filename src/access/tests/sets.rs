//! JWK Sets: which keys are used, which are ignored, and which make a bad file.

use super::*;
use crate::access::{Grant, NoSigningKey};

#[track_caller]
fn bad(set: &[u8], words: &[&str]) {
    let refused = TokenKeys::parse(set).expect_err("a bad file").to_string();
    for word in words {
        assert!(refused.contains(word), "no {word:?} in: {refused}");
    }
}

#[test]
fn a_file_that_is_not_a_set_is_refused() {
    for (set, words) in [
        (&b""[..], &["empty"][..]),
        (b" ", &["not JSON", "line 1"]),
        (b"x", &["not JSON", "line 1"]),
        (b"{\n  \"keys\": [\n  }\n", &["not JSON", "line 3, column 3"]),
        (b"{\"keys\":[]} x", &["not JSON"]),
        (b"[]", &["JWK Set"]),
        (b"null", &["JWK Set"]),
        (b"{}", &["JWK Set"]),
        (b"{\"keys\":{}}", &["JWK Set"]),
        (b"{\"keys\":null}", &["JWK Set"]),
        (b"{\"keys\":[1]}", &["JWK Set"]),
        (b"{\"keys\":[[]]}", &["JWK Set"]),
        (b"[[{\"kty\":\"oct\"}]]", &["JWK Set"]),
        (b"{\"keys\":[],\"keys\":[]}", &["JWK Set"]),
        (b"{\"keys\":[{\"kty\":\"x\",\"kty\":\"y\"}]}", &["JWK Set", "twice"]),
        (b"\xFF", &["JWK Set"]),
        (b"{\"x\":\"\xFF\",\"keys\":[]}", &["JWK Set"]),
    ] {
        bad(set, words);
    }
    let (none, ignored) = TokenKeys::parse(b" {\"keys\": [ ], \"more\": 1}\n").expect("a JWK Set");
    assert!(none.is_empty() && ignored.is_empty());
}

#[test]
fn a_malformed_or_weak_key_is_refused_by_its_number() {
    let short = b64([7; 31]);
    let n = |bytes: &[u8]| b64(bytes);
    let n_2047 = n(&[&[0x7F], &[0xFF; 255][..]].concat());
    let n_1024_padded = n(&[&[0; 128], &[0xFF; 128][..]].concat());
    let n_8193 = n(&[&[1], &[0xFF; 1_024][..]].concat());
    let x33 = b64([1; 33]);
    for (kid, changes, words) in [
        ("secret", json!({ "kty": null }), &["`kty` is missing"][..]),
        ("secret", json!({ "kty": 1 }), &["`kty` must be a string"]),
        ("secret", json!({ "k": null }), &["`k` is missing"]),
        ("secret", json!({ "k": "" }), &["at least 32 bytes"]),
        ("secret", json!({ "k": short }), &["at least 32 bytes"]),
        ("secret", json!({ "k": 7 }), &["`k` must be a string"]),
        (
            "secret",
            json!({ "k": "dTDC6_l-hUUYi03DomIiA5FbIWf5RqXRaUYNThWnlVk=" }),
            &["`k` must be base64url"],
        ),
        ("secret", json!({ "k": "dTDC6/l+hUUYi03DomIiA5FbIWf5RqXRaUYNThWnlVk" }), &["`k` must be base64url"]),
        ("secret", json!({ "kid": 1 }), &["key 1:", "`kid` must be a string"]),
        ("secret", json!({ "alg": 256 }), &["`alg` must be a string"]),
        ("secret", json!({ "use": ["sig"] }), &["`use` must be a string"]),
        ("secret", json!({ "key_ops": "verify" }), &["`key_ops` must be a list"]),
        ("secret", json!({ "key_ops": [1] }), &["`key_ops` must be a list"]),
        ("p256", json!({ "crv": null }), &["`crv` is missing"]),
        ("p256", json!({ "crv": 256 }), &["`crv` must be a string"]),
        ("p256", json!({ "x": null }), &["`x` is missing"]),
        ("p256", json!({ "y": null }), &["`y` is missing"]),
        ("p256", json!({ "x": x33 }), &["`x` must have 32 bytes"]),
        ("p256", json!({ "y": short }), &["`y` must have 32 bytes"]),
        ("p256", json!({ "x": b64([1; 32]) }), &["not a point of P-256"]),
        ("p256", json!({ "d": "??" }), &["`d` must be base64url"]),
        ("ed25519", json!({ "x": short }), &["`x` must have 32 bytes"]),
        ("ed25519", json!({ "crv": null }), &["`crv` is missing"]),
        ("rsa", json!({ "n": null }), &["`n` is missing"]),
        ("rsa", json!({ "e": null }), &["`e` is missing"]),
        ("rsa", json!({ "n": "" }), &["2048 to 8192 bits"]),
        ("rsa", json!({ "n": n_2047 }), &["2048 to 8192 bits"]),
        ("rsa", json!({ "n": n_1024_padded }), &["2048 to 8192 bits"]),
        ("rsa", json!({ "n": n_8193 }), &["2048 to 8192 bits"]),
        ("rsa", json!({ "e": "" }), &["`e` must be an odd number"]),
        ("rsa", json!({ "e": "Ag" }), &["`e` must be an odd number"]),
        ("rsa", json!({ "e": b64([0, 1]) }), &["`e` must be an odd number"]),
        ("rsa", json!({ "e": b64([1, 0, 0, 0, 1]) }), &["`e` must be an odd number"]),
    ] {
        bad(&set_of(kid, &changes), words);
        if !changes.as_object().expect("an object").contains_key("kid") {
            bad(&set_of(kid, &changes), &["key 1 (kid ", kid]);
        }
    }
}

#[test]
fn a_modulus_may_have_leading_zeros() {
    let set: Value = serde_json::from_slice(PUBLIC).expect("JSON");
    let n = URL_SAFE_NO_PAD.decode(set["keys"][3]["n"].as_str().expect("a string")).expect("base64url");
    let padded = set_of("rsa", &json!({ "n": b64([&[0, 0], &n[..]].concat()), "e": b64([0, 1, 0, 1]) }));
    let keys = TokenKeys::parse(&padded).expect("a JWK Set").0;
    assert!(keys.verify(&good("rsa"), &policy(), now()).is_ok());
}

#[test]
fn a_key_for_something_else_is_ignored_with_a_reason() {
    for (kid, changes, reason) in [
        ("secret", json!({ "kty": "AKP" }), "`kty`"),
        ("secret", json!({ "use": "enc", "k": 1 }), "`use`"),
        ("secret", json!({ "key_ops": ["sign"] }), "`key_ops`"),
        ("secret", json!({ "key_ops": [] }), "`key_ops`"),
        ("secret", json!({ "alg": "HS512" }), "`alg`"),
        ("secret", json!({ "alg": "none" }), "`alg`"),
        ("secret", json!({ "alg": "" }), "`alg`"),
        ("p256", json!({ "crv": "P-384", "x": "short" }), "`crv`"),
        ("p256", json!({ "crv": "secp256k1" }), "`crv`"),
        ("ed25519", json!({ "crv": "Ed448" }), "`crv`"),
        ("ed25519", json!({ "crv": "X25519" }), "`crv`"),
        ("ed25519", json!({ "crv": "P-256" }), "`crv`"),
        ("p256", json!({ "crv": "Ed25519" }), "`crv`"),
        ("rsa", json!({ "alg": "PS256" }), "`alg`"),
        ("rsa", json!({ "alg": "HS256" }), "`alg`"),
        ("rsa", json!({ "alg": "RSA-OAEP" }), "`alg`"),
    ] {
        let (keys, ignored) = TokenKeys::parse(&set_of(kid, &changes)).expect("a JWK Set");
        let [ignored] = &ignored[..] else { panic!("{changes}: {ignored:?}") };
        assert!(keys.is_empty(), "{changes}");
        let shown = ignored.to_string();
        assert!(shown.starts_with(&format!("key 1 (kid {kid:?}) is ignored: ")), "{shown}");
        assert!(shown.contains(reason), "{shown}");
    }
}

#[test]
fn a_key_without_alg_or_use_has_those_of_its_type() {
    for (kid, _) in KEYS {
        for changes in [
            json!({ "alg": null, "use": null }),
            json!({ "alg": null, "use": "sig", "key_ops": ["sign", "verify"] }),
            json!({ "more": [1], "x5c": ["MIIB"], "x5u": "https://a.example" }),
        ] {
            let (keys, ignored) = TokenKeys::parse(&set_of(kid, &changes)).expect("a JWK Set");
            assert_eq!((keys.len(), ignored.len()), (1, 0));
            assert!(keys.verify(&good(kid), &policy(), now()).is_ok(), "{kid}");
        }
    }
}

#[test]
fn a_set_has_16_keys_with_different_kids() {
    let key = |kid: usize| json!({ "kty": "oct", "k": b64([7; 32]), "kid": kid.to_string() });
    let set = |keys: Vec<Value>| json!({ "keys": keys }).to_string().into_bytes();
    let sixteen: Vec<_> = (0..16).map(key).collect();
    assert_eq!(TokenKeys::parse(&set(sixteen.clone())).expect("a JWK Set").0.len(), 16);
    bad(&set((0..17).map(key).collect()), &["more than 16 keys"]);
    let others = (0..20).map(|kid| json!({ "kty": "oct", "use": "enc", "kid": kid.to_string() }));
    let (keys, ignored) =
        TokenKeys::parse(&set(sixteen.into_iter().chain(others).collect())).expect("a JWK Set");
    assert_eq!((keys.len(), ignored.len()), (16, 20));
    bad(&set(vec![key(1), key(2), key(1)]), &["key 3 (kid \"1\")", "same `kid`"]);
}

#[test]
fn a_key_that_no_token_can_name_is_reported() {
    let key = |kid: Option<&str>| {
        let mut key = json!({ "kty": "oct", "k": b64([7; 32]) });
        if let Some(kid) = kid {
            key["kid"] = json!(kid);
        }
        key
    };
    let parse =
        |keys: Value| TokenKeys::parse(json!({ "keys": keys }).to_string().as_bytes()).expect("a JWK Set");
    let (keys, ignored) = parse(json!([key(Some("a")), key(None)]));
    assert_eq!(ignored.len(), 1);
    let shown = ignored[0].to_string();
    assert!(shown.starts_with("key 2 ") && shown.contains("no `kid`"), "{shown}");
    let token = signed_with_secret(&[7; 32], &json!({ "alg": "HS256" }));
    assert_eq!(keys.verify(&token, &policy(), now()), Err(TokenRefusal::Invalid), "it could be of either");
    assert_eq!(parse(json!([key(None)])).1, []);
}

#[test]
fn a_minted_token_is_accepted() {
    let grant = Grant { sub: USER, audience: "chinwag", scope: Some("read chats"), ttl_s: 3_600 };
    for kid in [None, Some("secret"), Some("p256"), Some("ed25519")] {
        let (key, ignored) = SigningKey::parse(PRIVATE, kid).expect("a JWK Set");
        assert_eq!(ignored, []);
        let token = verify(&key.expect("it signs").mint(&grant, now())).expect("good");
        assert_eq!((token.issued_at, token.expires_at), (now(), seconds(ISSUED_S + 3_700)));
        assert!(
            token.scopes.has(crate::access::Scope::Chats) && !token.scopes.has(crate::access::Scope::Write)
        );
    }
}

#[test]
fn a_public_key_signs_nothing() {
    let no_key = |set: &[u8], kid: Option<&str>| {
        SigningKey::parse(set, kid).expect("a JWK Set").0.expect_err("no key")
    };
    assert_eq!(no_key(br#"{"keys":[]}"#, None), NoSigningKey::InSet);
    for kid in ["p256", "ed25519", "rsa"] {
        assert_eq!(no_key(PUBLIC, Some(kid)), NoSigningKey::OfKid);
        assert_eq!(no_key(&set_of(kid, &json!({})), None), NoSigningKey::InSet);
    }
    assert_eq!(no_key(PRIVATE, Some("other")), NoSigningKey::OfKid);
    for kid in ["p256", "ed25519"] {
        assert_eq!(no_key(&set_of(kid, &json!({ "d": b64([7; 32]) })), None), NoSigningKey::Mismatched);
    }
}
