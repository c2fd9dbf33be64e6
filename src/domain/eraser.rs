//! Takes what is [due](Erasures) out of the records of a log. Positions, times and ids stay, so what a scrubbed log
//! replays to differs in nothing that is still shown.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::erasures::{Due, Erasures};
use super::{
    Actor, ChatId, Command, ErasedMessages, Event, Fingerprint, IdempotencyKey, KeyDigest, MessageExtras,
    Metadata, NewMessage, Position, Record, Seq, Text, UserId,
};

/// Takes what is due out of the records of a log, from the first to the last.
#[derive(Debug, Clone)]
pub struct Eraser<'e> {
    erasures: &'e Erasures,
    /// The last message of each chat so far.
    sent: HashMap<ChatId, Seq>,
    /// The messages so far of users who were erased together with them.
    of_erased: HashSet<(ChatId, Seq)>,
    /// The keys without fingerprints so far.
    keys: Vec<KeyDigest>,
    /// The messages before the next record, if they may be of one request with it.
    together: Option<Together>,
}

/// Messages without a key at the end of a frame.
#[derive(Debug, Clone)]
struct Together {
    by: Actor<'static>,
    /// Whether something of them is due.
    is_due: bool,
}

impl<'e> Eraser<'e> {
    /// Creates an eraser for a log whose first record comes next.
    #[must_use]
    pub fn of(erasures: &'e Erasures) -> Self {
        Self { erasures, sent: HashMap::new(), of_erased: HashSet::new(), keys: Vec::new(), together: None }
    }

    /// Takes what is due out of the next records, which were written together. Returns whether there was any.
    pub fn erase(&mut self, first: Position, records: &mut [Record<'_>]) -> bool {
        let left: Vec<_> = (first.0..)
            .map(Position)
            .zip(&*records)
            .map(|(position, record)| self.due_of(&record.event).erase(position, &record.event))
            .collect();
        let keys = self.keys_to_erase(records, &left);
        let mut is_changed = !keys.is_empty();
        for &index in &keys {
            if let Some(key) = &mut records[index].key {
                key.erase_fingerprint();
            }
        }
        self.go_on_with(records, &left);
        self.keys.extend(records.iter().filter_map(|record| record.key.as_ref()).filter_map(erased_digest));
        for (record, left) in records.iter_mut().zip(left) {
            if let Left::Part(event) = left {
                record.event = event;
                is_changed = true;
            }
        }
        is_changed
    }

    /// Returns the indexes of the records whose keys lose their fingerprints.
    fn keys_to_erase(&self, records: &[Record<'_>], left: &[Left<'_>]) -> Vec<usize> {
        let is_due = |of: Range<usize>| left[of].iter().any(|left| !matches!(left, Left::All));
        let is_to_erase = |index: &usize| {
            let Record { key: Some(key), by, .. } = &records[*index] else { return false };
            if key.fingerprint() == Fingerprint::ERASED || is_due(*index..index + 1) {
                return key.fingerprint() != Fingerprint::ERASED;
            }
            let earliest = first_together(records, *index);
            // A request's messages may be in several frames after an import.
            let before = self.together.as_ref().filter(|together| earliest == 0 && together.by == *by);
            let may_be_due = is_due(earliest..*index) || before.is_some_and(|before| before.is_due);
            may_be_due
                && match first_under_key(records, earliest, *index) {
                    Some(first) => is_due(first..*index),
                    None => true,
                }
        };
        (0..records.len()).filter(is_to_erase).collect()
    }

    /// Notes the messages without a key at the end of these records, which may be of one request with those that come.
    fn go_on_with(&mut self, records: &[Record<'_>], left: &[Left<'_>]) {
        let Some(last) = records.len().checked_sub(1).filter(|last| is_unkeyed_message(&records[*last]))
        else {
            self.together = None;
            return;
        };
        let by = records[last].by.clone().into_owned();
        let earliest = first_together(records, last);
        let before = self.together.take().filter(|before| earliest == 0 && before.by == by);
        let is_due = left[earliest..].iter().any(|left| !matches!(left, Left::All));
        self.together = Some(Together { by, is_due: is_due || before.is_some_and(|before| before.is_due) });
    }

    /// Returns the keys without fingerprints, also those that lost them before.
    #[must_use]
    pub fn into_keys(self) -> Vec<KeyDigest> {
        self.keys
    }

    /// Returns what is due of what the next event is about.
    fn due_of(&mut self, event: &Event<'_>) -> Due {
        let Erasures { messages, chats, users, erased, .. } = self.erasures;
        let of_user = |user: &UserId| users.get(user).copied().unwrap_or_default();
        let of_chat = |chat: &ChatId| chats.get(chat).copied().unwrap_or_default();
        let of_message = |of_erased: &HashSet<_>, message: (ChatId, Seq)| {
            if of_erased.contains(&message) {
                Due::ALL
            } else {
                messages.get(&message).copied().unwrap_or_default()
            }
        };
        match event {
            Event::UserAdded { id: user, .. } | Event::UserEdited { user, .. } => of_user(user),
            Event::ChatAdded { id: chat, .. } | Event::ChatEdited { chat, .. } => of_chat(chat),
            Event::MessageAdded { chat, author, .. } | Event::MessageAddedWith { chat, author, .. } => {
                let last = self.sent.entry(*chat).or_default();
                last.0 += 1;
                if erased.get(author) == Some(&ErasedMessages::Erase) {
                    self.of_erased.insert((*chat, *last));
                }
                of_message(&self.of_erased, (*chat, *last))
            }
            Event::MessageEdited { chat, seq, .. } => of_message(&self.of_erased, (*chat, *seq)),
            Event::ReactionAdded { user, .. } | Event::ReactionRemoved { user, .. } => {
                if erased.contains_key(user) { Due::ALL } else { Due::default() }
            }
            // Its key is that of an edit of one of them.
            Event::AlreadySo { chat, seq, user, .. } => {
                let message = chat.zip(*seq).map(|message| of_message(&self.of_erased, message));
                let dues = [message, chat.as_ref().map(of_chat), user.as_ref().map(of_user)];
                dues.into_iter().flatten().fold(Due::default(), Due::or)
            }
            Event::NamelessChatAdded { .. }
            | Event::DirectChatAdded { .. }
            | Event::MessageDeleted { .. }
            | Event::MemberAdded { .. }
            | Event::MemberRemoved { .. }
            | Event::ReadMarked { .. }
            | Event::NothingChanged
            | Event::TokensRevoked { .. }
            | Event::UserErased { .. } => Due::default(),
        }
    }
}

/// What is left of a record.
enum Left<'r> {
    All,
    /// All but the fingerprint of its key.
    AllButKey,
    /// This event, and a key without a fingerprint.
    Part(Event<'r>),
}

impl Due {
    fn or(self, other: Self) -> Self {
        Self { text: self.text.max(other.text), metadata: self.metadata.max(other.metadata) }
    }

