//! Spoken arithmetic as an expression for the calculator: `twenty divided by sixteen`, `eight percent of one`, `how many
//! minutes in ten hours`.

use super::{duration, words::number};

/// A calculation that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sum {
    /// For the calculator.
    pub(super) expression: String,
    /// As one says it: `20 divided by 16`.
    pub(super) spoken: String,
    /// What the result counts, such as `minutes`; empty = it is a plain number.
    pub(super) unit: String,
}

/// Said around a calculation.
const AROUND: &[&str] = &[
    "what",
    "is",
    "are",
    "how",
    "much",
    "calculate",
    "compute",
    "tell",
    "me",
    "please",
    "the",
    "result",
    "can",
    "could",
    "you",
    "equals",
    "equal",
    "does",
    "do",
    "so",
    "hey",
    "hello",
    "hi",
    "ok",
    "okay",
    "thanks",
    "=",
    "make",
    "makes",
    "and",
    "work",
    "out",
    "answer",
    "to",
    "now",
];

/// Signs: as spoken (longest first), for the calculator, and how they are said back.
const SIGNS: &[(&str, &str, &str)] = &[
    ("to the power of", "^", "to the power of"),
    ("the square root of", "sqrt", "the square root of"),
    ("square root of", "sqrt", "the square root of"),
    ("multiplied by", "*", "times"),
    ("multiplied with", "*", "times"),
    ("divided by", "/", "divided by"),
    ("per cent of", "/100*", "percent of"),
    ("percent of", "/100*", "percent of"),
    ("% of", "/100*", "percent of"),
    ("half of", "0.5*", "half of"),
    ("twice", "2*", "twice"),
    ("plus", "+", "plus"),
    ("minus", "-", "minus"),
    ("negative", "-", "minus"),
    ("times", "*", "times"),
    ("over", "/", "divided by"),
    ("squared", "^2", "squared"),
    ("cubed", "^3", "cubed"),
    ("percent", "/100", "percent"),
    ("%", "/100", "percent"),
    ("x", "*", "times"),
    ("+", "+", "plus"),
    ("-", "-", "minus"),
    ("*", "*", "times"),
    ("/", "/", "divided by"),
    ("^", "^", "to the power of"),
    ("(", "(", "("),
    (")", ")", ")"),
];

/// The calculation in `words`, if they are one and nothing else.
pub(super) fn parse(words: &[String]) -> Option<Sum> {
    conversion(words).or_else(|| imperative(words)).or_else(|| expression(inner(words)))
}

/// Without what is said around.
fn inner(words: &[String]) -> &[String] {
    let is_core = |word: &String| !AROUND.contains(&word.as_str());
    let start = words.iter().position(is_core).unwrap_or(words.len());
    let end = words.iter().rposition(is_core).map_or(start, |last| last + 1);
    &words[start..end]
}

fn expression(mut words: &[String]) -> Option<Sum> {
    let (mut expression, mut spoken) = (Vec::new(), Vec::new());
    let (mut signs, mut numbers) = (0, 0);
    while let Some((first, rest)) = words.split_first() {
        if number(first).is_some() {
            numbers += 1;
            expression.push(first.clone());
            spoken.push(first.clone());
            words = rest;
            continue;
        }
        let (length, sign, said) = SIGNS.iter().find_map(|(phrase, sign, said)| {
            let length = phrase.split(' ').count();
            let matches = words.len() >= length && words.iter().zip(phrase.split(' ')).all(|(word, want)| word == want);
            matches.then_some((length, *sign, *said))
        })?;
        signs += 1;
        expression.push(sign.to_owned());
        spoken.push(said.to_owned());
        words = &words[length..];
    }
    let any = signs > 0 && numbers > 0;
    any.then(|| Sum { expression: expression.join(" "), spoken: spoken.join(" "), unit: String::new() })
}

/// `add 5 and 6`, `subtract 5 from 20`, `divide 20 by 4`, `multiply 3 by 4`.
fn imperative(words: &[String]) -> Option<Sum> {
    let [verb, one, link, other] = inner(words) else { return None };
    number(one)?;
    number(other)?;
    let (left, sign, said, right) = match (&**verb, &**link) {
        ("add", "and" | "to") => (one, "+", "plus", other),
        ("subtract", "from") => (other, "-", "minus", one),
        ("divide", "by") => (one, "/", "divided by", other),
        ("multiply", "by" | "with" | "and") => (one, "*", "times", other),
        _ => return None,
    };
    Some(Sum {
        expression: format!("{left} {sign} {right}"),
        spoken: format!("{left} {said} {right}"),
        unit: String::new(),
    })
}

/// `how many minutes (are there) in ten hours`.
fn conversion(words: &[String]) -> Option<Sum> {
    let at = words.windows(2).position(|pair| pair[0] == "how" && pair[1] == "many")?;
    let (unit, rest) = words.get(at + 2..)?.split_first()?;
    let (unit_name, unit_seconds) = duration::unit(unit)?;
    let start = rest.iter().position(|word| word == "in")?;
    if !rest[..start].iter().all(|word| ["are", "is", "there", "do", "we", "have"].contains(&word.as_str())) {
        return None;
    }
    let rest: Vec<String> = rest[start + 1..].iter().filter(|word| *word != "please").cloned().collect();
    let (amount, name, seconds) = match &rest[..] {
        [unit] => ("1", duration::unit(unit)?.0, duration::unit(unit)?.1),
        [amount, unit] if amount == "a" || amount == "an" => ("1", duration::unit(unit)?.0, duration::unit(unit)?.1),
        [amount, unit] => (&**amount, duration::unit(unit)?.0, duration::unit(unit)?.1),
        _ => return None,
    };
    number(amount)?;
    Some(Sum {
        expression: format!("{amount} * {seconds} / {unit_seconds}"),
        spoken: if amount == "1" { format!("1 {name}") } else { format!("{amount} {name}s") },
        unit: unit_name.to_owned(),
    })
}
