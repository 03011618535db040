//! Items by both their names: the client's strings and the conversation's numbers.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;

use super::{
    error::{ErrorObject, invalid_value},
    microphone,
    outlet::Outlet,
    wire::item::{Item, ItemStatus, NewItem, NewPart, Part, Role},
};
use crate::{
    conversation::{Content, Place},
    ids::{CallId, ItemId},
};

/// Bytes that a client's own id may have.
const NAME_BYTES_MAX: usize = 256;

/// Everything that was announced, in its order.
#[derive(Debug, Default)]
pub(super) struct Items {
    /// Items that were announced, are about to be, or were asked for.
    ids: HashMap<String, ItemId>,
    /// Items that were announced.
    entries: HashMap<ItemId, Entry>,
    order: Vec<ItemId>,
    /// What the client asked to be put in and was not answered yet.
    asked: HashMap<ItemId, Asked>,
    names: HashMap<ItemId, String>,
    of_client: u32,
    calls: HashMap<String, CallId>,
    call_names: HashMap<CallId, String>,
    calls_of_client: u32,
}

/// An item that was announced.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) wire: Item,
    /// Whether the conversation has it, too: speech without words is told to clients and forgotten by the conversation.
    pub(super) stands: bool,
    /// How much of it was spoken, if it is the assistant's speech.
    pub(super) spoken: Option<Duration>,
}

/// An item that the client wants to be put in.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) event_id: Option<String>,
    wire: Item,
    after: After,
}

/// What an item means.
#[derive(Debug)]
pub(super) enum Meaning {
    /// Words, or a call, or what came of it.
    Content(Content),
    /// Speech in the microphone's format, whose words are to be found.
    Recording(Bytes),
}

/// Where an item is announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// At the end.
    All,
    /// After this one, or before everything.
    This(Option<ItemId>),
}

impl Items {
    /// What the client calls an item; made up if it has no name yet.
    pub(super) fn name(&mut self, id: ItemId, outlet: &mut Outlet) -> String {
        if let Some(name) = self.names.get(&id) {
            return name.clone();
        }
        let name = outlet.name("item");
        self.ids.insert(name.clone(), id);
        self.names.insert(id, name.clone());
        name
    }

    /// An item that was not announced will not be.
    pub(super) fn forget(&mut self, id: ItemId) {
        if let Some(name) = self.names.remove(&id) {
            self.ids.remove(&name);
        }
    }

    /// Announces an item. Gives back the name of the one before it.
    pub(super) fn announce(&mut self, id: ItemId, entry: Entry, after: After) -> Option<String> {
        let place = match after {
            After::All => None,
            After::This(None) => Some(0),
            After::This(Some(after)) => self.order.iter().rposition(|other| *other == after).map(|index| index + 1),
        };
        self.order.insert(place.unwrap_or(self.order.len()), id);
        self.entries.insert(id, entry);
        self.previous(id)
    }

    /// The name of the item before this one.
    pub(super) fn previous(&self, id: ItemId) -> Option<String> {
        let index = self.order.iter().rposition(|other| *other == id)?.checked_sub(1)?;
        self.names.get(&self.order[index]).cloned()
    }

    /// The last item.
    pub(super) fn last(&self) -> Option<ItemId> {
        self.order.last().copied()
    }

    pub(super) fn entry(&mut self, id: ItemId) -> Option<&mut Entry> {
        self.entries.get_mut(&id)
    }

    /// The announced item of this name.
    pub(super) fn find(&self, name: &str) -> Option<(ItemId, &Entry)> {
        let id = *self.ids.get(name)?;
        Some((id, self.entries.get(&id)?))
    }

    /// Takes an announced item out. Gives back its name.
    pub(super) fn remove(&mut self, id: ItemId) -> Option<String> {
        self.entries.remove(&id)?;
        self.order.retain(|other| *other != id);
        let name = self.names.remove(&id)?;
        self.ids.remove(&name);
        Some(name)
    }

    // ---- what clients put in

