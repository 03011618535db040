//! The assistant's half: one response of ours becomes the cascade of theirs.
//!
//! The voice needs longer than the agent, so a message is open until the response is done. Function calls that come while it
//! is open wait for its end: clients take a call for the last thing before `response.done`, and answer at once.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use super::{
    Dialect, RealtimeCodec, beta,
    config::Modality,
    formats,
    items::{After, Entry},
    outcome,
    wire::{
        item::{Item, ItemStatus, Part, Role},
        response::{Response, ResponseAudio, ResponseAudioOutput, ResponseStatus, Shape},
        server::{AudioDelta, Body, DeltaEvent, PartEvent, Place},
        session::{Format, MaxTokens},
    },
};
use crate::{
    audio::AudioChunk,
    conversation::{Status, Timings, Usage},
    ids::{CallId, ItemId, ResponseId},
    protocol::Message,
};

/// How one response comes.
#[derive(Debug, Clone)]
pub(super) struct Manner {
    pub(super) modality: Modality,
    pub(super) format: Format,
    pub(super) voice: String,
    pub(super) max_output_tokens: MaxTokens,
    pub(super) metadata: Option<Map<String, Value>>,
}

/// A response in progress.
#[derive(Debug)]
pub(super) struct Reply {
    id: ResponseId,
    pub(super) name: String,
    /// It stands beside the conversation.
    aside: bool,
    manner: Manner,
    /// Output items in their order.
    output: Vec<Output>,
    /// Calls that wait for the open message's end.
    waiting: Vec<(ItemId, CallId, Arc<str>, Arc<str>)>,
    /// The user's speech that it answers.
    heard: Duration,
}

#[derive(Debug)]
struct Output {
    item: ItemId,
    wire: Item,
    message: Option<Open>,
}

/// A message that more may be added to.
#[derive(Debug, Default)]
struct Open {
    text: String,
    audio: Duration,
}

impl RealtimeCodec {
    /// The response that writes to the conversation, if one is in progress.
    pub(super) fn active(&self) -> Option<(ResponseId, &Reply)> {
        self.replies.iter().find(|reply| !reply.aside).map(|reply| (reply.id, reply))
    }

    /// The response in progress of this name.
    pub(super) fn reply_named(&self, name: &str) -> Option<ResponseId> {
        self.replies.iter().find(|reply| reply.name == name).map(|reply| reply.id)
    }

    pub(super) fn response_started(&mut self, id: ResponseId, tag: u64, aside: bool, out: &mut Vec<Message>) {
        let asked = self.asked.remove(&tag).map(|(_, manner)| manner);
        let manner = asked.unwrap_or_else(|| self.manner());
        let heard = if aside { Duration::ZERO } else { std::mem::take(&mut self.turns.unbilled) };
        let name = self.outlet.name("resp");
        let reply = Reply { id, name, aside, manner, output: Vec::new(), waiting: Vec::new(), heard };
        let response = Box::new(self.response(&reply, ResponseStatus::InProgress));
        self.replies.push(reply);
        self.outlet.write(Body::ResponseCreated { response }, out);
    }

    /// How a response comes of which the client says nothing.
    pub(super) fn manner(&self) -> Manner {
        Manner {
            modality: self.config.modality,
            format: self.config.output,
            voice: self.config.voice.clone(),
            max_output_tokens: self.config.max_output_tokens,
            metadata: None,
        }
    }

    pub(super) fn response_text(&mut self, id: ResponseId, item: ItemId, delta: &str, out: &mut Vec<Message>) {
        if delta.is_empty() {
            return;
        }
        let Some((reply, output)) = self.open_message(id, item, out) else { return };
        let place = self.place(reply, output);
        let modality = self.replies[reply].manner.modality;
        if let Some(message) = &mut self.replies[reply].output[output].message {
            message.text.push_str(delta);
        }
        let event = DeltaEvent { place, delta: delta.to_owned() };
        let body = match modality {
            Modality::Audio => Body::TranscriptDelta(event),
            Modality::Text => Body::TextDelta(event),
        };
        self.outlet.write(body, out);
    }

