//! Nothing shows a secret: not an error, not `Debug`.

use super::*;
use crate::access::{EventToken, NewKey, Secret, ServerKeys, SourceId};

/// A text that must not be shown. It is base64url, so it can stand in every place.
const CANARY: &str = "CANARYCANARYCANARYCANARYCANARYCANARYCANARYA";

#[track_caller]
fn silent(shown: impl AsRef<str>) {
    let shown = shown.as_ref();
    let bytes = URL_SAFE_NO_PAD.decode(CANARY).expect("base64url");
    let numbers = format!("{:?}", &bytes[..4]).trim_matches(['[', ']']).to_owned();
    let hex = format!("{:08x}", u32::from_be_bytes(*bytes.first_chunk().expect("four bytes")));
    for form in ["CANARY", &numbers, &hex] {
        assert!(!shown.contains(form), "{shown}");
    }
}

#[test]
fn a_bad_file_of_server_keys_is_not_quoted() {
    let hash = "00".repeat(32);
    for line in [
        CANARY.to_owned(),
        format!("a all cw_{CANARY}"),
        format!("{CANARY} all {hash}"),
        format!("a {CANARY} {hash}"),
        format!("a all {CANARY}"),
        format!("a all {CANARY}{}", "0".repeat(64 - CANARY.len())),
        format!("a all {hash} {CANARY}"),
        format!("a all {hash} 2027-01-01 {CANARY}"),
        format!("a all {hash}\na all {hash} # {CANARY}"),
    ] {
        let error = ServerKeys::parse(line.as_bytes()).expect_err(&line);
        silent(format!("{error} {error:?}"));
    }
}

#[test]
fn a_bad_jwk_set_is_not_quoted() {
    let mut sets = vec![
        CANARY.as_bytes().to_vec(),
        format!("\"{CANARY}\"").into_bytes(),
        format!("[\"{CANARY}\"]").into_bytes(),
        format!("{{\"{CANARY}\":1}}").into_bytes(),
        format!("{{\"keys\":\"{CANARY}\"}}").into_bytes(),
        format!("{{\"keys\":[\"{CANARY}\"]}}").into_bytes(),
        format!("{{\"keys\":[{{\"{CANARY}\":1,\"{CANARY}\":2}}]}}").into_bytes(),
        format!("{{\"keys\":[{{\"k\":\"{CANARY}}}").into_bytes(),
    ];
    for (kid, _) in KEYS {
        for member in ["kty", "use", "alg", "crv", "k", "x", "y", "n", "e", "d"] {
            sets.push(set_of(kid, &json!({ member: format!("{CANARY}!") })));
            sets.push(set_of(kid, &json!({ member: [CANARY] })));
            sets.push(set_of(kid, &json!({ member: CANARY, "key_ops": [CANARY] })));
            sets.push(set_of(kid, &json!({ member: CANARY })));
        }
    }
    for set in sets {
        match TokenKeys::parse(&set) {
            Ok((keys, ignored)) => silent(format!("{keys:?} {ignored:?}")),
            Err(error) => silent(format!("{error} {error:?}")),
        }
        match SigningKey::parse(&set, None) {
            Ok((key, ignored)) => silent(format!("{key:?} {ignored:?}")),
            Err(error) => silent(format!("{error} {error:?}")),
        }
    }
}

#[test]
fn what_holds_a_secret_shows_nothing_of_it() {
    let secret = Secret::parse(CANARY.as_bytes()).expect("long enough");
    silent(format!("{secret:?}"));
    silent(format!("{:?}", Secret::parse(&CANARY.as_bytes()[..31]).expect_err("too short")));
    let key = NewKey::random();
    assert_eq!(format!("{key:?}"), "NewKey");
    let file = key.line(&"backend".parse().expect("a name"), crate::access::KeyScope::All, None);
    let (_, hash) = file.rsplit_once(' ').expect("three fields");
    let keys = ServerKeys::parse(file.as_bytes()).expect("a file");
    let shown = format!("{keys:?} {:?}", keys.find(key.secret()).expect("found"));
    assert!(shown.contains("backend") && !shown.contains(hash), "{shown}");
    let source = SourceId::of(&[CANARY.as_bytes()]);
    assert_eq!(format!("{source:?}"), "SourceId");
}

#[test]
fn a_refused_token_is_not_quoted() {
    let header = json!({ "alg": "HS256", "kid": CANARY });
    for token in [
        CANARY.to_owned(),
        format!("{CANARY}.{CANARY}.{CANARY}"),
        signed("secret", &header.to_string(), &good_claims().to_string()),
        signed("secret", &good_header("secret").to_string(), &json!({ "sub": CANARY }).to_string()),
    ] {
        let refusal = verify(&token).expect_err("bad");
        silent(format!("{refusal} {refusal:?}"));
    }
}

fn event_token() -> EventToken {
    EventToken {
        user: USER.parse().expect("an id"),
        source: SourceId::of(&[b"a key"]),
        issued_at: now(),
        expires_at: seconds(ISSUED_S + 3_600),
    }
}

#[test]
fn a_sealed_token_opens_with_its_secret_only() {
    let (secret, other) = (Secret::random(), Secret::random());
    let sealed = secret.seal(&event_token());
    assert_eq!(secret.open(&sealed), Some(event_token()));
    assert_eq!(other.open(&sealed), None);
    let is_of_url = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    assert!(sealed.starts_with("cwe_") && sealed.bytes().all(is_of_url), "{sealed}");
}

#[test]
fn a_changed_sealed_token_is_refused() {
    let secret = Secret::random();
    let sealed = secret.seal(&event_token());
    for place in 0..sealed.len() {
        for bit in 0..7 {
            let mut bytes = sealed.clone().into_bytes();
            bytes[place] ^= 1 << bit;
            assert_eq!(secret.open(str::from_utf8(&bytes).expect("ASCII")), None, "{place} {bit}");
        }
        assert_eq!(secret.open(&sealed[..place]), None, "cut");
    }
    for text in
        [format!("{sealed}A"), format!("{sealed}="), format!(" {sealed}"), good("secret"), "cwe_".to_owned()]
    {
        assert_eq!(secret.open(&text), None, "{text}");
    }
}

#[test]
fn a_secret_file_may_end_with_a_line_end() {
    let line = "0123456789abcdef0123456789abcdef";
    let sealed = Secret::parse(line.as_bytes()).expect("32 bytes").seal(&event_token());
    for (file, is_same) in [("\n", true), ("\r\n", true), ("\n\n", false), (" ", false), ("\r", false)] {
        let secret = Secret::parse(format!("{line}{file}").as_bytes()).expect("long enough");
        assert_eq!(secret.open(&sealed).is_some(), is_same, "{file:?}");
    }
    for short in ["", "\n", &line[1..], &format!("{}\r\n", &line[1..])] {
        assert!(Secret::parse(short.as_bytes()).expect_err("too short").to_string().contains("32 bytes"));
    }
}
