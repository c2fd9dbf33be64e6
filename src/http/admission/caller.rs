//! The caller of a call, after admission.

use std::sync::Arc;

use super::Keyed;
use super::head::Peer;
use super::session::Session;
use crate::access::{KeyName, KeyScope, Scope, Scopes};
use crate::domain::{Actor, UserId};
use crate::http::answer::codes::Code;
use crate::http::answer::problem::Problem;
use crate::model::UserIndex;

/// The one who makes a call.
pub(crate) enum Caller {
    /// Anyone: the server needs no credentials, and everyone may do everything.
    Anyone,
    /// The application's own server.
    Server(Box<ServerCaller>),
    /// A user, with a token.
    User(Box<UserCaller>),
}

/// A server that calls with a server key.
pub(crate) struct ServerCaller {
    pub(super) key: KeyName,
    pub(super) scope: KeyScope,
    pub(crate) session: Session,
}

/// A user who calls with a token.
pub(crate) struct UserCaller {
    pub(crate) id: UserId,
    pub(crate) index: UserIndex,
    pub(super) scopes: Scopes,
    pub(crate) session: Session,
    pub(crate) keyed: Arc<Keyed>,
    /// The connection, unless the request came without one.
    pub(super) peer: Option<Peer>,
}

impl Caller {
    /// Returns how the log names the caller.
    pub(crate) fn by(&self) -> Actor<'static> {
        match self {
            Self::Anyone => Actor::Unknown,
            Self::Server(server) => Actor::Key(server.key.to_string().into()),
            Self::User(user) => Actor::User(user.id),
        }
    }

    /// Returns the user who calls, or `None` if the caller may act for anyone.
    pub(crate) fn user(&self) -> Option<&UserCaller> {
        match self {
            Self::User(user) => Some(user),
            Self::Anyone | Self::Server(_) => None,
        }
    }

    /// Returns the session of the caller's credentials, if calls need any.
    pub(crate) fn session(&self) -> Option<&Session> {
        match self {
            Self::Anyone => None,
            Self::Server(server) => Some(&server.session),
            Self::User(user) => Some(&user.session),
        }
    }

    /// Returns the user whom a call acts for: the given one, who must be the caller if that is a user. A user's token
    /// may leave the field out.
    pub(crate) fn acting_for(&self, given: Option<UserId>, field: &'static str) -> Result<UserId, Problem> {
        match (self.user(), given) {
            (None, Some(given)) => Ok(given),
            (None, None) => Err(Problem::invalid_field(field, "is missing", None)),
            (Some(user), None) => Ok(user.id),
            (Some(user), Some(given)) => user.must_be(given, field).map(|()| given),
        }
    }

    /// Returns the user whom a call acts for, or `None` if it acts for the application: a server may leave the field
    /// out. A user's token acts for its own user.
    pub(crate) fn acting_for_any(
        &self,
        given: Option<UserId>,
        field: &'static str,
    ) -> Result<Option<UserId>, Problem> {
        match self.user() {
            None => Ok(given),
            Some(_) => self.acting_for(given, field).map(Some),
        }
    }

    /// Charges one read for each thousand messages of an answer.
    pub(crate) fn charge_for_messages(&self, messages: u64) {
        /// Messages in an answer that cost one read more.
        const MESSAGES_PER_READ: u64 = 1_000;
        if let Some(user) = self.user() {
            let reads = messages / MESSAGES_PER_READ;
            if reads > 0 {
                user.keyed.reads.charge(user.index, reads, user.peer.as_ref());
            }
        }
    }
}

impl UserCaller {
    /// Refuses a call for another user than the caller.
    pub(crate) fn must_be(&self, user: UserId, field: &'static str) -> Result<(), Problem> {
        if user == self.id {
            Ok(())
        } else {
            Err(self.not_yourself(&format!("does not act for user {user}"), field))
        }
    }

    /// Returns the refusal of a call that acts for somebody else. `problem` completes a sentence about the token.
    pub(crate) fn not_yourself(&self, problem: &str, field: &'static str) -> Problem {
        let detail = format!("the token belongs to user {} and {problem}", self.id);
        Problem::new(Code::NotYourself, detail).blaming(field)
    }

    pub(crate) fn has(&self, scope: Scope) -> bool {
        self.scopes.has(scope)
    }
}
