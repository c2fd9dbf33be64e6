//! Clients of a server that speaks TLS, and its certificates.
//!
//! ```ignore
//! let files = CertificateFiles::new();
//! let server = files.server(&[]);                        // called like any other, through a tunnel
//! server.add_user("ann").await;
//! let mut connection = TlsConnection::open(&server.address, &files.served);
//! connection.send(head("GET", "/health", &[]));
//! ```

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    StreamOwned, SupportedProtocolVersion,
};

use super::server::TestServer;

/// The name of every certificate.
const NAME: &str = "chinwag.test";

/// A certificate and its key.
#[derive(Clone)]
pub struct Identity {
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Identity {
    /// Makes one of its own kind.
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self { certificate, key: key.serialize_der() }
    }

    pub fn certificate_pem(&self) -> String {
        pem("CERTIFICATE", &self.certificate)
    }

    pub fn key_pem(&self) -> String {
        pem("PRIVATE KEY", &self.key)
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// The files that a server with TLS is given.
pub struct CertificateFiles {
    dir: TempDir,
    /// What was written into them first.
    pub served: Identity,
}

impl CertificateFiles {
    pub fn new() -> Self {
        let files = Self { dir: TempDir::new().unwrap(), served: Identity::new() };
        files.replace(&files.served.certificate_pem(), &files.served.key_pem());
        files
    }

    pub fn certificate(&self) -> PathBuf {
        self.dir.path().join("cert.pem")
    }

    pub fn key(&self) -> PathBuf {
        self.dir.path().join("key.pem")
    }

    /// Returns the flags that name them.
    pub fn flags(&self) -> [String; 4] {
        let text = |path: PathBuf| path.to_str().unwrap().to_owned();
        ["--tls-cert".to_owned(), text(self.certificate()), "--tls-key".to_owned(), text(self.key())]
    }

    /// Starts a server with them.
    pub fn server(&self, flags: &[&str]) -> TestServer {
        let own = self.flags();
        let own: Vec<_> = own.iter().map(String::as_str).collect();
        TestServer::start_with(&[&own, flags].concat())
    }

    /// Replaces both by rename.
    pub fn replace(&self, certificate: &str, key: &str) {
        for (path, content) in [(self.certificate(), certificate), (self.key(), key)] {
            let new = path.with_extension("new");
            std::fs::write(&new, content).unwrap();
            std::fs::rename(new, path).unwrap();
        }
    }
}

/// One connection of TLS. It speaks HTTP/1.1, blocks, and trusts one certificate.
pub struct TlsConnection(pub StreamOwned<ClientConnection, TcpStream>);

impl TlsConnection {
    pub fn open(address: &str, trusted: &Identity) -> Self {
        Self::try_open(address, trusted, &[], &[]).expect("connected")
    }

    /// Connects with these versions of TLS (all, if there is none), and these protocols above it.
    pub fn try_open(
        address: &str,
        trusted: &Identity,
        versions: &[&'static SupportedProtocolVersion],
        protocols: &[&str],
    ) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.certificate.clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let builder = match versions {
            [] => builder.with_safe_default_protocol_versions(),
            versions => builder.with_protocol_versions(versions),
        };
        let mut config = builder.unwrap().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let session = ClientConnection::new(Arc::new(config), ServerName::try_from(NAME).unwrap()).unwrap();
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(Duration::from_secs(20)))?;
        let mut stream = StreamOwned::new(session, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self(stream))
    }

    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).expect("sent");
        self.0.flush().expect("sent");
    }

    /// Returns the records in which these bytes would be sent.
    pub fn sealed(&mut self, bytes: impl AsRef<[u8]>) -> Vec<u8> {
        self.0.conn.writer().write_all(bytes.as_ref()).unwrap();
        let mut records = Vec::new();
        while self.0.conn.wants_write() {
            self.0.conn.write_tls(&mut records).unwrap();
        }
        records
    }

    /// Says that nothing more will be sent.
    pub fn finish(&mut self) {
        self.0.conn.send_close_notify();
        self.0.flush().expect("sent");
    }

    /// Reads the next piece. It is empty if the server has ended the connection as TLS demands.
    #[track_caller]
    pub fn piece(&mut self) -> String {
        let mut piece = vec![0; 16 * 1024];
        let length = self.0.read(&mut piece).expect("a piece, or an end that is announced");
        piece.truncate(length);
        String::from_utf8(piece).expect("text")
    }

    /// Reads until this text has arrived.
    #[track_caller]
    pub fn expect(&mut self, text: &str) {
        let mut seen = String::new();
        while !seen.contains(text) {
            let piece = self.piece();
            assert!(!piece.is_empty(), "it ended after {seen}");
            seen += &piece;
        }
    }

    /// Reads until the server ends the connection, as TLS demands.
    #[track_caller]
    pub fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.0.read_to_string(&mut rest).expect("an end that is announced");
        rest
    }

    /// Returns whether the server closes the connection, and sends nothing before.
    pub fn is_closed(&mut self) -> bool {
        match self.0.sock.read(&mut [0; 1]) {
            Ok(bytes) => bytes == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }
}

/// Listens on an address of its own, without TLS, and carries each connection to a server with TLS, whatever its
/// certificate. Returns that address. So clients without TLS can call the server.
pub fn tunnel_to(server: &str) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("bound").to_string();
    listener.set_nonblocking(true).expect("set");
    let server = server.to_owned();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trusting))
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let carry = async move {
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
        while let Ok((mut client, _)) = listener.accept().await {
            let (server, connector) = (server.clone(), connector.clone());
            tokio::spawn(async move {
                let socket = tokio::net::TcpStream::connect(server).await?;
                drop(socket.set_nodelay(true));
                let name = ServerName::try_from(NAME).expect("a name");
                let mut stream = connector.connect(name, socket).await?;
                tokio::io::copy_bidirectional(&mut client, &mut stream).await
            });
        }
    };
    // It ends with the process of the tests.
    std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(carry);
    });
    address
}

/// Trusts every certificate.
#[derive(Debug)]
struct Trusting;

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
