//! Arithmetic, evaluated by exmex.

use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Context, Error, Output, Tool, ToolSpec, parse, ready};

/// The tool `calculator`.
pub struct Calculator;

#[derive(Debug, Deserialize)]
struct Arguments {
    expression: String,
}

/// Longest expression. Evaluating one of this length takes well under a millisecond.
const EXPRESSION_BYTES_MAX: usize = 200;
/// Parentheses within each other, at most: the parser recurses.
const DEPTH_MAX: usize = 24;
/// From here on doubles skip whole numbers.
const WHOLE_MAX: f64 = 1e15;

/// A result as it may be said.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Digits, or a mantissa and "times 10 to the power of …".
    pub text: String,
    /// Whether those are all the digits there are.
    pub exact: bool,
}

/// Evaluates an expression of numbers, `+ - * / ^ ( )`, `%` (divided by 100), `sqrt` and the like. Errors are sentences.
pub fn evaluate(expression: &str) -> Result<Answer, Error> {
    let refuse = |sentence: &str| Error(sentence.to_owned());
    if expression.len() > EXPRESSION_BYTES_MAX {
        return Err(refuse("That is too long for me to calculate."));
    }
    let plain = plain(expression).ok_or_else(|| refuse("That is no calculation I understand."))?;
    let value = exmex::eval_str::<f64>(&plain).map_err(|_| refuse("That is no calculation I understand."))?;
    if value.is_nan() || value.is_infinite() {
        return Err(refuse("That has no result, or one too large for me."));
    }
    Ok(spoken(value))
}

/// The expression as exmex reads it; `None` if it holds anything else than arithmetic.
fn plain(expression: &str) -> Option<String> {
    let mut plain = String::with_capacity(expression.len() + 16);
    let mut depth = 0_usize;
    let mut last = ' ';
    for letter in expression.chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        match letter {
            '×' | '·' => plain.push('*'),
            '÷' | ':' => plain.push('/'),
            // exmex binds a sign tighter than a power; people do not: -2^2 is -4.
            '-' | '−' | '–' if matches!(plain.trim_end().chars().next_back(), None | Some('(' | '+')) => {
                plain.push_str("0-")
            }
            '-' | '−' | '–' => plain.push('-'),
            '%' => plain.push_str("/100"),
            // A comma between digits groups them; anywhere else it means nothing here.
            ',' if last.is_ascii_digit() => {}
            '0'..='9' | '.' | '+' | '*' | '/' | '^' | '(' | ')' | ' ' | 'a'..='z' | 'A'..='Z' | 'π' => {
                plain.push(letter);
            }
            _ => return None,
        }
        if depth > DEPTH_MAX {
            return None;
        }
        last = letter;
    }
    let plain = plain.replace("**", "^").replace("/100 of ", "/100*");
    // exmex reads 2^3^2 from the left, mathematics from the right, and who says it may mean either.
    let is_number = |part: &str| part.chars().all(|letter| letter.is_ascii_digit() || letter == '.' || letter == ' ');
    let parts: Vec<&str> = plain.split('^').collect();
    let is_tower = parts.len() > 2 && parts[1..parts.len() - 1].iter().any(|part| is_number(part));
    (depth == 0 && !is_tower && !plain.trim().is_empty()).then_some(plain)
}

/// A number for the ear: whole numbers whole, others with four digits after the point or four that count.
fn spoken(value: f64) -> Answer {
    let size = value.abs();
    if value == 0.0 {
        return Answer { text: "0".into(), exact: true };
    }
    if !(1e-4..WHOLE_MAX).contains(&size) {
        let scientific = format!("{value:.3e}");
        let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        let exponent = exponent.replace('-', "minus ");
        return Answer { text: format!("{} times 10 to the power of {exponent}", trimmed(mantissa)), exact: false };
    }
    // Small numbers keep as many digits that count as larger ones.
    let places = if size >= 0.01 { 4 } else { 7 };
    let text = trimmed(&format!("{value:.places$}")).to_owned();
    let exact = text.parse::<f64>().is_ok_and(|said| (said - value).abs() <= size * 1e-12);
    Answer { text, exact }
}

/// Without zeros after the point.
fn trimmed(digits: &str) -> &str {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits }
}

impl Tool for Calculator {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "calculator".into(),
            description: "Evaluates an arithmetic expression. Use it for every calculation.".into(),
            parameters: r#"{"type":"object","properties":{
                "expression":{"type":"string","description":"numbers, + - * / ^ ( ), % for divided by 100, sqrt(x), ln(x); parentheses where ^ follows ^"}
            },"required":["expression"],"additionalProperties":false}"#
                .into(),
        }
    }

    fn call(&self, arguments: Value, _: Context) -> BoxFuture<'static, Result<Output, Error>> {
        ready(parse(arguments).and_then(|Arguments { expression }| {
            let answer = evaluate(&expression)?;
            Ok(super::json(&json!({"result": answer.text, "exact": answer.exact})))
        }))
    }
}
