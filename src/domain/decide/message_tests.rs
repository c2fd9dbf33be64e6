//! Which events or refusals follow when messages change.

use super::*;
use crate::domain::{
    Emoji, ErasedMessages, MessageEdit, MessageField, MessageId, NewMessage, Reaction, Seq, Text,
};
use tests::{Given, chat, chat_added, given, user, user_added};
use uuid::Uuid;

const TEA: u128 = 10;

/// Ann (1) and Bob (2) are in the chat tea, in which Ann has written one message, and Cid (3) is not.
fn talk(more: impl IntoIterator<Item = Event<'static>>) -> Given {
    let before = [
        user_added(1, "ann"),
        user_added(2, "bob"),
        user_added(3, "cid"),
        chat_added(TEA, "tea", &[1, 2]),
        Event::MessageAdded { id: id(11), chat: chat(TEA), author: user(1), text: "hello".into() },
    ];
    given(before.into_iter().chain(more))
}

fn id(number: u128) -> MessageId {
    Uuid::from_u128(number).into()
}

fn text(text: &str) -> Text {
    Text::try_from(text.to_owned()).expect("a text")
}

fn edit(seq: u64, by: Option<u128>, new: &str) -> Command {
    let (user, text) = (by.map(user), Some(text(new)));
    Command::EditMessage(Box::new(MessageEdit { chat: chat(TEA), seq: Seq(seq), user, text, metadata: None }))
}

fn edited(by: Option<u128>, text: &'static str) -> Event<'static> {
    let user = by.map(user);
    Event::MessageEdited { chat: chat(TEA), seq: Seq(1), user, text: Some(text.into()), metadata: None }
}

fn delete(by: Option<u128>, is_moderator: bool, erase: bool) -> Command {
    Command::DeleteMessage { chat: chat(TEA), seq: Seq(1), user: by.map(user), is_moderator, erase }
}

fn deleted(by: Option<u128>, erase: bool) -> Event<'static> {
    Event::MessageDeleted { chat: chat(TEA), seq: Seq(1), user: by.map(user), erase }
}

fn reaction(by: u128, emoji: &str) -> Reaction {
    let emoji = Emoji::try_from(emoji.to_owned()).expect("an emoji");
    Reaction { chat: chat(TEA), seq: Seq(1), user: user(by), emoji }
}

fn react(by: u128, emoji: &str) -> Command {
    Command::AddReaction(Box::new(reaction(by, emoji)))
}

fn take_back(by: u128, emoji: &str) -> Command {
    Command::RemoveReaction(Box::new(reaction(by, emoji)))
}

