//! Numbers as they are said: money, times, dates, years, ordinals, fractions, ranges, versions, telephone numbers, units.

use super::{
    numerals::{cardinal, digit_run, digits, numeral, ordinal, plural, year},
    units,
};

/// Bytes taken, and the words for them.
type Read = (usize, String);

/// `text` with its numbers as English words. Digits inside words (`B2B`, `GPT-4`) stay.
pub(super) fn spelled_out(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let (before, rest) = text.split_at(at);
        match begins(before, c).then(|| read(before, rest)).flatten() {
            Some((length, words)) => {
                if out.ends_with(char::is_alphanumeric) {
                    out.push(' ');
                }
                out.push_str(&words);
                at += length;
                at += operator(&text[at..], &mut out);
                if text[at..].starts_with(char::is_alphanumeric) && !out.ends_with(' ') {
                    out.push(' ');
                }
            }
            None => {
                out.push(c);
                at += c.len_utf8();
            }
        }
    }
    out
}

/// Whether a number may begin after `before`: not inside a word, nor after its hyphen.
fn begins(before: &str, first: char) -> bool {
    let mut back = before.chars().rev();
    let (last, last_but_one) = (back.next().unwrap_or(' '), back.next().unwrap_or(' '));
    let joined = matches!(last, '-' | '.' | '_' | '/') && last_but_one.is_alphabetic();
    match first {
        '-' | '−' | '+' => last.is_whitespace() || last == '(',
        _ => !joined && !last.is_alphanumeric(),
    }
}

fn read(before: &str, rest: &str) -> Option<Read> {
    let first = rest.chars().next()?;
    let after = &rest[first.len_utf8()..];
    let counts = |text: &str| text.starts_with(|c: char| c.is_ascii_digit()) || units::currency(text).is_some();
    match first {
        '~' | '≈' if counts(after) => prefixed(before, "about", first, after),
        '#' if counts(after) => prefixed(before, "number", first, after),
        '-' | '−' if counts(after) => prefixed(before, "minus", first, after),
        '+' => telephone(after).or_else(|| counts(after).then(|| prefixed(before, "plus", first, after)).flatten()),
        '0'..='9' => [iso_date, clock, chain, fraction, ranked, decade]
            .iter()
            .find_map(|reader| reader(before, rest))
            .or_else(|| amount_before_sign(rest))
            .or_else(|| range(rest))
            .or_else(|| quantity(before, rest)),
        _ => money(rest),
    }
}

fn prefixed(before: &str, word: &str, sign: char, after: &str) -> Option<Read> {
    let (length, words) = read(before, after)?;
    Some((sign.len_utf8() + length, format!("{word} {words}")))
}

/// `$3.50`, `$1.2 million`, `€1,299`.
fn money(rest: &str) -> Option<Read> {
    let (sign, names) = units::currency(rest)?;
    let number = numeral(&rest[sign..])?;
    let length = sign + number.length;
    if let Some((more, word)) = units::magnitude(&rest[length..]) {
        return Some((length + more, format!("{} {word} {}", number.words(), names[1])));
    }
    Some((length, priced(&number, names)))
}

/// `20 €`, `5.50€`.
fn amount_before_sign(rest: &str) -> Option<Read> {
    let number = numeral(rest)?;
    let after = &rest[number.length..];
    let body = after.strip_prefix(' ').unwrap_or(after);
    let (sign, names) = units::currency(body)?;
    // In `5 $3` the sign belongs to what follows.
    let taken = body[sign..].starts_with(|c: char| c.is_ascii_digit());
    (!taken).then(|| (number.length + after.len() - body.len() + sign, priced(&number, names)))
}

fn priced(number: &super::numerals::Numeral<'_>, names: [&'static str; 4]) -> String {
    let [one, many, cent, cents] = names;
    let amount =
        |count: &str, one: &str, many: &str| format!("{} {}", cardinal(count), if count == "1" { one } else { many });
    let Some(fraction) = number.fraction else { return amount(&number.whole, one, many) };
    if fraction.len() != 2 {
        return format!("{} {many}", number.words());
    }
    let small = fraction.trim_start_matches('0');
    match (number.whole.as_str(), small) {
        (whole, "") => amount(whole, one, many),
        ("0", small) => amount(small, cent, cents),
        (whole, small) => format!("{} and {}", amount(whole, one, many), amount(small, cent, cents)),
    }
}

/// `2026-11-23`.
fn iso_date(_: &str, rest: &str) -> Option<Read> {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let date = rest.get(..10)?;
    let shaped = date.bytes().enumerate().all(|(i, b)| if i == 4 || i == 7 { b == b'-' } else { b.is_ascii_digit() });
    if !shaped || rest[10..].starts_with(|c: char| c.is_alphanumeric() || c == '-') {
        return None;
    }
    let month = MONTHS.get(date[5..7].parse::<usize>().ok()?.checked_sub(1)?)?;
    let day = date[8..].trim_start_matches('0');
    let valid = day.parse::<u8>().is_ok_and(|day| (1..=31).contains(&day));
    valid.then(|| (10, format!("{month} {}, {}", ordinal(day), year(&date[..4]))))
}

