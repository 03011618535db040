//! The dialect of a recording: no socket speaks it. [`converse`](crate::converse) does, with a session in the same
//! process, and passes on what it is told.

use super::{AudioPacket, Codec, Incoming, Message, ProtocolError};
use crate::{
    audio::{self, Format},
    conversation::{
        AgentStop, CloseReason, Content, Event, Input, Item, Record, ResponseOptions, Status, Timings, Usage,
    },
};

pub mod wire;

use wire::{Asked, Latency, ReplyDone, Spent, State, Told};

/// What a recording is sent in: the rate at which sessions listen, so that nothing is resampled twice.
pub const INPUT: Format = Format { codec: audio::Codec::PcmS16le, rate_hz: audio::RATE_HZ, frame_ms: 20 };

/// One recording's dialect.
#[derive(Debug)]
pub struct RecordedCodec {
    output: Format,
}

impl RecordedCodec {
    /// A codec whose replies are spoken in this format.
    pub const fn new(output: Format) -> Self {
        Self { output }
    }
}

impl Codec for RecordedCodec {
    fn decode(&mut self, message: Message) -> Result<Vec<Incoming>, ProtocolError> {
        let text = match message {
            Message::Binary(payload) => {
                return Ok(vec![Incoming::Audio(AudioPacket { payload, timestamp: None, gap: false })]);
            }
            Message::Text(text) => text,
        };
        let asked: Asked = serde_json::from_str(&text)
            .map_err(|error| ProtocolError::harmless("malformed", format!("this was not asked before: {error}")))?;
        Ok(match asked {
            // What is left of the audio is a turn. The answer to the second fact comes once nobody awaits words any more.
            Asked::End => vec![Incoming::Input(Input::AudioCommitted), Incoming::Input(Input::AudioCleared)],
            Asked::Reply => vec![Incoming::Input(Input::ResponseRequested(Box::<ResponseOptions>::default()))],
            Asked::Bye => vec![Incoming::Input(Input::Goodbye { flush: true })],
        })
    }

    fn encode(&mut self, event: &Event, out: &mut Vec<Message>) {
        if let Event::ResponseAudio { chunk, .. } = event {
            // The last one of a reply may be empty.
            out.extend((!chunk.payload.is_empty()).then(|| Message::Binary(chunk.payload.clone())));
        } else {
            out.extend(told(event).map(|told| told.message()));
        }
    }

    fn encode_record(&mut self, record: &Record, out: &mut Vec<Message>) {
        let told = match record {
            Record::Item(Item { content: Content::ToolCall { call, name, arguments, .. }, .. }) => {
                Told::ToolCall { call: u64::from(call.0), name: name.to_string(), arguments: arguments.to_string() }
            }
            Record::Item(Item { content: Content::ToolOutput { call, output, failed }, .. }) => {
                Told::ToolOutput { call: u64::from(call.0), output: output.to_string(), failed: *failed }
            }
            _ => return,
        };
        out.push(told.message());
    }

    fn encode_error(&mut self, error: &ProtocolError, out: &mut Vec<Message>) {
        out.push(Told::Broken { code: error.code.to_owned() }.message());
    }

    fn farewell(&self, _: CloseReason) -> (u16, String) {
        (1000, String::new())
    }

    fn input_format(&self) -> Format {
        INPUT
    }

    fn output_format(&self) -> Format {
        self.output
    }
}

/// What is told of an event; `None` if it is of no use to somebody who sent a recording.
fn told(event: &Event) -> Option<Told> {
    Some(match event {
        Event::TranscriptFinal { text, .. } if text.is_empty() => return None,
        Event::TranscriptFinal { text, language, confidence, start, end, .. } => Told::Transcript(wire::Utterance {
            start_ms: start.as_ms(),
            end_ms: end.as_ms(),
            text: text.to_string(),
            language: language.to_string(),
            confidence: if confidence.is_finite() { confidence.clamp(0.0, 1.0) } else { 0.0 },
        }),
        Event::TranscriptFailed { reason, .. } => Told::TranscriptFailed { reason: (*reason).to_owned() },
        Event::TurnCommitted { durable, .. } => Told::TurnCommitted { durable: *durable },
        Event::ResponseStarted { .. } => Told::ReplyStarted,
        Event::ResponseText { delta, .. } => Told::ReplyText { delta: delta.to_string() },
        Event::ResponseDone { status, text, usage, timings, .. } => {
            let (status, reason) = ended(*status);
            Told::ReplyDone(ReplyDone {
                status,
                reason: reason.map(str::to_owned),
                text: text.to_string(),
                usage: spent(*usage),
                latency_ms: latency(timings),
            })
        }
        Event::Problem { code: "speech_failed", .. } => Told::SpeechFailed,
        Event::AudioCleared => Told::Listened,
        Event::Ended(reason) => Told::Ended { restart: *reason == CloseReason::Restart },
        _ => return None,
    })
}

