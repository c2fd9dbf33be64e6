//! The events of a log from which something has left, as a line of the export shows them: what is gone is empty.

use serde_json::{Map, Value};

use super::line::{checked, metadata, own_id, parse_object};
use crate::domain::{ChatName, Emoji, Event, InvalidValue, Text, Username};

/// The fields that every line may have.
const OF_EVERY_LINE: [&str; 5] = ["v", "position", "time", "by", "idempotency_key"];

/// Parses the event of a line in which something is empty.
///
/// # Errors
///
/// Returns what is wrong with the line.
pub(super) fn parse(line: &[u8], kind: &str) -> Result<Event<'static>, String> {
    let mut fields: Map<String, Value> = parse_object(line)?;
    fields.retain(|name, _| !OF_EVERY_LINE.contains(&&**name));
    let event: Event<'static> =
        serde_json::from_value(Value::Object(fields.clone())).map_err(|error| error.to_string())?;
    let known = serde_json::to_value(&event).expect("an event is JSON");
    if fields.keys().any(|name| known.get(name).is_none()) {
        return Err(format!("it has a field that no {kind} has"));
    }
    check(&event)?;
    Ok(event)
}

/// Checks a text that is there, unless it is gone.
fn left<T: TryFrom<String, Error = InvalidValue>>(name: &str, text: Option<&str>) -> Result<(), String> {
    match text {
        None | Some("") => Ok(()),
        Some(text) => checked::<T>(name, text.to_owned()).map(|_| ()),
    }
}

fn check_metadata(json: Option<&str>) -> Result<(), String> {
    match json {
        None | Some("") => Ok(()),
        Some(json) => metadata(json.to_owned()).map(|_| ()),
    }
}

/// Checks what is left of an event, as the API checks what it is sent.
fn check(event: &Event<'_>) -> Result<(), String> {
    match event {
        Event::UserAdded { id, username } => {
            own_id(&id.to_string())?;
            left::<Username>("username", Some(username))
        }
        Event::ChatAdded { id, name, .. } => {
            own_id(&id.to_string())?;
            left::<ChatName>("name", Some(name))
        }
        Event::MessageAdded { id, text, .. } => {
            own_id(&id.to_string())?;
            left::<Text>("text", Some(text))
        }
        Event::MessageAddedWith { id, text, metadata, .. } => {
            own_id(&id.to_string())?;
            left::<Text>("text", Some(text))?;
            check_metadata(metadata.as_deref())
        }
        Event::MessageEdited { text, metadata, .. } => {
            left::<Text>("text", text.as_deref())?;
            check_metadata(metadata.as_deref())
        }
        Event::ChatEdited { name, metadata, .. } => {
            left::<ChatName>("name", name.as_deref())?;
            check_metadata(metadata.as_deref())
        }
        Event::UserEdited { username, metadata, .. } => {
            left::<Username>("username", username.as_deref())?;
            check_metadata(metadata.as_deref())
        }
        Event::ReactionAdded { emoji, .. } | Event::ReactionRemoved { emoji, .. } => {
            left::<Emoji>("emoji", Some(emoji))
        }
        Event::NamelessChatAdded { .. }
        | Event::DirectChatAdded { .. }
        | Event::MessageDeleted { .. }
        | Event::MemberAdded { .. }
        | Event::MemberRemoved { .. }
        | Event::ReadMarked { .. }
        | Event::NothingChanged
        | Event::AlreadySo { .. }
        | Event::TokensRevoked { .. }
        | Event::UserErased { .. } => Err("nothing of such an event leaves a log".to_owned()),
    }
}
