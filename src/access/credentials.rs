//! The keys that let callers in.

use std::sync::Arc;

use super::{ServerKeys, SourceId, TokenKeys};

/// The keys that let callers in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Keys of servers.
    pub server_keys: Arc<ServerKeys>,
    /// Keys that sign users' tokens.
    pub token_keys: Arc<TokenKeys>,
}

impl Credentials {
    /// Returns whether this key is among them.
    #[must_use]
    pub fn contain(&self, key: SourceId) -> bool {
        self.server_keys.contains(key) || self.token_keys.contains(key)
    }
}
