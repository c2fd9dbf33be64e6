//! The claims of tokens: types, times, audience, subject and scopes.

use super::*;
use crate::access::is_ahead;
use crate::access::{Scope, Scopes, Subject};

/// Verifies a token with these claims in place of the usual ones; `None` leaves one out.
fn with(name: &str, json: Option<&str>) -> Result<Token, TokenRefusal> {
    verify(&token_with(name, json))
}

fn token_with(name: &str, json: Option<&str>) -> String {
    let mut claims = good_claims();
    let claims = claims.as_object_mut().expect("an object");
    drop(claims.remove(name));
    let mut members: Vec<_> = claims.iter().map(|(name, value)| format!("{name:?}:{value}")).collect();
    // As text, because a `Value` cannot hold 1e400.
    members.extend(json.map(|json| format!("{name:?}:{json}")));
    signed("secret", &good_header("secret").to_string(), &format!("{{{}}}", members.join(",")))
}

/// Verifies a token of these times, in seconds after [`ISSUED_S`], at a time in seconds after it.
fn at(now_s: f64, iat: f64, exp: f64, nbf: Option<f64>) -> Result<Token, TokenRefusal> {
    #[expect(clippy::cast_precision_loss, reason = "exact")]
    let from_start = |time: f64| ISSUED_S as f64 + time;
    let mut claims = json!({ "sub": USER, "aud": "chinwag", "iat": from_start(iat), "exp": from_start(exp) });
    if let Some(nbf) = nbf {
        claims["nbf"] = json!(from_start(nbf));
    }
    let token = signed("secret", &good_header("secret").to_string(), &claims.to_string());
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
    let now = Timestamp::from_micros((from_start(now_s) * 1e6) as u64).expect("in range");
    keys().verify(&token, &policy(), now)
}

