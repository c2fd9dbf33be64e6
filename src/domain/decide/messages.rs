//! The rules of messages: sending, editing, deleting, and reacting.

use std::borrow::Cow;
use std::collections::HashMap;

use super::{
    Decision, EMOJI_MAX, REACTIONS_OF_USER_MAX, changed, check_chat, check_member, check_named, check_user,
};
use crate::domain::{
    ChatId, Deletion, Event, Facts, MessageEdit, MessageFacts, MessageField, NewMessage, Reaction,
    ReactionFacts, Refusal, Seq, Stamp, UserField, UserId,
};

/// Decides a message. `before` is the number of messages that are sent to its chat together with it, before it.
pub(super) fn decide_message<'c>(
    facts: &impl Facts,
    &NewMessage { chat, author, ref text, ref with }: &'c NewMessage,
    before: u64,
    stamp: Stamp,
) -> Result<Event<'c>, Refusal> {
    let (id, text) = (stamp.id.into(), Cow::Borrowed(&**text));
    let Some(with) = with else {
        check_member(facts, chat, author, UserField::Author)?;
        return Ok(Event::MessageAdded { id, chat, author, text });
    };
    check_chat(facts, chat)?;
    check_user(facts, author, UserField::Author)?;
    let (reply_to, last) = (with.reply_to, facts.last_seq(chat).0);
    let is_sent_together = |seq: &Seq| (last + 1..=last + before).contains(&seq.0);
    let replied = reply_to.filter(|seq| !is_sent_together(seq));
    let replied = replied.map(|seq| find_message(facts, chat, seq, MessageField::ReplyTo)).transpose()?;
    check_member(facts, chat, author, UserField::Author)?;
    if let (Some(seq), Some(MessageFacts { deleted: Some(_), .. })) = (reply_to, replied) {
        return Err(Refusal::MessageDeleted { chat, seq, field: MessageField::ReplyTo });
    }
    let metadata = changed(with.metadata.as_ref(), None);
    Ok(if reply_to.is_none() && metadata.is_none() {
        Event::MessageAdded { id, chat, author, text }
    } else {
        Event::MessageAddedWith { id, chat, author, text, reply_to, metadata }
    })
}

pub(super) fn decide_messages<'c>(
    facts: &impl Facts,
    messages: &'c [NewMessage],
    stamps: &[Stamp],
) -> Result<Decision<'c>, Refusal> {
    // Only a reply asks how many messages come before it.
    let has_replies = messages.iter().any(|message| message.with.is_some());
    let mut sent = HashMap::new();
    let decide_at = |(index, (message, stamp)): (usize, (&'c NewMessage, &Stamp))| {
        let before = if has_replies { sent.entry(message.chat).or_insert(0) } else { &mut 0 };
        let decided = decide_message(facts, message, *before, *stamp);
        *before += 1;
        decided.map_err(|refusal| Refusal::OfMessage { index, refusal: Box::new(refusal) })
    };
    let events: Result<_, _> = messages.iter().zip(stamps).enumerate().map(decide_at).collect();
    Ok(Decision::Events(events?))
}

pub(super) fn decide_edit<'c>(facts: &impl Facts, edit: &'c MessageEdit) -> Result<Decision<'c>, Refusal> {
    let &MessageEdit { chat, seq, user, ref text, ref metadata } = edit;
    check_chat(facts, chat)?;
    check_named(facts, user)?;
    let message = find_message(facts, chat, seq, MessageField::Seq)?;
    if let Some(user) = user {
        check_member(facts, chat, user, UserField::User)?;
        if user != message.author {
            return Err(Refusal::NotTheAuthor { chat, seq, user });
        }
    }
    if message.deleted.is_some() {
        return Err(Refusal::MessageDeleted { chat, seq, field: MessageField::Seq });
    }
    let text = text.as_deref().filter(|text| *text != message.text).map(Cow::Borrowed);
    let metadata = changed(metadata.as_ref(), message.metadata);
    if text.is_none() && metadata.is_none() {
        return Ok(Decision::NothingEdited(message.edited_at));
    }
    Ok(Decision::Event(Event::MessageEdited { chat, seq, user, text, metadata }))
}

fn check_reaction(facts: &impl Facts, reaction: &Reaction) -> Result<ReactionFacts, Refusal> {
    let &Reaction { chat, seq, user, ref emoji } = reaction;
    check_chat(facts, chat)?;
    check_user(facts, user, UserField::User)?;
    let message = find_message(facts, chat, seq, MessageField::Seq)?;
    check_member(facts, chat, user, UserField::User)?;
    if message.deleted.is_some() {
        return Err(Refusal::MessageDeleted { chat, seq, field: MessageField::Seq });
    }
    Ok(facts.reactions(chat, seq, user, emoji))
}

fn find_message<F: Facts>(
    facts: &F,
    chat: ChatId,
    seq: Seq,
    field: MessageField,
) -> Result<MessageFacts<'_>, Refusal> {
    facts.message(chat, seq).ok_or(Refusal::MessageNotFound { chat, seq, field })
}

/// A deletion of a message, as it is asked for.
#[derive(Clone, Copy)]
pub(super) struct MessageDeletion {
    pub(super) chat: ChatId,
    pub(super) seq: Seq,
    pub(super) user: Option<UserId>,
    pub(super) is_moderator: bool,
    pub(super) erase: bool,
}

pub(super) fn decide_deletion(
    facts: &impl Facts,
    MessageDeletion { chat, seq, user, is_moderator, erase }: MessageDeletion,
) -> Result<Decision<'static>, Refusal> {
    check_chat(facts, chat)?;
    check_named(facts, user)?;
    let message = find_message(facts, chat, seq, MessageField::Seq)?;
    if let Some(user) = user.filter(|user| *user != message.author) {
        check_member(facts, chat, user, UserField::User)?;
        if !is_moderator {
            return Err(Refusal::NotTheAuthor { chat, seq, user });
        }
    }
    match message.deleted {
        Some(Deletion::Kept) if erase => {}
        Some(Deletion::Kept | Deletion::Erased) => return Ok(Decision::Unchanged),
        None => {}
    }
    Ok(Decision::Event(Event::MessageDeleted { chat, seq, user, erase }))
}

pub(super) fn decide_reaction<'c>(
    facts: &impl Facts,
    reaction: &'c Reaction,
) -> Result<Decision<'c>, Refusal> {
    let Reaction { chat, seq, user, ref emoji } = *reaction;
    let found = check_reaction(facts, reaction)?;
    if found.has_reacted {
        return Ok(Decision::Unchanged);
    }
    let ReactionFacts { has_emoji, of_user, emoji: of_message, .. } = found;
    if of_user >= REACTIONS_OF_USER_MAX || !has_emoji && of_message >= EMOJI_MAX {
        return Err(Refusal::TooManyReactions { chat, seq, user, emoji: of_message, of_user });
    }
    Ok(Decision::Event(Event::ReactionAdded { chat, seq, user, emoji: Cow::Borrowed(emoji) }))
}

pub(super) fn decide_end_of_reaction<'c>(
    facts: &impl Facts,
    reaction: &'c Reaction,
) -> Result<Decision<'c>, Refusal> {
    let Reaction { chat, seq, user, ref emoji } = *reaction;
    if !check_reaction(facts, reaction)?.has_reacted {
        return Ok(Decision::Unchanged);
    }
    Ok(Decision::Event(Event::ReactionRemoved { chat, seq, user, emoji: Cow::Borrowed(emoji) }))
}
