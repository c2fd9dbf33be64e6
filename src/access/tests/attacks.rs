//! Known attacks on JSON Web Tokens. None of them is told from another.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::KeyPair;
use proptest::prelude::*;

use super::*;

#[track_caller]
fn refused(attack: &str, token: &str) {
    assert_eq!(verify(token), Err(TokenRefusal::Invalid), "{attack}");
}

/// Returns a token whose header has these members besides the usual ones.
fn with_header(kid: &str, changes: &Value) -> String {
    let mut header = good_header(kid);
    for (name, value) in changes.as_object().expect("an object") {
        header[name] = value.clone();
    }
    signed(kid, &header.to_string(), &good_claims().to_string())
}

#[test]
fn a_token_does_not_choose_its_algorithm() {
    for (kid, own) in KEYS {
        for alg in
            ["none", "None", "nOnE", "", "HS384", "HS512", "PS256", "ES384", "ES256K", "Ed25519", "hs256"]
        {
            refused(alg, &with_header(kid, &json!({ "alg": alg })));
            let header = json!({ "alg": alg, "kid": kid });
            for signature in ["", "AA"] {
                let claims = b64(good_claims().to_string());
                refused(alg, &format!("{}.{claims}.{signature}", b64(header.to_string())));
            }
        }
        for (_, other) in KEYS.into_iter().filter(|(_, other)| *other != own) {
            refused(other, &with_header(kid, &json!({ "alg": other })));
        }
        for (other, _) in KEYS.into_iter().filter(|(other, _)| *other != kid) {
            refused("the kid of another key", &with_header(kid, &json!({ "kid": other })));
            refused(
                "its kid and alg",
                &signed(kid, &good_header(other).to_string(), &good_claims().to_string()),
            );
        }
    }
}

#[test]
fn a_public_key_is_not_a_secret() {
    let key = RsaKeyPair::from_pkcs8(RSA_PRIVATE).expect("a key");
    let pkcs1 = key.public_key().as_ref().to_vec();
    let spki: PublicKeyX509Der<'_> = key.public_key().as_der().expect("encoded");
    let set: Value = serde_json::from_slice(PUBLIC).expect("JSON");
    let n = set["keys"][3]["n"].as_str().expect("a string");
    let pem = RSA_PUBLIC_PEM;
    let secrets = [
        ("PEM", pem.as_bytes().to_vec()),
        ("PEM without its last line end", pem.trim_end().as_bytes().to_vec()),
        ("PEM with CRLF", pem.replace('\n', "\r\n").into_bytes()),
        ("SubjectPublicKeyInfo", spki.as_ref().to_vec()),
        ("RSAPublicKey", pkcs1),
        ("n", URL_SAFE_NO_PAD.decode(n).expect("base64url")),
        ("the text of n", n.as_bytes().to_vec()),
        ("the JWK", set["keys"][3].to_string().into_bytes()),
        ("nothing", Vec::new()),
    ];
    let alone = TokenKeys::parse(&set_of("rsa", &json!({ "kid": null, "alg": null }))).expect("a JWK Set").0;
    for (name, secret) in secrets {
        for kid in ["rsa", "p256", "ed25519", "secret"] {
            refused(name, &signed_with_secret(&secret, &json!({ "alg": "HS256", "kid": kid })));
        }
        let token = signed_with_secret(&secret, &json!({ "alg": "HS256" }));
        refused(name, &token);
        assert_eq!(alone.verify(&token, &policy(), now()), Err(TokenRefusal::Invalid), "{name}");
    }
}

#[test]
fn a_header_brings_no_key_and_no_demands() {
    let jwk = serde_json::from_slice::<Value>(PUBLIC).expect("JSON")["keys"][2].clone();
    for kid in ["secret", "rsa"] {
        assert!(
            verify(&with_header(kid, &json!({ "typ": "at+jwt", "cty": "x", "custom": [1, { "a": null }] })))
                .is_ok()
        );
        for header in [
            json!({ "jku": "https://evil.example/keys" }),
            json!({ "jku": null }),
            json!({ "x5u": "https://evil.example/certificate" }),
            json!({ "x5c": ["MIIB"] }),
            json!({ "jwk": jwk }),
            json!({ "crit": [] }),
            json!({ "crit": ["exp"], "exp": 1 }),
            json!({ "b64": false }),
            json!({ "b64": true }),
            json!({ "zip": "DEF" }),
            json!({ "typ": 1 }),
            json!({ "typ": null }),
            json!({ "alg": null }),
            json!({ "alg": ["HS256"] }),
            json!({ "kid": null }),
            json!({ "kid": 0 }),
            json!({ "kid": "" }),
            json!({ "kid": "unknown" }),
            json!({ "kid": "../../dev/null" }),
            json!({ "kid": "x' UNION SELECT 'secret' --" }),
            json!({ "kid": format!("{kid}\u{0}") }),
            json!({ "kid": format!("{kid} ") }),
        ] {
            refused(&header.to_string(), &with_header(kid, &header));
        }
    }
}

