//! The rules: which commands become events, and which are refused.

use std::borrow::Cow;
use std::collections::HashSet;

use super::{ChatId, Command, Event, Stamp, UserId};

/// What a decision may ask about the state that it rests on.
pub trait Facts {
    /// Whether there is such a user.
    fn user_exists(&self, user: UserId) -> bool;
    /// Whether a user has this name.
    fn username_taken(&self, username: &str) -> bool;
    /// Whether there is such a chat.
    fn chat_exists(&self, chat: ChatId) -> bool;
    /// Whether a chat has this name.
    fn chat_name_taken(&self, name: &str) -> bool;
    /// Whether the user is in the chat.
    fn is_member(&self, chat: ChatId, user: UserId) -> bool;
}

/// Why a well-formed command did not become an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A user id names nothing.
    #[error("there is no user {user}")]
    UserNotFound {
        /// The id.
        user: UserId,
        /// Its index, where the command lists users.
        index: Option<usize>,
    },
    /// A chat id names nothing.
    #[error("there is no chat {chat}")]
    ChatNotFound {
        /// The id.
        chat: ChatId,
    },
    /// The user is not in the chat.
    #[error("user {user} is not a member of chat {chat}")]
    NotAMember {
        /// The chat.
        chat: ChatId,
        /// The user.
        user: UserId,
    },
    /// Another user has this name.
    #[error("the username is taken")]
    UsernameTaken {
        /// The name.
        username: String,
    },
    /// Another chat has this name.
    #[error("the chat name is taken")]
    ChatNameTaken {
        /// The name.
        name: String,
    },
}

/// Decides one command on the facts.
///
/// What ids name comes first, then membership, then uniqueness.
///
/// # Errors
///
/// The first rule that the command breaks.
pub fn decide<'c>(facts: &impl Facts, command: &'c Command, stamp: Stamp) -> Result<Event<'c>, Refusal> {
    match command {
        Command::AddUser { username } => {
            if facts.username_taken(username) {
                return Err(Refusal::UsernameTaken { username: username.to_string() });
            }
            Ok(Event::UserAdded { id: stamp.id.into(), username: Cow::Borrowed(username) })
        }
        Command::AddChat { name, users } => {
            if let Some(index) = users.iter().position(|&user| !facts.user_exists(user)) {
                return Err(Refusal::UserNotFound { user: users[index], index: Some(index) });
            }
            if facts.chat_name_taken(name) {
                return Err(Refusal::ChatNameTaken { name: name.to_string() });
            }
            Ok(Event::ChatAdded { id: stamp.id.into(), name: Cow::Borrowed(name), users: each_once(users) })
        }
        Command::AddMessage { chat, author, text } => {
            if !facts.chat_exists(*chat) {
                return Err(Refusal::ChatNotFound { chat: *chat });
            }
            if !facts.user_exists(*author) {
                return Err(Refusal::UserNotFound { user: *author, index: None });
            }
            if !facts.is_member(*chat, *author) {
                return Err(Refusal::NotAMember { chat: *chat, user: *author });
            }
            Ok(Event::MessageAdded {
                id: stamp.id.into(),
                chat: *chat,
                author: *author,
                text: Cow::Borrowed(text),
            })
        }
    }
}

