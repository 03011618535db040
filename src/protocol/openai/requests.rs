//! What clients ask for, and the facts that follow. What cannot be is answered at once, and changes nothing.

use std::{sync::Arc, time::Duration};

use super::{
    Kind, RealtimeCodec,
    config::{self, Modality},
    error::{ErrorObject, invalid_value},
    formats,
    items::{self, Meaning, short},
    replies::Manner,
    update,
    wire::{
        client::{self, ClientEvent},
        item::NewItem,
        response::NewResponse,
        server::{Body, EventError},
        session::SessionPatch,
    },
};
use crate::{
    conversation::{Busy, Context, ContextItem, Input, ResponseOptions, SettingsPatch},
    protocol::{Incoming, Message},
};

type Facts = Result<Vec<Incoming>, ErrorObject>;

/// Items that a response may bring along.
const INPUT_ITEMS_MAX: usize = 1_000;

impl RealtimeCodec {
    /// What a text message means. Whatever is wrong with it is answered by an `error` that names it.
    pub(super) fn read(&mut self, text: &str) -> Vec<Incoming> {
        if text.len() > super::TEXT_BYTES_MAX {
            let message = format!("An event has at most {} bytes.", super::TEXT_BYTES_MAX);
            return vec![self.refuse(ErrorObject::invalid("event_too_large", message), None)];
        }
        let (event_id, event) = client::parse(text);
        let facts = event.and_then(|event| self.take(event, event_id.clone()));
        facts.unwrap_or_else(|error| vec![self.refuse(error, event_id)])
    }

    fn take(&mut self, event: ClientEvent<'_>, event_id: Option<String>) -> Facts {
        match event {
            ClientEvent::Append(audio) => Ok(self.microphone.append(&audio)?.map(Incoming::Audio).collect()),
            ClientEvent::Commit => {
                self.committing(event_id);
                Ok(vec![Incoming::Input(Input::AudioCommitted)])
            }
            ClientEvent::Clear => {
                self.microphone.clear();
                Ok(vec![Incoming::Input(Input::AudioCleared)])
            }
            ClientEvent::SessionUpdate(patch) => self.update(*patch),
            ClientEvent::ItemCreate { previous_item_id, item } => {
                let (item, place, meaning) =
                    self.items.ask(*item, previous_item_id.as_deref(), event_id, &mut self.outlet)?;
                Ok(vec![match meaning {
                    Meaning::Content(content) => Incoming::Input(Input::ItemInserted { item, place, content }),
                    Meaning::Recording(audio) => {
                        if let Err(error) = self.microphone.check(&audio) {
                            self.items.refused(item);
                            return Err(error);
                        }
                        Incoming::Recording { item, place, audio }
                    }
                }])
            }
            ClientEvent::ItemRetrieve { item_id } => self.retrieve(&item_id),
            ClientEvent::ItemDelete { item_id } => self.delete(&item_id, event_id),
            ClientEvent::ItemTruncate { item_id, content_index, audio_end_ms } => {
                self.truncate(&item_id, content_index, audio_end_ms, event_id)
            }
            ClientEvent::ResponseCreate(wanted) => self.respond(*wanted, event_id),
            ClientEvent::ResponseCancel { response_id } => self.cancel(response_id.as_deref()),
            // There is no buffer of ours on this transport: what was sent, the client has.
            ClientEvent::OutputClear => Ok(Vec::new()),
        }
    }

    fn update(&mut self, patch: SessionPatch) -> Facts {
        let mut config = self.config.clone();
        config.apply(patch)?;
        if self.has_spoken && config.voice != self.config.voice {
            let message = "The voice cannot be changed once the assistant has spoken.";
            return Err(ErrorObject::invalid("cannot_update_voice", message).about("session.audio.output.voice"));
        }
        let mut facts = Vec::with_capacity(2);
        if (config.input, config.output) != (self.config.input, self.config.output) {
            let (input, output) = (formats::native(config.input), formats::native(config.output));
            facts.push(Incoming::Formats { input, output });
        }
        if config.input != self.config.input {
            self.microphone.set_format(config.input);
        }
        facts.push(Incoming::Input(Input::SettingsChanged(Box::new(config.settings_patch()))));
        self.config = config;
        self.updates += 1;
        Ok(facts)
    }

