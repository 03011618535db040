//! Spoken durations: `ten minute`, `an hour and a half`, `two hours and thirty minutes`.

use super::words::number;

/// Units by their singular, in seconds.
const UNITS: &[(&str, u32)] = &[("second", 1), ("minute", 60), ("hour", 3_600), ("day", 86_400), ("week", 604_800)];

/// A unit in singular or plural: its singular and its seconds.
pub(super) fn unit(word: &str) -> Option<(&'static str, u32)> {
    let singular = match word {
        "sec" | "secs" => "second",
        "min" | "mins" => "minute",
        word => word.strip_suffix('s').unwrap_or(word),
    };
    UNITS.iter().find(|(name, _)| *name == singular).copied()
}

/// The sum of all durations in `words`, in seconds; `None` if there is none.
pub(super) fn seconds(words: &[String]) -> Option<f64> {
    let mut total = None;
    let mut last_unit = 0.0;
    let mut rest = words;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let text: Vec<&str> = std::iter::once(first).chain(after).take(4).map(String::as_str).collect();
        let (length, amount, unit) = match text[..] {
            ["half", "a" | "an", word, ..] => (3, 0.5, word),
            ["quarter", "of", "a" | "an", word] => (4, 0.25, word),
            ["and", "a", "half", ..] if total.is_some() => {
                total = total.map(|total: f64| total + last_unit / 2.0);
                continue;
            }
            [amount, "and", "a", "half"] if number(amount).is_some() => {
                // `two and a half hours`: the unit comes fifth.
                (5, number(amount).unwrap_or_default() + 0.5, after.get(3).map_or("", String::as_str))
            }
            ["a" | "an", word, ..] => (2, 1.0, word),
            [amount, word, ..] if number(amount).is_some() => (2, number(amount).unwrap_or_default(), word),
            _ => continue,
        };
        let Some((_, unit_seconds)) = self::unit(unit) else { continue };
        last_unit = f64::from(unit_seconds);
        total = Some(total.unwrap_or(0.0) + amount * last_unit);
        rest = after.get(length - 1..).unwrap_or_default();
    }
    total
}
