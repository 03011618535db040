//! A summary of the conversation so far, without a language model.
//!
//! The method is SumBasic ([`extract`](crate::agent::extract)). Here a sentence is what the user said in one turn, together
//! with the beginning of the answer.

use std::collections::HashMap;

use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};
use unicode_segmentation::UnicodeSegmentation as _;

use super::{Context, Error, Message, Output, Tool, ToolSpec, before_the_question, parse, ready};
use crate::agent::extract::{content_words, sum_basic};

/// The tool `summary`.
pub struct Summary;

#[derive(Debug, Deserialize)]
#[serde(default)]
struct Arguments {
    points_max: usize,
}

impl Default for Arguments {
    fn default() -> Self {
        Self { points_max: 3 }
    }
}

/// Points of the longest summary.
const POINTS_MAX: usize = 20;
/// Latest exchanges looked at, which bounds the work.
const EXCHANGES_MAX: usize = 500;
/// An answer is cut after its first sentence, or here.
const ANSWER_CHARS_MAX: usize = 160;

/// What the user said in one turn, and the answer.
#[derive(Debug)]
struct Exchange<'a> {
    user: &'a str,
    answer: String,
    words: Vec<String>,
}

fn exchanges(messages: &[Message]) -> Vec<Exchange<'_>> {
    let mut exchanges: Vec<Exchange<'_>> = Vec::new();
    for message in before_the_question(messages) {
        match message {
            Message::User(text) if !text.trim().is_empty() => {
                exchanges.push(Exchange { user: text.trim(), answer: String::new(), words: content_words(text) });
            }
            Message::Assistant(text) => {
                if let Some(exchange) = exchanges.last_mut().filter(|exchange| exchange.answer.is_empty()) {
                    let first = text.unicode_sentences().next().unwrap_or_default().trim();
                    exchange.answer = first.chars().take(ANSWER_CHARS_MAX).collect();
                }
            }
            _ => {}
        }
    }
    exchanges.split_off(exchanges.len().saturating_sub(EXCHANGES_MAX))
}

/// The words spoken most often, at most three, those said only once left out.
fn topics<'a>(exchanges: &'a [Exchange<'_>]) -> Vec<&'a str> {
    // How often, and where first: the order must not depend on the hasher.
    let mut counts: HashMap<&str, (usize, usize)> = HashMap::new();
    for (at, word) in exchanges.iter().flat_map(|exchange| &exchange.words).enumerate() {
        counts.entry(word).or_insert((0, at)).0 += 1;
    }
    let mut counts: Vec<(&str, (usize, usize))> = counts.into_iter().filter(|(_, (count, _))| *count > 1).collect();
    counts.sort_by_key(|(_, (count, first))| (std::cmp::Reverse(*count), *first));
    counts.into_iter().take(3).map(|(word, _)| word).collect()
}

fn answer(arguments: Value, messages: &[Message]) -> Result<Output, Error> {
    let Arguments { points_max } = parse(arguments)?;
    let exchanges = exchanges(messages);
    let words: Vec<&[String]> = exchanges.iter().map(|exchange| &exchange.words[..]).collect();
    let points: Vec<Value> = sum_basic(&words, points_max.clamp(1, POINTS_MAX))
        .into_iter()
        .filter_map(|at| exchanges.get(at))
        .map(|exchange| json!({"user": exchange.user, "answer": exchange.answer}))
        .collect();
    Ok(super::json(&json!({"turns": exchanges.len(), "topics": topics(&exchanges), "points": points})))
}

impl Tool for Summary {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "summary".into(),
            description: "The main points of the whole conversation so far, including what you no longer see.".into(),
            parameters: r#"{"type":"object","properties":{
                "points_max":{"type":"integer","minimum":1,"maximum":20}
            },"additionalProperties":false}"#
                .into(),
        }
    }

    fn call(&self, arguments: Value, context: Context) -> BoxFuture<'static, Result<Output, Error>> {
        ready(answer(arguments, &context.messages))
    }
}
