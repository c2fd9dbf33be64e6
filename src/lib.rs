//! Chinwag: a chat server that never forgets.
//!
//! One writer turns commands into events, makes a batch of them durable with one sync, and only then shows them to
//! the readers. At boot a projector replays the log into the model, and every read is served from that.
//!
//! ```text
//!  HTTP handler ──command──▶ queue (bounded) ──▶ writer thread ──frame──▶ log (write + fdatasync)
//!       ▲                                            │ decide(model + draft, command) -> event | refusal
//!       │◀───────────── answer ──────────────────────┤ after the sync: model.apply(events), under the write lock
//!       └── read(|model| …), under the read lock ◀───┘
//!  boot: log ──frames──▶ projector ──apply──▶ model, then serve
//! ```
//!
//! | room | what it knows |
//! | --- | --- |
//! | [`domain`] | commands, events, and the rules from a command to an event; pure |
//! | [`model`] | what the events add up to: the indexes that reads are served from |
//! | [`log`] | events as bytes, in frames, on a disk; what is a torn write and what is damage |
//! | [`engine`] | the writer, the lock, the clock; the replay at boot; who follows what |
//! | [`http`] | the API, its limits and its refusals; connections |
//! | [`tools`] | what an operator does with a log: verify, dump, repair, export, import |
//! | [`server`] | a server's life: starting, ready, stopping |
//! | [`thread`] | threads, each with a name |
//! | [`config`] | flags and environment variables |
//! | [`healthcheck`] | asks a running server whether it is ready |
//!
//! Dependencies point one way: `domain ← model, log ← engine ← http ← server`, and `model, log ← tools`. A test holds
//! the code to it. Each invariant stands in bold at the place that keeps it.
//!
//! `docs/architecture.md` in the repository follows a write and a read through these rooms and lists the invariants. To
//! follow a write in the code, begin at [`engine::Engine::submit`].

pub mod config;
pub mod domain;
pub mod engine;
pub mod healthcheck;
pub mod http;
pub mod log;
pub mod model;
pub mod server;
pub mod thread;
pub mod tools;
