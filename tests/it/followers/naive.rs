//! A naive list of everything that happened.

use std::collections::BTreeMap;

use chinwag::domain::{
    Actor, ChatId, ChatName, Command, Emoji, IdempotencyKey, MessageEdit, Reaction, Seq, Text, UserId,
    Username,
};
use chinwag::engine::{Engine, FeedEvent, FeedEventKind, ShownMessage};
use chinwag::model::{ChatView, UserView};

use super::happened::Happened;
use super::step::Step;
use super::{add, add_chat, add_user, message};

/// Lists of everything.
#[derive(Default)]
pub struct Naive {
    users: Vec<NaiveUser>,
    chats: Vec<NaiveChat>,
    /// What happened at each position, or `None` for an event that changed nothing.
    happened: Vec<Option<Happened>>,
}

struct NaiveUser {
    id: UserId,
    name: String,
}

struct NaiveChat {
    id: ChatId,
    name: String,
    /// The members at each position at which somebody joined or left, in the order in which they joined.
    members_since: BTreeMap<u64, Vec<UserId>>,
    messages: Vec<NaiveMessage>,
    marks: BTreeMap<UserId, u64>,
}

struct NaiveMessage {
    text: String,
    is_deleted: bool,
    reactions: Vec<(UserId, &'static str)>,
}

impl NaiveChat {
    fn mark(&self, user: UserId) -> u64 {
        self.marks.get(&user).copied().unwrap_or(0)
    }

    fn members(&self) -> &[UserId] {
        self.members_since.last_key_value().expect("a chat begins with its members").1
    }

    fn members_at(&self, position: u64) -> &[UserId] {
        self.members_since.range(..=position).next_back().map_or(&[], |(_, members)| members)
    }

    fn set_members(&mut self, position: u64, members: Vec<UserId>) {
        self.members_since.insert(position, members);
    }

