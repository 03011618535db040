//! Digits to words, and what a number looks like in text.

use num2words::Num2Words;

/// A number at the start of a text: `1,234.50`.
pub(super) struct Numeral<'a> {
    /// Bytes it takes.
    pub(super) length: usize,
    /// The digits before the point, without separators.
    pub(super) whole: String,
    /// The digits after it.
    pub(super) fraction: Option<&'a str>,
    /// Whether it was written with thousands separators.
    pub(super) grouped: bool,
}

impl Numeral<'_> {
    /// Whether it is exactly one.
    pub(super) fn is_one(&self) -> bool {
        self.whole == "1" && self.fraction.is_none()
    }

    /// As words: `one thousand`, `three point one four`.
    pub(super) fn words(&self) -> String {
        match self.fraction {
            Some(fraction) => format!("{} point {}", cardinal(&self.whole), digits(fraction)),
            None => cardinal(&self.whole),
        }
    }
}

/// The number at the start of `rest`.
pub(super) fn numeral(rest: &str) -> Option<Numeral<'_>> {
    let first = digit_run(rest);
    if first == 0 {
        return None;
    }
    let mut whole = rest[..first].to_owned();
    let mut length = first;
    while first <= 3 && rest[length..].starts_with(',') && digit_run(&rest[length + 1..]) == 3 {
        whole.push_str(&rest[length + 1..length + 4]);
        length += 4;
    }
    let grouped = length > first;
    let fraction = rest[length..].strip_prefix('.').map(|after| &after[..digit_run(after)]).filter(|f| !f.is_empty());
    length += fraction.map_or(0, |f| f.len() + 1);
    Some(Numeral { length, whole, fraction, grouped })
}

/// How many ASCII digits `text` begins with.
pub(super) fn digit_run(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// `42` → `forty-two`. What no one says as one number (a leading zero, more than fifteen digits) is read digit by digit.
pub(super) fn cardinal(digits_: &str) -> String {
    plain(digits_).and_then(|n| Num2Words::new(n).to_words().ok()).unwrap_or_else(|| digits(digits_))
}

/// `3` → `third`.
pub(super) fn ordinal(digits_: &str) -> String {
    plain(digits_).and_then(|n| Num2Words::new(n).ordinal().to_words().ok()).unwrap_or_else(|| digits(digits_))
}

/// `1984` → `nineteen eighty-four`, `2005` → `two thousand and five`.
pub(super) fn year(digits_: &str) -> String {
    let Some(n) = plain(digits_) else { return digits(digits_) };
    let (century, rest) = (n / 100, n % 100);
    match (century % 10, rest) {
        (0, 0..=9) => cardinal(digits_),
        (_, 0) => format!("{} hundred", cardinal(&century.to_string())),
        (_, 1..=9) => format!("{} oh {}", cardinal(&century.to_string()), cardinal(&rest.to_string())),
        _ => format!("{} {}", cardinal(&century.to_string()), cardinal(&rest.to_string())),
    }
}

/// Digit by digit: `007` → `zero zero seven`.
pub(super) fn digits(text: &str) -> String {
    const NAMES: [&str; 10] = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
    let names: Vec<&str> =
        text.bytes().filter(u8::is_ascii_digit).filter_map(|b| NAMES.get(usize::from(b - b'0')).copied()).collect();
    names.join(" ")
}

/// The plural of a number's words: `eighty` → `eighties`, `hundred` → `hundreds`.
pub(super) fn plural(words: &str) -> String {
    match words.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None => format!("{words}s"),
    }
}

fn plain(digits_: &str) -> Option<i64> {
    let padded = digits_.len() > 1 && digits_.starts_with('0');
    (digits_.len() <= 15 && !padded).then(|| digits_.parse().ok()).flatten()
}
