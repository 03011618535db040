//! Events of Floe's own, each for clients that ask for it by its name in `session.include`. Nobody else is sent any: pipecat
//! ends its session over an event that it does not know.

use super::{
    RealtimeCodec,
    wire::server::{Body, SegmentTiming},
};
use crate::{
    audio::AudioPos,
    conversation::Timings,
    protocol::{Message, native::wire::Latency},
};

/// When what was transcribed was said, beside its `…transcription.completed`. Of whole utterances, not of words: the
/// recogniser runs without timestamps, and knows where an utterance lies only from the voice activity detection.
pub const SEGMENT_TIMINGS: &str = "x.segment_timings";

/// How long each stage of an answer to speech took, just before its `response.done`.
pub const LATENCY: &str = "x.latency";

/// What was understood of one utterance.
pub(super) struct Segment<'a> {
    pub(super) text: &'a str,
    pub(super) start: AudioPos,
    pub(super) end: AudioPos,
    pub(super) confidence: f32,
}

impl RealtimeCodec {
    fn includes(&self, name: &str) -> bool {
        self.config.include.iter().flatten().any(|asked| asked == name)
    }

    pub(super) fn tell_segment(&mut self, item_id: String, segment: &Segment<'_>, out: &mut Vec<Message>) {
        if !self.includes(SEGMENT_TIMINGS) || segment.text.is_empty() {
            return;
        }
        let (text, confidence) = (segment.text.to_owned(), segment.confidence);
        let (start_ms, end_ms) = (segment.start.as_ms(), segment.end.as_ms());
        let segments = vec![SegmentTiming { text, start_ms, end_ms, confidence }];
        self.outlet.write(Body::SegmentTimings { item_id, content_index: 0, segments }, out);
    }

    pub(super) fn tell_latency(&mut self, response_id: &str, timings: &Timings, out: &mut Vec<Message>) {
        // The others answer no speech, and have nothing to count from.
        if self.includes(LATENCY) && timings.endpoint.is_some() {
            let (response_id, latency_ms) = (response_id.to_owned(), Latency::from(timings));
            self.outlet.write(Body::Latency { response_id, latency_ms }, out);
        }
    }
}