    pub(super) fn response_audio(&mut self, id: ResponseId, item: ItemId, chunk: &AudioChunk, out: &mut Vec<Message>) {
        if chunk.payload.is_empty() {
            return;
        }
        let Some((reply, output)) = self.open_message(id, item, out) else { return };
        self.has_spoken = true;
        let reply = &mut self.replies[reply];
        if let Some(message) = &mut reply.output[output].message {
            message.audio += chunk.duration();
        }
        if let Some(entry) = self.items.entry(item) {
            entry.spoken = Some(entry.spoken.unwrap_or_default() + chunk.duration());
        }
        self.base64.clear();
        STANDARD.encode_string(&chunk.payload, &mut self.base64);
        let kind = match self.outlet.dialect {
            Dialect::Ga => "response.output_audio.delta",
            Dialect::Beta => beta::AUDIO_DELTA,
        };
        let (response_id, item_id) = (reply.name.as_str(), reply.output[output].wire.id.as_str());
        let delta = self.base64.as_str();
        let (output_index, content_index) = (output, 0);
        let event = AudioDelta { event_id: "", kind, response_id, item_id, output_index, content_index, delta };
        self.outlet.write_audio(&event, out);
    }

    pub(super) fn tool_call(
        &mut self,
        id: ResponseId,
        call: (ItemId, CallId, Arc<str>, Arc<str>),
        out: &mut Vec<Message>,
    ) {
        let Some(index) = self.replies.iter().position(|reply| reply.id == id) else { return };
        if self.replies[index].manner.modality == Modality::Text {
            // Nothing is added to words once the agent calls.
            self.close_messages(index, ItemStatus::Completed, out);
        }
        if self.replies[index].output.iter().any(|output| output.message.is_some()) {
            self.replies[index].waiting.push(call);
        } else {
            self.tell_call(index, call, ItemStatus::Completed, out);
        }
    }

    pub(super) fn response_done(
        &mut self,
        id: ResponseId,
        status: Status,
        (usage, timings): (Usage, &Timings),
        out: &mut Vec<Message>,
    ) {
        let Some(index) = self.replies.iter().position(|reply| reply.id == id) else { return };
        let item_status = if status == Status::Completed { ItemStatus::Completed } else { ItemStatus::Incomplete };
        let spoken = self.close_messages(index, item_status, out);
        for call in std::mem::take(&mut self.replies[index].waiting) {
            self.tell_call(index, call, item_status, out);
        }
        let reply = self.replies.remove(index);
        let (told, details) = outcome::told(status);
        let mut response = self.response(&reply, told);
        response.status_details = details;
        response.usage = Some(outcome::usage(usage, reply.heard, spoken));
        response.output = reply.output.into_iter().map(|output| output.wire).collect();
        self.tell_latency(&response.id, timings, out);
        self.outlet.write(Body::ResponseDone { response: Box::new(response) }, out);
    }

    /// The message that words or speech belong to; announced if it is new.
    fn open_message(&mut self, id: ResponseId, item: ItemId, out: &mut Vec<Message>) -> Option<(usize, usize)> {
        let index = self.replies.iter().position(|reply| reply.id == id)?;
        let known = self.replies[index].output.iter().position(|output| output.item == item);
        if let Some(output) = known {
            return self.replies[index].output[output].message.is_some().then_some((index, output));
        }
        let output = self.announce(
            index,
            item,
            |name| Item::message(name, Role::Assistant, ItemStatus::InProgress, Vec::new()),
            out,
        );
        let reply = &mut self.replies[index];
        reply.output[output].message = Some(Open::default());
        if reply.manner.modality == Modality::Audio
            && let Some(entry) = self.items.entry(item)
        {
            entry.spoken = Some(Duration::ZERO);
        }
        let part = part(reply.manner.modality, String::new());
        let place = self.place(index, output);
        self.outlet.write(Body::PartAdded(PartEvent { place, part }), out);
        Some((index, output))
    }

    /// Announces an output item, and that it enters the conversation if it does. Gives back its index.
    fn announce(
        &mut self,
        index: usize,
        item: ItemId,
        wire: impl FnOnce(String) -> Item,
        out: &mut Vec<Message>,
    ) -> usize {
        let aside = self.replies[index].aside;
        let name = if aside { self.outlet.name("item") } else { self.items.name(item, &mut self.outlet) };
        let wire = wire(name);
        let reply = &mut self.replies[index];
        let output_index = reply.output.len();
        reply.output.push(Output { item, wire: wire.clone(), message: None });
        let response_id = reply.name.clone();
        self.outlet.write(Body::OutputItemAdded { response_id, output_index, item: wire.clone() }, out);
        if !aside {
            let entry = Entry { wire: wire.clone(), stands: true, spoken: None };
            let previous_item_id = self.items.announce(item, entry, After::All);
            self.outlet.write(Body::ItemAdded { previous_item_id, item: wire }, out);
        }
        output_index
    }

