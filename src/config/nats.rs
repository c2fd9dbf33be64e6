//! Flags of a log that several servers share: a stream of NATS JetStream.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Data;
use super::values::{ListenAddress, number, size};
use crate::log::stream::{NatsLogin, NatsSettings, NatsTls};

/// The stream, and how its nodes are reached.
#[derive(Debug, Clone, Args)]
pub struct NatsConfig {
    /// URLs, separated by commas, of the nodes of NATS that keep the log, as in nats://n1:4222,nats://n2:4222; tls://
    /// requires TLS. The directory of --data then holds a copy
    #[arg(long, env = "CHINWAG_NATS", value_name = "URLS", value_delimiter = ',', value_parser = node_url)]
    pub nats: Vec<String>,
    /// Name of the stream of JetStream, which `chinwag stream create` creates
    #[arg(long, env = "CHINWAG_NATS_STREAM", value_name = "NAME", default_value = "chinwag",
        value_parser = stream_name)]
    pub nats_stream: String,
    /// File of credentials, with a JWT and the seed of its key, as whom to connect to the nodes
    #[arg(long, env = "CHINWAG_NATS_CREDS", value_name = "FILE",
        conflicts_with_all = ["nats_user", "nats_token_file"])]
    pub nats_creds: Option<PathBuf>,
    /// User as whom to connect to the nodes
    #[arg(
        long,
        env = "CHINWAG_NATS_USER",
        value_name = "USER",
        requires = "nats_password_file",
        conflicts_with = "nats_token_file"
    )]
    pub nats_user: Option<String>,
    /// File of the password of --nats-user
    #[arg(long, env = "CHINWAG_NATS_PASSWORD_FILE", value_name = "FILE", requires = "nats_user")]
    pub nats_password_file: Option<PathBuf>,
    /// File of the token with which to connect to the nodes
    #[arg(long, env = "CHINWAG_NATS_TOKEN_FILE", value_name = "FILE")]
    pub nats_token_file: Option<PathBuf>,
    /// PEM file of the certificates that the nodes' certificates lead to; with it, TLS is required
    #[arg(long, env = "CHINWAG_NATS_CA", value_name = "FILE")]
    pub nats_ca: Option<PathBuf>,
    /// PEM file of the certificate that is shown to the nodes
    #[arg(long, env = "CHINWAG_NATS_CERT", value_name = "FILE", requires = "nats_key")]
    pub nats_cert: Option<PathBuf>,
    /// PEM file of the private key of --nats-cert
    #[arg(long, env = "CHINWAG_NATS_KEY", value_name = "FILE", requires = "nats_cert")]
    pub nats_key: Option<PathBuf>,
    /// Monitoring ports of the nodes, separated by commas, as in n1:8222,n2:8222. A node that says there that it does
    /// not sync each message is refused; one that does not answer is only warned of
    #[arg(long, env = "CHINWAG_NATS_MONITOR", value_name = "ADDR:PORT,…", value_delimiter = ',',
        value_parser = monitor)]
    pub nats_monitor: Vec<String>,
}

/// The waits of a server whose log is a stream.
#[derive(Debug, Clone, Copy, Args)]
pub struct StreamTimeouts {
    /// Maximum time for which a write tries to get into the stream of --nats, in milliseconds; then it is refused with
    /// 503
    #[arg(long, env = "CHINWAG_WRITE_TIMEOUT_MS", value_name = "MILLISECONDS", default_value_t = 10_000,
        value_parser = number(100..=60_000, 10_000))]
    pub write_timeout_ms: u32,
}

