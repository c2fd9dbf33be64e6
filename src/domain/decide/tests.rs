//! Which events or refusals follow, given some events, when a command comes.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "each naive fact looks only at the events that bear on it"
)]

use super::*;
use crate::domain::{Deletion, ErasedMessages, MessageFacts, NewMessage, ReactionFacts, Seq, Text};
use uuid::Uuid;

/// The facts that follow from some events, computed as naively as possible.
pub(super) struct Given(Vec<Event<'static>>);

impl Facts for Given {
    fn user_exists(&self, user: UserId) -> bool {
        self.0.iter().any(|event| matches!(event, Event::UserAdded { id, .. } if *id == user))
    }

    fn user_named(&self, wanted: &str) -> Option<UserId> {
        let users = self.0.iter().filter_map(|event| match event {
            Event::UserAdded { id, .. } => Some(*id),
            _ => None,
        });
        let name = |who: UserId| {
            self.0.iter().fold(None, |name, event| match event {
                Event::UserAdded { id, username } if *id == who => Some(&**username),
                Event::UserEdited { user, username: Some(username), .. } if *user == who => Some(username),
                Event::UserErased { user, .. } if *user == who => None,
                _ => name,
            })
        };
        users.into_iter().find(|user| name(*user) == Some(wanted))
    }

    fn erasure(&self, who: UserId) -> Option<ErasedMessages> {
        self.0.iter().fold(None, |before, event| match event {
            Event::UserErased { user, messages } if *user == who => Some(*messages),
            _ => before,
        })
    }

    fn user_metadata(&self, who: UserId) -> Option<&str> {
        self.0.iter().fold(None, |before, event| match event {
            Event::UserEdited { user, metadata: Some(json), .. } if *user == who => Metadata::present(json),
            _ => before,
        })
    }

    fn chat_exists(&self, wanted: ChatId) -> bool {
        self.chats().any(|(chat, _)| chat == wanted)
    }

    fn chat_named(&self, wanted: &str) -> Option<ChatId> {
        let name = |of: ChatId| {
            self.0.iter().fold(None, |before, event| match event {
                Event::ChatAdded { id, name, .. } if *id == of => Some(&**name),
                Event::ChatEdited { chat, name: Some(name), .. } if *chat == of => Some(name),
                _ => before,
            })
        };
        self.chats().map(|(chat, _)| chat).find(|chat| name(*chat) == Some(wanted))
    }

    fn direct_chat(&self, [one, other]: [UserId; 2]) -> Option<ChatId> {
        self.0.iter().find_map(|event| match event {
            Event::DirectChatAdded { id, users } if *users == [one, other] || *users == [other, one] => {
                Some(*id)
            }
            _ => None,
        })
    }

    fn is_direct(&self, chat: ChatId) -> bool {
        self.0.iter().any(|event| matches!(event, Event::DirectChatAdded { id, .. } if *id == chat))
    }

    fn chat_metadata(&self, of: ChatId) -> Option<&str> {
        self.0.iter().fold(None, |before, event| match event {
            Event::ChatEdited { chat, metadata: Some(json), .. } if *chat == of => Metadata::present(json),
            _ => before,
        })
    }

    fn is_member(&self, of: ChatId, who: UserId) -> bool {
        let was_added = self.chats().any(|(chat, users)| chat == of && users.contains(&who));
        self.0.iter().fold(was_added, |is_member, event| match event {
            Event::MemberAdded { chat, user } if (*chat, *user) == (of, who) => true,
            Event::MemberRemoved { chat, user } if (*chat, *user) == (of, who) => false,
            Event::UserErased { user, .. } if *user == who => false,
            _ => is_member,
        })
    }

    fn last_seq(&self, of: ChatId) -> Seq {
        Seq(self.messages(of).count() as u64)
    }

    fn read_mark(&self, of: ChatId, who: UserId) -> Seq {
        let marks = self.0.iter().filter_map(|event| match event {
            Event::ReadMarked { chat, user, seq } if (*chat, *user) == (of, who) => Some(*seq),
            _ => None,
        });
        marks.max().unwrap_or_default()
    }

    fn tokens_from(&self, who: UserId) -> u64 {
        let revoked = self.0.iter().filter_map(|event| match event {
            Event::TokensRevoked { user, from } if *user == who => Some(*from),
            _ => None,
        });
        revoked.max().unwrap_or_default()
    }

    fn message(&self, of: ChatId, seq: Seq) -> Option<MessageFacts<'_>> {
        let before = usize::try_from(seq.0.checked_sub(1)?).expect("small");
        let sent = self.messages(of).nth(before)?;
        Some(self.0.iter().fold(sent, |message, event| match event {
            Event::MessageEdited { chat, seq: edited, text, metadata, .. }
                if (*chat, *edited) == (of, seq) =>
            {
                MessageFacts {
                    text: text.as_deref().unwrap_or(message.text),
                    metadata: metadata.as_deref().map_or(message.metadata, Metadata::present),
                    edited_at: Some(EDITED_AT),
                    ..message
                }
            }
            Event::MessageDeleted { chat, seq: deleted, erase, .. } if (*chat, *deleted) == (of, seq) => {
                let deleted = Some(if *erase { Deletion::Erased } else { Deletion::Kept });
                MessageFacts { text: "", metadata: None, deleted, ..message }
            }
            _ => message,
        }))
    }

    fn reactions(&self, of: ChatId, to: Seq, who: UserId, wanted: &str) -> ReactionFacts {
        let mut reactions: Vec<(UserId, &str)> = Vec::new();
        for event in &self.0 {
            match event {
                Event::ReactionAdded { chat, seq, user, emoji } if (*chat, *seq) == (of, to) => {
                    reactions.push((*user, emoji));
                }
                Event::ReactionRemoved { chat, seq, user, emoji } if (*chat, *seq) == (of, to) => {
                    reactions.retain(|reaction| *reaction != (*user, &**emoji));
                }
                _ => {}
            }
        }
        let emoji: HashSet<_> = reactions.iter().map(|(_, emoji)| *emoji).collect();
        ReactionFacts {
            has_reacted: reactions.contains(&(who, wanted)),
            has_emoji: emoji.contains(wanted),
            of_user: reactions.iter().filter(|(user, _)| *user == who).count(),
            emoji: emoji.len(),
        }
    }
}