    /// An output item is as it stays.
    fn conclude(&mut self, index: usize, output_index: usize, wire: Item, out: &mut Vec<Message>) {
        let reply = &mut self.replies[index];
        let item = reply.output[output_index].item;
        reply.output[output_index].wire = wire.clone();
        let (response_id, aside) = (reply.name.clone(), reply.aside);
        self.outlet.write(Body::OutputItemDone { response_id, output_index, item: wire.clone() }, out);
        if aside {
            return;
        }
        if let Some(entry) = self.items.entry(item) {
            entry.wire = wire.clone();
            let previous_item_id = self.items.previous(item);
            self.outlet.write(Body::ItemDone { previous_item_id, item: wire }, out);
        }
    }

    /// Closes all open messages. Gives back how much was spoken.
    fn close_messages(&mut self, index: usize, status: ItemStatus, out: &mut Vec<Message>) -> Duration {
        let mut spoken = Duration::ZERO;
        let modality = self.replies[index].manner.modality;
        for output in 0..self.replies[index].output.len() {
            let Some(message) = self.replies[index].output[output].message.take() else { continue };
            spoken += message.audio;
            let place = self.place(index, output);
            let text = message.text;
            if modality == Modality::Audio {
                self.outlet.write(Body::AudioDone(place.clone()), out);
                let (place, transcript) = (place.clone(), text.clone());
                self.outlet.write(Body::TranscriptDone { place, transcript }, out);
            } else {
                self.outlet.write(Body::TextDone { place: place.clone(), text: text.clone() }, out);
            }
            self.outlet.write(Body::PartDone(PartEvent { place, part: part(modality, text.clone()) }), out);
            let content = match modality {
                Modality::Audio => Part::OutputAudio { transcript: text },
                Modality::Text => Part::OutputText { text },
            };
            let id = self.replies[index].output[output].wire.id.clone();
            self.conclude(index, output, Item::message(id, Role::Assistant, status, vec![content]), out);
        }
        spoken
    }

    /// A call from its beginning to its end. One that is incomplete is told without its arguments' end: nobody is to run it.
    fn tell_call(
        &mut self,
        index: usize,
        (item, call, name, arguments): (ItemId, CallId, Arc<str>, Arc<str>),
        status: ItemStatus,
        out: &mut Vec<Message>,
    ) {
        let call_id = self.items.call_name(call, &mut self.outlet);
        let wire = |id, status, arguments: &str| {
            Item::function_call(id, status, (call_id.clone(), name.to_string(), arguments.to_owned()))
        };
        let output_index = self.announce(index, item, |id| wire(id, ItemStatus::InProgress, ""), out);
        let reply = &self.replies[index];
        let (response_id, item_id) = (reply.name.clone(), reply.output[output_index].wire.id.clone());
        if status == ItemStatus::Completed {
            let (of, id, call) = (response_id.clone(), item_id.clone(), call_id.clone());
            let delta = arguments.to_string();
            let body = Body::ArgumentsDelta { response_id: of, item_id: id, output_index, call_id: call, delta };
            self.outlet.write(body, out);
            let (name, arguments) = (name.to_string(), arguments.to_string());
            let (item_id, call_id) = (item_id.clone(), call_id.clone());
            let body = Body::ArgumentsDone { response_id, item_id, output_index, call_id, name, arguments };
            self.outlet.write(body, out);
        }
        self.conclude(index, output_index, wire(item_id, status, &arguments), out);
    }

    fn place(&self, index: usize, output_index: usize) -> Place {
        let reply = &self.replies[index];
        let item_id = reply.output[output_index].wire.id.clone();
        Place { response_id: reply.name.clone(), item_id, output_index, content_index: 0 }
    }

    fn response(&self, reply: &Reply, status: ResponseStatus) -> Response {
        let manner = &reply.manner;
        let shape = match self.outlet.dialect {
            Dialect::Ga => Shape::Ga {
                output_modalities: [manner.modality.name()],
                max_output_tokens: manner.max_output_tokens,
                audio: ResponseAudio {
                    output: ResponseAudioOutput { format: manner.format, voice: manner.voice.clone() },
                },
            },
            Dialect::Beta => Shape::Beta {
                modalities: match manner.modality {
                    Modality::Audio => vec!["audio", "text"],
                    Modality::Text => vec!["text"],
                },
                max_output_tokens: manner.max_output_tokens,
                voice: manner.voice.clone(),
                output_audio_format: formats::flat_name(manner.format),
                temperature: 0.8,
            },
        };
        Response {
            id: reply.name.clone(),
            object: "realtime.response",
            status,
            status_details: None,
            output: Vec::new(),
            conversation_id: (!reply.aside).then(|| self.outlet.conversation()),
            shape,
            usage: None,
            metadata: manner.metadata.clone(),
        }
    }
}

/// What a content part says of a message.
fn part(modality: Modality, text: String) -> Part {
    match modality {
        Modality::Audio => Part::Audio { transcript: text },
        Modality::Text => Part::Text { text },
    }
}