/// `14:05`, `9:30 AM`, `12:30:15`; what is no time of day is a ratio: `16:9`.
fn clock(_: &str, rest: &str) -> Option<Read> {
    let hour = &rest[..digit_run(rest)];
    let after = rest[hour.len()..].strip_prefix(':')?;
    let minute = &after[..digit_run(after)];
    if hour.len() > 4 || minute.is_empty() || minute.len() > 4 {
        return None;
    }
    let mut length = hour.len() + 1 + minute.len();
    let time = hour.len() <= 2 && minute.len() == 2 && hour.parse::<u8>().is_ok_and(|h| h < 24) && minute < "60";
    if !time {
        return Some((length, format!("{} to {}", cardinal(hour), cardinal(minute))));
    }
    let hour = if hour.len() == 2 && hour != "00" { hour.trim_start_matches('0') } else { hour };
    let hour = if hour == "00" { "zero".to_owned() } else { cardinal(hour) };
    let minutes = |text: &str| match text.strip_prefix('0') {
        Some(last) => format!("oh {}", cardinal(last)),
        None => cardinal(text),
    };
    let seconds =
        rest[length..].strip_prefix(':').map(|after| &after[..digit_run(after)]).filter(|s| s.len() == 2 && *s < "60");
    length += seconds.map_or(0, |s| s.len() + 1);
    let half = half_of_day(&rest[length..]);
    let mut words = match (minute, half) {
        ("00", Some(_)) => hour,
        ("00", None) => format!("{hour} o'clock"),
        _ => format!("{hour} {}", minutes(minute)),
    };
    if let Some(seconds) = seconds {
        words = format!(
            "{words} and {} seconds",
            cardinal(seconds.trim_start_matches('0').get(..).filter(|s| !s.is_empty()).unwrap_or("0"))
        );
    }
    if let Some((more, half)) = half {
        length += more;
        words = format!("{words} {half}");
    }
    Some((length, words))
}

/// `am`, `PM` after a time, with or without a space.
fn half_of_day(rest: &str) -> Option<(usize, &'static str)> {
    let body = rest.strip_prefix(' ').unwrap_or(rest);
    let half = match body.get(..2)? {
        "am" | "AM" => "AM",
        "pm" | "PM" => "PM",
        _ => return None,
    };
    (!body[2..].starts_with(char::is_alphanumeric)).then_some((rest.len() - body.len() + 2, half))
}

