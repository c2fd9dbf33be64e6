//! Makes tokens and files of keys of arbitrary bytes.

use std::sync::LazyLock;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chinwag::access::{
    BadFile, Grant, IgnoredKey, Secret, ServerKeys, SigningKey, TokenKeys, TokenPolicy, TokenSub,
};
use chinwag::domain::Timestamp;
use serde_json::Value;

/// A set with a key of each type.
const KEYS: &[u8] = include_bytes!("../../../src/access/tests/keys/public.json");
/// Good tokens, one of each key.
const GOOD: [&str; 4] = [
    include_str!("../seeds/token/hs256"),
    include_str!("../seeds/token/es256"),
    include_str!("../seeds/token/eddsa"),
    include_str!("../seeds/token/rs256"),
];
const USER: &str = "0193a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";
/// A time at which the good tokens are good, in seconds.
const NOW_S: u64 = 1_800_000_100;
const TTL_MAX_S: u32 = 86_400;

static PARSED: LazyLock<TokenKeys> = LazyLock::new(|| TokenKeys::parse(KEYS).unwrap().0);
static STREAMS: LazyLock<Secret> = LazyLock::new(Secret::random);
static SECRET: LazyLock<hmac::Key> = LazyLock::new(|| {
    let set: Value = serde_json::from_slice(KEYS).unwrap();
    let secret = URL_SAFE_NO_PAD.decode(set["keys"][0]["k"].as_str().unwrap()).unwrap();
    hmac::Key::new(hmac::HMAC_SHA256, &secret)
});

fn now() -> Timestamp {
    Timestamp::from_micros(NOW_S * 1_000_000).unwrap()
}

fn policy() -> TokenPolicy {
    TokenPolicy { audience: "chinwag".to_owned(), ttl_max_s: TTL_MAX_S, sub: TokenSub::Id }
}

/// Verifies a token of these bytes. Two lines are a header and claims, which are signed with the secret.
///
/// A token that was not signed here must be one of the seeds.
pub fn verify(bytes: &[u8]) {
    let Some(line_end) = bytes.iter().position(|&byte| byte == b'\n') else {
        let Ok(token) = str::from_utf8(bytes) else { return };
        assert_eq!(STREAMS.open(token), None, "nobody sealed it");
        let is_good = PARSED.verify(token, &policy(), now()).is_ok();
        assert!(!is_good || GOOD.contains(&token), "a token of nobody is accepted");
        return;
    };
    let (header, claims) = (&bytes[..line_end], &bytes[line_end + 1..]);
    let [header_part, claims_part] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part));
    let message = format!("{header_part}.{claims_part}");
    let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&SECRET, message.as_bytes()));
    let Ok(token) = PARSED.verify(&format!("{message}.{signature}"), &policy(), now()) else { return };
    // A `Value` has a limit on its depth, which members that are ignored do not have.
    let parsed = [header, claims].map(|part| serde_json::from_slice(part).ok().filter(Value::is_object));
    let [Some(header), Some(claims)] = parsed else { return };
    assert_eq!((&header["alg"], &header["kid"]), (&"HS256".into(), &"secret".into()));
    assert!(header.get("jwk").or(header.get("jku")).or(header.get("crit")).is_none());
    assert!(claims["sub"].as_str().is_some_and(|sub| sub.len() == USER.len()));
    let audience = &claims["aud"];
    assert!(audience == "chinwag" || audience.as_array().unwrap().contains(&"chinwag".into()));
    let times = [&claims["iat"], &claims["exp"]].map(|time| time.as_f64().unwrap());
    let now = NOW_S as f64;
    // A time of issue that is ahead is refused where the user is known.
    assert!(times[1] > now - 60.001 && times[0] <= times[1]);
    assert!(times[1] - times[0] <= f64::from(TTL_MAX_S) + 0.001);
    assert!(token.check_time(token.ends_at()).is_err());
}

/// Parses these bytes as each kind of file.
pub fn parse(bytes: &[u8]) {
    drop(Secret::parse(bytes).map_err(check_shown));
    match ServerKeys::parse(bytes) {
        Ok(keys) => assert!(keys.len() <= ServerKeys::MAX && keys.find("cw_").is_none()),
        Err(error) => check_shown(error),
    }
    let (keys, ignored) = match TokenKeys::parse(bytes) {
        Ok(parsed) => parsed,
        Err(error) => return check_shown(error),
    };
    assert!(keys.len() <= 16);
    assert!(ignored.iter().map(IgnoredKey::to_string).all(|shown| shown.len() < 1_000));
    for good in GOOD {
        drop(keys.verify(good, &policy(), now()));
    }
    let key = match SigningKey::parse(bytes, None) {
        Ok((key, _)) => key,
        Err(error) => return check_shown(error),
    };
    let Ok(key) = key else { return };
    let token = key.mint(&Grant { sub: USER, audience: "chinwag", scope: None, ttl_s: 3_600 }, now());
    // With `key_ops`, a key may sign and not verify. A long `kid` makes a token that is too long.
    let has_operations =
        [&b"_ops"[..], b"\\u"].iter().any(|part| bytes.windows(part.len()).any(|at| at == *part));
    if keys.len() == 1 && !has_operations && token.len() <= 4_096 {
        keys.verify(&token, &policy(), now()).unwrap();
    }
}

/// A message is a short sentence, whatever the file holds.
fn check_shown(error: BadFile) {
    assert!(error.to_string().len() < 1_000);
}
