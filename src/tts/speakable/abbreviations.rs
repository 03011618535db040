//! Abbreviations of English prose, spelled out.

/// When an abbreviation is replaced.
#[derive(Clone, Copy, PartialEq)]
enum When {
    Always,
    /// Only before a capital letter: a title needs its name.
    BeforeName,
    /// Only before a digit.
    BeforeDigit,
    /// Also ends sentences; its full stop stays if it does.
    MayEnd,
}

use When::{Always, BeforeDigit, BeforeName, MayEnd};

/// Longer ones before those they begin with.
const TABLE: &[(&str, &str, When)] = &[
    ("Dr.", "Doctor", BeforeName),
    ("Mr.", "Mister", BeforeName),
    ("Mrs.", "Missus", BeforeName),
    ("Ms.", "Miss", BeforeName),
    ("Prof.", "Professor", BeforeName),
    ("St.", "Saint", BeforeName),
    ("e.g.", "for example", Always),
    ("E.g.", "For example", Always),
    ("i.e.", "that is", Always),
    ("I.e.", "That is", Always),
    ("etc.", "et cetera", MayEnd),
    ("vs.", "versus", Always),
    ("vs", "versus", Always),
    ("approx.", "approximately", Always),
    ("Approx.", "Approximately", Always),
    ("incl.", "including", Always),
    ("dept.", "department", MayEnd),
    ("Inc.", "Incorporated", MayEnd),
    ("Ltd.", "Limited", MayEnd),
    ("Corp.", "Corporation", MayEnd),
    ("Jr.", "Junior", MayEnd),
    ("Sr.", "Senior", MayEnd),
    ("a.m.", "AM", MayEnd),
    ("p.m.", "PM", MayEnd),
    ("A.M.", "AM", MayEnd),
    ("P.M.", "PM", MayEnd),
    ("w/o", "without", Always),
    ("w/", "with", Always),
    ("No.", "number", BeforeDigit),
    ("no.", "number", BeforeDigit),
    ("Nos.", "numbers", BeforeDigit),
    ("p.", "page", BeforeDigit),
    ("pp.", "pages", BeforeDigit),
    ("Fig.", "figure", BeforeDigit),
    ("fig.", "figure", BeforeDigit),
    ("Jan.", "January", BeforeDigit),
    ("Feb.", "February", BeforeDigit),
    ("Mar.", "March", BeforeDigit),
    ("Apr.", "April", BeforeDigit),
    ("Jun.", "June", BeforeDigit),
    ("Jul.", "July", BeforeDigit),
    ("Aug.", "August", BeforeDigit),
    ("Sept.", "September", BeforeDigit),
    ("Sep.", "September", BeforeDigit),
    ("Oct.", "October", BeforeDigit),
    ("Nov.", "November", BeforeDigit),
    ("Dec.", "December", BeforeDigit),
];

/// `text` with its abbreviations as words.
pub(super) fn spelled_out(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let begins = !before.is_alphanumeric() && !matches!(before, '.' | '/' | '\'' | '’');
        if begins && let Some((length, words, ends)) = find(rest) {
            out.push_str(words);
            if ends {
                out.push('.');
            } else if rest[length..].starts_with(char::is_alphanumeric) {
                out.push(' ');
            }
            before = '.';
            rest = &rest[length..];
        } else {
            out.push(c);
            before = c;
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

/// Length of the abbreviation, its words, and whether it ends the sentence.
fn find(rest: &str) -> Option<(usize, &'static str, bool)> {
    TABLE.iter().find_map(|&(short, words, when)| {
        let after = rest.strip_prefix(short)?;
        let next = after.trim_start().chars().next();
        let spaced = after.starts_with(char::is_whitespace);
        let fits = match when {
            // `vs` and `w/` must not be the beginning of a word.
            Always => short.ends_with('/') || !after.starts_with(char::is_alphanumeric),
            BeforeName => next.is_some_and(char::is_uppercase),
            BeforeDigit => next.is_some_and(|c| c.is_ascii_digit()),
            MayEnd => !after.starts_with(char::is_alphanumeric),
        };
        let ends = when == MayEnd && (next.is_none() || (spaced && next.is_some_and(char::is_uppercase)));
        fits.then_some((short.len(), words, ends))
    })
}
