//! Measures what credentials cost: the messages per second of an open server, and of one whose callers have a server
//! key, or tokens of their own. Each connection is one user, who sends to one chat.

use std::cell::{LazyCell, RefCell};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use chinwag::access::{Grant, KeyScope, NewKey, SigningKey};
use chinwag::config::{AccessConfig, ServeConfig, UserLimits};
use chinwag::domain::{ChatId, UserId};
use chinwag::log::EventLog;
use chinwag::server::{Files, Keys};
use chinwag::system_clock;
use criterion::Criterion;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::http_server::{Connection, HttpServer, post};
use crate::ingest::{WORLD, log_of_world, measure, next};
use crate::support::temporary_dir;

const WRITERS: [usize; 2] = [64, 256];

/// Keys of these kinds sign the tokens. The second one is that of RFC 7515, A.3.
const TOKEN_KEYS: [(&str, &str); 2] = [
    ("hs256", r#"{"keys":[{"kty":"oct","k":"c2VjcmV0LW9mLXRoZS1iZW5jaGVzLW9mLWNoaW53YWctMDE"}]}"#),
    (
        "es256",
        r#"{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}]}"#,
    ),
];

pub(crate) fn bench(criterion: &mut Criterion, runtime: &Runtime) {
    for kept in ["durable", "ephemeral"] {
        for writers in WRITERS {
            for credentials in ["open", "server_key", "hs256", "es256"] {
                let dir = LazyCell::new(temporary_dir);
                let server =
                    LazyCell::new(|| Server::start(log_of_world(kept, &dir), credentials, writers, runtime));
                let group = format!("access/{kept}/{credentials}");
                measure(criterion, &group, writers, |messages| server.post_all(messages));
            }
        }
    }
}

/// A connection of a user.
struct Writer {
    connection: Connection,
    chat: ChatId,
    author: UserId,
    authorization: Option<String>,
}

struct Server<'r> {
    writers: RefCell<Vec<Writer>>,
    http: HttpServer<'r>,
    _files: TempDir,
}

impl<'r> Server<'r> {
    fn start(log: Box<dyn EventLog>, credentials: &str, writers: usize, runtime: &'r Runtime) -> Self {
        let files = temporary_dir();
        let path = files.path().join("keys");
        let mut config = ServeConfig::default();
        config.access.user_limits = UserLimits {
            user_writes_per_s: 1_000_000,
            user_writes_burst: 1_000_000,
            ..config.access.user_limits
        };
        let token_keys = TOKEN_KEYS.iter().find(|(kind, _)| *kind == credentials).map(|(_, keys)| *keys);
        let server_key = NewKey::random();
        if let Some(keys) = token_keys {
            std::fs::write(&path, keys).expect("written");
            config.access.token_keys = Some(path);
        } else if credentials == "server_key" {
            let name = "bench".parse().expect("a name");
            let line = server_key.line(&name, KeyScope::All, None);
            std::fs::write(&path, line + "\n").expect("written");
            config.access.api_keys = Some(path);
        }
        let authorization = |author: UserId| match token_keys {
            Some(keys) => Some(format!("Bearer {}", token(keys, author, &config.access))),
            None if credentials == "server_key" => Some(format!("Bearer {}", server_key.secret())),
            None => None,
        };
        let places: Vec<_> = (0..writers as u64).map(|number| WORLD.place(number)).collect();
        let authorizations: Vec<_> = places.iter().map(|(_, author)| authorization(*author)).collect();
        let keys = Keys::read(&config.access).expect("good files");
        let server = HttpServer::start(log, config, Files { keys, certificate: None }, runtime);
        let writers = server.connect(writers).into_iter().zip(places).zip(authorizations).map(
            |((connection, (chat, author)), authorization)| Writer {
                connection,
                chat,
                author,
                authorization,
            },
        );
        Self { writers: RefCell::new(writers.collect()), http: server, _files: files }
    }

    fn post_all(&self, messages: u64) -> Duration {
        let sent = Arc::new(AtomicU64::new(0));
        self.http.runtime.block_on(async {
            let start = Instant::now();
            let mut tasks = JoinSet::new();
            for mut writer in self.writers.take() {
                let sent = Arc::clone(&sent);
                tasks.spawn(async move {
                    while let Some(number) = next(&sent, messages) {
                        let Writer { connection, chat, author, authorization } = &mut writer;
                        post(connection, *chat, *author, number, authorization.as_deref()).await;
                    }
                    writer
                });
            }
            self.writers.replace(tasks.join_all().await);
            start.elapsed()
        })
    }
}

fn token(keys: &str, author: UserId, access: &AccessConfig) -> String {
    let (key, _) = SigningKey::parse(keys.as_bytes(), None).expect("a good set");
    let sub = author.to_string();
    let grant = Grant { sub: &sub, audience: &access.token_audience, scope: None, ttl_s: 86_400 };
    key.expect("it signs").mint(&grant, system_clock::now())
}