fn reacted(by: u128, emoji: impl Into<Cow<'static, str>>) -> Event<'static> {
    Event::ReactionAdded { chat: chat(TEA), seq: Seq(1), user: user(by), emoji: emoji.into() }
}

fn not_found(seq: u64, field: MessageField) -> Refusal {
    Refusal::MessageNotFound { chat: chat(TEA), seq: Seq(seq), field }
}

const IS_DELETED: fn(MessageField) -> Refusal =
    |field| Refusal::MessageDeleted { chat: Uuid::from_u128(TEA).into(), seq: Seq(1), field };

#[test]
fn an_author_edits_and_the_application_does() {
    talk([]).when_then(&edit(1, Some(1), "hi"), Ok(edited(Some(1), "hi")));
    talk([]).when_then(&edit(1, None, "hi"), Ok(edited(None, "hi")));
    let refusal = Refusal::NotTheAuthor { chat: chat(TEA), seq: Seq(1), user: user(2) };
    talk([]).when_then(&edit(1, Some(2), "hi"), Err(refusal));
    let outside = Refusal::NotAMember { chat: chat(TEA), user: user(3), field: UserField::User };
    talk([]).when_then(&edit(1, Some(3), "hi"), Err(outside));
    for seq in [0, 2] {
        talk([]).when_then(&edit(seq, Some(3), "hi"), Err(not_found(seq, MessageField::Seq)));
    }
}

#[test]
fn an_edit_that_changes_nothing_tells_the_time_of_the_last() {
    let unchanged =
        |given: &Given, command: &Command| match decide(given, command, &Actor::Unknown, &[tests::STAMP]) {
            Ok(Decision::NothingEdited(edited_at)) => edited_at,
            other => panic!("{other:?}"),
        };
    assert_eq!(unchanged(&talk([]), &edit(1, Some(1), "hello")), None);
    let again = talk([edited(Some(1), "hi")]);
    assert!(unchanged(&again, &edit(1, Some(1), "hi")).is_some());
}

#[test]
fn a_deleted_message_stays_so() {
    let gone = || talk([deleted(Some(1), false)]);
    gone().when_then(&edit(1, Some(1), "hi"), Err(IS_DELETED(MessageField::Seq)));
    gone().when_then(&edit(1, None, "hi"), Err(IS_DELETED(MessageField::Seq)));
    gone().when_then(&react(2, "+1"), Err(IS_DELETED(MessageField::Seq)));
    gone().when_then_unchanged(&delete(Some(1), false, false));
    // Its text may still have to go at once.
    gone().when_then(&delete(None, false, true), Ok(deleted(None, true)));
    talk([deleted(Some(1), true)]).when_then_unchanged(&delete(None, false, true));
}

#[test]
fn an_author_deletes_even_from_outside_and_a_moderator_from_inside() {
    let left = Event::MemberRemoved { chat: chat(TEA), user: user(1) };
    talk([left]).when_then(&delete(Some(1), false, false), Ok(deleted(Some(1), false)));
    let refusal = Refusal::NotTheAuthor { chat: chat(TEA), seq: Seq(1), user: user(2) };
    talk([]).when_then(&delete(Some(2), false, false), Err(refusal));
    talk([]).when_then(&delete(Some(2), true, false), Ok(deleted(Some(2), false)));
    let outside = Refusal::NotAMember { chat: chat(TEA), user: user(3), field: UserField::User };
    talk([]).when_then(&delete(Some(3), true, false), Err(outside));
}

#[test]
fn a_reaction_is_there_once() {
    talk([]).when_then(&react(2, "+1"), Ok(reacted(2, "+1")));
    let once = talk([reacted(2, "+1")]);
    once.when_then_unchanged(&react(2, "+1"));
    once.when_then(&react(1, "+1"), Ok(reacted(1, "+1")));
    let (seq, emoji) = (Seq(1), "+1".into());
    let ended = Event::ReactionRemoved { chat: chat(TEA), seq, user: user(2), emoji };
    once.when_then(&take_back(2, "+1"), Ok(ended));
    once.when_then_unchanged(&take_back(1, "+1"));
}

#[test]
fn a_user_has_20_emoji_and_a_message_100() {
    let many = |by: u128| (0..20).map(move |number| reacted(by, format!("{by} {number}")));
    let refused = |of_user, emoji| {
        let (chat, seq) = (chat(TEA), Seq(1));
        Refusal::TooManyReactions { chat, seq, user: user(2), emoji, of_user }
    };
    talk(many(2)).when_then(&react(2, "new"), Err(refused(20, 20)));
    let full = || talk((4..9).flat_map(many));
    full().when_then(&react(2, "new"), Err(refused(0, 100)));
    full().when_then(&react(2, "4 0"), Ok(reacted(2, "4 0")));
}

#[test]
fn a_reply_is_to_a_message_of_the_chat() {
    let reply = |seq: u64| {
        let with = crate::domain::MessageExtras::of(Some(Seq(seq)), None);
        NewMessage { chat: chat(TEA), author: user(2), text: text("yes"), with }
    };
    let sent = |seq: u64| Event::MessageAddedWith {
        id: tests::NEXT.into(),
        chat: chat(TEA),
        author: user(2),
        text: "yes".into(),
        reply_to: Some(Seq(seq)),
        metadata: None,
    };
    talk([]).when_then(&Command::AddMessage(reply(1)), Ok(sent(1)));
    talk([]).when_then(&Command::AddMessage(reply(2)), Err(not_found(2, MessageField::ReplyTo)));
    let gone = talk([deleted(Some(1), false)]);
    gone.when_then(&Command::AddMessage(reply(1)), Err(IS_DELETED(MessageField::ReplyTo)));
}

#[test]
fn an_erased_user_joins_nothing_and_is_not_edited() {
    let gone = || talk([Event::UserErased { user: user(3), messages: ErasedMessages::Keep }]);
    let refused = |field| Refusal::UserErased { user: user(3), field };
    gone().when_then(&Command::AddMember { chat: chat(TEA), user: user(3) }, Err(refused(UserField::User)));
    let direct = Command::AddDirectChat { users: [user(1), user(3)] };
    gone().when_then(&direct, Err(refused(UserField::Users(1))));
    let add = Command::AddChat { name: None, users: vec![user(3), user(1)] };
    gone().when_then(&add, Err(refused(UserField::Users(0))));
    let rename = Command::EditUser {
        user: user(3),
        username: Some(Username::try_from("cid".to_owned()).expect("a name")),
        metadata: None,
    };
    gone().when_then(&rename, Err(refused(UserField::User)));
    // The messages that stayed can still be erased, and not the other way round.
    let erase = |messages| Command::EraseUser { user: user(3), messages };
    gone().when_then_unchanged(&erase(ErasedMessages::Keep));
    let erased = Event::UserErased { user: user(3), messages: ErasedMessages::Erase };
    gone().when_then(&erase(ErasedMessages::Erase), Ok(erased.clone()));
    for messages in [ErasedMessages::Keep, ErasedMessages::Erase] {
        talk([erased.clone()]).when_then_unchanged(&erase(messages));
    }
    // The name is free again.
    let new = Command::AddUser { username: Username::try_from("cid".to_owned()).expect("a name") };
    gone().when_then(&new, Ok(Event::UserAdded { id: tests::NEXT.into(), username: "cid".into() }));
}