#[test]
fn a_token_without_kid_is_of_the_only_key() {
    let token = signed("secret", r#"{"alg":"HS256"}"#, &good_claims().to_string());
    refused("there are four keys", &token);
    for (changes, with_kid, without_kid) in [(json!({}), true, true), (json!({ "kid": null }), false, true)] {
        let only = TokenKeys::parse(&set_of("secret", &changes)).expect("a JWK Set").0;
        assert_eq!(only.verify(&good("secret"), &policy(), now()).is_ok(), with_kid);
        assert_eq!(only.verify(&token, &policy(), now()).is_ok(), without_kid);
    }
    for none in [TokenKeys::default(), TokenKeys::parse(br#"{"keys":[]}"#).expect("a JWK Set").0] {
        assert!(none.is_empty());
        assert_eq!(none.verify(&token, &policy(), now()), Err(TokenRefusal::Invalid));
    }
}

#[test]
fn header_and_claims_are_objects_without_a_name_twice() {
    let (header, claims) = (good_header("secret").to_string(), good_claims().to_string());
    let values = |json: &str| {
        let object: Value = serde_json::from_str(json).expect("JSON");
        object.as_object().expect("an object").values().cloned().collect::<Value>().to_string()
    };
    for (attack, header, claims) in [
        ("alg twice", r#"{"alg":"HS256","kid":"secret","alg":"HS256"}"#, &*claims),
        ("kid twice", r#"{"alg":"HS256","kid":"other","kid":"secret"}"#, &claims),
        ("alg twice, once escaped", r#"{"alg":"HS256","kid":"secret","\u0061lg":"none"}"#, &claims),
        ("an array", &values(&header), &claims),
        ("an array of claims", &header, &values(&claims)),
        ("a string", r#""{}""#, &claims),
        ("null", "null", &claims),
        ("nothing", "", &claims),
        ("no claims", &header, ""),
        ("claims of null", &header, "null"),
        ("JSON and more", &format!("{header} {{}}"), &claims),
        ("claims and more", &header, &format!("{claims},")),
        ("a byte order mark", &format!("\u{feff}{header}"), &claims),
        ("single quotes", "{'alg':'HS256','kid':'secret'}", &claims),
        ("sub twice", &header, &claims.replace("\"sub\":", "\"sub\":\"x\",\"sub\":")),
        ("exp twice", &header, &claims.replace("\"exp\":", "\"exp\":1900000000,\"exp\":")),
        (
            "exp twice, once escaped",
            &header,
            &claims.replace("\"exp\":", "\"e\\u0078p\":1900000000,\"exp\":"),
        ),
        ("aud twice", &header, &claims.replace("\"aud\":", "\"aud\":\"other\",\"aud\":")),
        ("scope twice", &header, &claims.replace('}', ",\"scope\":\"read\",\"scope\":\"chats\"}")),
    ] {
        refused(attack, &signed("secret", header, claims));
    }
    let spaced = format!(" \r\n\t{claims}\n");
    assert!(verify(&signed("secret", &header, &spaced)).is_ok());
    let bytes = [b"{\"alg\":\"HS256\",\"kid\":\"secret\",\"x\":\"", &[0xFF][..], b"\"}"].concat();
    let message = format!("{}.{}", b64(bytes), b64(&claims));
    refused("not UTF-8", &format!("{message}.{}", signature("secret", &message)));
}

#[test]
fn a_token_has_three_parts_in_strict_base64url() {
    let token = good("secret");
    let parts: Vec<_> = token.split('.').collect();
    let [header, claims, signature] = parts[..] else { panic!("three parts") };
    // Its last character holds two bits that do not count.
    let stray_bits = ('A'..='Z').map(|last| format!("{header}.{claims}.{}{last}", &signature[..42]));
    for stray in stray_bits.filter(|stray| *stray != token) {
        refused("stray bits", &stray);
    }
    let long_claims = good_claims().to_string().replace('}', &format!(",\"x\":\"{}\"}}", "x".repeat(3_000)));
    let long = signed("secret", &good_header("secret").to_string(), &long_claims);
    assert!(long.len() > 4_096);
    for (attack, token) in [
        ("nothing", String::new()),
        ("dots", "..".to_owned()),
        ("one part", header.to_owned()),
        ("two parts", format!("{header}.{claims}")),
        ("no signature", format!("{header}.{claims}.")),
        ("no claims", format!("{header}..{signature}")),
        ("no header", format!(".{claims}.{signature}")),
        ("four parts", format!("{token}.{signature}")),
        ("an empty fourth part", format!("{token}.")),
        ("an empty first part", format!(".{token}")),
        ("five parts, as an encrypted token", format!("{header}.{claims}.{claims}.{claims}.{signature}")),
        ("padding", format!("{token}=")),
        ("padding in the middle", format!("{header}=.{claims}.{signature}")),
        (
            "the other alphabet",
            format!("{header}.{claims}.{}", signature.replace('-', "+").replace('_', "/") + "+"),
        ),
        ("a space before", format!(" {token}")),
        ("a line end after", format!("{token}\n")),
        ("a NUL", format!("{token}\0")),
        ("not ASCII", format!("{token}é")),
        ("more than 4 KiB", long),
    ] {
        refused(attack, &token);
    }
}

#[test]
fn a_signature_is_whole_and_of_its_form() {
    for (kid, _) in KEYS {
        let token = good(kid);
        let (message, signature) = token.rsplit_once('.').expect("three parts");
        let bytes = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
        let zeros = vec![0; bytes.len()];
        let other = self::signature(kid, "another message");
        let ones = vec![0xFF; bytes.len()];
        let longer = [&bytes[..], &[0]].concat();
        for (attack, signature) in [
            ("cut", &bytes[..bytes.len() - 1]),
            ("cut to half", &bytes[..bytes.len() / 2]),
            ("one byte", &bytes[..1]),
            ("longer", &longer),
            ("zeros (psychic, for ES256)", &zeros),
            ("ones", &ones),
            ("of another message", &URL_SAFE_NO_PAD.decode(other).expect("base64url")),
        ] {
            refused(&format!("{kid}: {attack}"), &format!("{message}.{}", b64(signature)));
        }
    }
}

#[test]
fn an_es256_signature_is_not_in_der() {
    let token = good("p256");
    let (message, signature) = token.rsplit_once('.').expect("three parts");
    let bytes = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    // A positive integer: without leading zeros, but with one before a set sign bit.
    let integer = |bytes: &[u8]| {
        let start = bytes.iter().position(|&byte| byte != 0).expect("not zero");
        let sign = if bytes[start] >= 0x80 { &[0][..] } else { &[] };
        let content = [sign, &bytes[start..]].concat();
        [&[2, u8::try_from(content.len()).expect("short")], &content[..]].concat()
    };
    let content = [integer(&bytes[..32]), integer(&bytes[32..])].concat();
    let der = [&[0x30, u8::try_from(content.len()).expect("short")], &content[..]].concat();
    refused("DER", &format!("{message}.{}", b64(der)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Any other bit, character or length of a good token makes it a bad one.
    #[test]
    fn a_changed_token_is_refused(
        (kid, _) in prop::sample::select(&KEYS[..]),
        place in any::<prop::sample::Index>(),
        change in prop_oneof![(1_u8..128).prop_map(Some), Just(None)],
    ) {
        thread_local!(static GOOD: [(&'static str, String); 4] = KEYS.map(|(kid, _)| (kid, good(kid))));
        let token = GOOD.with(|good| good.iter().find(|(other, _)| *other == kid).expect("a key").1.clone());
        let mut bytes = token.into_bytes();
        let place = place.index(bytes.len());
        match change {
            Some(bits) => bytes[place] ^= bits,
            None => drop(bytes.remove(place)),
        }
        let changed = String::from_utf8(bytes).expect("ASCII");
        prop_assert_eq!(verify(&changed), Err(TokenRefusal::Invalid));
    }
}
