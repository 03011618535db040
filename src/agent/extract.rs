//! The sentences of a text that say most, without a language model.
//!
//! The method is SumBasic (Nenkova and Vanderwende, "The Impact of Frequency on Summarization", 2005): what is spoken of
//! often is what a text is about. A sentence weighs the mean probability of its words; the heaviest is taken, the
//! probabilities of its words are squared, so that the next one adds something new, and so on.

use std::collections::{BTreeSet, HashMap};

use unicode_segmentation::UnicodeSegmentation as _;

/// The method, for those who are shown what it gave.
pub const METHOD: &str = "SumBasic (extractive, no language model)";

/// Words that say nothing about what is spoken of.
const STOP_WORDS: &[&str] = &[
    "a", "about", "am", "an", "and", "any", "are", "as", "at", "be", "been", "but", "by", "can", "could", "did", "do",
    "does", "for", "from", "get", "had", "has", "have", "he", "hello", "her", "hi", "him", "his", "how", "i", "if",
    "in", "is", "it", "its", "just", "let", "me", "my", "no", "not", "of", "ok", "okay", "on", "or", "our", "please",
    "say", "she", "should", "so", "some", "tell", "thank", "thanks", "that", "the", "their", "them", "then", "there",
    "these", "they", "this", "to", "us", "very", "was", "we", "were", "what", "when", "where", "which", "who", "why",
    "will", "with", "would", "yes", "you", "your",
];

/// Words of a sentence looked at.
const WORDS_MAX: usize = 100;

/// The words of a sentence that say something, in small letters, at most [`WORDS_MAX`].
pub fn content_words(sentence: &str) -> Vec<String> {
    let words = sentence.unicode_words().map(str::to_lowercase);
    words.filter(|word| STOP_WORDS.binary_search(&word.as_str()).is_err()).take(WORDS_MAX).collect()
}

/// The sentences of a text, without blanks around them.
pub fn sentences(text: &str) -> impl Iterator<Item = &str> {
    text.unicode_sentences().map(str::trim).filter(|sentence| !sentence.is_empty())
}

/// Which sentences, given as their words, say most: at most `count`, in their order. Takes time with `count` times all words;
/// blocks that long, so a caller with a long text asks on a thread that may.
pub fn sum_basic(sentences: &[&[String]], count: usize) -> BTreeSet<usize> {
    let mut probability: HashMap<&str, f64> = HashMap::new();
    let total = sentences.iter().map(|words| words.len()).sum::<usize>().max(1) as f64;
    for word in sentences.iter().copied().flatten() {
        *probability.entry(word).or_default() += 1.0 / total;
    }
    let mut chosen = BTreeSet::new();
    while chosen.len() < count {
        let weight = |words: &[String]| {
            let sum: f64 = words.iter().filter_map(|word| probability.get(word.as_str())).sum();
            sum / words.len() as f64
        };
        let open = sentences.iter().enumerate().filter(|(at, words)| !chosen.contains(at) && !words.is_empty());
        // Among equals the earliest: it is what the others came back to.
        let heaviest = open.rev().max_by(|(_, one), (_, other)| weight(one).total_cmp(&weight(other)));
        let Some((best, words)) = heaviest else { break };
        chosen.insert(best);
        for word in *words {
            if let Some(probability) = probability.get_mut(word.as_str()) {
                *probability *= *probability;
            }
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentences_that_say_most_come_in_their_order() {
        let text =
            "We met on Monday. The harbour bridge is closed. Lunch was good. The bridge over the harbour opens in May.";
        let words: Vec<Vec<String>> = sentences(text).map(content_words).collect();
        let words: Vec<&[String]> = words.iter().map(Vec::as_slice).collect();
        assert_eq!(words.len(), 4);
        assert!(sum_basic(&words, 1).contains(&1), "what is spoken of most");
        assert_eq!(sum_basic(&words, 10).len(), 4);
        assert!(sum_basic(&[], 3).is_empty());
        assert!(STOP_WORDS.is_sorted(), "they are looked up by halves");
    }
}
