//! The names of the keys that let callers in.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};

/// The name of a server key or of a JWK: a digest of everything that decides what the key lets in.
///
/// A changed key has another name. So what a key has let in can be ended when the key is gone from its file, or when
/// it can do less.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SourceId([u8; Self::BYTES]);

impl SourceId {
    /// Number of bytes.
    pub(super) const BYTES: usize = 16;

    /// Returns the digest of these parts. The first one says what kind of key it is.
    pub(super) fn of(parts: &[&[u8]]) -> Self {
        let mut digest = Context::new(&SHA256);
        for part in parts {
            // The lengths keep the parts apart.
            digest.update(&(part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        let digest = digest.finish();
        let (id, _) = digest.as_ref().split_first_chunk().expect("SHA-256 has 32 bytes");
        Self(*id)
    }

    pub(super) fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    pub(super) fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

/// Shows nothing: it may be a digest of a secret that a person made up.
impl fmt::Debug for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SourceId")
    }
}
