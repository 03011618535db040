//! Words as the search sees them: runs of letters and digits in small letters. Cut here and not in the databases, so that
//! both find the same; hits are marked by the same rule.

use unicode_segmentation::UnicodeSegmentation as _;

/// The words of a text as they are indexed: small letters, one blank between them.
pub fn indexed(text: &str) -> String {
    let mut words = String::with_capacity(text.len());
    for (_, word) in cut(text) {
        if !words.is_empty() {
            words.push(' ');
        }
        words.push_str(&small(word));
    }
    words
}

/// What somebody looks for: every word must be there, the last one may be the beginning of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query(Vec<String>);

impl Query {
    /// The words of a question, at most [`WORDS_MAX`] of them. `None` if there are none.
    pub fn parse(text: &str) -> Option<Self> {
        let words: Vec<String> = cut(text).map(|(_, word)| small(word)).take(WORDS_MAX).collect();
        (!words.is_empty()).then_some(Self(words))
    }

    /// In the words of SQLite's FTS5. Words hold letters and digits only, so nothing in them needs escaping.
    pub fn fts5(&self) -> String {
        let words: Vec<String> = self.0.iter().map(|word| format!("\"{word}\"")).collect();
        format!("{}*", words.join(" "))
    }

    /// In the words of Postgres' `tsquery`.
    pub fn tsquery(&self) -> String {
        let words: Vec<String> = self.0.iter().map(|word| format!("'{word}'")).collect();
        format!("{}:*", words.join(" & "))
    }

    /// The same without the last one, which may be the beginning of many words. `None` if there is no other.
    pub fn whole_tsquery(&self) -> Option<String> {
        let (_, whole) = self.0.split_last().filter(|(_, whole)| !whole.is_empty())?;
        Some(whole.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" & "))
    }

    /// As pieces of an item's words with a blank before and after each: all of them are in it, or it is no hit.
    pub fn pieces(&self) -> Vec<String> {
        let mut pieces: Vec<String> = self.0.iter().map(|word| format!(" {word} ")).collect();
        if let Some(last) = pieces.last_mut() {
            last.pop();
        }
        pieces
    }

    fn is_hit(&self, word: &str) -> bool {
        let word = small(word);
        let Some((last, whole)) = self.0.split_last() else { return false };
        whole.contains(&word) || word.starts_with(last.as_str())
    }

    /// The part of a text around its first hit, in pieces: those that are hits, and those between.
    pub fn mark(&self, text: &str) -> Vec<Piece> {
        let hits: Vec<(usize, &str)> = cut(text).filter(|(_, word)| self.is_hit(word)).collect();
        let first = hits.first().map_or(0, |(at, _)| *at);
        let from = boundary(text, first.saturating_sub(BEFORE_BYTES));
        let to = boundary(text, from + SNIPPET_BYTES);
        let mut pieces = Vec::new();
        let mut at = from;
        for (start, word) in hits.into_iter().filter(|(start, word)| *start >= from && start + word.len() <= to) {
            pieces.push(Piece { text: text[at..start].to_owned(), hit: false });
            at = start + word.len();
            pieces.push(Piece { text: text[start..at].to_owned(), hit: true });
        }
        pieces.push(Piece { text: text[at..to].to_owned(), hit: false });
        pieces.retain(|piece| !piece.text.is_empty());
        pieces
    }
}

/// A piece of a found text.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Piece {
    /// The words as they stand there.
    pub text: String,
    /// Whether they were looked for.
    pub hit: bool,
}

/// A word as it is indexed: in small letters, and no longer than the index takes (Postgres: 2,046 bytes).
fn small(word: &str) -> String {
    word[..word.floor_char_boundary(WORD_BYTES_MAX)].to_lowercase()
}

/// Runs of letters and digits, and where each begins.
fn cut(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let letters = |letter: char| letter.is_alphanumeric();
    let mut rest = 0;
    std::iter::from_fn(move || {
        let start = rest + text.get(rest..)?.find(letters)?;
        let length = text[start..].find(|letter| !letters(letter)).unwrap_or(text.len() - start);
        rest = start + length;
        Some((start, &text[start..rest]))
    })
}

/// The last grapheme boundary that is not after `at`.
fn boundary(text: &str, at: usize) -> usize {
    if at >= text.len() {
        return text.len();
    }
    let floor = text.floor_char_boundary(at);
    text[..floor].grapheme_indices(true).next_back().map_or(floor, |(start, grapheme)| {
        // A boundary between two characters of one grapheme is none.
        let crosses = text[start..].graphemes(true).next().is_some_and(|whole| whole.len() > grapheme.len());
        if crosses { start } else { floor }
    })
}

/// Bytes of a word that are indexed.
const WORD_BYTES_MAX: usize = 256;

/// Words of one question.
const WORDS_MAX: usize = 16;

/// Length of a snippet in bytes, and how much of it stands before the first hit.
const SNIPPET_BYTES: usize = 240;
const BEFORE_BYTES: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_runs_of_letters_and_digits_in_small_letters() {
        assert_eq!(indexed("It's 7pm — Über-Café, isn't it?"), "it s 7pm über café isn t it");
        assert_eq!(indexed(" \u{0} !? "), "");
        assert_eq!(indexed(&"ä".repeat(1_000)).len(), 256, "no word is longer than an index takes");
    }

    #[test]
    fn what_is_looked_for_cannot_break_out_of_its_quotes() {
        let query = Query::parse("it's \"OR\" 1=1); DROP").unwrap();
        assert_eq!(query.fts5(), "\"it\" \"s\" \"or\" \"1\" \"1\" \"drop\"*");
        assert_eq!(query.tsquery(), "'it' & 's' & 'or' & '1' & '1' & 'drop':*");
        assert_eq!(query.pieces(), [" it ", " s ", " or ", " 1 ", " 1 ", " drop"]);
        assert_eq!(Query::parse("?!"), None);
    }

    #[test]
    fn hits_are_marked_whole_words_and_the_last_as_a_beginning() {
        let query = Query::parse("train to ber").unwrap();
        let marked = query.mark("The train to Berlin, not the trainer.");
        let hits: Vec<&str> = marked.iter().filter(|piece| piece.hit).map(|piece| piece.text.as_str()).collect();
        assert_eq!(hits, ["train", "to", "Berlin"]);
        let whole: String = marked.iter().map(|piece| piece.text.as_str()).collect();
        assert_eq!(whole, "The train to Berlin, not the trainer.");
    }

    #[test]
    fn long_texts_are_cut_around_the_first_hit_and_never_inside_a_letter() {
        let text = format!("{}needle{}", "ä é ".repeat(200), " 👩‍👩‍👧‍👦".repeat(80));
        let marked = Query::parse("needle").unwrap().mark(&text);
        assert!(marked.iter().any(|piece| piece.hit && piece.text == "needle"), "{marked:?}");
        assert!(marked.iter().map(|piece| piece.text.len()).sum::<usize>() <= SNIPPET_BYTES + 32);
    }
}
