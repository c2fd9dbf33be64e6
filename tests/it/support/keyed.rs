//! A server whose calls need credentials, the keys that it knows, and a mint of tokens, good and bad.
//!
//! ```ignore
//! let server = KeyedServer::start();                     // calls as the backend, which may do everything
//! let ann = server.add_user("ann").await;
//! let page = server.with(&server.keys.token(&ann));      // calls as Ann, with `read write`
//! assert_eq!(page.post("/chats/get", &json!({})).await.status, 200);
//! let old = server.keys.token_with(&ann, json!({ "exp": 1 }));
//! problem(&server.with(&old).post("/chats/get", &json!({})).await, 401, "token_expired");
//! problem(&server.nobody().get("/metrics").await, 401, "credentials_missing");
//! ```
//!
//! The limits of users are out of the way, and every address may fail as often as it likes if each request names
//! another one in `X-Forwarded-For`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chinwag::access::{KeyScope, NewKey};
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::client::Client;
use super::server::{Ended, TestServer};

/// A running server with files of keys. It is called as the backend, with the key of the scope `all`.
pub struct KeyedServer {
    pub server: TestServer,
    pub keys: Keyring,
    /// The directory of the files of keys and of the log.
    pub dir: Arc<TempDir>,
    backend: Client,
}

impl KeyedServer {
    /// Starts a server on an empty log.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a server on an empty log, with these additional flags.
    pub fn start_with(flags: &[&str]) -> Self {
        let (keys, dir) = (Keyring::new(), TempDir::new().expect("a temporary directory"));
        replace(&dir.path().join("api-keys"), &keys.api_keys());
        replace(&dir.path().join("token-keys"), &keys.token_keys().to_string());
        let files = ["api-keys", "token-keys"].map(|file| dir.path().join(file).display().to_string());
        let mut all = vec!["--api-keys", &files[0], "--token-keys", &files[1]];
        for (flag, value) in [
            ("--trusted-proxies", "127.0.0.1"),
            ("--user-writes-burst", "1000000"),
            ("--user-reads-burst", "1000000"),
        ] {
            if !flags.contains(&flag) {
                all.extend([flag, value]);
            }
        }
        all.extend(flags);
        let server = TestServer::start_at(&dir.path().join("data"), &all);
        Self::of(server, keys, Arc::new(dir))
    }

    fn of(server: TestServer, keys: Keyring, dir: Arc<TempDir>) -> Self {
        let backend = server.client().bearing(Some(keys.server_key("backend")));
        Self { server, keys, dir, backend }
    }

    /// Kills it, and starts it again on the same directory, with the same keys.
    pub fn restart(self) -> Self {
        let Self { server, keys, dir, .. } = self;
        Self::of(server.kill().restart(), keys, dir)
    }

    /// Sends it SIGTERM and waits until it has ended. The directory stays while `dir` is held.
    pub fn terminate(self) -> (Arc<TempDir>, Ended) {
        (self.dir, self.server.terminate().1)
    }

    /// Returns a client with this server key or token.
    pub fn with(&self, credential: &str) -> Client {
        self.backend.bearing(Some(credential))
    }

    /// Returns a client without credentials.
    pub fn nobody(&self) -> Client {
        self.backend.bearing(None)
    }

    /// Returns the file of server keys.
    pub fn api_keys_file(&self) -> PathBuf {
        self.dir.path().join("api-keys")
    }

    /// Returns the file of the keys that verify tokens.
    pub fn token_keys_file(&self) -> PathBuf {
        self.dir.path().join("token-keys")
    }
}

/// The server is called as the backend.
impl std::ops::Deref for KeyedServer {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.backend
    }
}

/// Replaces a file at once, as an operator should.
pub fn replace(path: &Path, content: &str) {
    let new = path.with_extension("new");
    fs::write(&new, content).expect("written");
    fs::rename(new, path).expect("renamed");
}

