//! Where a growing text may be cut into pieces fit to be spoken: a short first clause early, sentences later.

use std::ops::Range;

/// Words before a comma is a good place to begin speaking.
const CLAUSE_WORDS_MIN: usize = 3;
/// Words after which the first segment ends without any mark.
const FIRST_WORDS_MAX: usize = 12;
/// Bytes after which a later segment ends at a blank.
const SEGMENT_BYTES_MAX: usize = 300;

/// Words that a full stop does not end, in lower case and without that stop.
const ABBREVIATIONS: [&str; 22] = [
    "dr", "mr", "mrs", "ms", "prof", "st", "sr", "jr", "vs", "etc", "e.g", "i.e", "approx", "no", "inc", "ltd", "fig",
    "dept", "est", "a.k.a", "u.s", "cf",
];

/// How far a reply's text has been cut. The text itself stays with the reply.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Segmenter {
    cut: usize,
    segments: usize,
}

impl Segmenter {
    /// The next complete segment of `text`, if there is one; the ranges adjoin and leave no byte out.
    pub(crate) fn next(&mut self, text: &str) -> Option<Range<usize>> {
        let end = self.cut + boundary(&text[self.cut..], self.segments == 0)?;
        Some(self.advance(end))
    }

    /// What is left, as a last segment; `None` if that is nothing but blanks.
    pub(crate) fn flush(&mut self, text: &str) -> Option<Range<usize>> {
        if text[self.cut..].trim().is_empty() {
            return None;
        }
        Some(self.advance(text.len()))
    }

    /// Segments so far.
    pub(crate) fn count(&self) -> usize {
        self.segments
    }

    fn advance(&mut self, end: usize) -> Range<usize> {
        let range = self.cut..end;
        self.cut = end;
        self.segments += 1;
        range
    }
}

/// The length in bytes of the segment with which `text` begins. Decides only on what can no longer change: a mark counts
/// when the character after it is known.
fn boundary(text: &str, first: bool) -> Option<usize> {
    let mut words = 0;
    let mut in_word = false;
    let mut blank_at = None;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let after = at + c.len_utf8();
        if c.is_whitespace() {
            if in_word {
                words += 1;
                blank_at = Some(after);
            }
            in_word = false;
            if c == '\n' && words > 0 {
                return Some(after);
            }
            if (first && words >= FIRST_WORDS_MAX) || after > SEGMENT_BYTES_MAX {
                return blank_at;
            }
            continue;
        }
        in_word = true;
        if matches!(c, '。' | '！' | '？') {
            return Some(after);
        }
        if after > 4 * SEGMENT_BYTES_MAX {
            return Some(blank_at.unwrap_or(after));
        }
        let blank_follows = chars.peek().is_some_and(|(_, next)| next.is_whitespace());
        if blank_follows
            && (ends_sentence(&text[..after]) || (first && words + 1 >= CLAUSE_WORDS_MIN && ends_clause(c)))
        {
            return Some(after);
        }
    }
    None
}

fn ends_clause(c: char) -> bool {
    matches!(c, ',' | ';' | ':' | '—' | '–')
}

/// Whether `text`, which a blank follows, ends a sentence.
fn ends_sentence(text: &str) -> bool {
    let bare = text.trim_end_matches(['"', '\'', ')', ']', '»', '”', '’', '*', '_']);
    if bare.ends_with(['!', '?', '…']) {
        return true;
    }
    let Some(bare) = bare.strip_suffix('.') else { return false };
    let word_at = bare.rfind(char::is_whitespace).map_or(0, |at| at + 1);
    let word = bare[word_at..].trim_start_matches(['"', '\'', '(', '[', '«', '“', '‘', '*', '_']);
    let is_initial = word.chars().count() == 1 && word.chars().all(char::is_uppercase) && word != "I";
    let is_list_number = bare[..word_at].trim().is_empty() && word.bytes().all(|b| b.is_ascii_digit());
    let is_abbreviation = ABBREVIATIONS.contains(&word.to_lowercase().as_str());
    !(is_initial || is_list_number || is_abbreviation)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds `text` in pieces of `step` characters.
    fn segments(text: &str, step: usize) -> Vec<String> {
        let mut segmenter = Segmenter::default();
        let mut so_far = String::new();
        let mut found = Vec::new();
        let chars: Vec<char> = text.chars().collect();
        for piece in chars.chunks(step) {
            so_far.extend(piece);
            while let Some(range) = segmenter.next(&so_far) {
                found.push(so_far[range].to_owned());
            }
        }
        found.extend(segmenter.flush(&so_far).map(|range| so_far[range].to_owned()));
        found
    }

    fn trimmed(text: &str) -> Vec<String> {
        segments(text, 3).iter().map(|segment| segment.trim().to_owned()).collect()
    }

    #[test]
    fn a_first_clause_comes_early_then_sentences() {
        assert_eq!(
            trimmed("It is four degrees, and it rains. Bring a coat, please. Bye"),
            ["It is four degrees,", "and it rains.", "Bring a coat, please.", "Bye"]
        );
    }

    #[test]
    fn too_short_a_clause_waits() {
        assert_eq!(trimmed("Well, yes. No."), ["Well, yes.", "No."]);
    }

    #[test]
    fn twelve_words_are_enough_to_begin_with() {
        let found = trimmed("one two three four five six seven eight nine ten eleven twelve thirteen fourteen");
        assert_eq!(found, ["one two three four five six seven eight nine ten eleven twelve", "thirteen fourteen"]);
    }

    #[test]
    fn stops_that_end_nothing() {
        assert_eq!(trimmed("Pi is 3.5 e.g. for Dr. Smith. Yes"), ["Pi is 3.5 e.g. for Dr. Smith.", "Yes"]);
        assert_eq!(trimmed("Ask J. Smith at 10:30. Then go."), ["Ask J. Smith at 10:30.", "Then go."]);
        assert_eq!(trimmed("Buy:\n1. Milk\n2. Eggs"), ["Buy:", "1. Milk", "2. Eggs"]);
    }

    #[test]
    fn quotes_and_brackets_belong_to_the_sentence() {
        assert_eq!(trimmed("He said \"Go.\" Then left."), ["He said \"Go.\"", "Then left."]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_pieces_do_not_matter(text in "[a-zé世。,.!? \n0-9]{0,400}", step in 1usize..20) {
            let found = segments(&text, step);
            let joined = found.concat();
            prop_assert!(text.starts_with(&joined));
            prop_assert!(text[joined.len()..].trim().is_empty());
            prop_assert_eq!(&found, &segments(&text, 1));
        }
    }
}