fn each_once(users: &[UserId]) -> Vec<UserId> {
    let mut seen = HashSet::with_capacity(users.len());
    users.iter().copied().filter(|&user| seen.insert(user)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ChatName, Text, Timestamp, Username};
    use uuid::Uuid;

    /// The facts that some events amount to, as naively as can be.
    struct Given(Vec<Event<'static>>);

    impl Facts for Given {
        fn user_exists(&self, user: UserId) -> bool {
            self.0.iter().any(|event| matches!(event, Event::UserAdded { id, .. } if *id == user))
        }

        fn username_taken(&self, taken: &str) -> bool {
            self.0.iter().any(|event| matches!(event, Event::UserAdded { username, .. } if username == taken))
        }

        fn chat_exists(&self, chat: ChatId) -> bool {
            self.0.iter().any(|event| matches!(event, Event::ChatAdded { id, .. } if *id == chat))
        }

        fn chat_name_taken(&self, taken: &str) -> bool {
            self.0.iter().any(|event| matches!(event, Event::ChatAdded { name, .. } if name == taken))
        }

        fn is_member(&self, chat: ChatId, user: UserId) -> bool {
            let is_of_chat = |event: &Event<'_>| matches!(event, Event::ChatAdded { id, users, .. } if *id == chat && users.contains(&user));
            self.0.iter().any(is_of_chat)
        }
    }

    impl Given {
        #[track_caller]
        fn when_then(&self, command: &Command, expected: Result<Event<'_>, Refusal>) {
            assert_eq!(decide(self, command, STAMP), expected);
        }
    }

    fn given(events: impl IntoIterator<Item = Event<'static>>) -> Given {
        Given(events.into_iter().collect())
    }

    const STAMP: Stamp = Stamp { time: Timestamp::EPOCH, id: NEXT };
    const NEXT: Uuid = Uuid::from_u128(0xFFFF);

    fn user(number: u128) -> UserId {
        Uuid::from_u128(number).into()
    }

    fn chat(number: u128) -> ChatId {
        Uuid::from_u128(number).into()
    }

    fn user_added(number: u128, username: &'static str) -> Event<'static> {
        Event::UserAdded { id: user(number), username: username.into() }
    }

    fn chat_added(number: u128, name: &'static str, users: &[u128]) -> Event<'static> {
        let users = users.iter().map(|&number| user(number)).collect();
        Event::ChatAdded { id: chat(number), name: name.into(), users }
    }

    fn add_user(username: &str) -> Command {
        Command::AddUser { username: Username::try_from(username.to_owned()).unwrap() }
    }

    fn add_chat(name: &str, users: &[u128]) -> Command {
        let name = ChatName::try_from(name.to_owned()).unwrap();
        Command::AddChat { name, users: users.iter().map(|&number| user(number)).collect() }
    }

    fn add_message(chat_number: u128, author: u128, text: &str) -> Command {
        let text = Text::try_from(text.to_owned()).unwrap();
        Command::AddMessage { chat: chat(chat_number), author: user(author), text }
    }

    #[test]
    fn a_user_is_made_with_the_stamped_id() {
        let expected = Event::UserAdded { id: NEXT.into(), username: "ann".into() };
        given([]).when_then(&add_user("ann"), Ok(expected));
    }

    #[test]
    fn a_username_is_taken_once_byte_for_byte() {
        let given = given([user_added(1, "ann"), chat_added(2, "bob", &[1])]);
        given.when_then(&add_user("ann"), Err(Refusal::UsernameTaken { username: "ann".to_owned() }));
        for free in ["Ann", "bob", "änn"] {
            assert!(decide(&given, &add_user(free), STAMP).is_ok(), "{free}");
        }
    }

    #[test]
    fn a_chat_has_each_of_its_users_once_in_the_order_given() {
        let given = given([user_added(1, "ann"), user_added(2, "bob"), user_added(3, "cid")]);
        let users = vec![user(3), user(1), user(2)];
        let expected = Event::ChatAdded { id: NEXT.into(), name: "tea".into(), users };
        given.when_then(&add_chat("tea", &[3, 1, 3, 2, 1]), Ok(expected));
    }

    #[test]
    fn a_chat_of_unknown_users_is_refused_and_the_first_of_them_named() {
        let given = given([user_added(1, "ann")]);
        let refusal = Refusal::UserNotFound { user: user(8), index: Some(2) };
        given.when_then(&add_chat("tea", &[1, 1, 8, 9]), Err(refusal));
    }

    #[test]
    fn what_ids_name_comes_before_a_taken_chat_name() {
        let given = given([user_added(1, "ann"), chat_added(2, "tea", &[1])]);
        given.when_then(&add_chat("tea", &[1]), Err(Refusal::ChatNameTaken { name: "tea".to_owned() }));
        let refusal = Refusal::UserNotFound { user: user(9), index: Some(0) };
        given.when_then(&add_chat("tea", &[9]), Err(refusal));
    }

    #[test]
    fn a_member_sends_a_message() {
        let given = given([user_added(1, "ann"), chat_added(2, "tea", &[1])]);
        let expected =
            Event::MessageAdded { id: NEXT.into(), chat: chat(2), author: user(1), text: "hello".into() };
        given.when_then(&add_message(2, 1, "hello"), Ok(expected));
    }

    #[test]
    fn whoever_is_not_a_member_sends_nothing() {
        let given = given([user_added(1, "ann"), user_added(2, "bob"), chat_added(3, "tea", &[1])]);
        let refusal = Refusal::NotAMember { chat: chat(3), user: user(2) };
        given.when_then(&add_message(3, 2, "hello"), Err(refusal));
    }

    #[test]
    fn a_message_needs_a_chat_and_an_author() {
        let given = given([user_added(1, "ann"), chat_added(3, "tea", &[1])]);
        given.when_then(&add_message(9, 1, "hello"), Err(Refusal::ChatNotFound { chat: chat(9) }));
        given.when_then(&add_message(9, 8, "hello"), Err(Refusal::ChatNotFound { chat: chat(9) }));
        let refusal = Refusal::UserNotFound { user: user(8), index: None };
        given.when_then(&add_message(3, 8, "hello"), Err(refusal));
    }
}