    /// Returns the message that a step names by a number, and its seq.
    fn named(&mut self, number: usize) -> Option<(u64, &mut NaiveMessage)> {
        let index = number.checked_rem(self.messages.len())?;
        Some((index as u64 + 1, &mut self.messages[index]))
    }
}

impl Naive {
    /// Carries out a step on the engine and on the lists. A step that changes nothing is stored, because it has a
    /// key. Steps that would be refused are left out.
    pub async fn carry_out(&mut self, engine: &Engine, step: &Step) {
        let position = self.last() + 1;
        match step {
            Step::AddUser => {
                let name = format!("user {}", self.users.len());
                let id = add_user(engine, &name).await;
                self.users.push(NaiveUser { id, name });
                self.happened.push(Some(Happened::UserAdded(id)));
            }
            Step::AddChat { users } => {
                let mut members = Vec::new();
                for user in users.iter().filter_map(|number| self.user(*number)) {
                    if !members.contains(&user) {
                        members.push(user);
                    }
                }
                let name = format!("chat {}", self.chats.len());
                self.add_chat(engine, name, members).await;
            }
            Step::AddMessages { chat, author, count } => {
                let Some((author, chat)) = self.user(*author).zip(named(&mut self.chats, *chat)) else {
                    return;
                };
                if chat.members().contains(&author) {
                    let messages = (0..*count).map(|_| message(chat.id, author)).collect();
                    add(engine, Command::AddMessages(messages)).await;
                    for _ in 0..*count {
                        let (text, reactions) = ("hello".to_owned(), Vec::new());
                        chat.messages.push(NaiveMessage { text, is_deleted: false, reactions });
                        self.happened.push(Some(Happened::Message(chat.id, chat.messages.len() as u64)));
                    }
                }
            }
            Step::Join { chat, user } => {
                let Some((user, chat)) = self.user(*user).zip(named(&mut self.chats, *chat)) else { return };
                let mut members = chat.members().to_vec();
                let joins = !members.contains(&user);
                if joins {
                    members.push(user);
                    chat.set_members(position, members);
                }
                self.happened.push(joins.then_some(Happened::Joined(chat.id, user)));
                let command = Command::AddMember { chat: chat.id, user };
                submit_with_key(engine, command, position).await;
            }
            Step::Leave { chat, user } => {
                let Some((user, chat)) = self.user(*user).zip(named(&mut self.chats, *chat)) else { return };
                let mut members = chat.members().to_vec();
                let leaves = members.contains(&user);
                if leaves {
                    members.retain(|member| *member != user);
                    chat.set_members(position, members);
                }
                self.happened.push(leaves.then_some(Happened::Left(chat.id, user)));
                let command = Command::RemoveMember { chat: chat.id, user };
                submit_with_key(engine, command, position).await;
            }
            Step::Read { chat, user, seq } => {
                let Some((user, chat)) = self.user(*user).zip(named(&mut self.chats, *chat)) else { return };
                if chat.members().contains(&user) {
                    let seq = (seq % (chat.messages.len() + 1)) as u64;
                    self.happened.push((seq > chat.mark(user)).then(|| {
                        chat.marks.insert(user, seq);
                        Happened::Read(chat.id, user, seq)
                    }));
                    let command = Command::MarkRead { chat: chat.id, user, seq: Seq(seq) };
                    submit_with_key(engine, command, position).await;
                }
            }
            Step::Edit { .. } | Step::Delete { .. } | Step::React { .. } => {
                self.change_message(engine, step).await;
            }
            Step::EditChat { chat, name } => {
                let count = self.chats.len().max(1);
                let Some(edited) = named(&mut self.chats, *chat) else { return };
                let name = format!("chat {} {name}", chat % count);
                self.happened.push((name != edited.name).then_some(Happened::ChatEdited(edited.id)));
                edited.name.clone_from(&name);
                let name = Some(ChatName::try_from(name).unwrap());
                let command = Command::EditChat { chat: edited.id, name, metadata: None };
                submit_with_key(engine, command, position).await;
            }
            Step::EditUser { user, name } => {
                let count = self.users.len().max(1);
                let Some(edited) = self.users.get_mut(user % count) else { return };
                let name = format!("user {} {name}", user % count);
                self.happened.push((name != edited.name).then_some(Happened::UserEdited(edited.id)));
                edited.name.clone_from(&name);
                let username = Some(Username::try_from(name).unwrap());
                let command = Command::EditUser { user: edited.id, username, metadata: None };
                submit_with_key(engine, command, position).await;
            }
        }
        assert_eq!(engine.position().0, self.last(), "{step:?}");
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "all other steps would be refused, or change no message"
    )]
    async fn change_message(&mut self, engine: &Engine, step: &Step) {
        let position = self.last() + 1;
        let (Step::Edit { chat, seq, .. } | Step::Delete { chat, seq } | Step::React { chat, seq, .. }) =
            step
        else {
            unreachable!("such a step changes no message")
        };
        let user = if let Step::React { user, .. } = step { self.user(*user) } else { None };
        let Some(chat) = named(&mut self.chats, *chat) else { return };
        let (id, is_member) = (chat.id, user.is_some_and(|user| chat.members().contains(&user)));
        let Some((seq, message)) = chat.named(*seq) else { return };
        let (happened, command) = match step {
            Step::Edit { text, .. } if !message.is_deleted => {
                let text = format!("text {text}");
                let changes = message.text != text;
                message.text.clone_from(&text);
                let text = Some(Text::try_from(text).unwrap());
                let edit = MessageEdit { chat: id, seq: Seq(seq), user: None, text, metadata: None };
                (changes.then_some(Happened::Edited(id, seq)), Command::EditMessage(Box::new(edit)))
            }
            Step::Delete { .. } => {
                let happened = (!message.is_deleted).then_some(Happened::Deleted(id, seq));
                *message = NaiveMessage { text: String::new(), is_deleted: true, reactions: Vec::new() };
                let (seq, user, is_moderator, erase) = (Seq(seq), None, false, false);
                (happened, Command::DeleteMessage { chat: id, seq, user, is_moderator, erase })
            }
            Step::React { emoji, is_added, .. } if !message.is_deleted && is_member => {
                let user = user.expect("a member");
                let has_reacted = message.reactions.contains(&(user, emoji));
                message.reactions.retain(|reaction| *reaction != (user, emoji));
                let text = Emoji::try_from((*emoji).to_owned()).unwrap();
                let reaction = Box::new(Reaction { chat: id, seq: Seq(seq), user, emoji: text });
                if *is_added {
                    message.reactions.push((user, emoji));
                    let happened = (!has_reacted).then_some(Happened::Reacted(id, seq, user, emoji));
                    (happened, Command::AddReaction(reaction))
                } else {
                    let happened = has_reacted.then_some(Happened::TookBack(id, seq, user, emoji));
                    (happened, Command::RemoveReaction(reaction))
                }
            }
            _ => return,
        };
        self.happened.push(happened);
        submit_with_key(engine, command, position).await;
    }

    fn user(&self, number: usize) -> Option<UserId> {
        self.users.get(number.checked_rem(self.users.len())?).map(|user| user.id)
    }

