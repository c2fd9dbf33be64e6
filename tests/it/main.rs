//! The promises of the server, one file per capability. `support` holds the fixtures and says when to use
//! which.
//!
//! All tests are one binary, so that it links once.

#![expect(unreachable_pub, reason = "the fixtures are public to the tests beside them")]
#![expect(clippy::unwrap_used, reason = "in a test, to panic is to fail")]

mod access;
mod actors;
mod architecture;
mod batch;
mod chats;
mod clock;
mod connections;
mod copies;
mod corpus;
mod crash;
mod dashboard;
mod direct_chats;
mod docs;
mod engine;
mod erasure;
mod events;
mod faults;
mod fields;
mod followers;
mod forwarding;
mod golden;
mod health;
mod history;
mod kernel;
mod keys;
mod limits;
mod load_then_follow;
mod membership;
mod messages;
mod nodes;
mod observed;
mod old_logs;
mod open_mode;
mod openapi;
mod ownership;
mod page;
mod problems;
mod process;
mod property;
mod read_marks;
mod requests;
mod restarts;
mod revocations;
mod rough;
mod shared_log;
mod streams;
mod support;
mod talk;
mod tls;
mod tools;
mod tour;
mod users;
