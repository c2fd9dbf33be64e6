//! The reason why a file of keys or of a secret is refused.

/// The reason why a file of keys or of a secret is refused.
///
/// **Invariant:** the message names the place and the rule, and never shows what the file holds, because it is logged.
/// The exceptions are names that are no secrets: that of a server key, and the `kid` of a JWK.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadFile(String);

impl BadFile {
    /// The whole file is bad.
    pub(super) fn whole(what: &str) -> Self {
        Self(what.to_owned())
    }

    /// A part of the file is bad: a line, or a key.
    pub(super) fn at(place: impl std::fmt::Display, what: impl std::fmt::Display) -> Self {
        Self(format!("{place}: {what}"))
    }
}