/// The time of every edit, which no rule looks at.
const EDITED_AT: Timestamp = Timestamp::UNIX_EPOCH;

impl Given {
    fn chats(&self) -> impl Iterator<Item = (ChatId, &[UserId])> {
        self.0.iter().filter_map(|event| match event {
            Event::ChatAdded { id, users, .. } | Event::NamelessChatAdded { id, users } => {
                Some((*id, users.as_slice()))
            }
            Event::DirectChatAdded { id, users } => Some((*id, users.as_slice())),
            _ => None,
        })
    }

    fn messages(&self, of: ChatId) -> impl Iterator<Item = MessageFacts<'_>> {
        let plain =
            |author, text, metadata| MessageFacts { author, text, metadata, edited_at: None, deleted: None };
        self.0.iter().filter_map(move |event| match event {
            Event::MessageAdded { chat, author, text, .. } if *chat == of => {
                Some(plain(*author, &**text, None))
            }
            Event::MessageAddedWith { chat, author, text, metadata, .. } if *chat == of => {
                Some(plain(*author, &**text, metadata.as_deref()))
            }
            _ => None,
        })
    }
}

impl Given {
    #[track_caller]
    pub(super) fn when_then(&self, command: &Command, expected: Result<Event<'_>, Refusal>) {
        assert_eq!(decide(self, command, &Actor::Unknown, &[STAMP]), expected.map(Decision::Event));
    }

    #[track_caller]
    pub(super) fn when_then_unchanged(&self, command: &Command) {
        assert_eq!(decide(self, command, &Actor::Unknown, &[STAMP]), Ok(Decision::Unchanged));
    }
}

pub(super) fn given(events: impl IntoIterator<Item = Event<'static>>) -> Given {
    Given(events.into_iter().collect())
}

pub(super) const STAMP: Stamp = Stamp { time: Timestamp::UNIX_EPOCH, id: NEXT };
pub(super) const NEXT: Uuid = Uuid::from_u128(0xFFFF);

pub(super) fn user(number: u128) -> UserId {
    Uuid::from_u128(number).into()
}

pub(super) fn chat(number: u128) -> ChatId {
    Uuid::from_u128(number).into()
}