    /// Reads an item that the client wants to be put in; the conversation answers by its id.
    pub(super) fn ask(
        &mut self,
        item: NewItem,
        previous: Option<&str>,
        event_id: Option<String>,
        outlet: &mut Outlet,
    ) -> Result<(ItemId, Place, Meaning), ErrorObject> {
        let (place, after) = match previous {
            None => (Place::End, After::All),
            Some("root") => (Place::Front, After::This(None)),
            Some(name) => {
                let Some((id, _)) = self.find(name) else {
                    let message = format!("The item '{}' does not exist; nothing was added.", short(name));
                    return Err(
                        ErrorObject::invalid("item_create_invalid_previous_item_id", message).about("previous_item_id")
                    );
                };
                (self.place_after(id), After::This(Some(id)))
            }
        };
        let name = match item.id.as_deref() {
            None | Some("") => outlet.name("item"),
            Some(name) if name.len() > NAME_BYTES_MAX || name == "root" => {
                return Err(invalid_value("item.id", format!("An id has at most {NAME_BYTES_MAX} bytes.")));
            }
            Some(name) if self.ids.contains_key(name) => {
                let message = format!("There is an item '{}' already; nothing was added.", short(name));
                return Err(ErrorObject::invalid("item_create_duplicate_item_id", message).about("item.id"));
            }
            Some(name) => name.to_owned(),
        };
        let (wire, meaning) = self.read(item, name.clone(), "item")?;
        self.of_client += 1;
        let id = ItemId::of_client(self.of_client);
        self.ids.insert(name.clone(), id);
        self.names.insert(id, name);
        self.asked.insert(id, Asked { event_id, wire, after });
        Ok((id, place, meaning))
    }

    /// The client's item stands. Gives back the name of the one before it, and the item.
    pub(super) fn added(&mut self, id: ItemId) -> Option<(Option<String>, Item)> {
        let Asked { wire, after, .. } = self.asked.remove(&id)?;
        let entry = Entry { wire: wire.clone(), stands: true, spoken: None };
        Some((self.announce(id, entry, after), wire))
    }

    /// The client's item does not stand. `None` if nobody asked.
    pub(super) fn refused(&mut self, id: ItemId) -> Option<Asked> {
        let asked = self.asked.remove(&id)?;
        self.forget(id);
        Some(asked)
    }

    /// The same place in the conversation, which may have forgotten this item.
    fn place_after(&self, id: ItemId) -> Place {
        let index = self.order.iter().rposition(|other| *other == id).unwrap_or(0);
        let stands = |id: &&ItemId| self.entries.get(id).is_some_and(|entry| entry.stands);
        self.order[..=index.min(self.order.len().saturating_sub(1))]
            .iter()
            .rev()
            .find(stands)
            .map_or(Place::Front, |id| Place::After(*id))
    }

    /// Reads an item: as it is told to clients, and what it means.
    pub(super) fn read(&mut self, item: NewItem, name: String, path: &str) -> Result<(Item, Meaning), ErrorObject> {
        let need = |field: Option<String>, what: &str| {
            let missing = || invalid_value(format!("{path}.{what}"), format!("`{what}` is missing."));
            field.filter(|value| !value.is_empty()).ok_or_else(missing)
        };
        match item.kind.as_deref() {
            Some("message") => message(item, name, path),
            Some("function_call") => {
                let call_name = need(item.call_id, "call_id")?;
                let (function, arguments) = (need(item.name, "name")?, item.arguments.unwrap_or_default());
                let content = Content::ToolCall {
                    response: None,
                    call: self.call_of_client(&call_name),
                    name: Arc::from(function.as_str()),
                    arguments: Arc::from(arguments.as_str()),
                };
                let wire = Item::function_call(name, ItemStatus::Completed, (call_name, function, arguments));
                Ok((wire, Meaning::Content(content)))
            }
            Some("function_call_output") => {
                let call_name = need(item.call_id, "call_id")?;
                let Some(call) = self.calls.get(&call_name).copied() else {
                    return Err(unknown_call(&call_name).about(format!("{path}.call_id")));
                };
                let output = item.output.unwrap_or_default();
                let content = Content::ToolOutput { call, output: Arc::from(output.as_str()), failed: false };
                Ok((Item::function_call_output(name, call_name, output), Meaning::Content(content)))
            }
            Some(other) => {
                let message = format!("Items of type '{}' are not supported.", short(other));
                Err(invalid_value(format!("{path}.type"), message))
            }
            None => Err(invalid_value(format!("{path}.type"), "`type` is missing.")),
        }
    }

    /// What the client calls a call that the agent made.
    pub(super) fn call_name(&mut self, call: CallId, outlet: &mut Outlet) -> String {
        if let Some(name) = self.call_names.get(&call) {
            return name.clone();
        }
        let name = outlet.name("call");
        self.calls.insert(name.clone(), call);
        self.call_names.insert(call, name.clone());
        name
    }