const fn ended(status: Status) -> (State, Option<&'static str>) {
    match status {
        Status::Completed => (State::Completed, None),
        Status::Interrupted => (State::Interrupted, None),
        Status::Cancelled => (State::Cancelled, None),
        Status::Incomplete(AgentStop::TokensMax) => (State::Incomplete, Some("tokens_max")),
        Status::Incomplete(AgentStop::Finished | AgentStop::Filtered) => (State::Incomplete, Some("filtered")),
        Status::Failed(reason) => (State::Failed, Some(reason)),
    }
}

const fn spent(usage: Usage) -> Spent {
    Spent { input_tokens: usage.input_tokens, output_tokens: usage.output_tokens }
}

fn latency(timings: &Timings) -> Latency {
    let ms = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Latency {
        eot: timings.endpoint.map(ms),
        asr: timings.transcript.map(ms),
        llm_first: timings.first_text.map(ms),
        tts_first: timings.first_audio.map(ms),
        first_audio: timings.first_sent.map(ms),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::{
        audio::AudioChunk,
        ids::{CallId, ItemId, ResponseId},
    };

    fn codec() -> RecordedCodec {
        RecordedCodec::new(INPUT)
    }

    fn read(out: &[Message]) -> Vec<Told> {
        out.iter().map(|message| Told::parse(message).unwrap()).collect()
    }

    #[test]
    fn what_is_asked_becomes_facts_in_order() {
        let mut codec = codec();
        let facts = codec.decode(Asked::End.message()).unwrap();
        assert_eq!(facts, [Incoming::Input(Input::AudioCommitted), Incoming::Input(Input::AudioCleared)]);
        assert_eq!(codec.decode(Asked::Bye.message()).unwrap(), [Incoming::Input(Input::Goodbye { flush: true })]);
        assert_eq!(codec.decode(Message::Text("\"sing\"".into())).unwrap_err().code, "malformed");
        let audio = codec.decode(Message::Binary(Bytes::from_static(&[0, 0]))).unwrap();
        assert!(matches!(&audio[..], [Incoming::Audio(packet)] if packet.payload.len() == 2));
    }

    #[test]
    fn calls_are_told_from_the_records_and_speech_as_bytes() {
        let mut codec = codec();
        let mut out = Vec::new();
        let content = Content::ToolCall {
            response: Some(ResponseId(1)),
            call: CallId(3),
            name: Arc::from("clock"),
            arguments: Arc::from("{}"),
        };
        codec.encode_record(&Record::Item(Item { id: ItemId(7), content }), &mut out);
        let answer = Content::ToolOutput { call: CallId(3), output: Arc::from("noon"), failed: false };
        codec.encode_record(&Record::Item(Item { id: ItemId(8), content: answer }), &mut out);
        codec
            .encode_record(&Record::Item(Item { id: ItemId(9), content: Content::UserText(Arc::from("x")) }), &mut out);
        assert_eq!(
            read(&out),
            [
                Told::ToolCall { call: 3, name: "clock".into(), arguments: "{}".into() },
                Told::ToolOutput { call: 3, output: "noon".into(), failed: false },
            ]
        );
        out.clear();
        for payload in [Bytes::from_static(b"\x01\x02"), Bytes::new()] {
            let chunk = AudioChunk { payload, samples: 1, clock_hz: 16_000 };
            let (response, item, offset) = (ResponseId(1), ItemId(2), std::time::Duration::ZERO);
            codec.encode(&Event::ResponseAudio { response, item, chunk, offset, last: false }, &mut out);
        }
        assert_eq!(out, [Message::Binary(Bytes::from_static(b"\x01\x02"))]);
    }

    #[test]
    fn noise_is_no_utterance_and_no_number_is_none() {
        let (item, language) = (ItemId(1), Arc::from("en"));
        let words = |text: &str, confidence| Event::TranscriptFinal {
            item,
            text: Arc::from(text),
            language: Arc::clone(&language),
            confidence,
            start: audio::AudioPos(16_000),
            end: audio::AudioPos(32_000),
        };
        assert_eq!(told(&words("", 0.9)), None);
        let Some(Told::Transcript(heard)) = told(&words("hello", f32::NAN)) else { panic!("words") };
        assert_eq!((heard.start_ms, heard.end_ms, heard.confidence), (1_000, 2_000, 0.0));
    }
}