pub(super) fn user_added(number: u128, username: &'static str) -> Event<'static> {
    Event::UserAdded { id: user(number), username: username.into() }
}

pub(super) fn chat_added(number: u128, name: &'static str, users: &[u128]) -> Event<'static> {
    let users = users.iter().map(|&number| user(number)).collect();
    Event::ChatAdded { id: chat(number), name: name.into(), users }
}

fn add_user(username: &str) -> Command {
    Command::AddUser { username: Username::try_from(username.to_owned()).unwrap() }
}

fn add_chat(name: &str, users: &[u128]) -> Command {
    let name = ChatName::try_from(name.to_owned()).unwrap();
    Command::AddChat { name: Some(name), users: users.iter().map(|&number| user(number)).collect() }
}

fn message(chat_number: u128, author: u128, text: &str) -> NewMessage {
    let text = Text::try_from(text.to_owned()).unwrap();
    NewMessage { chat: chat(chat_number), author: user(author), text, with: None }
}

fn add_message(chat_number: u128, author: u128, text: &str) -> Command {
    Command::AddMessage(message(chat_number, author, text))
}

#[test]
fn a_new_user_has_the_stamped_id() {
    let expected = Event::UserAdded { id: NEXT.into(), username: "ann".into() };
    given([]).when_then(&add_user("ann"), Ok(expected));
}

#[test]
fn usernames_are_unique_byte_for_byte() {
    let given = given([user_added(1, "ann"), chat_added(2, "bob", &[1])]);
    given.when_then(&add_user("ann"), Err(Refusal::UsernameTaken { username: "ann".to_owned() }));
    for free in ["Ann", "bob", "änn"] {
        assert!(decide(&given, &add_user(free), &Actor::Unknown, &[STAMP]).is_ok(), "{free}");
    }
}

#[test]
fn a_chat_has_each_user_once_in_order() {
    let given = given([user_added(1, "ann"), user_added(2, "bob"), user_added(3, "cid")]);
    let users = vec![user(3), user(1), user(2)];
    let expected = Event::ChatAdded { id: NEXT.into(), name: "tea".into(), users };
    given.when_then(&add_chat("tea", &[3, 1, 3, 2, 1]), Ok(expected));
}

#[test]
fn a_new_chat_names_its_first_unknown_user() {
    let given = given([user_added(1, "ann")]);
    let refusal = Refusal::UserNotFound { user: user(8), field: UserField::Users(2) };
    given.when_then(&add_chat("tea", &[1, 1, 8, 9]), Err(refusal));
}

#[test]
fn existence_is_checked_before_chat_names() {
    let given = given([user_added(1, "ann"), chat_added(2, "tea", &[1])]);
    given.when_then(&add_chat("tea", &[1]), Err(Refusal::ChatNameTaken { name: "tea".to_owned() }));
    let refusal = Refusal::UserNotFound { user: user(9), field: UserField::Users(0) };
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
fn only_members_send_messages() {
    let given = given([user_added(1, "ann"), user_added(2, "bob"), chat_added(3, "tea", &[1])]);
    let refusal = Refusal::NotAMember { chat: chat(3), user: user(2), field: UserField::Author };
    given.when_then(&add_message(3, 2, "hello"), Err(refusal));
}

#[test]
fn each_of_several_messages_has_its_own_stamp() {
    let given = given([user_added(1, "ann"), chat_added(2, "tea", &[1]), chat_added(3, "cake", &[1])]);
    let stamp = |number: u128| Stamp { id: Uuid::from_u128(100 + number), ..STAMP };
    let sent = |number, to, text: &'static str| Event::MessageAdded {
        id: stamp(number).id.into(),
        chat: chat(to),
        author: user(1),
        text: text.into(),
    };
    let batch = Command::AddMessages(vec![message(3, 1, "a"), message(2, 1, "b"), message(3, 1, "c")]);
    let decided = decide(&given, &batch, &Actor::Unknown, &[stamp(0), stamp(1), stamp(2)]);
    assert_eq!(decided, Ok(Decision::Events(vec![sent(0, 3, "a"), sent(1, 2, "b"), sent(2, 3, "c")])));
}

#[test]
fn the_first_bad_one_of_several_messages_is_named() {
    let given = given([user_added(1, "ann"), user_added(2, "bob"), chat_added(3, "tea", &[1])]);
    let (fine, outsider, nowhere) = (message(3, 1, "a"), message(3, 2, "a"), message(9, 1, "a"));
    let check = |messages: Vec<NewMessage>, index, refusal| {
        let stamps = vec![STAMP; messages.len()];
        let batch = Command::AddMessages(messages);
        let refused = decide(&given, &batch, &Actor::Unknown, &stamps);
        assert_eq!(refused, Err(Refusal::OfMessage { index, refusal: Box::new(refusal) }));
    };
    let not_a_member = Refusal::NotAMember { chat: chat(3), user: user(2), field: UserField::Author };
    check(vec![fine.clone(), outsider.clone(), nowhere.clone()], 1, not_a_member);
    check(vec![nowhere, outsider, fine], 0, Refusal::ChatNotFound { chat: chat(9) });
}

#[test]
fn a_message_needs_a_chat_and_an_author() {
    let given = given([user_added(1, "ann"), chat_added(3, "tea", &[1])]);
    given.when_then(&add_message(9, 1, "hello"), Err(Refusal::ChatNotFound { chat: chat(9) }));
    given.when_then(&add_message(9, 8, "hello"), Err(Refusal::ChatNotFound { chat: chat(9) }));
    let refusal = Refusal::UserNotFound { user: user(8), field: UserField::Author };
    given.when_then(&add_message(3, 8, "hello"), Err(refusal));
}

/// Chat 10 of ann (1), who has sent `messages` messages to it. Bob (2) is not a member.
fn given_tea(messages: u128, more: impl IntoIterator<Item = Event<'static>>) -> Given {
    let said = (0..messages).map(|number| Event::MessageAdded {
        id: Uuid::from_u128(100 + number).into(),
        chat: chat(10),
        author: user(1),
        text: "hello".into(),
    });
    let made = [user_added(1, "ann"), user_added(2, "bob"), chat_added(10, "tea", &[1])];
    given(made.into_iter().chain(said).chain(more))
}

fn joined(number: u128) -> Event<'static> {
    Event::MemberAdded { chat: chat(10), user: user(number) }
}

fn left(number: u128) -> Event<'static> {
    Event::MemberRemoved { chat: chat(10), user: user(number) }
}

