//! A message of the naive model.

use serde_json::{Value, json};

#[derive(Clone)]
pub(super) struct NaiveMessage {
    /// Each way in which the message has been shown, to no reader. The last one holds.
    versions: Vec<Value>,
    reactions: Vec<NaiveReaction>,
    /// The position of the last change.
    pub(super) changed: usize,
    /// The position of the last edit, or of the deletion.
    pub(super) rewritten: usize,
}

#[derive(Clone)]
pub(super) struct NaiveReaction {
    pub(super) user: Value,
    pub(super) emoji: Value,
    pub(super) created_at: Value,
    pub(super) position: usize,
}

/// Returns `null` if these are no metadata.
pub(super) fn present(metadata: &Value) -> Value {
    if *metadata == json!({}) { Value::Null } else { metadata.clone() }
}

/// Sets a member of an object. It is left out if it is `null`.
pub(super) fn set(object: &mut Value, name: &str, value: Value) {
    let members = object.as_object_mut().expect("an object");
    if value.is_null() {
        members.remove(name)
    } else {
        members.insert(name.to_owned(), value)
    };
}

impl NaiveMessage {
    pub(super) fn new(position: usize, shown: Value) -> Self {
        Self { versions: vec![shown], reactions: Vec::new(), changed: position, rewritten: 0 }
    }

    pub(super) fn author(&self) -> &Value {
        &self.now()["author"]
    }

    pub(super) fn now(&self) -> &Value {
        self.versions.last().expect("a message is shown")
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.now().get("deleted_at").is_some()
    }

    pub(super) fn shown(&self, reader: Option<&Value>) -> Value {
        let mut shown = self.now().clone();
        let reactions = shown.get_mut("reactions").and_then(Value::as_array_mut);
        for reaction in reactions.into_iter().flatten() {
            let own = reader.map(|reader| json!(self.reaction(reader, &reaction["emoji"]).is_some()));
            set(reaction, "own", own.unwrap_or_default());
        }
        shown
    }

    /// Returns whether the message was ever shown so.
    pub(super) fn was_shown(&self, shown: &Value) -> bool {
        let mut shown = shown.clone();
        let reactions = shown.get_mut("reactions").and_then(Value::as_array_mut);
        reactions.into_iter().flatten().for_each(|reaction| set(reaction, "own", Value::Null));
        self.versions.contains(&shown)
    }

    pub(super) fn reaction(&self, user: &Value, emoji: &Value) -> Option<&NaiveReaction> {
        self.reactions.iter().find(|reaction| (&reaction.user, &reaction.emoji) == (user, emoji))
    }

    pub(super) fn reactions(&self) -> &[NaiveReaction] {
        &self.reactions
    }

    pub(super) fn count(&self, emoji: &Value) -> usize {
        self.reactions.iter().filter(|reaction| reaction.emoji == *emoji).count()
    }

    /// Returns the earlier texts. The last version has the present one, or that of a deleted message.
    pub(super) fn revisions(&self) -> Vec<Value> {
        let of_version = |version: &Value| {
            let at = version.get("edited_at").unwrap_or(&version["created_at"]);
            let mut revision = json!({ "text": version["text"], "at": at });
            set(&mut revision, "metadata", version["metadata"].clone());
            revision
        };
        let mut revisions: Vec<_> = self.versions.iter().map(of_version).collect();
        revisions.dedup();
        revisions.pop();
        revisions
    }

    /// Forgets the texts and metadata that were replaced.
    pub(super) fn forget_replaced(&mut self) {
        let now = self.now().clone();
        let is_replaced = |name: &str, version: &Value| version.get(name) != now.get(name);
        let kept =
            self.versions.iter().rposition(|version| is_replaced("text", version)).map_or(0, |last| last + 1);
        self.versions.drain(..kept);
        let kept = self
            .versions
            .iter()
            .rposition(|version| is_replaced("metadata", version))
            .map_or(0, |last| last + 1);
        self.versions[..kept].iter_mut().for_each(|version| set(version, "metadata", Value::Null));
    }

    /// Edits the message as `body` asks. Returns whether that changes anything.
    pub(super) fn edit(&mut self, position: usize, at: &Value, body: &Value) -> bool {
        let mut version = self.now().clone();
        if !body["text"].is_null() {
            version["text"] = body["text"].clone();
        }
        if !body["metadata"].is_null() {
            set(&mut version, "metadata", present(&body["metadata"]));
        }
        let changes = version != *self.now();
        if changes {
            set(&mut version, "edited_at", at.clone());
            self.rewritten = position;
            self.change(position, version);
        }
        changes
    }

    pub(super) fn delete(&mut self, position: usize, at: &Value) {
        let mut version = self.now().clone();
        version["text"] = json!("");
        for name in ["edited_at", "metadata", "reactions"] {
            set(&mut version, name, Value::Null);
        }
        set(&mut version, "deleted_at", at.clone());
        self.rewritten = position;
        self.reactions.clear();
        self.change(position, version);
    }

    pub(super) fn react(&mut self, reaction: NaiveReaction) {
        let position = reaction.position;
        self.reactions.push(reaction);
        self.count_reactions(position);
    }

    pub(super) fn take_back(&mut self, position: usize, user: &Value, emoji: &Value) {
        self.reactions.retain(|reaction| (&reaction.user, &reaction.emoji) != (user, emoji));
        self.count_reactions(position);
    }

    /// Counts the reactions anew. Emoji that are no longer there go, and others come last.
    fn count_reactions(&mut self, position: usize) {
        let shown = self.now()["reactions"].as_array().cloned().unwrap_or_default();
        let mut emoji: Vec<_> = shown.into_iter().map(|mut reaction| reaction["emoji"].take()).collect();
        for reaction in &self.reactions {
            if !emoji.contains(&reaction.emoji) {
                emoji.push(reaction.emoji.clone());
            }
        }
        emoji.retain(|emoji| self.count(emoji) > 0);
        let counted = emoji.iter().map(|emoji| json!({ "emoji": emoji, "count": self.count(emoji) }));
        let counted = Some(counted.collect::<Vec<_>>()).filter(|counted| !counted.is_empty());
        let mut version = self.now().clone();
        set(&mut version, "reactions", json!(counted));
        self.change(position, version);
    }

    fn change(&mut self, position: usize, version: Value) {
        self.changed = position;
        self.versions.push(version);
    }
}
