//! Commands on credentials: new server keys, and tokens to try a server with.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::values::number;
use crate::access::{Expiry, KeyName, KeyScope, Scope};

/// Commands on server keys.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make a server key and print it, once; the server's file holds only a hash of it
    ///
    /// The key goes to stdout. Its line for the file of --api-keys goes to stderr, or with --append into the file,
    /// which a running server reads again within 5 s.
    New(NewKeyArgs),
}

/// The key that `keys new` makes.
#[derive(Debug, Args)]
pub struct NewKeyArgs {
    /// Name of the key in logs and in the history: 1 to 32 characters of a-z, 0-9, '_', '.' and '-'. A key that
    /// replaces another one has the same name
    pub name: KeyName,
    /// Calls that the key is good for
    #[arg(long, value_name = "SCOPE", default_value = "all")]
    pub scope: KeyScope,
    /// Date (its beginning in UTC) or time of RFC 3339, from which on the key is refused
    #[arg(long, value_name = "DATE")]
    pub expires: Option<Expiry>,
    /// Add the line to this file, which is created, readable by its owner only, if it is missing
    #[arg(long, value_name = "FILE")]
    pub append: Option<PathBuf>,
}

/// The token that `token` prints.
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// JWK Set with the key that signs: one of type oct, or a private one of type EC (P-256) or OKP (Ed25519); private
    /// keys of type RSA are not supported
    #[arg(long, env = "CHINWAG_TOKEN_KEYS", value_name = "FILE")]
    pub token_keys: PathBuf,
    /// The user, for the claim `sub`: an id, or the username if the server has --token-sub username
    #[arg(long, value_name = "ID")]
    pub user: String,
    /// Seconds until the token expires
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = number(1..=31_536_000, 3600))]
    pub ttl: u32,
    /// Scopes of the token, separated by spaces: read, write, chats, moderate, events; "read write" if it is absent
    #[arg(long, value_name = "SCOPES", value_parser = scopes)]
    pub scope: Option<String>,
    /// Audience of the token, which the server's must equal
    #[arg(long, env = "CHINWAG_TOKEN_AUDIENCE", value_name = "NAME", default_value = "chinwag")]
    pub token_audience: String,
    /// `kid` of the key that signs; otherwise the first key that can
    #[arg(long, value_name = "KID")]
    pub kid: Option<String>,
}

/// Checks that a server knows each scope. It would ignore others.
fn scopes(text: &str) -> Result<String, String> {
    let checked = text.split(' ').try_for_each(|word| word.parse::<Scope>().map(|_| ()));
    checked
        .map(|()| text.to_owned())
        .map_err(|error| format!("each word {error}, with one space between two words"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_that_no_server_knows_is_refused() {
        for good in ["read", "read write", "read write chats moderate events"] {
            assert_eq!(scopes(good).as_deref(), Ok(good));
        }
        for bad in ["", " ", "read,write", "read  write", "Read", "admin"] {
            assert!(scopes(bad).expect_err(bad).contains("moderate"), "{bad:?}");
        }
    }
}
