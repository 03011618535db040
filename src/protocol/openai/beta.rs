//! The beta dialect: other names for the same events. Nothing else of it lies outside this file, but for the shape of the
//! session and of the response, which are made where their parts are known.

use super::wire::{
    item::{Item, Part},
    server::Body,
    session::Session,
};

/// An event as the beta tells it; `None` where it has no such event.
pub(super) fn translate(body: Body) -> Option<Body> {
    Some(match body {
        Body::ItemAdded { previous_item_id, item } => Body::ItemCreated { previous_item_id, item: translated(item) },
        Body::ItemDone { .. } | Body::TimedOut { .. } => return None,
        Body::ItemRetrieved { item } => Body::ItemRetrieved { item: translated(item) },
        Body::OutputItemAdded { response_id, output_index, item } => {
            Body::OutputItemAdded { response_id, output_index, item: translated(item) }
        }
        Body::OutputItemDone { response_id, output_index, item } => {
            Body::OutputItemDone { response_id, output_index, item: translated(item) }
        }
        Body::ResponseDone { mut response } => {
            response.output = response.output.into_iter().map(translated).collect();
            Body::ResponseDone { response }
        }
        body => body,
    })
}

/// What the beta calls an event.
pub(super) const fn kind(body: &Body) -> &'static str {
    match body {
        Body::SessionCreated { session: Session::BetaTranscription(_) } => "transcription_session.created",
        Body::SessionUpdated { session: Session::BetaTranscription(_) } => "transcription_session.updated",
        Body::AudioDone(_) => "response.audio.done",
        Body::TranscriptDelta(_) => "response.audio_transcript.delta",
        Body::TranscriptDone { .. } => "response.audio_transcript.done",
        Body::TextDelta(_) => "response.text.delta",
        Body::TextDone { .. } => "response.text.done",
        body => body.kind(),
    }
}

/// What the beta calls a piece of speech.
pub(super) const AUDIO_DELTA: &str = "response.audio.delta";

fn translated(mut item: Item) -> Item {
    let parts = item.content.take().map(|parts| parts.into_iter().map(part).collect());
    Item { content: parts, ..item }
}

fn part(part: Part) -> Part {
    match part {
        Part::OutputText { text } => Part::Text { text },
        Part::OutputAudio { transcript } => Part::Audio { transcript },
        part => part,
    }
}
