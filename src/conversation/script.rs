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

    /// More words. After [`Script::end_line`] they begin a new item, set off by a blank. Returns what was added, and to
    /// which item.
    pub(crate) fn append(&mut self, delta: &Arc<str>, history: &mut History) -> (ItemId, Arc<str>) {
        let added = match self.line {
            Line::Ended if self.text.ends_with(|c: char| !c.is_whitespace()) => Arc::from(format!(" {delta}")),
            Line::Ended | Line::Open => Arc::clone(delta),
        };
        if self.line == Line::Ended {
            self.parts.push(Part { item: history.allocate(), start: self.text.len() });
            self.line = Line::Open;
        }
        self.text.push_str(&added);
        (self.parts.last().map_or(ItemId::default(), |part| part.item), added)
    }

    /// Which item a segment's words belong to.
    pub(crate) fn item_of(&mut self, segment: SegmentId) -> Option<ItemId> {
        let start = self.track(segment)?.text.start;
        self.parts.iter().rev().find(|part| part.start <= start).map(|part| part.item)
    }

    /// Whether these words are this script's.
    pub(crate) fn holds(&self, item: ItemId) -> bool {
        self.parts.iter().any(|part| part.item == item)
    }

    /// Cuts one item to the words heard within the first `heard` of its own audio. Gives back how much audio that is, at
    /// most all of it, and the item. `None` if the item is not of this script, or is gone.
    pub(crate) fn cut(&self, item: ItemId, heard: Duration, history: &mut History) -> Option<(Duration, Item)> {
        let index = self.parts.iter().position(|part| part.item == item)?;
        let start = self.parts[index].start;
        let end = self.parts.get(index + 1).map_or(self.text.len(), |next| next.start);
        let audio = |range: Range<usize>| -> Duration {
            self.tracks.iter().filter(|track| range.contains(&track.text.start)).map(|track| track.audio).sum()
        };
        let heard = heard.min(audio(start..end));
        let upto = self.heard(audio(0..start) + heard).clamp(start, end);
        let words = Arc::from(self.text[start..upto].trim());
        let content = Content::Reply { response: Some(self.response), text: words, interrupted: upto < end };
        history.item(item)?;
        Some((heard, history.put(item, content)?))
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
            let content = Content::Reply { response: Some(self.response), text: Arc::from(words), interrupted };
            history.put(part.item, content)
        };
        self.parts.iter().zip(ends).filter_map(write).collect()
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
    fn an_item_is_cut_by_its_own_audio() {
        let (mut script, mut history) = (Script::new(ResponseId(1)), History::default());
        for (words, text) in [("Let me look.", 0..12), (" It is four degrees.", 12..32)] {
            script.append(&Arc::from(words.trim_start()), &mut history);
            let track = script.add_track(text);
            script.add_audio(track, MS(1_000));
            script.end_track(track);
            script.end_line();
        }
        script.write(usize::MAX, false, &mut history);
        let ids: Vec<ItemId> = history.items().iter().map(|item| item.id).collect();
        let mut cut = |item, ms| {
            let (heard, item) = script.cut(item, MS(ms), &mut history)?;
            let Content::Reply { text, interrupted, .. } = item.content else { return None };
            Some((heard.as_millis(), text.to_string(), interrupted))
        };
        assert_eq!(cut(ids[1], 600), Some((600, "It is four".to_owned(), true)));
        assert_eq!(cut(ids[1], 5_000), Some((1_000, "It is four degrees.".to_owned(), false)));
        assert_eq!(cut(ids[0], 0), Some((0, String::new(), true)));
        assert_eq!(cut(ItemId(99), 0), None);
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
