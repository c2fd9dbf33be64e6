//! Makes server keys, and tokens to try a server with.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::access::{
    BadFile, Expiry, Grant, KeyName, KeyScope, NewKey, NoSigningKey, ServerKeys, SigningKey,
};
use crate::system_clock;

/// The reason why no key or token was made.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file of keys is not one, or would not be one afterwards.
    #[error("{}: {source}", file.display())]
    BadFile {
        /// The file.
        file: PathBuf,
        /// The problem with it.
        source: BadFile,
    },
    /// The set of keys has none that signs.
    #[error("{}: {source}", file.display())]
    NoSigningKey {
        /// The file.
        file: PathBuf,
        /// The reason.
        source: NoSigningKey,
    },
    /// The key would be refused from the start.
    #[error("a key that expires at {0} is refused from the start: that is in the past")]
    Expired(Expiry),
    /// The system refuses to do something with a file.
    #[error("failed to {doing} {}: {source}", file.display())]
    File {
        /// The action that failed.
        doing: &'static str,
        /// The file.
        file: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
    /// The output cannot be written.
    #[error("failed to write the output: {0}")]
    Output(#[source] io::Error),
}

/// Makes a server key and prints it. Its line for the server's file is appended to that file, or, if there is none,
/// printed to `notes`.
///
/// The key is printed last, so that nobody uses a key which the file does not hold.
///
/// # Errors
///
/// The key has expired, or the file is not a file of server keys, or is full. Then the file is unchanged.
pub fn new_server_key(
    name: &KeyName,
    scope: KeyScope,
    expires: Option<Expiry>,
    append: Option<&Path>,
    mut out: impl Write,
    mut notes: impl Write,
) -> Result<(), CredentialsError> {
    if let Some(expiry) = expires.filter(|expiry| expiry.0 <= system_clock::now()) {
        return Err(CredentialsError::Expired(expiry));
    }
    let key = NewKey::random();
    let line = key.line(name, scope, expires);
    match append {
        Some(file) => append_line(file, &line)?,
        None => writeln!(notes, "{line}").map_err(CredentialsError::Output)?,
    }
    writeln!(out, "{}", key.secret()).and_then(|()| out.flush()).map_err(CredentialsError::Output)
}

/// Appends a line to a file of server keys, and makes it durable.
fn append_line(path: &Path, line: &str) -> Result<(), CredentialsError> {
    let failed = |doing| move |source| CredentialsError::File { doing, file: path.to_owned(), source };
    let mut options = OpenOptions::new();
    let mut file =
        options.read(true).append(true).create(true).mode(0o600).open(path).map_err(failed("open"))?;
    let is_file = file.metadata().map_err(failed("open"))?.is_file();
    if !is_file {
        return Err(failed("open")(io::Error::other("not a regular file")));
    }
    // Of two that append at once, the second one sees the line of the first one.
    file.lock().map_err(failed("lock"))?;
    let mut text = Vec::new();
    file.read_to_end(&mut text).map_err(failed("read"))?;
    let length = text.len();
    if !text.is_empty() && !text.ends_with(b"\n") {
        text.push(b'\n');
    }
    text.extend(line.as_bytes());
    text.push(b'\n');
    ServerKeys::parse(&text).map_err(|source| CredentialsError::BadFile { file: path.to_owned(), source })?;
    let written = file.write_all(&text[length..]).and_then(|()| file.sync_all());
    if let Err(error) = written {
        // A part of a line would be a bad file. If it cannot be removed either, the first error says enough.
        drop(file.set_len(length as u64));
        return Err(failed("append to")(error));
    }
    // The name of a new file is in its directory.
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed("sync the directory of"))
}

/// Prints a token that is signed with a key of this JWK Set. Keys of the set that are not used are named in `notes`.
///
/// # Errors
///
/// The file is not a JWK Set, or has no key that signs, or none of this `kid`.
pub fn mint_token(
    set: &Path,
    kid: Option<&str>,
    grant: &Grant<'_>,
    mut out: impl Write,
    mut notes: impl Write,
) -> Result<(), CredentialsError> {
    let file = || set.to_owned();
    let json = std::fs::read(set).map_err(|source| CredentialsError::File {
        doing: "read",
        file: file(),
        source,
    })?;
    let parsed = SigningKey::parse(&json, kid);
    let (key, ignored) = parsed.map_err(|source| CredentialsError::BadFile { file: file(), source })?;
    for ignored in ignored {
        writeln!(notes, "{}: {ignored}", set.display()).map_err(CredentialsError::Output)?;
    }
    let key = key.map_err(|source| CredentialsError::NoSigningKey { file: file(), source })?;
    let token = key.mint(grant, system_clock::now());
    writeln!(out, "{token}").and_then(|()| out.flush()).map_err(CredentialsError::Output)
}
