//! Flags of TLS: the certificate, and its key.

use std::path::{Path, PathBuf};

use clap::Args;

/// Files with which the server speaks TLS, both or neither.
#[derive(Debug, Clone, Args)]
pub struct TlsConfig {
    /// PEM file of the server's certificate, followed by those that lead to its issuer. With it, the port speaks
    /// HTTPS only; it is read again within 5 s of a change and on SIGHUP
    #[arg(long, env = "CHINWAG_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// PEM file of the certificate's private key, without a passphrase; it is read again with the certificate
    #[arg(long, env = "CHINWAG_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
}

impl TlsConfig {
    /// Returns the files of the certificate and of its key, if the server speaks TLS.
    #[must_use]
    pub fn files(&self) -> Option<(&Path, &Path)> {
        self.tls_cert.as_deref().zip(self.tls_key.as_deref())
    }
}
