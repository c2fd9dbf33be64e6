//! Credentials and rates: who a caller is, and how much a caller may ask for.
//!
//! Nothing here knows a file, a socket or a clock: texts, addresses and times come in, and verdicts go out. Random
//! numbers are drawn for new keys and secrets only.

mod bad_file;
mod claims;
mod credentials;
mod event_token;
mod failures;
mod json;
mod jwk;
mod proxies;
mod rates;
mod server_keys;
mod signing;
mod source_id;
#[cfg(test)]
mod tests;
mod token;
mod token_keys;
mod token_sub;

pub use bad_file::BadFile;
pub use credentials::Credentials;
pub use event_token::{EventToken, Secret};
pub use failures::Failures;
pub use jwk::IgnoredKey;
pub use proxies::TrustedProxies;
pub use rates::{Exceeded, Left, Quota, UserRates};
pub use server_keys::{
    Expiry, InvalidExpiry, InvalidKeyName, KeyName, KeyScope, NewKey, ServerKey, ServerKeys,
};
pub use signing::{Grant, NoSigningKey, SigningKey};
pub use source_id::SourceId;
pub use token::{Scope, Scopes, Subject, TOKEN_AHEAD_S_MAX, Token, TokenPolicy, TokenRefusal, is_ahead};
pub use token_keys::TokenKeys;
pub use token_sub::TokenSub;