fn read_up_to(number: u128, seq: u64) -> Event<'static> {
    Event::ReadMarked { chat: chat(10), user: user(number), seq: Seq(seq) }
}

fn join(number: u128) -> Command {
    Command::AddMember { chat: chat(10), user: user(number) }
}

fn leave(number: u128) -> Command {
    Command::RemoveMember { chat: chat(10), user: user(number) }
}

fn read(number: u128, seq: u64) -> Command {
    Command::MarkRead { chat: chat(10), user: user(number), seq: Seq(seq) }
}

#[test]
fn a_user_joins_once() {
    given_tea(0, []).when_then(&join(2), Ok(joined(2)));
    given_tea(0, [joined(2)]).when_then_unchanged(&join(2));
    given_tea(0, []).when_then_unchanged(&join(1));
}

#[test]
fn a_member_leaves_once_and_may_come_back() {
    given_tea(0, []).when_then(&leave(1), Ok(left(1)));
    given_tea(0, [left(1)]).when_then_unchanged(&leave(1));
    given_tea(0, []).when_then_unchanged(&leave(2));
    given_tea(0, [left(1)]).when_then(&join(1), Ok(joined(1)));
}

#[test]
fn a_former_member_neither_sends_nor_reads() {
    let given = given_tea(1, [left(1)]);
    let not_a_member = |field| Refusal::NotAMember { chat: chat(10), user: user(1), field };
    given.when_then(&add_message(10, 1, "hello"), Err(not_a_member(UserField::Author)));
    given.when_then(&read(1, 1), Err(not_a_member(UserField::User)));
}

#[test]
fn membership_needs_a_chat_and_a_user() {
    let nowhere = given([user_added(1, "ann"), user_added(2, "bob")]);
    for command in [join(2), leave(2), read(2, 0)] {
        nowhere.when_then(&command, Err(Refusal::ChatNotFound { chat: chat(10) }));
    }
    let nobody = Refusal::UserNotFound { user: user(9), field: UserField::User };
    for command in [join(9), leave(9), read(9, 0)] {
        given_tea(0, []).when_then(&command, Err(nobody.clone()));
    }
}

#[test]
fn a_read_mark_only_moves_forward() {
    given_tea(3, []).when_then(&read(1, 2), Ok(read_up_to(1, 2)));
    let given = given_tea(3, [read_up_to(1, 2)]);
    given.when_then(&read(1, 3), Ok(read_up_to(1, 3)));
    for seq in [0, 1, 2] {
        given.when_then_unchanged(&read(1, seq));
    }
}

#[test]
fn a_read_mark_stays_within_the_messages() {
    let beyond = |seq, last| Err(Refusal::BeyondLastMessage { seq: Seq(seq), last: Seq(last) });
    given_tea(3, []).when_then(&read(1, 4), beyond(4, 3));
    given_tea(0, []).when_then(&read(1, 1), beyond(1, 0));
    given_tea(0, []).when_then_unchanged(&read(1, 0));
}

#[test]
fn only_members_have_their_marks_moved() {
    for seq in [0, 1, 99] {
        let refusal = Refusal::NotAMember { chat: chat(10), user: user(2), field: UserField::User };
        given_tea(3, []).when_then(&read(2, seq), Err(refusal));
    }
}

#[test]
fn tokens_are_revoked_later_each_time() {
    let revoke = |number, from| Command::RevokeTokens { user: user(number), from };
    let revoked = |number, from| Event::TokensRevoked { user: user(number), from };
    let once = given([user_added(1, "ann"), user_added(2, "bob"), revoked(1, 100)]);
    once.when_then(&revoke(1, 200), Ok(revoked(1, 200)));
    for not_later in [100, 99, 0] {
        once.when_then(&revoke(1, not_later), Ok(revoked(1, 101)));
    }
    // Each user has their own.
    once.when_then(&revoke(2, 50), Ok(revoked(2, 50)));
    once.when_then(&revoke(2, 0), Ok(revoked(2, 1)));
    once.when_then(&revoke(3, 50), Err(Refusal::UserNotFound { user: user(3), field: UserField::User }));
}
