//! Refusals of the engine, as problems.

use super::codes::Code;
use super::problem::{Problem, shown};
use crate::domain::{MessageField, Refusal, UserField};
use crate::engine::SubmitError;

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            Refusal::UserNotFound { field, .. } => {
                Self::new(Code::UserNotFound, detail).blaming(name_of(field))
            }
            Refusal::ChatNotFound { .. } => Self::new(Code::ChatNotFound, detail).blaming("chat"),
            Refusal::NotAMember { field, .. } => Self::new(Code::NotAMember, detail).blaming(name_of(field)),
            Refusal::MessageNotFound { field, .. } => {
                Self::new(Code::MessageNotFound, detail).blaming(message_field(field))
            }
            Refusal::NotTheAuthor { .. } => Self::new(Code::NotTheAuthor, detail).blaming("user"),
            Refusal::MessageDeleted { field, .. } => {
                Self::new(Code::MessageDeleted, detail).blaming(message_field(field))
            }
            Refusal::TooManyReactions { .. } => Self::new(Code::TooManyReactions, detail).blaming("emoji"),
            Refusal::DirectChat { .. } => Self::new(Code::DirectChat, detail).blaming("chat"),
            Refusal::UserErased { field, .. } => Self::new(Code::UserErased, detail).blaming(name_of(field)),
            Refusal::BeyondLastMessage { .. } => Self::new(Code::InvalidField, detail).blaming("seq"),
            Refusal::UsernameTaken { username } => {
                let detail = format!("another user is named {}", shown(&username));
                Self::new(Code::UsernameTaken, detail).blaming("username")
            }
            Refusal::ChatNameTaken { name } => {
                let detail = format!("another chat is named {}", shown(&name));
                Self::new(Code::ChatNameTaken, detail).blaming("name")
            }
            Refusal::KeyReused { key } => {
                let detail = format!(
                    "the key {} was used for another call, or for other values, or what it was used for was erased",
                    shown(&key)
                );
                Self::new(Code::IdempotencyKeyReused, detail).blaming("Idempotency-Key")
            }
            Refusal::OfMessage { index, refusal } => Self::from(*refusal).of_item("messages", index),
        }
    }
}

fn message_field(field: MessageField) -> &'static str {
    match field {
        MessageField::Seq => "seq",
        MessageField::ReplyTo => "reply_to",
    }
}

fn name_of(field: UserField) -> String {
    match field {
        UserField::Author => "author".to_owned(),
        UserField::User => "user".to_owned(),
        // No field names the caller.
        UserField::Caller => "chat".to_owned(),
        UserField::Users(index) => format!("users[{index}]"),
    }
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Refused(refusal) => refusal.into(),
            SubmitError::Overloaded => Self::usual(Code::Overloaded),
            SubmitError::StorageFull => Self::usual(Code::StorageFull),
            SubmitError::TooLarge { .. } => Self::new(Code::BodyTooLarge, error.to_string()),
            SubmitError::Unavailable => Self::usual(Code::Unavailable),
            SubmitError::Unconfirmed => Self::usual(Code::Unconfirmed),
            SubmitError::ShuttingDown => Self::usual(Code::ShuttingDown),
            SubmitError::Failed => Self::new(
                Code::Internal,
                "the log failed; whether this write is kept will be seen after a restart",
            ),
        }
    }
}
