//! The API: it turns bytes into a command or a look-up, and the result into bytes. It never names the log.
//!
//! A request passes these parts in this order:
//!
//! | part | what it does |
//! | --- | --- |
//! | `connection` | accepts, speaks TLS, keeps deadlines, checks each `Host`, gives each request an id, counts and times it |
//! | `router` | finds the call of a path |
//! | `admission` | finds out who calls, and refuses a caller who may not |
//! | `request` | reads the body and parses it into the type that the call declares, or refuses it |
//! | `calls` | asks the engine and chooses the answer: one function for each call, and nothing else |
//! | `answer` | writes JSON, problems, lists and events |
//!
//! `openapi` describes all of that, and `web` holds what a browser loads. `app` is what every call can reach.

mod admission;
mod answer;
mod app;
mod body_budget;
mod calls;
mod connection;
mod cursor;
mod headers;
mod limits;
mod metrics;
mod openapi;
mod request;
mod request_id;
mod router;
mod web;

pub use admission::Keyed;
pub use app::App;
pub use connection::panics::log_panics;
pub use connection::{Tls, serve_connections};
pub(crate) use limits::CONNECTIONS_WAITING_MAX;
pub use router::Router;