    fn has_any_at(self, position: Position) -> bool {
        position < self.text.max(self.metadata)
    }

    /// Erases what is due of an event at this position.
    fn erase<'r>(self, position: Position, event: &Event<'r>) -> Left<'r> {
        if !self.has_any_at(position) {
            return Left::All;
        }
        let mut event = event.clone();
        let (text_is_due, metadata_are_due) = (position < self.text, position < self.metadata);
        let is_changed = match &mut event {
            Event::UserAdded { username: text, .. }
            | Event::ChatAdded { name: text, .. }
            | Event::MessageAdded { text, .. }
            | Event::ReactionAdded { emoji: text, .. }
            | Event::ReactionRemoved { emoji: text, .. } => text_is_due && clear(Some(text)),
            Event::MessageAddedWith { text, metadata, .. } => {
                let has_text = text_is_due && clear(Some(text));
                metadata_are_due && clear(metadata.as_mut()) || has_text
            }
            Event::MessageEdited { text, metadata, .. }
            | Event::ChatEdited { name: text, metadata, .. }
            | Event::UserEdited { username: text, metadata, .. } => {
                let has_text = text_is_due && clear(text.as_mut());
                metadata_are_due && clear(metadata.as_mut()) || has_text
            }
            Event::NamelessChatAdded { .. }
            | Event::DirectChatAdded { .. }
            | Event::MessageDeleted { .. }
            | Event::MemberAdded { .. }
            | Event::MemberRemoved { .. }
            | Event::ReadMarked { .. }
            | Event::NothingChanged
            | Event::TokensRevoked { .. }
            | Event::UserErased { .. } => false,
            Event::AlreadySo { .. } => return Left::AllButKey,
        };
        // A request may have had what is due of an edit, and was no change of it.
        let is_edit = matches!(
            event,
            Event::MessageEdited { .. } | Event::ChatEdited { .. } | Event::UserEdited { .. }
        );
        match (is_changed, is_edit) {
            (true, _) => Left::Part(event),
            (false, true) => Left::AllButKey,
            (false, false) => Left::All,
        }
    }
}

