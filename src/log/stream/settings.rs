//! How a stream is reached.

use std::path::PathBuf;

/// Where a stream of NATS JetStream is, and as whom a server connects to it.
#[derive(Debug, Clone)]
pub struct NatsSettings {
    /// The nodes' URLs, without a user.
    pub nodes: Vec<String>,
    /// The name of the stream.
    pub stream: String,
    /// The user that connects.
    pub login: NatsLogin,
    /// The certificates of TLS.
    pub tls: NatsTls,
    /// The addresses of the nodes' monitoring ports, each a host and a port.
    pub monitors: Vec<String>,
}

/// The user that connects to the nodes.
#[derive(Debug, Clone)]
pub enum NatsLogin {
    /// The nodes ask for no user.
    Nobody,
    /// The file holds a JWT and the seed of its key.
    Credentials(PathBuf),
    /// A name, and the file of its password.
    Password(String, PathBuf),
    /// The file holds a token.
    Token(PathBuf),
}

/// The files of TLS.
#[derive(Debug, Clone, Default)]
pub struct NatsTls {
    /// The certificates that the nodes' certificates lead to. With them, TLS is required.
    pub ca: Option<PathBuf>,
    /// The certificate that is shown to the nodes, and its key.
    pub certificate: Option<(PathBuf, PathBuf)>,
}
