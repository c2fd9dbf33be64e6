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
            Some(path) => {
                let mut warnings = Vec::new();
                let secret = read("--secret", path, &mut warnings, Secret::parse)?;
                warnings.iter().for_each(Warning::log);
                secret
            }
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
        let mut warned = Vec::new();
        watched.watch(move || {
            let Reading { credentials, warnings, errors } = files.read_again(&keyed.credentials());
            app.set_keys_stale(!errors.is_empty());
            // While a file cannot be used, the files are read again and again.
            if credentials != *keyed.credentials() {
                keyed.replace(credentials);
            }
            warnings.iter().filter(|warning| !warned.contains(*warning)).for_each(Warning::log);
            warned = warnings;
            let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
            match errors.join("; ") {
                none if none.is_empty() => Ok(()),
                errors => Err(format!("the keys of a file stay as they were: {errors}")),
            }
        })
    }
}

/// The result of reading the files.
struct Reading {
    /// The keys. Those of a file that cannot be used are the ones from before.
    credentials: Credentials,
    warnings: Vec<Warning>,
    errors: Vec<KeyFileError>,
}

/// A problem of a file that can be used.
#[derive(PartialEq)]
struct Warning {
    path: PathBuf,
    problem: String,
}

impl Warning {
    fn log(&self) {
        tracing::warn!(file = %self.path.display(), "{}", self.problem);
    }
}

impl KeyFiles {
    fn read(&self) -> Result<Credentials, KeyFileError> {
        let Reading { credentials, warnings, mut errors } = self.read_again(&Credentials::default());
        warnings.iter().for_each(Warning::log);
        if errors.is_empty() { Ok(credentials) } else { Err(errors.swap_remove(0)) }
    }

    fn read_again(&self, before: &Credentials) -> Reading {
        let mut reading = Reading { credentials: before.clone(), warnings: Vec::new(), errors: Vec::new() };
        let Reading { credentials, warnings, errors } = &mut reading;
        if let Some(path) = &self.api_keys {
            match read("--api-keys", path, warnings, ServerKeys::parse) {
                Ok(keys) => credentials.server_keys = Arc::new(keys),
                Err(error) => errors.push(error),
            }
        }
        if let Some(path) = &self.token_keys {
            match read("--token-keys", path, warnings, TokenKeys::parse) {
                Ok((keys, ignored)) => {
                    let ignored =
                        ignored.iter().map(|key| format!("a key of --token-keys is ignored: {key}"));
                    warnings.extend(ignored.map(|problem| Warning { path: path.clone(), problem }));
                    credentials.token_keys = Arc::new(keys);
                }
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() {
            let (server_keys, token_keys) = (credentials.server_keys.len(), credentials.token_keys.len());
            tracing::info!(server_keys, token_keys, "read the keys");
        }
        reading
    }
}

fn read<T>(
    flag: &'static str,
    path: &Path,
    warnings: &mut Vec<Warning>,
    parse: impl FnOnce(&[u8]) -> Result<T, BadFile>,
) -> Result<T, KeyFileError> {
    let unreadable = |source| KeyFileError::Unreadable { flag, path: path.to_owned(), source };
    let bytes = fs::read(path).map_err(unreadable)?;
    let mode = fs::metadata(path).map_err(unreadable)?.permissions().mode();
    if mode & 0o004 != 0 {
        let problem = format!("every user of this machine may read the file of {flag}");
        warnings.push(Warning { path: path.to_owned(), problem });
    }
    parse(&bytes).map_err(|source| KeyFileError::Bad { flag, path: path.to_owned(), source })
}