/// The server keys and the keys that sign tokens, as only a test has them all: the server has the public parts.
pub struct Keyring {
    server_keys: Vec<(&'static str, NewKey, String)>,
    signing: Vec<(&'static str, Signing, Value)>,
}

#[expect(clippy::large_enum_variant, reason = "a ring has one of each")]
enum Signing {
    Hs256(hmac::Key),
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
    Rs256(RsaKeyPair),
}

impl Keyring {
    /// The `kid` of the key of each algorithm.
    pub const KIDS: [(&str, &str); 4] =
        [("secret", "HS256"), ("p256", "ES256"), ("ed25519", "EdDSA"), ("rsa", "RS256")];

    /// Draws keys. The server keys are `backend` (`all`), `reader` (`read`), `scraper` (`metrics`), and `former`
    /// (`all`), which has expired. The pair of RSA, which is slow to draw, is always the same.
    pub fn new() -> Self {
        let server_key = |(name, scope, expires): (&'static str, KeyScope, Option<&str>)| {
            let key = NewKey::random();
            let expires = expires.map(|expires| expires.parse().expect("a date"));
            let line = key.line(&name.parse().expect("a name"), scope, expires);
            (name, key, line)
        };
        let server_keys = [
            ("backend", KeyScope::All, None),
            ("reader", KeyScope::Read, None),
            ("scraper", KeyScope::Metrics, None),
            ("former", KeyScope::All, Some("2020-01-31")),
        ];
        let mut secret = [0; 32];
        aws_lc_rs::rand::fill(&mut secret).expect("random numbers");
        let p256 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a pair");
        let ed25519 = Ed25519KeyPair::generate().expect("a pair");
        let rsa = include_bytes!("../../../src/access/tests/keys/rsa.pk8");
        let rsa = RsaKeyPair::from_pkcs8(rsa).expect("a pair");
        let rsa_public = include_str!("../../../src/access/tests/keys/public.json");
        let rsa_public: Value = serde_json::from_str(rsa_public).expect("JSON");
        let (_, x_and_y) = p256.public_key().as_ref().split_first().expect("a point");
        let (x, y) = x_and_y.split_at(32);
        let jwks = [
            json!({ "kty": "oct", "kid": "secret", "k": b64(secret) }),
            json!({ "kty": "EC", "crv": "P-256", "kid": "p256", "x": b64(x), "y": b64(y) }),
            json!({ "kty": "OKP", "crv": "Ed25519", "kid": "ed25519", "x": b64(ed25519.public_key()) }),
            json!({ "kty": "RSA", "kid": "rsa", "n": rsa_public["keys"][3]["n"], "e": "AQAB" }),
        ];
        let signing = [
            Signing::Hs256(hmac::Key::new(hmac::HMAC_SHA256, &secret)),
            Signing::Es256(p256),
            Signing::EdDsa(ed25519),
            Signing::Rs256(rsa),
        ];
        let signing = Self::KIDS.iter().zip(signing).zip(jwks).map(|((&(kid, _), key), jwk)| (kid, key, jwk));
        Self { server_keys: server_keys.map(server_key).into(), signing: signing.collect() }
    }

    /// Returns the server key of this name.
    pub fn server_key(&self, name: &str) -> &str {
        let key = self.server_keys.iter().find(|(of, ..)| *of == name);
        key.expect("a key of the ring").1.secret()
    }

    /// Returns the lines of all server keys.
    pub fn api_keys(&self) -> String {
        self.server_keys.iter().flat_map(|(_, _, line)| [line, "\n"]).collect()
    }

    /// Returns the JWK Set of all keys that sign.
    pub fn token_keys(&self) -> Value {
        json!({ "keys": self.signing.iter().map(|(_, _, jwk)| jwk).collect::<Vec<_>>() })
    }

    /// Returns a good token of this user, which is good for `read write`.
    pub fn token(&self, sub: &str) -> String {
        self.token_with(sub, json!({}))
    }

    /// Returns a token of this user with exactly these scopes.
    pub fn scoped(&self, sub: &str, scope: &str) -> String {
        self.token_with(sub, json!({ "scope": scope }))
    }

    /// Returns a token of this user with these claims over the usual ones. `null` takes a claim away.
    pub fn token_with(&self, sub: &str, over: Value) -> String {
        self.signed("ed25519", &header("ed25519").to_string(), &claims(sub, over).to_string())
    }

    /// Returns a token of exactly this header and these claims, signed with the key of this `kid`.
    pub fn signed(&self, kid: &str, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", b64(header), b64(claims));
        let (_, key, _) = self.signing.iter().find(|(of, ..)| *of == kid).expect("a key of the ring");
        let (random, bytes) = (SystemRandom::new(), message.as_bytes());
        let signature = match key {
            Signing::Hs256(secret) => hmac::sign(secret, bytes).as_ref().to_vec(),
            Signing::Es256(pair) => pair.sign(&random, bytes).expect("signed").as_ref().to_vec(),
            Signing::EdDsa(pair) => pair.sign(bytes).as_ref().to_vec(),
            Signing::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, bytes, &mut signature).expect("signed");
                signature
            }
        };
        format!("{message}.{}", b64(signature))
    }
}

/// Returns the header of a good token of the key with this `kid`.
pub fn header(kid: &str) -> Value {
    let (_, alg) = Keyring::KIDS.iter().find(|(of, _)| *of == kid).expect("a key of the ring");
    json!({ "alg": alg, "kid": kid, "typ": "JWT" })
}

/// Returns the claims of a good token with these over them. `null` takes a claim away.
pub fn claims(sub: &str, over: Value) -> Value {
    let now = now_s();
    let mut claims = json!({ "sub": sub, "aud": "chinwag", "iat": now, "exp": now + 600 });
    let Value::Object(over) = over else { panic!("no claims: {over}") };
    for (name, value) in over {
        claims[name] = value;
    }
    claims.as_object_mut().expect("claims").retain(|_, value| !value.is_null());
    claims
}

/// Returns the time in Unix seconds.
pub fn now_s() -> i64 {
    Timestamp::now().as_second()
}

/// Encodes in base64url without padding.
pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