    fn retrieve(&mut self, name: &str) -> Facts {
        let Some((_, entry)) = self.items.find(name) else {
            return Err(no_such_item("item_retrieve_invalid_item_id", name));
        };
        let item = entry.wire.clone();
        Ok(self.answer(Body::ItemRetrieved { item }))
    }

    fn delete(&mut self, name: &str, event_id: Option<String>) -> Facts {
        let Some((id, entry)) = self.items.find(name) else {
            return Err(no_such_item("item_delete_invalid_item_id", name));
        };
        if entry.stands {
            self.note_change(id, event_id);
            return Ok(vec![Incoming::Input(Input::ItemDeleted(id))]);
        }
        let item_id = self.items.remove(id).unwrap_or_else(|| name.to_owned());
        Ok(self.answer(Body::ItemDeleted { item_id }))
    }

    fn truncate(&mut self, name: &str, content_index: i64, end_ms: f64, event_id: Option<String>) -> Facts {
        let Some((id, entry)) = self.items.find(name) else {
            return Err(no_such_item("item_truncate_invalid_item_id", name));
        };
        let Some(spoken) = entry.spoken else { return Err(not_spoken()) };
        if self.strict && content_index != 0 {
            return Err(invalid_value("content_index", "An item of the assistant has one content part."));
        }
        let spoken_ms = spoken.as_millis();
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of one reply")]
        let is_beyond = end_ms > spoken_ms as f64;
        if self.strict && (is_beyond || end_ms < 0.0) {
            let message = format!("Audio content of {spoken_ms}ms is already shorter than {end_ms}ms.");
            return Err(invalid_value("audio_end_ms", message));
        }
        let heard = Duration::try_from_secs_f64(end_ms.max(0.0) / 1_000.0).unwrap_or(spoken).min(spoken);
        self.note_change(id, event_id);
        Ok(vec![Incoming::Input(Input::ItemTruncated { item: id, heard })])
    }

    fn cancel(&mut self, name: Option<&str>) -> Facts {
        let meant = match name {
            None => self.active().map(|(id, _)| id),
            Some(name) => self.reply_named(name),
        };
        match meant {
            Some(id) => Ok(vec![Incoming::Input(Input::ResponseCancelled(Some(id)))]),
            None => {
                let message = "Cancellation failed: no active response found.";
                Err(ErrorObject::invalid("response_cancel_not_active", message))
            }
        }
    }

    fn respond(&mut self, wanted: NewResponse, event_id: Option<String>) -> Facts {
        if self.config.kind == Kind::Transcription {
            let message = "A transcription session only listens: it creates no responses.";
            return Err(ErrorObject::invalid("transcription_only", message).about("type"));
        }
        let aside = match wanted.conversation.as_deref() {
            None | Some("auto") => false,
            Some("none") => true,
            Some(_) => return Err(invalid_value("response.conversation", "It is 'auto' or 'none'.")),
        };
        if wanted.prompt.as_ref().is_some_and(|prompt| !prompt.is_null()) {
            return Err(update::no_prompts("response.prompt"));
        }
        let mut manner = self.manner();
        let (format, patch) = self.overrides(&wanted, &mut manner)?;
        if let Some(metadata) = wanted.metadata {
            update::metadata(&metadata, "response.metadata")?;
            manner.metadata = Some(metadata);
        }
        let context = match wanted.input {
            None => Context::History,
            Some(items) => Context::Only(self.context(items)?),
        };
        self.tags += 1;
        let tag = self.tags;
        self.asked.insert(tag, (event_id, manner));
        let options = ResponseOptions { tag, say: None, patch, busy: Busy::Refuse, context, aside, format };
        Ok(vec![Incoming::Input(Input::ResponseRequested(Box::new(options)))])
    }

