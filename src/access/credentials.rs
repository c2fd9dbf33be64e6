//! The keys that let callers in.

use super::{ServerKeys, SourceId, TokenKeys};

/// The keys that let callers in.
#[derive(Debug, Default)]
pub struct Credentials {
    /// Keys of servers.
    pub server_keys: ServerKeys,
    /// Keys that sign users' tokens.
    pub token_keys: TokenKeys,
}

impl Credentials {
    /// Returns whether this key is among them.
    #[must_use]
    pub fn have(&self, key: SourceId) -> bool {
        self.server_keys.contains(key) || self.token_keys.contains(key)
    }
}
