//! The files of keys: read at the start, and again when they change.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use crate::access::{BadFile, Credentials, Secret, ServerKeys, TokenKeys};
use crate::config::AccessConfig;
use crate::http::{App, Keyed};

use super::ServeError;
use super::reload::WatchedFiles;

/// A file of keys that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be read.
    #[error("failed to read {}, the file of {flag}: {source}", path.display())]
    Unreadable {
        /// Flag that names the file.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
    /// The file does not hold what it should.
    #[error("{}, the file of {flag}, cannot be used: {source}", path.display())]
    Bad {
        /// Flag that names the file.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// The problem with it.
        source: BadFile,
    },
}

/// The files of keys, and the admission with the keys that they hold.
pub struct Keys {
    files: KeyFiles,
    watched: WatchedFiles,
    keyed: Arc<Keyed>,
}

#[derive(Debug)]
struct KeyFiles {
    api_keys: Option<PathBuf>,
    token_keys: Option<PathBuf>,
}

impl Keys {
    /// Reads the files, if the server has any.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or is not what it should be.
    pub fn read(access: &AccessConfig) -> Result<Option<Self>, KeyFileError> {
        if !access.is_keyed() {
            return Ok(None);
        }
        let files = KeyFiles { api_keys: access.api_keys.clone(), token_keys: access.token_keys.clone() };
        let paths = files.api_keys.iter().chain(&files.token_keys).cloned().collect();
        let watched = WatchedFiles::note(paths);
        let secret = match &access.secret {
            Some(path) => read("--secret", path, Secret::parse)?,
            None => Secret::random(),
        };
        let keyed = Arc::new(Keyed::new(access, files.read()?, secret));
        Ok(Some(Self { files, watched, keyed }))
    }

    pub(super) fn keyed(&self) -> Arc<Keyed> {
        Arc::clone(&self.keyed)
    }

    /// Reads the files again when they change. If a file cannot be used, its keys stay; those of the other file are
    /// replaced.
    pub(super) fn keep_fresh(self, app: Arc<App>) -> Result<(), ServeError> {
        let Self { files, watched, keyed } = self;
        watched.watch(move || {
            let (credentials, errors) = files.read_again(&keyed.credentials());
            app.set_keys_stale(!errors.is_empty());
            keyed.replace(credentials);
            let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
            match errors.join("; ") {
                none if none.is_empty() => Ok(()),
                errors => Err(format!("the keys of a file stay as they were: {errors}")),
            }
        })
    }
}

impl KeyFiles {
    fn read(&self) -> Result<Credentials, KeyFileError> {
        match self.read_again(&Credentials::default()) {
            (credentials, errors) if errors.is_empty() => Ok(credentials),
            (_, mut errors) => Err(errors.swap_remove(0)),
        }
    }

    /// Returns the keys in the files, and the reasons why files cannot be used. Their keys are those from before.
    fn read_again(&self, before: &Credentials) -> (Credentials, Vec<KeyFileError>) {
        let (mut credentials, mut errors) = (before.clone(), Vec::new());
        if let Some(path) = &self.api_keys {
            match read("--api-keys", path, ServerKeys::parse) {
                Ok(keys) => credentials.server_keys = Arc::new(keys),
                Err(error) => errors.push(error),
            }
        }
        if let Some(path) = &self.token_keys {
            match read("--token-keys", path, TokenKeys::parse) {
                Ok((keys, ignored)) => {
                    for key in ignored {
                        tracing::warn!(file = %path.display(), "a key of --token-keys is ignored: {key}");
                    }
                    credentials.token_keys = Arc::new(keys);
                }
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() {
            let (server_keys, token_keys) = (credentials.server_keys.len(), credentials.token_keys.len());
            tracing::info!(server_keys, token_keys, "read the keys");
        }
        (credentials, errors)
    }
}

fn read<T>(
    flag: &'static str,
    path: &Path,
    parse: impl FnOnce(&[u8]) -> Result<T, BadFile>,
) -> Result<T, KeyFileError> {
    let unreadable = |source| KeyFileError::Unreadable { flag, path: path.to_owned(), source };
    let bytes = fs::read(path).map_err(unreadable)?;
    let mode = fs::metadata(path).map_err(unreadable)?.permissions().mode();
    if mode & 0o004 != 0 {
        tracing::warn!(file = %path.display(), "every user of this machine may read the file of {flag}");
    }
    parse(&bytes).map_err(|source| KeyFileError::Bad { flag, path: path.to_owned(), source })
}
