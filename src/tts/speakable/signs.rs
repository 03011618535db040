//! Signs that have a word in English, and marks that have none.

/// `text` with signs as words. Runs after the numbers, which take the signs that belong to them.
pub(super) fn spoken(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let next = chars.peek().copied();
        match word(c, before, next) {
            Some(word) => {
                out.push(' ');
                out.push_str(word);
                out.push(' ');
            }
            None => out.push(c),
        }
        before = c;
    }
    out
}

/// The word for a sign; an empty word drops it; `None` keeps it.
fn word(c: char, before: char, next: Option<char>) -> Option<&'static str> {
    let spaced = before.is_whitespace() && next.is_none_or(char::is_whitespace);
    Some(match c {
        '&' => "and",
        '=' if before != '=' => "equals",
        '+' if before.is_alphanumeric() && next == Some('+') => "plus",
        '+' => "plus",
        '×' => "times",
        '÷' => "divided by",
        '±' => "plus or minus",
        '−' => "minus",
        '→' | '⇒' | '⟶' => "to",
        '↔' => "and",
        '≈' => "about",
        '≠' => "is not",
        '≤' => "at most",
        '≥' => "at least",
        '<' if spaced => "less than",
        '>' if spaced => "greater than",
        '@' => "at",
        '%' => "percent",
        '°' => "degrees",
        '√' => "the square root of",
        '∞' => "infinity",
        'π' if !before.is_alphabetic() && next.is_none_or(|n| !n.is_alphabetic()) => "pi",
        '€' => "euros",
        '£' => "pounds",
        '¥' => "yen",
        '$' => "dollars",
        '©' => "copyright",
        '²' => "squared",
        '³' => "cubed",
        '½' => "one half",
        '¼' => "one quarter",
        '¾' => "three quarters",
        '—' => ",",
        '–' | '-' if spaced => ",",
        '|' | '\\' => ",",
        '*' | '_' | '`' | '#' | '~' | '^' | '<' | '>' | '=' | '{' | '}' | '[' | ']' | '•' | '·' | '™' | '®' | '‼'
        | '⁉' | '↕' => "",
        _ => return None,
    })
}
