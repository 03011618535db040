//! What was said before: the nth last utterance, or those that hold certain words.

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use unicode_segmentation::UnicodeSegmentation as _;

use super::{Context, Error, Message, Output, Tool, ToolSpec, before_the_question, parse, ready};

/// The tool `recall`.
pub struct Recall;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Who {
    User,
    Assistant,
    #[default]
    Anyone,
}

#[derive(Debug, Deserialize)]
#[serde(default)]
struct Arguments {
    query: String,
    who: Who,
    nth_last: usize,
}

impl Default for Arguments {
    fn default() -> Self {
        Self { query: String::new(), who: Who::Anyone, nth_last: 1 }
    }
}

#[derive(Debug, Serialize)]
struct Said<'a> {
    who: &'static str,
    text: &'a str,
}

/// Matches given back, at most.
const MATCHES_MAX: usize = 3;

fn said(message: &Message) -> Option<Said<'_>> {
    match message {
        Message::User(text) if !text.trim().is_empty() => Some(Said { who: "user", text }),
        Message::Assistant(text) if !text.trim().is_empty() => Some(Said { who: "assistant", text }),
        _ => None,
    }
}

fn answer(arguments: Value, messages: &[Message]) -> Result<Output, Error> {
    let Arguments { query, who, nth_last } = parse(arguments)?;
    let latest_first = before_the_question(messages).iter().rev().filter_map(said).filter(|said| match who {
        Who::User => said.who == "user",
        Who::Assistant => said.who == "assistant",
        Who::Anyone => true,
    });
    let wanted = words(&query);
    let matches: Vec<Said<'_>> = if wanted.is_empty() {
        latest_first.skip(nth_last.saturating_sub(1)).take(1).collect()
    } else {
        let mut scored: Vec<(usize, Said<'_>)> = latest_first
            .map(|said| {
                let held = words(said.text);
                (wanted.iter().filter(|word| held.contains(word)).count(), said)
            })
            .filter(|(score, _)| *score > 0)
            .collect();
        // Stable: among equals the latest stays first.
        scored.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
        scored.into_iter().take(MATCHES_MAX).map(|(_, said)| said).collect()
    };
    Ok(super::json(&json!({ "matches": matches })))
}

/// The words of a text in lower case, a plural `s` dropped.
fn words(text: &str) -> Vec<String> {
    let stem = |word: &str| {
        let word = word.to_lowercase();
        word.strip_suffix('s').filter(|stem| stem.len() > 2).map_or(word.clone(), str::to_owned)
    };
    text.unicode_words().map(stem).collect()
}

impl Tool for Recall {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "recall".into(),
            description:
                "What was said earlier in this conversation, word for word: the nth last utterance, or the three that \
                fit certain words best."
                    .into(),
            parameters: r#"{"type":"object","properties":{
                "query":{"type":"string","description":"words to look for; empty for the nth last utterance"},
                "who":{"type":"string","enum":["user","assistant","anyone"]},
                "nth_last":{"type":"integer","minimum":1,"description":"1 is the last one before the present question"}
            },"additionalProperties":false}"#
                .into(),
        }
    }

    fn call(&self, arguments: Value, context: Context) -> BoxFuture<'static, Result<Output, Error>> {
        ready(answer(arguments, &context.messages))
    }
}