#[test]
fn a_claim_of_a_wrong_type_is_not_an_absent_one() {
    let never_text = ["null", "1", "true", "[]", "{}", "[\"x\"]"];
    for (name, bad) in [
        ("sub", &never_text[..]),
        ("aud", &["null", "1", "true", "{}", "[]", "[1]", "[\"chinwag\",1]", "[[\"chinwag\"]]", "[null]"]),
        ("scope", &never_text),
        ("iat", &["null", "\"1800000000\"", "true", "[]", "[1800000000]", "{}"]),
        ("exp", &["null", "\"1800003600\"", "true", "[]", "[1800003600]", "{}"]),
        ("nbf", &["null", "\"1800000000\"", "false", "[]", "{}"]),
        ("exp", &[r#"{"$serde_json::private::Number":"1800003600"}"#]),
    ] {
        for json in bad {
            assert_eq!(with(name, Some(json)), Err(TokenRefusal::Invalid), "{name}: {json}");
        }
    }
    for required in ["sub", "aud", "iat", "exp"] {
        assert_eq!(with(required, None), Err(TokenRefusal::Invalid), "{required}");
    }
    for ignored in ["iss", "jti", "scp", "Sub"] {
        assert!(with(ignored, Some("[1]")).is_ok(), "{ignored}");
    }
}

#[test]
fn a_time_is_a_number_from_1970_to_9999() {
    for bad in [
        "-1",
        "-0.5",
        "1e400",
        "-1e400",
        "253402300800",
        "1e300",
        "99999999999999999999",
        "NaN",
        "Infinity",
        "0x10",
    ] {
        for name in ["iat", "exp", "nbf"] {
            assert_eq!(with(name, Some(bad)), Err(TokenRefusal::Invalid), "{name}: {bad}");
        }
    }
    for (json, micros) in [
        ("1800000000", 1_800_000_000_000_000),
        ("1800000000.0", 1_800_000_000_000_000),
        ("1.8e9", 1_800_000_000_000_000),
        ("1800000000.5", 1_800_000_000_500_000),
        ("1799999999.25", 1_799_999_999_250_000),
    ] {
        assert_eq!(with("iat", Some(json)).expect(json).issued_at.as_micros(), micros);
    }
    for past in ["0", "0.5", "1e-400"] {
        assert!(with("nbf", Some(past)).is_ok(), "{past}");
    }
}

#[test]
fn exp_has_a_leeway_of_a_minute() {
    for (now_s, verdict) in
        [(100.0, Ok(())), (159.0, Ok(())), (159.9, Ok(())), (160.0, Err(())), (161.0, Err(()))]
    {
        let token = at(now_s, 0.0, 100.0, None);
        assert_eq!(token.map(drop), verdict.map_err(|()| TokenRefusal::Expired), "{now_s}");
    }
    assert_eq!(at(0.0, 0.0, 100.0, None).expect("good").ends_at(), seconds(ISSUED_S + 160));
}

#[test]
fn only_an_otherwise_good_token_has_expired() {
    let later = seconds(ISSUED_S + 10_000);
    let verdict = |token: &str| keys().verify(token, &policy(), later);
    assert_eq!(verdict(&good("secret")), Err(TokenRefusal::Expired));
    for (name, json) in [("aud", "\"other\""), ("sub", "\"x\""), ("scope", "1"), ("nbf", "1900000000")] {
        assert_eq!(verdict(&token_with(name, Some(json))), Err(TokenRefusal::Invalid), "{name}");
    }
    let token = good("secret");
    assert_eq!(verdict(&token[..token.len() - 1]), Err(TokenRefusal::Invalid));
}

#[test]
fn iat_is_at_most_11_seconds_ahead() {
    for (ahead, is_good) in [(-60.0, true), (10.0, true), (11.0, true), (11.5, false), (12.0, false)] {
        let token = at(0.0, ahead, 3_600.0, None).expect("good in itself");
        let (issued_at, now) = (token.issued_at, seconds(ISSUED_S));
        assert_eq!(is_ahead(issued_at, now, 0), !is_good, "{ahead}");
        assert!(!is_ahead(issued_at, now, ISSUED_S + 12), "a revocation makes it good at once: {ahead}");
    }
}

#[test]
fn nbf_has_a_leeway_of_a_minute() {
    for (nbf, is_good) in [(-5.0, true), (59.0, true), (60.0, true), (61.0, false), (1e9, false)] {
        let expected = if is_good { Ok(()) } else { Err(TokenRefusal::Invalid) };
        assert_eq!(at(0.0, 0.0, 3_600.0, Some(nbf)).map(drop), expected, "{nbf}");
    }
}

#[test]
fn a_remembered_token_is_checked_again() {
    let token = at(0.0, 0.0, 100.0, Some(50.0)).expect("good");
    let before = seconds(ISSUED_S - 11);
    assert_eq!(token.check_time(before), Err(TokenRefusal::Invalid), "the clock was set back");
    assert_eq!(token.check_time(seconds(ISSUED_S + 159)), Ok(()));
    assert_eq!(token.check_time(token.ends_at()), Err(TokenRefusal::Expired));
}

#[test]
fn a_token_lives_no_longer_than_the_policy_allows() {
    for (exp, is_good) in
        [(86_400.0, true), (86_400.5, false), (86_401.0, false), (0.0, false), (-1.0, false)]
    {
        assert_eq!(at(0.0, 0.0, exp, None).is_ok(), is_good, "{exp}");
    }
    // Old, but still good.
    assert!(at(86_000.0, 0.0, 86_400.0, None).is_ok());
}

#[test]
fn a_time_at_the_end_of_all_times_does_not_panic() {
    /// 9999-12-30T22:00:00Z, the last second that a [`Timestamp`] can have.
    const LAST_S: u64 = 253_402_207_200;
    for now in [Timestamp::UNIX_EPOCH, Timestamp::CLOCK_MAX, seconds(LAST_S)] {
        drop(keys().verify(&good("secret"), &policy(), now));
        let last = token_with("exp", Some(&LAST_S.to_string()));
        let long = TokenPolicy { ttl_max_s: u32::MAX, ..policy() };
        assert_eq!(keys().verify(&last, &long, now), Err(TokenRefusal::Invalid), "{now}");
    }
    let claims = json!({ "sub": USER, "aud": "chinwag", "iat": LAST_S - 100, "exp": LAST_S });
    let token = signed("secret", &good_header("secret").to_string(), &claims.to_string());
    let now = seconds(LAST_S - 99);
    let token = keys().verify(&token, &policy(), now).expect("good");
    assert_eq!(token.ends_at(), token.expires_at);
}

#[test]
fn the_audience_is_one_of_those_named() {
    for good in ["\"chinwag\"", "[\"chinwag\"]", "[\"other\",\"chinwag\"]", "[\"chinwag\",\"chinwag\"]"] {
        assert!(with("aud", Some(good)).is_ok(), "{good}");
    }
    for bad in
        ["\"\"", "\"other\"", "\"Chinwag\"", "\"chinwag \"", "\"chinwag,other\"", "[\"other\"]", "[\"\"]"]
    {
        assert_eq!(with("aud", Some(bad)), Err(TokenRefusal::Invalid), "{bad}");
    }
}

#[test]
fn sub_is_what_the_policy_says() {
    let by_name = TokenPolicy { sub: TokenSub::Username, ..policy() };
    for (sub, id, name) in
        [(USER, true, USER), ("ann", false, "ann"), ("", false, ""), ("Zoë 🦀", false, "Zoë 🦀")]
    {
        let token = token_with("sub", Some(&format!("{sub:?}")));
        let subject = verify(&token).map(|token| token.subject);
        assert_eq!(subject.is_ok(), id, "{sub}");
        let subject = keys().verify(&token, &by_name, now()).expect(sub).subject;
        assert_eq!(subject, Subject::Username(name.into()));
    }
}

#[test]
fn a_scope_has_to_be_named_exactly() {
    use Scope::{Chats, Events, Moderate, Read, Write};
    for (json, expected) in [
        (None, &[Read, Write][..]),
        (Some("\"\""), &[]),
        (Some("\"read\""), &[Read]),
        (Some("\"write events\""), &[Write, Events]),
        (Some("\"openid chats profile moderate\""), &[Chats, Moderate]),
        (Some("\"read read\""), &[Read]),
        (Some("\"READ write:all readwrite\""), &[]),
        (Some("\"read\\twrite\""), &[]),
        (Some("\"read,write\""), &[]),
    ] {
        let scopes = with("scope", json).expect("good").scopes;
        assert_eq!(scopes, expected.iter().copied().collect::<Scopes>(), "{json:?}");
        for scope in [Read, Write, Chats, Moderate, Events] {
            assert_eq!(scopes.has(scope), expected.contains(&scope), "{json:?} {scope}");
        }
    }
}
