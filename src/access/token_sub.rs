//! The meaning of a token's claim `sub`.

use clap::ValueEnum;

/// The meaning of a token's claim `sub`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TokenSub {
    /// The user's id
    Id,
    /// The username
    Username,
}
