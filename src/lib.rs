//! Chinwag: a chat server that never forgets.
//!
//! One writer turns commands into events, makes a batch of them durable with one sync, and only then shows
//! them to the readers. At boot a projector replays the log into the model, and every read is served from
//! that.
//!
//! ```text
//!  HTTP handler ──command──▶ queue (bounded) ──▶ writer thread ──frame──▶ log (write + fdatasync)
//!       ▲                                            │ decide(model + draft, command) -> event | refusal
//!       │◀───────────── answer ──────────────────────┤ after the sync: model.apply(events), under the write lock
//!       └── read(|model| …), under the read lock ◀───┘
//!  boot: log ──frames──▶ projector ──apply──▶ model, then serve
//! ```
//!
//! | module | contents |
//! | --- | --- |
//! | [`domain`] | commands, events, and the rules from a command to an event, without any input or output |
//! | [`model`] | the in-memory indexes that the events add up to and that reads are served from |
//! | [`log`] | events as bytes, in frames, on a disk; the difference between a torn write and damage |
//! | [`engine`] | the writer, the lock, the clock; the replay at boot; live feeds |
//! | [`http`] | the API, its limits and its refusals; connections |
//! | [`tools`] | an operator's tools: verify, dump, repair, export, import; server keys, tokens |
//! | [`server`] | a server's life: starting, ready, stopping |
//! | [`system_clock`] | the system's clock, and ids that begin with a time |
//! | [`thread`] | threads, each with a name |
//! | [`access`] | credentials and rates: who a caller is, and how much a caller may ask for |
//! | [`config`] | flags and environment variables |
//! | [`healthcheck`] | the check whether a running server is ready |
//!
//! Dependencies point one way: `domain ← model, log ← engine ← http ← server`, and
//! `access, model, log ← tools`. A
//! test checks that. Each invariant stands in bold at the place that keeps it.
//!
//! `docs/architecture.md` in the repository follows a write and a read through these modules and lists the
//! invariants. To follow a write in the code, begin at [`engine::Engine::submit`].

pub mod access;
pub mod config;
pub mod domain;
pub mod engine;
pub mod healthcheck;
pub mod http;
pub mod log;
pub mod model;
pub mod server;
pub mod system_clock;
pub mod thread;
pub mod tools;