impl NatsConfig {
    /// Returns how to reach the stream, if nodes are given.
    #[must_use]
    pub fn settings(&self) -> Option<NatsSettings> {
        if self.nats.is_empty() {
            return None;
        }
        let login = match (&self.nats_creds, &self.nats_user, &self.nats_password_file, &self.nats_token_file)
        {
            (Some(credentials), ..) => NatsLogin::Credentials(credentials.clone()),
            (None, Some(user), Some(file), _) => NatsLogin::Password(user.clone(), file.clone()),
            (None, _, _, Some(token)) => NatsLogin::Token(token.clone()),
            (None, _, _, None) => NatsLogin::Nobody,
        };
        let certificate = self.nats_cert.clone().zip(self.nats_key.clone());
        Some(NatsSettings {
            nodes: self.nats.clone(),
            stream: self.nats_stream.clone(),
            login,
            tls: NatsTls { ca: self.nats_ca.clone(), certificate },
            monitors: self.nats_monitor.clone(),
        })
    }
}

/// A stream that is to be created.
#[derive(Debug, Clone, Copy, Args)]
pub struct NewStream {
    /// Number of nodes that keep a new stream, 1, 3 or 5; with 1, a log is lost with its node
    #[arg(long, value_name = "NODES", default_value_t = 3, value_parser = number(1..=5, 3))]
    pub replicas: u32,
    /// Maximum length of a new stream, in bytes, or as in 100GiB: less than 40 % of the disk of a node, since a node
    /// whose disk is full stores nothing more until it is restarted. Writes beyond it are refused with 507
    #[arg(long, value_name = "SIZE", value_parser = size::<u64>(1 << 20..=1 << 50, "100GiB"))]
    pub max_bytes: Option<u64>,
}

/// Commands on the stream that several servers share.
#[derive(Debug, Subcommand)]
pub enum StreamCommand {
    /// Create the stream on the nodes of --nats, as servers need it, and begin a log in it
    Create {
        /// The stream
        #[command(flatten)]
        nats: NatsConfig,
        /// The stream, if it is new
        #[command(flatten)]
        new: NewStream,
        /// Accept a stream that exists, if it is as servers need it
        #[arg(long)]
        if_missing: bool,
        /// Begin with the log in this directory, which one server has written, or an import, and which no server uses
        /// now. It is not changed; servers on the stream begin with empty directories. With --if-missing, go on after
        /// an interruption; exit 5 if the stream holds anything but a beginning of the log
        #[arg(long, value_name = "DIR")]
        from: Option<PathBuf>,
    },
    /// Check the stream and the nodes as a server does, and print what they are; exit 2 if they are not as they must be
    Check {
        /// The stream
        #[command(flatten)]
        nats: NatsConfig,
    },
    /// Publish what the stream has lost, from the copy in --data, which no server uses now; create the stream if it is
    /// missing. A next run goes on after an interruption; exit 5, and nothing is changed, if the stream holds anything
    /// but a beginning of the copy
    Restore {
        /// The stream
        #[command(flatten)]
        nats: NatsConfig,
        /// The stream, if it is missing
        #[command(flatten)]
        new: NewStream,
        /// The copy
        #[command(flatten)]
        copy: Data,
    },
    /// Create a new stream, named by --nats-stream, from a copy of the present one that was scrubbed: a stream keeps what was
    /// erased. All servers must have stopped. The directory becomes a copy of the new stream; the other servers begin with
    /// empty directories. If it is interrupted, run it again
    Regenerate {
        /// The new stream
        #[command(flatten)]
        nats: NatsConfig,
        /// The new stream
        #[command(flatten)]
        new: NewStream,
        /// Directory of the copy, after `log scrub`
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
    },
    /// Mark the stream as one of this release's format. Upgrade all servers and tools first: after a change of the format,
    /// an earlier release refuses the stream with exit code 3
    Upgrade {
        /// The stream
        #[command(flatten)]
        nats: NatsConfig,
    },
    /// Make a copy of a stream a log of its own, for a server without --nats. It does not change the stream
    Detach(Data),
}

