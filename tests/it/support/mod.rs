//! Fixtures that the tests share. Begin with the cheapest one that shows what you promise:
//!
//! | fixture | what it is | for promises about |
//! | --- | --- | --- |
//! | [`TestRouter`] | the router in process, on a log in memory | forms, refusals, answers |
//! | [`TestServer`] | the real binary, on a free port and its own directory | restarts, signals, sockets, deadlines |
//! | [`KeyedServer`] | the real binary with files of keys, and a mint of tokens | credentials |
//! | [`ScriptedLog`] | a log that does what the test tells it | the engine: batches, failures, order |
//! | [`SharedLog`] | a log in memory that several servers share, each on a socket in this process | positions that a server does not have yet |
//! | [`TestEngine`] | the engine in process, on its own directory | who asked, and what is replayed |
//! | [`RawConnection`] | a TCP connection, written byte by byte | framing, half a request, slow clients |
//! | [`Proxy`] | a proxy of TCP that can be held, cut and slowed down | lost connections |
//! | [`TlsConnection`] | a connection of TLS, and its records | TLS |
//!
//! A [`TestRouter`] and a [`TestServer`] are called alike, through [`Client`]; a [`Scene`] fills either with
//! two users and a chat:
//!
//! ```ignore
//! let scene = Scene::start().await;                      // or Scene::on(TestServer::start()).await
//! let reply = scene.post_over("/messages/add", json!({ "author": scene.bob })).await;
//! assert_eq!(problem(&reply, 403, "not_a_member").as_deref(), Some("author"));
//! ```

mod client;
mod engine;
mod events;
pub mod keyed;
mod proxy;
mod raw;
mod router;
mod scene;
mod scripted_log;
mod server;
mod shared;
mod tls;

pub use client::{Client, Reply, assert_id, assert_time, problem};
pub use engine::{TestEngine, add_user, exported, imported, server_key};
pub use events::{Event, EventStream};
pub use keyed::{KeyedServer, Keyring};
pub use proxy::Proxy;
pub use raw::{RawConnection, head, post, post_bytes, post_many, post_under};
pub use router::TestRouter;
pub use scene::{CALLS, Scene};
pub use scripted_log::{AppendOutcome, LogScript, ScriptedLog};
pub use server::{
    Ended, StoppedServer, TestServer, binary, binary_under, free_address, run_to_end, segments, serve_to_end,
};
pub use shared::{SharedLog, SharedServer, wait_until};
pub use tls::{CertificateFiles, Identity, TlsConnection};
