//! Questions for the time and the date.

use super::words::{find, number};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The time of day.
    Time,
    /// Weekday and date.
    Date,
    /// The weekday.
    Weekday,
    /// The month.
    Month,
    /// The year.
    Year,
}

/// A question for the time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct When {
    /// What is asked for.
    pub(super) part: Part,
    /// Days from today.
    pub(super) days: i64,
    /// Where; empty = here.
    pub(super) place: String,
}

/// Said in such questions besides the words that decide. A question with any other word is another question.
const AROUND: &[&str] = &[
    "what",
    "which",
    "is",
    "was",
    "will",
    "be",
    "it",
    "the",
    "tell",
    "me",
    "do",
    "you",
    "know",
    "have",
    "got",
    "can",
    "could",
    "please",
    "now",
    "right",
    "currently",
    "current",
    "hey",
    "hello",
    "hi",
    "okay",
    "ok",
    "so",
    "exact",
    "exactly",
    "give",
    "at",
    "moment",
    "here",
    "a",
    "say",
    "today",
    "tomorrow",
    "yesterday",
    "day",
    "of",
    "and",
    "for",
    "on",
    "are",
    "we",
    "thanks",
    "clock",
    "local",
    "time",
    "date",
    "weekday",
    "month",
    "year",
    "after",
    "before",
    "in",
    "ago",
    "days",
    "week",
    "weeks",
    "todays",
    "tomorrows",
    "yesterdays",
    "i",
    "want",
    "to",
    "would",
    "like",
    "need",
    "about",
    "how",
    "late",
    "this",
];

/// Longest name of a place, in words.
const PLACE_WORDS_MAX: usize = 4;

/// The question in `words`, if they are one.
pub(super) fn parse(words: &[String]) -> Option<When> {
    let has = |word: &str| words.iter().any(|one| one == word);
    let (words, place) = split_place(words);
    if !words.iter().all(|word| AROUND.contains(&word.as_str()) || number(word).is_some()) {
        return None;
    }
    // `this days`, `there are one year`: the words alone ask nothing.
    let asks = ["what", "which", "tell", "time", "date", "how", "weekday"].iter().any(|word| has(word));
    let days = days(words);
    let part = if has("time") || find(words, "how late").is_some() || (has("clock") && asks) {
        Part::Time
    } else if has("date") {
        Part::Date
    } else if has("year") {
        Part::Year
    } else if has("month") {
        Part::Month
    } else if has("day") || has("weekday") {
        Part::Weekday
    } else if has("today") || has("tomorrow") || has("yesterday") {
        Part::Date
    } else {
        return None;
    };
    let counts = has("how") && find(words, "how late").is_none();
    (asks && !counts && days.is_some()).then(|| When { part, days: days.unwrap_or(0), place })
}

/// A trailing `in tokyo`, apart.
fn split_place(words: &[String]) -> (&[String], String) {
    let at = words.iter().rposition(|word| word == "in" || word == "for" || word == "at");
    let Some(at) = at else { return (words, String::new()) };
    let end = words.iter().rposition(|word| !["please", "now", "right", "today"].contains(&word.as_str()));
    let place = words.get(at + 1..end.map_or(at + 1, |end| end + 1)).unwrap_or_default();
    let is_place = !place.is_empty()
        && place.len() <= PLACE_WORDS_MAX
        && place.iter().all(|word| number(word).is_none() && !AROUND.contains(&word.as_str()));
    if is_place { (&words[..at], place.join(" ")) } else { (words, String::new()) }
}

/// Days from today; `None` if they are not understood.
fn days(words: &[String]) -> Option<i64> {
    let has = |phrase: &str| find(words, phrase).is_some();
    if has("day after tomorrow") {
        return Some(2);
    }
    if has("day before yesterday") {
        return Some(-2);
    }
    if has("tomorrow") || has("tomorrows") {
        return Some(1);
    }
    if has("yesterday") || has("yesterdays") {
        return Some(-1);
    }
    let Some(at) = words.iter().position(|word| number(word).is_some()) else { return Some(0) };
    let count = number(&words[at]).filter(|count| count.fract() == 0.0 && *count <= 100_000.0)? as i64;
    let scale = match words.get(at + 1)?.as_str() {
        "day" | "days" => 1,
        "week" | "weeks" => 7,
        _ => return None,
    };
    let before = at.checked_sub(1).and_then(|at| words.get(at));
    if words.get(at + 2).is_some_and(|word| word == "ago") {
        Some(-count * scale)
    } else if before.is_some_and(|word| word == "in") {
        Some(count * scale)
    } else {
        None
    }
}