    /// Adds a user with this name, on the engine and on the lists.
    pub async fn add_user(&mut self, engine: &Engine, name: &str) {
        let id = add_user(engine, name).await;
        self.users.push(NaiveUser { id, name: name.to_owned() });
        self.happened.push(Some(Happened::UserAdded(id)));
    }

    /// Adds a chat with this name, on the engine and on the lists.
    pub async fn add_chat(&mut self, engine: &Engine, name: String, members: Vec<UserId>) {
        let id = add_chat(engine, &name, members.clone()).await;
        let members_since = [(self.last() + 1, members)].into();
        let (messages, marks) = (Vec::new(), BTreeMap::new());
        self.chats.push(NaiveChat { id, name, members_since, messages, marks });
        self.happened.push(Some(Happened::ChatAdded(id)));
    }

    /// Returns the position of the last event.
    pub fn last(&self) -> u64 {
        self.happened.len() as u64
    }

    /// Returns all users, the first made first.
    pub fn users(&self) -> impl Iterator<Item = UserId> {
        self.users.iter().map(|user| user.id)
    }

    /// Returns everything that a feed of all events that begins after this position shows, each event with its
    /// position.
    pub fn happened_after(&self, after: u64) -> Vec<(u64, Happened)> {
        let happened = (1..).zip(&self.happened).skip(usize::try_from(after).expect("small"));
        happened.filter_map(|(position, happened)| Some((position, (*happened)?))).collect()
    }

    /// Returns what of it happened to this user, or in a chat that the user was in at that time.
    pub fn seen_after(&self, after: u64, user: UserId) -> Vec<(u64, Happened)> {
        let seen = self.happened_after(after).into_iter().filter_map(|(position, happened)| {
            let Some(id) = happened.chat() else {
                let Happened::UserEdited(other) = happened else { return None };
                let is_shared =
                    |chat: &NaiveChat| chat.members().contains(&user) && chat.members().contains(&other);
                let is_seen = user == other || self.chats.iter().any(is_shared);
                return is_seen.then_some((position, happened));
            };
            let chat = self.chat(id);
            // Who leaves is a member until then.
            let is_member = |at| chat.members_at(at).contains(&user);
            if is_member(position) && !is_member(position - 1) {
                return Some((position, Happened::Entered(id)));
            }
            let is_seen = is_member(position - 1) && !self.changed_since_left(position, happened, user);
            is_seen.then_some((position, happened))
        });
        seen.collect()
    }

    /// Returns whether the event shows a message that has changed since the user left, whose stay this is.
    fn changed_since_left(&self, position: u64, happened: Happened, user: UserId) -> bool {
        let Some(message) = happened.message() else { return false };
        let mut later = self.happened_after(position).into_iter();
        later.any(|(_, happened)| happened == Happened::Left(message.0, user))
            && later.any(|(_, happened)| happened.changes(message))
    }

    /// Checks that a feed that caught up has shown this, but nothing that later events have overtaken.
    #[track_caller]
    pub fn check_caught_up(&self, mut expected: Vec<(u64, Happened)>, seen: &[(u64, Happened)]) {
        expected.retain(|event| !self.is_overtaken(event));
        assert_eq!(seen, expected);
    }

    /// Checks that a feed has shown this while it happened. It may have left out what later events have overtaken.
    #[track_caller]
    pub fn check_live(&self, mut expected: Vec<(u64, Happened)>, seen: &[(u64, Happened)]) {
        expected.retain(|event| !self.is_overtaken(event) || seen.contains(event));
        assert_eq!(seen, expected);
    }

    fn is_overtaken(&self, &(position, happened): &(u64, Happened)) -> bool {
        self.happened_after(position).into_iter().any(|(_, later)| happened.is_overtaken_by(later))
    }