/// Returns a URL of a node, without a user: the client would ignore one.
fn node_url(text: &str) -> Result<String, String> {
    let node = text.strip_prefix("nats://").or_else(|| text.strip_prefix("tls://")).unwrap_or(text);
    if node.contains('@') {
        return Err("the URL of a node has no user and no password here: use --nats-user and \
                    --nats-password-file, --nats-creds or --nats-token-file"
            .to_owned());
    }
    let is_node = |address: &str| address.parse::<ListenAddress>().is_ok();
    if is_node(node) || is_node(&format!("{node}:4222")) {
        return Ok(text.to_owned());
    }
    Err("must be the URL of a node of NATS, as in nats://n1:4222 or tls://n1:4222".to_owned())
}

/// Returns an address of a monitoring port, with or without `http://` before it.
fn monitor(text: &str) -> Result<String, String> {
    let address = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    match address.parse::<ListenAddress>() {
        Ok(address) => Ok(address.to_string()),
        Err(_) => Err("must be the address and port of a node's monitoring, as in n1:8222".to_owned()),
    }
}

fn stream_name(text: &str) -> Result<String, String> {
    const CHARS_MAX: usize = 64;
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if !text.is_empty() && text.len() <= CHARS_MAX && text.bytes().all(is_of_name) {
        return Ok(text.to_owned());
    }
    Err(format!("must be 1 to {CHARS_MAX} characters of a-z, A-Z, 0-9, '-' and '_', as in chinwag"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::config::Cli;

    fn parsed(flags: &[&str]) -> Result<NatsConfig, String> {
        let words = ["chinwag"].iter().chain(flags);
        Cli::try_parse_from(words).map(|cli| cli.serve.nats).map_err(|error| error.to_string())
    }

    #[test]
    fn a_node_is_named_by_a_url_without_a_user() {
        let config = parsed(&["--nats", "nats://n1,tls://n2:4222,n3,nats://[::1]:4222"]).expect("nodes");
        assert_eq!(config.settings().expect("settings").nodes.len(), 4);
        assert!(parsed(&[]).expect("no nodes").settings().is_none());
        for (bad, why) in [
            ("nats://ann:secret@n1", "--nats-password-file"),
            ("nats://token@n1", "--nats-token-file"),
            ("http://n1", "nats://n1:4222"),
            ("nats://", "nats://n1:4222"),
            ("nats://n1/path", "nats://n1:4222"),
            ("n1:many", "nats://n1:4222"),
        ] {
            let refused = parsed(&["--nats", bad]).expect_err(bad);
            assert!(refused.contains(why), "{refused}");
        }
    }

    #[test]
    fn one_user_connects() {
        let login = |flags: &[&str]| {
            let words: Vec<_> = ["--nats", "n1"].iter().chain(flags).copied().collect();
            parsed(&words).map(|config| config.settings().expect("settings").login)
        };
        assert!(matches!(login(&[]), Ok(NatsLogin::Nobody)));
        assert!(matches!(login(&["--nats-creds", "f"]), Ok(NatsLogin::Credentials(_))));
        assert!(matches!(login(&["--nats-token-file", "f"]), Ok(NatsLogin::Token(_))));
        let password = login(&["--nats-user", "ann", "--nats-password-file", "f"]);
        assert!(matches!(password, Ok(NatsLogin::Password(user, _)) if user == "ann"));
        for bad in [
            &["--nats-user", "ann"][..],
            &["--nats-password-file", "f"],
            &["--nats-creds", "f", "--nats-token-file", "g"],
            &["--nats-creds", "f", "--nats-user", "ann", "--nats-password-file", "g"],
            &["--nats-user", "ann", "--nats-password-file", "g", "--nats-token-file", "f"],
        ] {
            login(bad).expect_err("two, or a half");
        }
    }

    #[test]
    fn a_stream_and_its_monitors_are_named() {
        for bad in ["", "a.b", "a b", "a*", "é"] {
            parsed(&["--nats-stream", bad]).expect_err(bad);
        }
        let config = parsed(&["--nats-monitor", "http://n1:8222/,n2:8222"]).expect("addresses");
        assert_eq!(config.nats_monitor, ["n1:8222", "n2:8222"]);
        parsed(&["--nats-monitor", "https://n1:8222"]).expect_err("only plain HTTP");
    }
}
