//! What the user said, made plain: lower case, no punctuation, digits for number words (by text2num).

use text2num::{lang::English, replace_numbers_in_text};

/// Characters that are looked at; nobody asks for the time in more.
const CHARS_MAX: usize = 1_000;

/// The words of `text`. Numbers are digits, the signs of arithmetic are words of their own, `second` is always `seconds`
/// (the unit: nobody asks this agent for a second anything).
pub(super) fn words(text: &str) -> Vec<String> {
    let mut plain = String::with_capacity(text.len().min(CHARS_MAX) + 16);
    let letters: Vec<char> = text.chars().take(CHARS_MAX).flat_map(char::to_lowercase).collect();
    for (at, &letter) in letters.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| letters.get(at)).copied().unwrap_or(' ');
        let after = letters.get(at + 1).copied().unwrap_or(' ');
        let between = |test: fn(&char) -> bool| test(&before) && test(&after);
        match letter {
            '’' | '\'' => plain.push('\''),
            '.' if after.is_ascii_digit() => plain.push('.'),
            ',' if between(char::is_ascii_digit) => {}
            // In a word as in twenty-five; else a minus.
            '-' if between(|letter| letter.is_alphabetic()) => plain.push(' '),
            '×' => plain.push_str(" * "),
            '÷' => plain.push_str(" / "),
            '−' => plain.push_str(" - "),
            '+' | '-' | '*' | '/' | '^' | '(' | ')' | '%' | '=' => plain.extend([' ', letter, ' ']),
            letter if letter.is_alphanumeric() => plain.push(letter),
            _ => plain.push(' '),
        }
    }
    let units: Vec<&str> =
        plain.split_whitespace().map(|word| if word == "second" { "seconds" } else { word }).collect();
    let digits = replace_numbers_in_text(&units.join(" "), &English::new(), 0.0);
    digits.split_whitespace().flat_map(expanded).map(str::to_owned).collect()
}

/// A contraction in full.
fn expanded(word: &str) -> impl Iterator<Item = &str> {
    let (stem, tail) = match word.split_once('\'') {
        Some(("let", "s")) => ("let", Some("us")),
        Some((stem @ ("what" | "who" | "how" | "when" | "where" | "it" | "that" | "there"), "s")) => (stem, Some("is")),
        Some(("i", "m")) => ("i", Some("am")),
        Some(("don", "t")) => ("do", Some("not")),
        Some(("can", "t")) => ("can", Some("not")),
        Some(("didn", "t")) => ("did", Some("not")),
        Some((stem, "s")) => (stem, None),
        _ => (word, None),
    };
    std::iter::once(stem).chain(tail)
}

/// The number a word is.
pub(super) fn number(word: &str) -> Option<f64> {
    let is_digits = word.starts_with(|letter: char| letter.is_ascii_digit() || letter == '.')
        && word.chars().all(|letter| letter.is_ascii_digit() || letter == '.');
    if is_digits { word.parse().ok() } else { None }
}

/// Whether every word is one of `known`, and there is at least one.
pub(super) fn all_of(words: &[String], known: &[&str]) -> bool {
    !words.is_empty() && words.iter().all(|word| known.contains(&word.as_str()))
}

/// Whether `phrase` stands somewhere in `words`.
pub(super) fn holds(words: &[String], phrase: &str) -> bool {
    find(words, phrase).is_some()
}

/// Where `phrase` ends in `words`, first time.
pub(super) fn find(words: &[String], phrase: &str) -> Option<usize> {
    let phrase: Vec<&str> = phrase.split(' ').collect();
    let at =
        words.windows(phrase.len()).position(|window| window.iter().zip(&phrase).all(|(word, want)| word == want))?;
    Some(at + phrase.len())
}
