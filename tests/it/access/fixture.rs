//! A real server with files of keys that a test changes, and credentials for it.
//!
//! ```ignore
//! let keys = KeyFiles::new();                            // the server key 1 and the JWK `main`
//! let server = keys.start(&[]);
//! let backend = server.bearing(Some(&server_key(1)));
//! let ann = backend.add_user("ann").await;
//! let page = server.bearing(Some(&token(&ann)));           // calls as ann
//! keys.write(TOKEN_KEYS, r#"{"keys":[]}"#);              // by rename
//! server.signal(Signal::HUP);
//! ```

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::support::{Client, EventStream, TestServer};

/// The file of server keys.
pub const API_KEYS: &str = "api-keys";
/// The file of the keys that sign users' tokens.
pub const TOKEN_KEYS: &str = "token-keys";

/// Files of keys, in a directory of their own.
pub struct KeyFiles(TempDir);

impl KeyFiles {
    /// Creates a file with the server key 1, `backend`, and one with the JWK `main`.
    pub fn new() -> Self {
        let files = Self(TempDir::new().unwrap());
        files.write(API_KEYS, &line("backend", "all", 1));
        files.write(TOKEN_KEYS, &jwks(&["main"]));
        files
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Puts another file in the place of the one with this name.
    pub fn write(&self, name: &str, content: &str) {
        let beside = self.path("beside");
        std::fs::write(&beside, content).unwrap();
        std::fs::rename(beside, self.path(name)).unwrap();
    }

    /// Returns the flags that name the files.
    pub fn flags(&self) -> Vec<String> {
        let file = |name| self.path(name).to_str().unwrap().to_owned();
        ["--api-keys".to_owned(), file(API_KEYS), "--token-keys".to_owned(), file(TOKEN_KEYS)].into()
    }

    /// Starts a server with the files, on an empty log.
    pub fn start(&self, more: &[&str]) -> TestServer {
        let flags = self.flags();
        TestServer::start_with(&[&flags.iter().map(String::as_str).collect::<Vec<_>>(), more].concat())
    }
}

/// Returns the server key with this number.
pub fn server_key(number: u8) -> String {
    format!("cw_{}", URL_SAFE_NO_PAD.encode([number; 32]))
}

/// Returns the line of a server key.
pub fn line(name: &str, scope: &str, number: u8) -> String {
    let hash = Sha256::digest(server_key(number));
    let digits = hash.iter().fold(String::new(), |digits, byte| digits + &format!("{byte:02x}"));
    format!("{name} {scope} {digits}\n")
}

/// Returns the secret of a JWK.
pub fn secret(kid: &str) -> String {
    format!("{kid:-<40}")
}

/// Returns a set of JWKs with these names.
pub fn jwks(kids: &[&str]) -> String {
    let key = |kid: &&str| json!({ "kty": "oct", "kid": kid, "k": URL_SAFE_NO_PAD.encode(secret(kid)) });
    json!({ "keys": kids.iter().map(key).collect::<Vec<_>>() }).to_string()
}

/// Returns a token of this user, good for an hour.
pub fn token(user: &str) -> String {
    token_of("main", user, &json!({}))
}

/// Returns a token that a JWK signs, with these claims put over the usual ones.
pub fn token_of(kid: &str, user: &str, over: &Value) -> String {
    let mut claims = json!({ "sub": user, "aud": "chinwag", "iat": now_s(), "exp": now_s() + 3_600 });
    for (name, value) in over.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let header = json!({ "alg": "HS256", "kid": kid });
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let message = format!("{header}.{claims}");
    let key = EncodingKey::from_secret(secret(kid).as_bytes());
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

/// Returns the seconds since 1970.
pub fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Returns a token for streams that the caller of this client creates, for this user if it is a server.
pub async fn event_token(buyer: &Client, user: Option<&str>) -> String {
    let body = user.map_or_else(|| json!({}), |user| json!({ "user": user }));
    let reply = buyer.post("/events/token", &body).await;
    assert_eq!(reply.status, 201, "{}", reply.text);
    reply.json()["token"].as_str().unwrap().to_owned()
}

/// Opens a stream that has begun.
pub async fn open(client: &Client, path: &str) -> EventStream {
    let mut stream = client.get_stream(path, None::<u64>).await.expect("connected");
    stream.begin().await;
    stream
}

/// Checks that a stream ends, and is not only found to be over when the server looks at the clock every 15 s.
pub async fn assert_ends(what: &str, stream: &mut EventStream) {
    let end = tokio::time::timeout(Duration::from_secs(8), stream.next()).await;
    assert_eq!(end.unwrap_or_else(|_| panic!("{what} does not end")), None, "{what}");
}

/// Waits until a request is answered with this status.
pub async fn wait_for_status(client: &Client, path: &str, body: &Value, status: u16) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let reply = client.post(path, body).await;
        if reply.status == status {
            return;
        }
        assert!(Instant::now() < deadline, "not {status}: {reply:?}");
        sleep(Duration::from_millis(10)).await;
    }
}