    fn call_of_client(&mut self, name: &str) -> CallId {
        if let Some(call) = self.calls.get(name) {
            return *call;
        }
        self.calls_of_client += 1;
        let call = CallId::of_client(self.calls_of_client);
        self.calls.insert(name.to_owned(), call);
        self.call_names.insert(call, name.to_owned());
        call
    }
}

impl Asked {
    /// The call that it answers, if it does.
    pub(super) fn call_id(&self) -> Option<&str> {
        self.wire.call_id.as_deref()
    }
}

/// A call that was not made, or was answered.
pub(super) fn unknown_call(name: &str) -> ErrorObject {
    let message = format!("The call '{}' was not made in this conversation, or was answered before.", short(name));
    ErrorObject::invalid("invalid_tool_call_id", message)
}

/// A client's words in an error: not too many of them.
pub(super) fn short(text: &str) -> &str {
    &text[..text.floor_char_boundary(NAME_BYTES_MAX)]
}

fn message(item: NewItem, name: String, path: &str) -> Result<(Item, Meaning), ErrorObject> {
    let role = match item.role.as_deref() {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("system") => Role::System,
        _ => return Err(invalid_value(format!("{path}.role"), "The role is 'user', 'assistant' or 'system'.")),
    };
    let mut parts = item.content.unwrap_or_default();
    if parts.is_empty() {
        return Err(invalid_value(format!("{path}.content"), "A message has content."));
    }
    if let [NewPart { kind: Some(kind), transcript: None, audio, .. }] = parts.as_mut_slice()
        && (role, kind.as_str()) == (Role::User, "input_audio")
        && let Some(audio) = audio.take()
    {
        let recording = microphone::decode(&audio, &format!("{path}.content[0].audio"))?;
        let told = vec![Part::InputAudio { transcript: None }];
        return Ok((Item::message(name, role, ItemStatus::Completed, told), Meaning::Recording(recording)));
    }
    let mut words: Vec<String> = Vec::with_capacity(parts.len());
    let mut told = Vec::with_capacity(parts.len());
    for (index, part) in parts.into_iter().enumerate() {
        let (part, text) = read_part(part, role, &format!("{path}.content[{index}]"))?;
        told.push(part);
        words.push(text);
    }
    let words: Arc<str> = Arc::from(words.join("\n"));
    let content = match role {
        Role::System => Content::SystemText(words),
        Role::User => Content::UserText(words),
        Role::Assistant => Content::Reply { response: None, text: words, interrupted: false },
    };
    Ok((Item::message(name, role, ItemStatus::Completed, told), Meaning::Content(content)))
}

fn read_part(part: NewPart, role: Role, path: &str) -> Result<(Part, String), ErrorObject> {
    let missing = |field: &str| invalid_value(format!("{path}.{field}"), format!("`{field}` is missing."));
    match (role, part.kind.as_deref()) {
        (Role::System | Role::User, Some("input_text" | "text")) => {
            let text = part.text.ok_or_else(|| missing("text"))?;
            Ok((Part::InputText { text: text.clone() }, text))
        }
        (Role::Assistant, Some("output_text" | "text" | "input_text")) => {
            let text = part.text.ok_or_else(|| missing("text"))?;
            Ok((Part::OutputText { text: text.clone() }, text))
        }
        (Role::User, Some("input_audio")) => {
            let Some(transcript) = part.transcript else { return Err(needs_transcript(path)) };
            Ok((Part::InputAudio { transcript: Some(transcript.clone()) }, transcript))
        }
        (Role::Assistant, Some("output_audio" | "audio")) if part.audio.is_none() => {
            let transcript = part.transcript.ok_or_else(|| missing("transcript"))?;
            Ok((Part::OutputAudio { transcript: transcript.clone() }, transcript))
        }
        (Role::Assistant, Some("output_audio" | "audio")) => {
            Err(invalid_value(path, "Audio of the assistant cannot be put in. Put in its words."))
        }
        (Role::User, Some("input_image")) => {
            Err(ErrorObject::invalid("image_not_supported", "Images are not supported.").about(path))
        }
        _ => Err(invalid_value(format!("{path}.type"), "This role has no content of this type.")),
    }
}

/// Only an item that is nothing else than a recording is listened to.
pub(super) fn needs_transcript(path: &str) -> ErrorObject {
    let message = "This audio is not listened to. Add its `transcript`, or put it in as an item of its own.";
    ErrorObject::invalid("audio_without_transcript", message).about(path)
}