    /// What holds for one response only.
    fn overrides(
        &self,
        wanted: &NewResponse,
        manner: &mut Manner,
    ) -> Result<(Option<crate::audio::Format>, SettingsPatch), ErrorObject> {
        let mut patch =
            SettingsPatch { instructions: wanted.instructions.as_deref().map(Arc::from), ..SettingsPatch::default() };
        for (name, modalities) in [("output_modalities", &wanted.output_modalities), ("modalities", &wanted.modalities)]
        {
            if let Some(modalities) = modalities {
                manner.modality = update::modality(modalities, &format!("response.{name}"))?;
                patch.speak = Some(manner.modality == Modality::Audio);
            }
        }
        let output = wanted.audio.clone().and_then(|audio| audio.output).unwrap_or_default();
        let mut format = None;
        if let Some(wanted) = &output.format {
            manner.format = formats::accept(wanted, manner.format, "response.audio.output.format")?;
            format = Some(formats::native(manner.format));
        }
        if let Some(wanted) = &wanted.output_audio_format {
            manner.format = formats::accept_flat(wanted, manner.format, "response.output_audio_format")?;
            format = Some(formats::native(manner.format));
        }
        if let Some(voice) = output.voice.or_else(|| wanted.voice.clone()) {
            manner.voice = voice.into_name();
            patch.voice = Some(self.config.engine_voice(&manner.voice));
        }
        match output.speed {
            #[expect(clippy::cast_possible_truncation, reason = "checked")]
            Some(speed) if (0.25..=1.5).contains(&speed) => patch.speed = Some(speed as f32),
            Some(_) => return Err(invalid_value("response.audio.output.speed", "Speed lies between 0.25 and 1.5.")),
            None => {}
        }
        if let Some(tokens) = wanted.max_output_tokens.or(wanted.max_response_output_tokens) {
            manner.max_output_tokens = tokens;
            patch.output_tokens_max = Some(config::limit(tokens));
        }
        let declared = wanted.tools.clone().map(|tools| update::declared(tools, "response.tools")).transpose()?;
        let tools = declared.as_deref().unwrap_or(&self.config.tools);
        if let Some(choice) = &wanted.tool_choice {
            let choice = update::chosen(choice.clone(), "response.tool_choice")?;
            patch.tool_choice = Some(config::tool_choice(&choice, tools));
        }
        patch.client_tools = declared.as_deref().map(config::tool_specs);
        Ok((format, patch))
    }

    fn context(&mut self, items: Vec<NewItem>) -> Result<Vec<ContextItem>, ErrorObject> {
        if items.len() > INPUT_ITEMS_MAX {
            return Err(invalid_value("response.input", format!("At most {INPUT_ITEMS_MAX} items are taken.")));
        }
        let mut context = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let path = format!("response.input[{index}]");
            if item.kind.as_deref() == Some("item_reference") {
                let name = item.id.unwrap_or_default();
                match self.items.find(&name) {
                    Some((id, _)) => context.push(ContextItem::Existing(id)),
                    None => {
                        return Err(no_such_item("invalid_item_reference", &name).about(format!("{path}.id")));
                    }
                }
            } else {
                match self.items.read(item, String::new(), &path)? {
                    (_, Meaning::Content(content)) => context.push(ContextItem::New(content)),
                    (_, Meaning::Recording(_)) => return Err(items::needs_transcript(&path)),
                }
            }
        }
        Ok(context)
    }

    /// An `error` to be sent at once.
    pub(super) fn refuse(&mut self, error: ErrorObject, event_id: Option<String>) -> Incoming {
        let mut out = Vec::with_capacity(1);
        self.write_error(error, event_id, &mut out);
        // An error is told in every dialect.
        Incoming::Answer(out.pop().unwrap_or_else(|| Message::Text(String::new())))
    }

    fn answer(&mut self, body: Body) -> Vec<Incoming> {
        let mut out = Vec::with_capacity(1);
        self.outlet.write(body, &mut out);
        out.into_iter().map(Incoming::Answer).collect()
    }

    pub(super) fn write_error(&mut self, error: ErrorObject, event_id: Option<String>, out: &mut Vec<Message>) {
        self.outlet.write(Body::Error { error: EventError { error, event_id } }, out);
    }
}

/// Only the assistant's speech has a place up to which it was heard.
pub(super) fn not_spoken() -> ErrorObject {
    ErrorObject::invalid("item_truncate_invalid_item", "Only model output audio messages can be truncated.")
        .about("item_id")
}

pub(super) fn no_such_item(code: &'static str, name: &str) -> ErrorObject {
    ErrorObject::invalid(code, format!("The item '{}' does not exist.", short(name))).about("item_id")
}