/// Digits joined by points or hyphens: a version or address (`1.2.3`), a telephone number (`555-1234`).
fn chain(_: &str, rest: &str) -> Option<Read> {
    let length = rest.bytes().take_while(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-')).count();
    let token = rest[..length].trim_end_matches(['.', '-']);
    let follows = rest[token.len()..].starts_with(char::is_alphanumeric);
    let parts: Vec<&str> = token.split(['.', '-']).collect();
    if follows || parts.len() < 2 || parts.iter().any(|part| part.is_empty()) {
        return None;
    }
    let pointed = !token.contains('-');
    let hyphened = !token.contains('.');
    if pointed && parts.len() > 2 {
        let words: Vec<String> = parts.iter().map(|part| cardinal(part)).collect();
        return Some((token.len(), words.join(" dot ")));
    }
    let sizes: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    let telephone = hyphened && (parts.len() > 2 || sizes == [3, 4]);
    telephone.then(|| (token.len(), parts.iter().map(|part| digits(part)).collect::<Vec<_>>().join(", ")))
}

/// `49 30 1234567` after a `+`.
fn telephone(after: &str) -> Option<Read> {
    let length = after.bytes().take_while(|b| b.is_ascii_digit() || matches!(b, b' ' | b'-')).count();
    let token = after[..length].trim_end_matches([' ', '-']);
    let groups: Vec<String> = token.split([' ', '-']).filter(|group| !group.is_empty()).map(digits).collect();
    let many = token.bytes().filter(u8::is_ascii_digit).count() >= 7;
    (many && token.starts_with(|c: char| c.is_ascii_digit()))
        .then(|| (1 + token.len(), format!("plus {}", groups.join(", "))))
}

/// `1/2`, `3/4`, `24/7`.
fn fraction(_: &str, rest: &str) -> Option<Read> {
    let top = &rest[..digit_run(rest)];
    let after = rest[top.len()..].strip_prefix('/')?;
    let bottom = &after[..digit_run(after)];
    let tail = &after[bottom.len()..];
    if bottom.is_empty() || tail.starts_with('/') || tail.starts_with(char::is_alphanumeric) {
        return None;
    }
    let plural_s = if top == "1" { "" } else { "s" };
    let words = match (top, bottom) {
        ("24", "7") => "twenty-four seven".to_owned(),
        ("1", "2") => "one half".to_owned(),
        (_, "4") => format!("{} quarter{plural_s}", cardinal(top)),
        (_, "3" | "5" | "6" | "7" | "8" | "9" | "10") if top.len() == 1 => {
            format!("{} {}{plural_s}", cardinal(top), ordinal(bottom))
        }
        _ => format!("{} over {}", cardinal(top), cardinal(bottom)),
    };
    Some((top.len() + 1 + bottom.len(), words))
}

/// `1st`, `22nd`, `103rd`.
fn ranked(_: &str, rest: &str) -> Option<Read> {
    let number = numeral(rest).filter(|number| number.fraction.is_none())?;
    let tail = &rest[number.length..];
    let suffix = tail.get(..2).filter(|s| matches!(*s, "st" | "nd" | "rd" | "th"))?;
    (!tail[suffix.len()..].starts_with(char::is_alphanumeric)).then(|| (number.length + 2, ordinal(&number.whole)))
}

/// `1980s`, `the 90s`.
fn decade(before: &str, rest: &str) -> Option<Read> {
    let run = &rest[..digit_run(rest)];
    let tail = rest[run.len()..].strip_prefix('s')?;
    let named = run.len() == 4 || (run.len() == 2 && before.trim_end().to_ascii_lowercase().ends_with("the"));
    let fits = named && run.ends_with('0') && !run.starts_with('0') && !tail.starts_with(char::is_alphanumeric);
    fits.then(|| (run.len() + 1, plural(&if run.len() == 4 { year(run) } else { cardinal(run) })))
}

/// `5-10`, `9–17`, `2019-2021`, with the unit of both.
fn range(rest: &str) -> Option<Read> {
    let low = numeral(rest)?;
    let dash = rest[low.length..].chars().next().filter(|c| matches!(c, '-' | '–'))?;
    let at = low.length + dash.len_utf8();
    let high = numeral(&rest[at..])?;
    let tail = &rest[at + high.length..];
    if tail.starts_with(['-', '–', ':']) {
        return None;
    }
    let (length, high_words) = quantity("", &rest[at..])?;
    let low_words =
        if is_year(&low.whole, low.grouped || low.fraction.is_some()) { year(&low.whole) } else { low.words() };
    Some((at + length, format!("{low_words} to {high_words}")))
}

/// A number with its unit, a year, or a plain number.
fn quantity(before: &str, rest: &str) -> Option<Read> {
    let number = numeral(rest)?;
    let tail = &rest[number.length..];
    if let Some((more, unit)) = units::unit(tail, number.is_one()) {
        return Some((number.length + more, format!("{} {unit}", number.words())));
    }
    let written_out = number.grouped || number.fraction.is_some();
    let dated =
        is_year(&number.whole, written_out) || (!written_out && after_date_word(before) && is_old_year(&number.whole));
    let words = if dated { year(&number.whole) } else { number.words() };
    Some((number.length, words))
}

fn is_year(whole: &str, written_out: bool) -> bool {
    !written_out && whole.len() == 4 && ("1900".."2100").contains(&whole)
}

fn is_old_year(whole: &str) -> bool {
    whole.len() == 4 && ("1100".."1900").contains(&whole)
}

fn after_date_word(before: &str) -> bool {
    let word = before.trim_end_matches([' ', ',']).rsplit([' ', '(']).next().unwrap_or_default();
    let word = word.to_ascii_lowercase();
    let month = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    matches!(&*word, "in" | "since" | "from" | "until" | "year" | "circa" | "around") || month.contains(&&*word)
}

/// A sign of arithmetic between two numbers: writes its word and gives its length.
fn operator(rest: &str, out: &mut String) -> usize {
    const WORDS: &[(char, &str)] = &[
        ('+', "plus"),
        ('-', "minus"),
        ('−', "minus"),
        ('*', "times"),
        ('×', "times"),
        ('/', "divided by"),
        ('÷', "divided by"),
        ('^', "to the power of"),
        ('=', "equals"),
        ('<', "less than"),
        ('>', "greater than"),
    ];
    let body = rest.trim_start_matches(' ');
    let Some(&(sign, word)) = WORDS.iter().find(|(sign, _)| body.starts_with(*sign)) else { return 0 };
    let after = &body[sign.len_utf8()..];
    let next = after.trim_start_matches(' ');
    let counts = next.starts_with(|c: char| c.is_ascii_digit()) || units::currency(next).is_some();
    // A hyphen or slash without spaces joins (a range, a date); one with a space on one side only is a sign.
    let spaced = body.len() < rest.len() && next.len() < after.len();
    if !counts || (matches!(sign, '-' | '/') && !spaced) {
        return 0;
    }
    out.push(' ');
    out.push_str(word);
    out.push(' ');
    rest.len() - next.len()
}