/// Empties a text. Returns whether there was one.
fn clear(text: Option<&mut Cow<'_, str>>) -> bool {
    text.is_some_and(|text| !std::mem::replace(text, Cow::Borrowed("")).is_empty())
}

fn erased_digest(key: &IdempotencyKey<'_>) -> Option<KeyDigest> {
    (key.fingerprint() == Fingerprint::ERASED).then_some(key.digest())
}

fn is_unkeyed_message(record: &Record<'_>) -> bool {
    record.key.is_none()
        && matches!(record.event, Event::MessageAdded { .. } | Event::MessageAddedWith { .. })
}

/// Returns the index of the first record that may be of one request with the message at this index: only messages that
/// were sent together are several records, and only the last of them has the key.
fn first_together(records: &[Record<'_>], index: usize) -> usize {
    if !matches!(records[index].event, Event::MessageAdded { .. } | Event::MessageAddedWith { .. }) {
        return index;
    }
    let is_together = |record: &&Record<'_>| is_unkeyed_message(record) && record.by == records[index].by;
    index - records[..index].iter().rev().take_while(is_together).count()
}

/// Returns the index of the first record of the request whose key the record at `index` has, from `earliest` on. Their
/// fingerprint tells. Returns `None` if it is that of none of these: the first ones may be in an earlier frame, and empty
/// metadata of a request is not in the log.
fn first_under_key(records: &[Record<'_>], earliest: usize, index: usize) -> Option<usize> {
    let fingerprint = records[index].key.as_ref()?.fingerprint();
    if Command::AddMessage(new_message(&records[index].event)?).fingerprint() == fingerprint {
        return Some(index);
    }
    (earliest..=index).find(|first| {
        let messages = records[*first..=index].iter().filter_map(|record| new_message(&record.event));
        Command::AddMessages(messages.collect()).fingerprint() == fingerprint
    })
}

/// Returns the message that an event sent, or `None` if it sent none, or one that was erased before.
fn new_message(event: &Event<'_>) -> Option<NewMessage> {
    let with_text = |chat: &ChatId, author: &UserId, text: &str, with| {
        let text = Text::try_from(text.to_owned()).ok()?;
        Some(NewMessage { chat: *chat, author: *author, text, with })
    };
    if let Event::MessageAdded { chat, author, text, .. } = event {
        return with_text(chat, author, text, None);
    }
    let Event::MessageAddedWith { chat, author, text, reply_to, metadata, .. } = event else { return None };
    let metadata = metadata.as_deref().map(|json| Metadata::try_from(json.to_owned())).transpose().ok()?;
    with_text(chat, author, text, MessageExtras::of(*reply_to, metadata))
}

#[cfg(test)]
#[expect(clippy::wildcard_enum_match_arm, reason = "a test looks at the texts of the events that it makes")]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::{Actor, IdempotencyKey, Timestamp};

    fn user(number: u128) -> UserId {
        Uuid::from_u128(number).into()
    }

    fn chat() -> ChatId {
        Uuid::from_u128(7).into()
    }

    fn message(author: u128, text: &'static str) -> Event<'static> {
        Event::MessageAdded { id: Uuid::nil().into(), chat: chat(), author: user(author), text: text.into() }
    }

    fn edit(seq: u64, text: Option<&'static str>, metadata: Option<&'static str>) -> Event<'static> {
        let (text, metadata) = (text.map(Cow::Borrowed), metadata.map(Cow::Borrowed));
        Event::MessageEdited { chat: chat(), seq: Seq(seq), user: None, text, metadata }
    }

    fn deletion(seq: u64, erase: bool) -> Event<'static> {
        Event::MessageDeleted { chat: chat(), seq: Seq(seq), user: None, erase }
    }

    fn at(micros: u64) -> Timestamp {
        Timestamp::from_micros(micros).expect("in range")
    }

    fn record(position: u64, event: Event<'static>) -> Record<'static> {
        Record { time: at(position), by: Actor::Unknown, key: None, event }
    }

    /// Puts a key on a record, of a request with this fingerprint.
    fn keyed(record: Record<'static>, fingerprint: Fingerprint) -> Record<'static> {
        let key = IdempotencyKey::recorded("k".into(), fingerprint, &Actor::Unknown);
        Record { key: Some(key), ..record }
    }

    fn in_order(events: impl IntoIterator<Item = Event<'static>>) -> Vec<Record<'static>> {
        (1..).zip(events).map(|(position, event)| record(position, event)).collect()
    }

    /// Erases what is due in records that were written together, when the time of the last position but `kept` has come.
    fn erase(mut records: Vec<Record<'static>>, kept: u64) -> Vec<Record<'static>> {
        let mut erasures = Erasures::of_changes_until(at(records.len() as u64 - kept));
        for (position, record) in (1..).zip(&records) {
            erasures.note(Position(position), record);
        }
        let mut eraser = Eraser::of(&erasures);
        let before = records.clone();
        let is_changed = eraser.erase(Position(1), &mut records);
        assert_eq!(is_changed, before != records);
        let once = records.clone();
        assert!(!Eraser::of(&erasures).erase(Position(1), &mut records), "nothing is due twice");
        assert_eq!(records, once);
        records
    }

    /// Returns the texts, names and metadata that are left, in order.
    fn left(records: &[Record<'_>]) -> Vec<String> {
        let texts = records.iter().flat_map(|record| match record.event.clone() {
            Event::UserAdded { username: text, .. }
            | Event::ChatAdded { name: text, .. }
            | Event::MessageAdded { text, .. }
            | Event::ReactionAdded { emoji: text, .. }
            | Event::ReactionRemoved { emoji: text, .. } => [Some(text), None],
            Event::MessageAddedWith { text, metadata, .. } => [Some(text), metadata],
            Event::MessageEdited { text, metadata, .. }
            | Event::ChatEdited { name: text, metadata, .. }
            | Event::UserEdited { username: text, metadata, .. } => [text, metadata],
            _ => [None, None],
        });
        texts.flatten().map(Cow::into_owned).filter(|text| !text.is_empty()).collect()
    }

    #[test]
    fn what_an_edit_replaced_goes_and_what_is_shown_stays() {
        let events = [
            message(1, "a"),
            edit(1, Some("b"), Some("{\"m\":1}")),
            edit(1, None, Some("{\"m\":2}")),
            message(1, "other"),
            edit(1, Some("c"), None),
        ];
        assert_eq!(left(&erase(in_order(events.clone()), 0)), ["{\"m\":2}", "other", "c"]);
        // Given that only the last edit is younger.
        assert_eq!(left(&erase(in_order(events), 1)), ["b", "{\"m\":2}", "other", "c"]);
    }

    #[test]
    fn a_deletion_is_due_after_its_time_and_an_erasure_at_once() {
        let deleted = |erase| in_order([message(1, "a"), edit(1, Some("b"), None), deletion(1, erase)]);
        assert_eq!(left(&erase(deleted(false), 2)), ["a", "b"]);
        assert_eq!(left(&erase(deleted(false), 1)), ["b"]);
        assert!(left(&erase(deleted(false), 0)).is_empty());
        assert!(left(&erase(deleted(true), 3)).is_empty());
    }

    #[test]
    fn an_erased_user_leaves_with_or_without_the_messages() {
        for (messages, expected) in
            [(ErasedMessages::Erase, vec!["bob", "b"]), (ErasedMessages::Keep, vec!["bob", "a", "b", "a2"])]
        {
            let reaction =
                |user| Event::ReactionAdded { chat: chat(), seq: Seq(2), user, emoji: "👍".into() };
            let records = erase(
                in_order([
                    Event::UserAdded { id: user(1), username: "ann".into() },
                    Event::UserAdded { id: user(2), username: "bob".into() },
                    message(1, "a"),
                    message(2, "b"),
                    edit(1, Some("a2"), None),
                    reaction(user(1)),
                    Event::UserEdited {
                        user: user(1),
                        username: Some("anna".into()),
                        metadata: Some("{\"m\":1}".into()),
                    },
                    Event::UserErased { user: user(1), messages },
                ]),
                8,
            );
            assert_eq!(left(&records), expected, "{messages:?}");
        }
    }

    #[test]
    fn names_that_were_changed_go() {
        let records = in_order([
            Event::UserAdded { id: user(1), username: "ann".into() },
            Event::ChatAdded { id: chat(), name: "tea".into(), users: vec![user(1)] },
            Event::UserEdited { user: user(1), username: Some("anna".into()), metadata: None },
            Event::ChatEdited { chat: chat(), name: None, metadata: Some("{\"m\":1}".into()) },
        ]);
        assert_eq!(left(&erase(records, 0)), ["tea", "anna", "{\"m\":1}"]);
    }

    /// Returns which of the records have a key with a fingerprint.
    fn fingerprints(records: &[Record<'_>]) -> Vec<usize> {
        let has_one = |index: &usize| {
            records[*index].key.as_ref().is_some_and(|key| key.fingerprint() != Fingerprint::ERASED)
        };
        (0..records.len()).filter(has_one).collect()
    }

    #[test]
    fn a_fingerprint_goes_with_any_message_of_its_request() {
        let messages = [message(1, "before"), message(1, "a"), message(1, "b"), message(1, "c")];
        let request = Command::AddMessages(messages[1..].iter().filter_map(new_message).collect());
        for (edited, is_left) in [(1, true), (2, false), (3, false), (4, false)] {
            let mut records = in_order(messages.clone().into_iter().chain([edit(edited, Some("new"), None)]));
            records[3] = keyed(records[3].clone(), request.fingerprint());
            assert_eq!(fingerprints(&erase(records, 0)), if is_left { vec![3] } else { vec![] }, "{edited}");
        }
        // One message that was sent by itself covers no other.
        let alone = Command::AddMessage(new_message(&messages[3]).expect("a message"));
        let mut records = in_order(messages.into_iter().chain([edit(3, Some("new"), None)]));
        records[3] = keyed(records[3].clone(), alone.fingerprint());
        assert_eq!(fingerprints(&erase(records, 0)), [3]);
    }

    #[test]
    fn a_request_in_several_frames_is_one() {
        // Given a batch whose first message is in the frame before that of its key.
        let messages = [message(1, "a"), message(1, "b"), message(1, "c")];
        let request = Command::AddMessages(messages.iter().filter_map(new_message).collect());
        for (edited, is_left) in [(1, false), (2, false), (4, true)] {
            let other = message(2, "d");
            let mut records =
                in_order(messages.clone().into_iter().chain([other, edit(edited, Some("new"), None)]));
            records[2] = keyed(records[2].clone(), request.fingerprint());
            let mut erasures = Erasures::of_changes_until(at(5));
            (1..).zip(&records).for_each(|(position, record)| erasures.note(Position(position), record));
            let mut eraser = Eraser::of(&erasures);
            let (before, behind) = records.split_at_mut(2);
            eraser.erase(Position(1), before);
            eraser.erase(Position(3), behind);
            assert_eq!(fingerprints(behind) == [0], is_left, "{edited}");
        }
    }

    #[test]
    fn a_fingerprint_goes_with_a_text_that_its_edit_left_as_it_was() {
        let mut records =
            in_order([message(1, "a"), edit(1, None, Some("{\"m\":1}")), edit(1, Some("b"), None)]);
        records[1] = keyed(records[1].clone(), Fingerprint([9; 16]));
        assert!(fingerprints(&erase(records, 0)).is_empty());
    }

    #[test]
    fn a_fingerprint_of_what_changed_nothing_goes_with_the_text_that_it_was_about() {
        let so =
            |seq, user| Event::AlreadySo { chat: Some(chat()), seq: Some(Seq(seq)), user, edited_at: None };
        let mut records = in_order([
            Event::UserAdded { id: user(1), username: "ann".into() },
            message(2, "a"),
            message(2, "b"),
            so(1, None),
            so(2, None),
            so(2, Some(user(1))),
            edit(1, Some("new"), None),
            so(1, None),
            Event::UserErased { user: user(1), messages: ErasedMessages::Keep },
        ]);
        for index in [3, 4, 5, 7] {
            records[index] = keyed(records[index].clone(), Fingerprint([9; 16]));
        }
        assert_eq!(fingerprints(&erase(records, 0)), [4, 7]);
    }
}
