//! Stands in for the client of NATS in a binary that was built without it.

use std::convert::Infallible;
use std::time::Duration;

use super::{CreateStream, Created, Heard, NatsSettings, Published, Stream, StreamError, Unreachable};
use crate::log::LogError;

/// A stream of NATS JetStream, which does not exist in this binary.
pub struct NatsStream(Infallible);

impl NatsStream {
    /// Returns an error.
    ///
    /// # Errors
    ///
    /// Always: see [`StreamError::NotBuilt`].
    pub fn new(_settings: NatsSettings) -> Result<Self, StreamError> {
        Err(StreamError::NotBuilt)
    }

    /// Creates the stream.
    ///
    /// # Errors
    ///
    /// It cannot be called.
    pub fn create(&mut self, _create: CreateStream, _genesis: &[u8]) -> Result<Created, LogError> {
        match self.0 {}
    }

    /// Upgrades the stream.
    ///
    /// # Errors
    ///
    /// It cannot be called.
    pub fn upgrade(&mut self) -> Result<bool, LogError> {
        match self.0 {}
    }

    /// Describes the stream.
    ///
    /// # Errors
    ///
    /// It cannot be called.
    pub fn describe(&mut self) -> Result<Vec<(&'static str, String)>, LogError> {
        match self.0 {}
    }
}

impl Stream for NatsStream {
    fn check(&mut self) -> Result<bool, LogError> {
        match self.0 {}
    }

    fn message_bytes_max(&self) -> usize {
        match self.0 {}
    }

    fn publish(&mut self, _expected: u64, _message: &[u8], _patience: Duration) -> Published {
        match self.0 {}
    }

    fn read(&mut self, _from: u64, _bytes_max: usize) -> Result<Vec<(u64, Vec<u8>)>, Unreachable> {
        match self.0 {}
    }

    fn probe(&mut self) -> Option<u64> {
        match self.0 {}
    }

    fn heard(&self) -> Heard {
        match self.0 {}
    }

    fn wake_by(&mut self, _wake: Box<dyn Fn() + Send + Sync>) {
        match self.0 {}
    }

    fn time(&self) -> Duration {
        match self.0 {}
    }

    fn wait(&mut self, _time: Duration) {
        match self.0 {}
    }
}
