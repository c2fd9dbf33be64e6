//! Flags of access: callers, and the rates at which they may call.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use ipnet::IpNet;

use super::values::{number, yes_or_no};
use crate::access::TokenSub;

/// Callers, and the rates at which they may call.
#[derive(Debug, Clone, Args)]
pub struct AccessConfig {
    /// File of server keys, one per line, as `chinwag keys new` makes them. With it, every call needs a credential; it
    /// is read again within 5 s of a change and on SIGHUP
    #[arg(long, env = "CHINWAG_API_KEYS", value_name = "FILE")]
    pub api_keys: Option<PathBuf>,
    /// JWK Set (RFC 7517) of the keys that sign users' tokens. With it, every call needs a credential; it is read
    /// again within 5 s of a change and on SIGHUP
    #[arg(long, env = "CHINWAG_TOKEN_KEYS", value_name = "FILE")]
    pub token_keys: Option<PathBuf>,
    /// Audience that a user's token must name in its claim `aud`
    #[arg(long, env = "CHINWAG_TOKEN_AUDIENCE", value_name = "NAME", default_value = "chinwag")]
    pub token_audience: String,
    /// Maximum time from a token's claim `iat` to its claim `exp`, in seconds
    #[arg(long, env = "CHINWAG_TOKEN_TTL_MAX_S", value_name = "SECONDS", default_value_t = 2_592_000,
        value_parser = number(1..=31_536_000, 2_592_000))]
    pub token_ttl_max_s: u32,
    /// Meaning of a token's claim `sub`: the user's id, or the username
    #[arg(long, env = "CHINWAG_TOKEN_SUB", value_name = "WHAT", default_value = "id")]
    pub token_sub: TokenSub,
    /// File with a secret of at least 32 bytes, with which tokens of /events/token stay valid after a restart and on
    /// other servers with the same secret; without it, each start has a random one
    #[arg(long, env = "CHINWAG_SECRET", value_name = "FILE")]
    pub secret: Option<PathBuf>,
    /// Serve everyone without credentials on an address that is not loopback; not together with --api-keys or
    /// --token-keys
    #[arg(long, env = "CHINWAG_OPEN", value_parser = yes_or_no)]
    pub open: bool,
    /// Names, separated by commas, under which browsers reach a server that needs no credentials, besides localhost
    /// and IP addresses; requests to other names are refused
    #[arg(long, env = "CHINWAG_HOSTS", value_name = "NAMES", value_delimiter = ',', value_parser = host_name)]
    pub hosts: Vec<String>,
    /// Addresses and networks, separated by commas, of proxies whose X-Forwarded-For names the client
    #[arg(long, env = "CHINWAG_TRUSTED_PROXIES", value_name = "NETWORKS", value_delimiter = ',',
        value_parser = network)]
    pub trusted_proxies: Vec<IpNet>,
    /// Limits of each user
    #[command(flatten)]
    pub user_limits: UserLimits,
}

/// Limits of each user who calls with a token.
#[derive(Debug, Clone, Copy, Args)]
pub struct UserLimits {
    /// Maximum writes per second of a user with a token, after a burst
    #[arg(long, env = "CHINWAG_USER_WRITES_PER_S", value_name = "WRITES", default_value_t = 20,
        value_parser = number(1..=1_000_000, 20))]
    pub user_writes_per_s: u32,
    /// Maximum writes of a user with a token at once
    #[arg(long, env = "CHINWAG_USER_WRITES_BURST", value_name = "WRITES", default_value_t = 100,
        value_parser = number(1..=1_000_000, 100))]
    pub user_writes_burst: u32,
    /// Maximum reads per second of a user with a token, after a burst; a read costs 1, and 1 more for each thousand
    /// messages in its answer
    #[arg(long, env = "CHINWAG_USER_READS_PER_S", value_name = "READS", default_value_t = 50,
        value_parser = number(1..=1_000_000, 50))]
    pub user_reads_per_s: u32,
    /// Maximum reads of a user with a token at once
    #[arg(long, env = "CHINWAG_USER_READS_BURST", value_name = "READS", default_value_t = 200,
        value_parser = number(1..=1_000_000, 200))]
    pub user_reads_burst: u32,
    /// Maximum open event streams of a user with a token
    #[arg(long, env = "CHINWAG_USER_STREAMS_MAX", value_name = "STREAMS", default_value_t = 32,
        value_parser = number(1..=1_000_000, 32))]
    pub user_streams_max: u32,
}

impl AccessConfig {
    /// Returns whether every call needs a credential.
    #[must_use]
    pub fn is_keyed(&self) -> bool {
        self.api_keys.is_some() || self.token_keys.is_some()
    }
}

/// Returns a name of a host in lower case, without the dot that may end it.
fn host_name(text: &str) -> Result<String, String> {
    const BYTES_MAX: usize = 253;
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    if name.len() <= BYTES_MAX && name.split('.').all(is_label) {
        return Ok(name.to_ascii_lowercase());
    }
    Err(format!("{text:?} is not a name of a host without scheme and port, as in chat.example.com"))
}

fn network(text: &str) -> Result<IpNet, String> {
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    text.parse().ok().or_else(address).ok_or_else(|| {
        format!("{text:?} is neither an address nor a network, such as 10.1.2.3 or 10.0.0.0/8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_alone() {
        for (text, name) in [
            ("chinwag", "chinwag"),
            ("Chat.Example.COM.", "chat.example.com"),
            ("xn--mnchen-3ya.example", "xn--mnchen-3ya.example"),
            ("a_b-c.1", "a_b-c.1"),
        ] {
            assert_eq!(host_name(text).as_deref(), Ok(name));
        }
        let long = "a".repeat(254);
        for bad in [
            "",
            ".",
            "a..b",
            ".a",
            "*",
            "*.example.com",
            "a b",
            " a",
            "a:80",
            "http://a",
            "a/",
            "[::1]",
            "münchen.example",
            &long,
        ] {
            let refused = host_name(bad).expect_err(bad);
            assert!(refused.contains("as in chat.example.com"), "{refused}");
        }
    }
}
