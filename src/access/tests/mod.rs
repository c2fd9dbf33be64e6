//! Tokens and keys, good and bad. The keys in `keys`, and the tokens that seed the fuzzer, were made by other
//! libraries (`jwcrypto`, `PyJWT`).

mod attacks;
mod claims;
mod secrets;
mod sets;
mod vectors;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use super::signing::SigningKey;
use super::{Token, TokenKeys, TokenPolicy, TokenRefusal, TokenSub};
use crate::domain::Timestamp;

/// One key of each type. The public part, but for the secret.
const PUBLIC: &[u8] = include_bytes!("keys/public.json");
/// The same keys but that of RSA, with their private parts.
const PRIVATE: &[u8] = include_bytes!("keys/private.json");
/// The private key of RSA, in PKCS #8.
const RSA_PRIVATE: &[u8] = include_bytes!("keys/rsa.pk8");
/// The public key of RSA.
const RSA_PUBLIC_PEM: &str = include_str!("keys/rsa.pem");

/// The `kid` of each key, which says its type, and the algorithm of its tokens.
const KEYS: [(&str, &str); 4] =
    [("secret", "HS256"), ("p256", "ES256"), ("ed25519", "EdDSA"), ("rsa", "RS256")];
const USER: &str = "0193a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";
/// The time at which the tests' tokens are issued, in seconds.
const ISSUED_S: u64 = 1_800_000_000;

fn seconds(seconds: u64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000).expect("in range")
}

fn now() -> Timestamp {
    seconds(ISSUED_S + 100)
}

fn policy() -> TokenPolicy {
    TokenPolicy { audience: "chinwag".to_owned(), ttl_max_s: 86_400, sub: TokenSub::Id }
}

fn keys() -> TokenKeys {
    let (keys, ignored) = TokenKeys::parse(PUBLIC).expect("a JWK Set");
    assert_eq!(ignored, []);
    keys
}

fn verify(token: &str) -> Result<Token, TokenRefusal> {
    keys().verify(token, &policy(), now())
}

/// Returns the set of keys with only the key of this `kid`, and that one with these members.
fn set_of(kid: &str, changes: &Value) -> Vec<u8> {
    let mut set: Value = serde_json::from_slice(PUBLIC).expect("JSON");
    let keys = set["keys"].as_array_mut().expect("a list");
    keys.retain(|key| key["kid"] == kid);
    let key = keys[0].as_object_mut().expect("an object");
    for (name, value) in changes.as_object().expect("an object") {
        // `null` stands for a member that is absent.
        drop(key.remove(name));
        if !value.is_null() {
            drop(key.insert(name.clone(), value.clone()));
        }
    }
    set.to_string().into_bytes()
}

fn good_header(kid: &str) -> Value {
    let (_, alg) = KEYS.into_iter().find(|(other, _)| *other == kid).expect("a key");
    json!({ "alg": alg, "kid": kid, "typ": "JWT" })
}

fn good_claims() -> Value {
    json!({ "sub": USER, "aud": "chinwag", "iat": ISSUED_S, "exp": ISSUED_S + 3_600 })
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Returns the signature of a message by the key of this `kid`.
fn signature(kid: &str, message: &str) -> String {
    if kid == "rsa" {
        let key = RsaKeyPair::from_pkcs8(RSA_PRIVATE).expect("a key");
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature)
            .expect("signed");
        return b64(signature);
    }
    let (key, _) = SigningKey::parse(PRIVATE, Some(kid)).expect("a JWK Set");
    key.expect("it signs").sign(message)
}

/// Returns a token of these texts, signed by the key of this `kid`, whatever the header says.
fn signed(kid: &str, header: &str, claims: &str) -> String {
    let message = format!("{}.{}", b64(header), b64(claims));
    let signature = signature(kid, &message);
    format!("{message}.{signature}")
}

/// Returns a good token of this key.
fn good(kid: &str) -> String {
    signed(kid, &good_header(kid).to_string(), &good_claims().to_string())
}

/// Returns a token that is signed with these bytes as a secret for HS256.
fn signed_with_secret(secret: &[u8], header: &Value) -> String {
    let message = format!("{}.{}", b64(header.to_string()), b64(good_claims().to_string()));
    let key = EncodingKey::from_secret(secret);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).expect("signed");
    format!("{message}.{signature}")
}

#[test]
fn a_good_token_of_each_type_is_accepted() {
    for (kid, _) in KEYS {
        let token = verify(&good(kid)).expect(kid);
        assert_eq!((token.issued_at, token.expires_at), (seconds(ISSUED_S), seconds(ISSUED_S + 3_600)));
        assert!(keys().contains(token.source), "{kid}");
    }
}

#[test]
fn a_key_of_other_rights_has_another_name() {
    let source = |set: &[u8]| {
        let (keys, _) = TokenKeys::parse(set).expect("a JWK Set");
        let only = keys.find(None).or_else(|| keys.find(Some("secret"))).expect("a key");
        only.source
    };
    let same = source(&set_of("secret", &json!({})));
    assert_eq!(same, source(PUBLIC), "the order and the other keys do not count");
    let other_k = b64([7; 32]);
    for changed in [json!({ "kid": null }), json!({ "kid": "other" }), json!({ "k": other_k })] {
        assert_ne!(same, source(&set_of("secret", &changed)), "{changed}");
    }
    assert!(!keys().contains(source(&set_of("secret", &json!({ "kid": "other" })))));
}
