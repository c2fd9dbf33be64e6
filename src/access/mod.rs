//! Credentials and rates: who a caller is, and how much a caller may ask for.
//!
//! Nothing here knows a file, a socket or a clock: texts, addresses and times come in, and verdicts go out. Random
//! numbers are drawn for new keys and secrets only.

mod bad_file;
mod claims;
mod event_token;
mod json;
mod jwk;
mod server_keys;
mod signing;
mod source_id;
#[cfg(test)]
mod tests;
mod token;
mod token_keys;
mod token_sub;

pub use bad_file::BadFile;
pub use event_token::{EventToken, Secret};
pub use jwk::IgnoredKey;
pub use server_keys::{
    Expiry, InvalidExpiry, InvalidKeyName, KeyName, KeyScope, NewKey, ServerKey, ServerKeys,
};
pub use signing::{Grant, NoSigningKey, SigningKey};
pub use source_id::SourceId;
pub use token::{Scope, Scopes, Subject, Token, TokenPolicy, TokenRefusal};
pub use token_keys::TokenKeys;
pub use token_sub::TokenSub;
