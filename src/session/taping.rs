//! What a session says and hears, on its way to the tape: where it lies in the user's media time.

use std::{collections::HashMap, sync::Arc};

use crate::{
    audio::{AudioChunk, AudioPos, Format, Frame},
    ids::ResponseId,
    store::{
        Scribe,
        record::{Change, TrackRow},
    },
    tape::{Side, Tape, Written},
};

/// The sound of one session. Nothing here waits but [`finish`](Self::finish).
pub(crate) struct Taping {
    tape: Tape,
    /// Where the conversation's media time was when this session began.
    offset_ms: i64,
    /// In which format each reply is spoken.
    formats: HashMap<ResponseId, Format>,
    is_muted: bool,
    /// The sides of which there is a row.
    begun: Vec<Side>,
}

impl Taping {
    pub(crate) fn new(tape: Tape, offset_ms: i64) -> Self {
        Self { tape, offset_ms, formats: HashMap::new(), is_muted: false, begun: Vec::new() }
    }

    /// While the user has muted, nobody listens, and what is heard is not kept.
    pub(crate) fn mute(&mut self, is_muted: bool) {
        self.is_muted = is_muted;
    }

    /// A frame of the user's.
    pub(crate) fn heard(&mut self, frame: &Frame, scribe: &mut Scribe) {
        self.begin(Side::User, scribe);
        self.tape.heard(frame.end, (!self.is_muted).then(|| Arc::clone(&frame.samples)));
    }

    /// A reply is spoken in this format: all of it in that of its first words.
    pub(crate) fn speaks(&mut self, response: ResponseId, format: Format) {
        self.formats.entry(response).or_insert(format);
    }

    /// A piece of a reply leaves, and is heard from `at` on.
    pub(crate) fn said(&mut self, at: AudioPos, chunk: &AudioChunk, response: ResponseId, scribe: &mut Scribe) {
        if let Some(format) = self.formats.get(&response).copied() {
            self.begin(Side::Assistant, scribe);
            self.tape.said(at, chunk.clone(), format, response);
        }
    }

    /// What lies after this place was not heard.
    pub(crate) fn cut(&mut self, at: AudioPos) {
        self.tape.cut(at);
    }

    /// A reply is over; if it was not cut off, all of it was heard.
    pub(crate) fn over(&mut self, response: ResponseId, was_cut: bool) {
        self.formats.remove(&response);
        if !was_cut {
            self.tape.settle();
        }
    }

    /// Ends the files, and writes down how they came out. Their rows stay as they were if the disk does not answer in time.
    pub(crate) async fn finish(self, scribe: &mut Scribe) {
        let (offset_ms, begun) = (self.offset_ms, self.begun);
        let Some(taped) = self.tape.finish().await else { return };
        for side in begun {
            let written = match side {
                Side::User => taped.user,
                Side::Assistant => taped.assistant,
            };
            // Nobody waits for it, and the recorder counts it.
            let _refused = scribe.put(Change::Track(row(side, offset_ms, Some(written.unwrap_or_default()))));
        }
    }

    fn begin(&mut self, side: Side, scribe: &mut Scribe) {
        if !self.begun.contains(&side) && scribe.put(Change::Track(row(side, self.offset_ms, None))).is_ok() {
            self.begun.push(side);
        }
    }
}

fn row(side: Side, offset_ms: i64, written: Option<Written>) -> TrackRow {
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    TrackRow {
        track: side.as_str().to_owned(),
        offset_ms,
        length_ms: written.map(|written| number(written.length_ms)),
        bytes: written.map(|written| number(written.bytes)),
        complete: written.is_some_and(|written| written.complete),
    }
}
