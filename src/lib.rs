//! Chinwag
pub mod config;
pub mod domain;
pub mod engine;
pub mod healthcheck;
pub mod http;
pub mod log;
pub mod model;
pub mod server;
