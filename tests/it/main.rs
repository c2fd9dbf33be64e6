//! The real binary, over real sockets: what is promised, tried.
//!
//! One test binary, so that it links once. One file a capability; `support` holds the fixture.

#![expect(unreachable_pub, reason = "the fixture is public to the tests beside it")]

mod architecture;
mod crash;
mod faults;
mod kernel;
mod process;
mod property;
mod support;
mod tour;
mod users;