    /// Checks that an event shows everything as it is now to this user, or to one who sees all.
    pub fn check_shown(&self, event: FeedEvent, reader: Option<UserId>) {
        match event.kind {
            FeedEventKind::Message(shown) | FeedEventKind::Edited(shown) => {
                self.check_message(&shown, reader);
            }
            FeedEventKind::Reacted(shown) | FeedEventKind::TookBack(shown) => {
                let message = self.message(shown.chat, shown.seq);
                let count = message.reactions.iter().filter(|(_, emoji)| **emoji == *shown.emoji).count();
                assert_eq!(shown.count as usize, count);
            }
            FeedEventKind::ChatAdded { chat: shown, read_marks } => {
                self.check_chat(&shown);
                let chat = self.chat(shown.id);
                let marks: BTreeMap<_, _> = read_marks.flatten().map(|(user, seq)| (user, seq.0)).collect();
                let is_member = |(user, _): &(&UserId, &u64)| chat.members().contains(user);
                assert!(marks.iter().eq(chat.marks.iter().filter(is_member)), "{marks:?}");
            }
            FeedEventKind::Entered(shown) | FeedEventKind::ChatEdited(shown) => {
                match reader.filter(|reader| !self.chat(shown.id).members().contains(reader)) {
                    None => self.check_chat(&shown),
                    Some(reader) => self.check_left_chat(&shown, event.id.position.0, reader),
                }
            }
            FeedEventKind::UserAdded(shown) | FeedEventKind::UserEdited(shown) => self.check_user(&shown),
            FeedEventKind::Deleted { .. }
            | FeedEventKind::Joined { .. }
            | FeedEventKind::Left { .. }
            | FeedEventKind::Read { .. }
            | FeedEventKind::UserErased(_) => {}
        }
    }

    fn check_message(&self, shown: &ShownMessage, reader: Option<UserId>) {
        let shown_message = shown.run.messages().next().expect("a run of one");
        let message = self.message(shown.chat, shown_message.seq);
        assert_eq!(shown_message.text, message.text);
        let extras = shown_message.extras;
        assert_eq!(extras.is_some_and(|extras| extras.deleted.is_some()), message.is_deleted);
        let reactions = extras.map_or(&[][..], |extras| &extras.reactions);
        let count = reactions.iter().map(|(_, count)| *count as usize).sum::<usize>();
        assert_eq!(count, message.reactions.len(), "{reactions:?}");
        for (place, (emoji, count)) in reactions.iter().enumerate() {
            let of_emoji = message.reactions.iter().filter(|(_, known)| **known == **emoji);
            assert_eq!(of_emoji.clone().count(), *count as usize, "{reactions:?}");
            let is_own = shown.own.as_ref().is_some_and(|own| own.contains(shown_message.seq, place));
            assert_eq!(of_emoji.clone().any(|(user, _)| reader == Some(*user)), is_own);
        }
    }

    /// Checks a chat that the reader, who saw it at this position, has left for good.
    fn check_left_chat(&self, shown: &ChatView, position: u64, reader: UserId) {
        assert!(shown.users.iter().next().is_none() && shown.last_message.is_none());
        let mut later = self.happened_after(position).into_iter().map(|(_, happened)| happened);
        later
            .by_ref()
            .find(|happened| *happened == Happened::Left(shown.id, reader))
            .expect("they have left");
        let is_renamed = later.any(|happened| happened == Happened::ChatEdited(shown.id));
        let name = (!is_renamed).then_some(&*self.chat(shown.id).name);
        assert_eq!(shown.name.as_deref(), name, "no name that came after the reader had left");
    }

    fn check_chat(&self, shown: &ChatView) {
        let chat = self.chat(shown.id);
        assert_eq!(shown.name.as_deref(), Some(&*chat.name));
        assert!(shown.users.iter().eq(chat.members().iter().copied()), "{:?}", chat.id);
        let last = shown.last_message.as_ref().and_then(|run| run.messages().next());
        assert_eq!(last.map_or(0, |message| message.seq.0), chat.messages.len() as u64);
        assert_eq!(last.map(|message| message.text), chat.messages.last().map(|message| &*message.text));
    }

    fn check_user(&self, shown: &UserView) {
        let user = self.users.iter().find(|user| user.id == shown.id).expect("it exists");
        assert_eq!(shown.username.as_deref(), Some(&*user.name));
    }

    fn chat(&self, id: ChatId) -> &NaiveChat {
        self.chats.iter().find(|chat| chat.id == id).expect("it exists")
    }

    fn message(&self, chat: ChatId, Seq(seq): Seq) -> &NaiveMessage {
        &self.chat(chat).messages[usize::try_from(seq).expect("small") - 1]
    }
}

/// Returns the chat that a step names by a number.
fn named(chats: &mut [NaiveChat], number: usize) -> Option<&mut NaiveChat> {
    let count = chats.len().max(1);
    chats.get_mut(number % count)
}

async fn submit_with_key(engine: &Engine, command: Command, position: u64) {
    let key = IdempotencyKey::new(format!("key-{position}"), &command, &Actor::Unknown).expect("a key");
    engine.submit(command, Some(key), Actor::Unknown).await.expect("accepted");
}
