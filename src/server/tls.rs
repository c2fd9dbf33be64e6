//! The server's certificate: read from its files at the start, and again when they change.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{Error, ServerConfig};

use super::ServeError;
use super::reload::WatchedFiles;
use crate::config::TlsConfig;
use crate::http::{App, Tls};

/// A reason why the server cannot speak TLS. It names the file, and never shows its content.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("failed to read {}, which {flag} names: {source}", path.display())]
    Read {
        /// Flag that names the file.
        flag: &'static str,
        /// Path of the file.
        path: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("cannot use {}, which {flag} names: {problem}", path.display())]
    Unusable {
        /// Flag that names the file.
        flag: &'static str,
        /// Path of the file.
        path: PathBuf,
        /// The problem with it.
        problem: String,
    },
}

/// The certificate that is served, and the files that it comes from.
pub struct Certificate {
    files: CertificateFiles,
    watched: WatchedFiles,
    tls: Tls,
}

impl Certificate {
    /// Reads the certificate and its key, if the server is to speak TLS.
    ///
    /// # Errors
    ///
    /// See [`TlsError`].
    pub(super) fn read(config: &TlsConfig) -> Result<Option<Self>, TlsError> {
        let Some((cert, key)) = config.files() else { return Ok(None) };
        let files = CertificateFiles {
            cert: PemFile { flag: "--tls-cert", path: cert.to_owned() },
            key: PemFile { flag: "--tls-key", path: key.to_owned() },
        };
        let watched = WatchedFiles::note(vec![cert.to_owned(), key.to_owned()]);
        let tls = Tls::new(files.read()?);
        Ok(Some(Self { files, watched, tls }))
    }

    /// Returns what new connections are served with.
    pub(super) fn tls(&self) -> Tls {
        self.tls.clone()
    }

    /// Serves what is in the files whenever they change. If it cannot be used, what was served before stays.
    ///
    /// # Errors
    ///
    /// See [`WatchedFiles::watch`].
    pub(super) fn watch(self, app: Arc<App>) -> Result<(), ServeError> {
        let Self { files, watched, tls } = self;
        app.show_tls_stale();
        watched.watch(move || {
            let read = files.read();
            app.set_tls_stale(read.is_err());
            tls.replace(read.map_err(|error| format!("the certificate from before is served: {error}"))?);
            tracing::info!(path = %files.cert.path.display(), "read the certificate");
            Ok(())
        })
    }
}

struct CertificateFiles {
    cert: PemFile,
    key: PemFile,
}

impl CertificateFiles {
    fn read(&self) -> Result<ServerConfig, TlsError> {
        let Self { cert, key } = self;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&cert.bytes()?).collect();
        let chain = chain.map_err(|_| cert.unusable("it is not well-formed PEM"))?;
        if chain.is_empty() {
            return Err(cert.unusable("it holds no certificate in PEM"));
        }
        key.warn_if_others_may_read_it();
        let private_key = PrivateKeyDer::from_pem_slice(&key.bytes()?).map_err(|error| {
            let is_missing = matches!(error, pem::Error::NoItemsFound);
            let missing = "it holds no private key in PEM without a passphrase";
            key.unusable(if is_missing { missing } else { "it is not well-formed PEM" })
        })?;
        let provider = aws_lc_rs::default_provider();
        let loaded = provider
            .key_provider
            .load_private_key(private_key)
            .map_err(|_| key.unusable("its private key is malformed, or of a kind that is not supported"))?;
        let certified = CertifiedKey::new(chain, loaded);
        match certified.keys_match() {
            Ok(()) => {}
            Err(Error::InconsistentKeys(_)) => {
                let problem = format!("it is not the key of the certificate in {}", cert.path.display());
                return Err(key.unusable(&problem));
            }
            Err(_) => return Err(cert.unusable("its first certificate is malformed")),
        }
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .expect("the provider has ciphers of these versions")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// A file, and the flag that names it.
struct PemFile {
    flag: &'static str,
    path: PathBuf,
}

impl PemFile {
    fn bytes(&self) -> Result<Vec<u8>, TlsError> {
        let failed = |source| TlsError::Read { flag: self.flag, path: self.path.clone(), source };
        let bytes = fs::read(&self.path).map_err(failed)?;
        if bytes.is_empty() { Err(self.unusable("it is empty")) } else { Ok(bytes) }
    }

    fn unusable(&self, problem: &str) -> TlsError {
        TlsError::Unusable { flag: self.flag, path: self.path.clone(), problem: problem.to_owned() }
    }

    fn warn_if_others_may_read_it(&self) {
        if let Some(mode) = mode_for_others(&self.path) {
            let path = self.path.display();
            tracing::warn!(%path, mode, "other users of this machine may read the private key");
        }
    }
}

/// Returns the mode of a file that its group or others may open.
fn mode_for_others(path: &Path) -> Option<String> {
    let mode = fs::metadata(path).ok()?.mode();
    (mode & 0o077 != 0).then(|| format!("{:03o}", mode & 0o777))
}
