//! What a reply says: its words, the items they belong to, and how much audio each segment of them took.

use std::{ops::Range, sync::Arc, time::Duration};

use super::{
    history::History,
    item::{Content, Item},
    outbox::Outbox,
    output::Record,
};
use crate::ids::{ItemId, ResponseId, SegmentId};

/// Reckoned speaking time of a character, while a segment's audio is not all there.
const CHAR_TIME: Duration = Duration::from_millis(60);

/// The words of one reply.
#[derive(Debug)]
pub(crate) struct Script {
    response: ResponseId,
    text: String,
    /// One per round that had words: tool calls stand between them in the history.
    parts: Vec<Part>,
    line: Line,
    tracks: Vec<Track>,
}

/// Whether further words belong to the newest item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Open,
    Ended,
}

#[derive(Debug)]
struct Part {
    item: ItemId,
    start: usize,
}

/// A segment, and its audio.
#[derive(Debug)]
struct Track {
    text: Range<usize>,
    audio: Duration,
    extent: Extent,
}

/// Whether a track's audio can still grow.
#[derive(Debug, PartialEq, Eq)]
enum Extent {
    Growing,
    Whole,
}

impl Script {
    pub(crate) fn new(response: ResponseId) -> Self {
        Self { response, text: String::new(), parts: Vec::new(), line: Line::Ended, tracks: Vec::new() }
    }

    /// All words so far.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// More words. After [`Script::end_line`] they begin a new item, set off by a blank. Returns what was added.
    pub(crate) fn append(&mut self, delta: &Arc<str>, history: &mut History) -> Arc<str> {
        let added = match self.line {
            Line::Ended if self.text.ends_with(|c: char| !c.is_whitespace()) => Arc::from(format!(" {delta}")),
            Line::Ended | Line::Open => Arc::clone(delta),
        };
        if self.line == Line::Ended {
            self.parts.push(Part { item: history.allocate(), start: self.text.len() });
            self.line = Line::Open;
        }
        self.text.push_str(&added);
        added
    }

    /// Words that follow belong to a new item.
    pub(crate) fn end_line(&mut self) {
        self.line = Line::Ended;
    }

    /// A segment was cut.
    pub(crate) fn add_track(&mut self, text: Range<usize>) -> SegmentId {
        self.tracks.push(Track { text, audio: Duration::ZERO, extent: Extent::Growing });
        SegmentId(u32::try_from(self.tracks.len()).unwrap_or(u32::MAX))
    }

    /// Audio of a segment came.
    pub(crate) fn add_audio(&mut self, segment: SegmentId, duration: Duration) {
        if let Some(track) = self.track(segment) {
            track.audio += duration;
        }
    }

    /// No more audio of a segment will come.
    pub(crate) fn end_track(&mut self, segment: SegmentId) {
        if let Some(track) = self.track(segment) {
            track.extent = Extent::Whole;
        }
    }

    fn track(&mut self, segment: SegmentId) -> Option<&mut Track> {
        self.tracks.get_mut((segment.0 as usize).checked_sub(1)?)
    }

    /// How many bytes of the words had been heard when `played` of the audio had: whole segments, and of the one being
    /// spoken its share in time, back to the end of a word.
    pub(crate) fn heard(&self, played: Duration) -> usize {
        let mut left = played;
        let mut heard = 0;
        for track in &self.tracks {
            let words = &self.text[track.text.clone()];
            let length = match track.extent {
                Extent::Whole => track.audio,
                Extent::Growing => {
                    track.audio.max(CHAR_TIME * u32::try_from(words.chars().count()).unwrap_or(u32::MAX))
                }
            };
            if left < length || (track.extent == Extent::Growing && left == length) {
                return track.text.start + share(words, left, length);
            }
            left -= length;
            heard = track.text.end;
        }
        heard
    }

    /// Writes the first `upto` bytes of the words into the history, each to the item it belongs to.
    pub(crate) fn write(&self, upto: usize, interrupted: bool, history: &mut History) -> Vec<Item> {
        let ends = self.parts.iter().skip(1).map(|part| part.start).chain([self.text.len()]);
        let write = |(part, end): (&Part, usize)| {
            let words = self.text[part.start..end.min(upto).max(part.start)].trim();
            let content = Content::Reply { response: self.response, text: Arc::from(words), interrupted };
            history.put(part.item, content)
        };
        self.parts.iter().zip(ends).map(write).collect()
    }

    /// The same, and tells the store.
    pub(crate) fn record(&self, upto: usize, interrupted: bool, history: &mut History, outbox: &mut Outbox) {
        for item in self.write(upto, interrupted, history) {
            outbox.record(Record::Item(item));
        }
    }
}

/// How many bytes of `words` fit into `played` of `length`, cut back to the end of a word.
fn share(words: &str, played: Duration, length: Duration) -> usize {
    let chars = words.chars().count() as u128;
    let said = usize::try_from(chars * played.as_micros() / length.as_micros().max(1)).unwrap_or(usize::MAX);
    let at = words.char_indices().nth(said).map_or(words.len(), |(at, _)| at);
    if at == words.len() || words[at..].starts_with(char::is_whitespace) {
        return at;
    }
    words[..at].rfind(char::is_whitespace).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn heard(played_ms: u64) -> String {
        let mut script = Script::new(ResponseId(1));
        script.append(&Arc::from("It is four degrees. Bring a coat."), &mut History::default());
        let first = script.add_track(0..20);
        script.add_audio(first, MS(1_200));
        script.end_track(first);
        let second = script.add_track(20..33);
        script.add_audio(second, MS(100));
        script.text()[..script.heard(MS(played_ms))].trim_end().to_owned()
    }

    #[test]
    fn words_count_when_they_have_been_said_whole() {
        assert_eq!(heard(0), "");
        assert_eq!(heard(700), "It is four");
        assert_eq!(heard(1_150), "It is four degrees.");
        assert_eq!(heard(1_200), "It is four degrees.");
    }

    #[test]
    fn a_segment_whose_audio_still_comes_is_reckoned_by_its_length() {
        assert_eq!(heard(1_300), "It is four degrees.");
        assert_eq!(heard(1_200 + 500), "It is four degrees. Bring a");
    }
}
