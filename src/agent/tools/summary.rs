//! A summary of the conversation so far, without a language model.
//!
//! The method is SumBasic (Nenkova and Vanderwende, "The Impact of Frequency on Summarization", 2005): what is spoken of
//! often is what the conversation is about. A sentence weighs the mean probability of its words; the heaviest is taken, the
//! probabilities of its words are squared, so that the next one adds something new, and so on. Here a sentence is what the
//! user said in one turn, together with the beginning of the answer.

use std::collections::{BTreeSet, HashMap};

use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};
use unicode_segmentation::UnicodeSegmentation as _;

use super::{Context, Error, Message, Output, Tool, ToolSpec, before_the_question, parse, ready};

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
/// Words of an exchange looked at.
const WORDS_MAX: usize = 100;
/// An answer is cut after its first sentence, or here.
const ANSWER_CHARS_MAX: usize = 160;

/// Words that say nothing about what is spoken of.
const STOP_WORDS: &[&str] = &[
    "a", "about", "am", "an", "and", "any", "are", "as", "at", "be", "been", "but", "by", "can", "could", "did", "do",
    "does", "for", "from", "get", "had", "has", "have", "he", "hello", "her", "hi", "him", "his", "how", "i", "if",
    "in", "is", "it", "its", "just", "let", "me", "my", "no", "not", "of", "ok", "okay", "on", "or", "our", "please",
    "say", "she", "should", "so", "some", "tell", "thank", "thanks", "that", "the", "their", "them", "then", "there",
    "these", "they", "this", "to", "us", "very", "was", "we", "were", "what", "when", "where", "which", "who", "why",
    "will", "with", "would", "yes", "you", "your",
];

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

fn content_words(text: &str) -> Vec<String> {
    let words = text.unicode_words().map(str::to_lowercase);
    words.filter(|word| STOP_WORDS.binary_search(&word.as_str()).is_err()).take(WORDS_MAX).collect()
}

/// The exchanges that say most, at most `points_max`, in the order in which they were spoken.
fn sum_basic(exchanges: &[Exchange<'_>], points_max: usize) -> BTreeSet<usize> {
    let mut probability: HashMap<&str, f64> = HashMap::new();
    let total = exchanges.iter().map(|exchange| exchange.words.len()).sum::<usize>().max(1) as f64;
    for word in exchanges.iter().flat_map(|exchange| &exchange.words) {
        *probability.entry(word).or_default() += 1.0 / total;
    }
    let mut chosen = BTreeSet::new();
    while chosen.len() < points_max {
        let weight = |exchange: &Exchange<'_>| {
            let sum: f64 = exchange.words.iter().filter_map(|word| probability.get(word.as_str())).sum();
            sum / exchange.words.len() as f64
        };
        let open =
            exchanges.iter().enumerate().filter(|(at, exchange)| !chosen.contains(at) && !exchange.words.is_empty());
        // Among equals the earliest: it is what the others came back to.
        let heaviest = open.rev().max_by(|(_, one), (_, other)| weight(one).total_cmp(&weight(other)));
        let Some((best, exchange)) = heaviest else { break };
        chosen.insert(best);
        for word in &exchange.words {
            if let Some(probability) = probability.get_mut(word.as_str()) {
                *probability *= *probability;
            }
        }
    }
    chosen
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
    let points: Vec<Value> = sum_basic(&exchanges, points_max.clamp(1, POINTS_MAX))
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
