//! The ids that the server gave, kept from a load to its verification: the API looks nobody up by name.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::corpus::Corpus;
use super::error::Error;

/// What a load remembers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ids {
    /// How many messages were to be loaded; none where all.
    pub(super) limit: Option<usize>,
    users: HashMap<String, String>,
    chats: HashMap<String, String>,
    #[serde(skip)]
    path: PathBuf,
}

impl Ids {
    /// Of all users and chats of the conversation, in its order.
    pub(super) fn new(corpus: &Corpus, limit: Option<usize>, users: &[String], chats: &[String]) -> Self {
        let user_names = corpus.users.iter().cloned();
        let chat_names = corpus.chats.iter().map(|chat| chat.name.clone());
        Self {
            limit,
            users: user_names.zip(users.iter().cloned()).collect(),
            chats: chat_names.zip(chats.iter().cloned()).collect(),
            path: PathBuf::new(),
        }
    }

    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let json = fs::read(path).map_err(|source| Error::File {
            action: "read the ids of an earlier load from",
            path: path.to_owned(),
            source,
        })?;
        let ids: Self =
            serde_json::from_slice(&json).map_err(|source| Error::Ids { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), ..ids })
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), Error> {
        let failed = |source| Error::File { action: "write the ids to", path: path.to_owned(), source };
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(failed)?;
        }
        let json = serde_json::to_vec(self).expect("names and ids are text");
        fs::write(path, json).map_err(failed)
    }

    /// The ids of these names, in their order.
    pub(super) fn users(&self, corpus: &Corpus) -> Result<Vec<String>, Error> {
        corpus.users.iter().map(|name| self.find("user", &self.users, name)).collect()
    }

    /// The ids of these names, in their order.
    pub(super) fn chats(&self, corpus: &Corpus) -> Result<Vec<String>, Error> {
        corpus.chats.iter().map(|chat| self.find("chat", &self.chats, &chat.name)).collect()
    }

    fn find(&self, kind: &'static str, ids: &HashMap<String, String>, name: &str) -> Result<String, Error> {
        let unknown = || Error::UnknownId { path: self.path.clone(), kind, name: name.to_owned() };
        ids.get(name).cloned().ok_or_else(unknown)
    }
}
