//! Canned replies in a given rhythm: a language model's timing without a language model. For load tests, benches and tests;
//! `floe-load` runs against it, so that what it measures is Floe. It hears nothing and calls no tool.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream, stream::BoxStream};
use serde::{Deserialize, Serialize};

use super::{ChatModel, Delta, Error, Request, Stop};

/// The engine `scripted`, for load tests.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Time until the first word, in milliseconds.
    pub first_delta_ms: u64,
    /// Time between two words, in milliseconds.
    pub word_ms: u64,
    /// Words of a reply, at most 10000.
    pub words: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { first_delta_ms: 250, word_ms: 25, words: 24 }
    }
}

/// Words of the longest reply.
const WORDS_MAX: u32 = 10_000;

/// What it says, over and over. A clause early and sentences of the usual length, so that segmenting and speaking work as
/// they do on a real reply.
const SCRIPT: &str = "Sure, here is what I can tell you. This answer was written before you asked, and it always takes the \
    same time. Nothing in it depends on your words. It only keeps the voice busy for a while.";

/// The engine.
#[derive(Debug, Clone)]
pub struct Scripted {
    config: Config,
}

impl Scripted {
    /// One that answers in the rhythm of `config`.
    pub fn new(config: Config) -> Self {
        Self { config }
    }
}

impl ChatModel for Scripted {
    fn generate(&self, request: Request) -> BoxStream<'static, Result<Delta, Error>> {
        let Config { first_delta_ms, word_ms, words } = self.config;
        let allowed = request.output_tokens_max.unwrap_or(WORDS_MAX);
        let stop = if words.min(WORDS_MAX) > allowed { Stop::TokensMax } else { Stop::Finished };
        let words = words.min(WORDS_MAX).min(allowed);
        let input_tokens = request.messages.len() as u64;
        let spoken = SCRIPT.split_whitespace().cycle().take(words as usize).enumerate();
        let text = stream::iter(spoken).then(move |(at, word)| async move {
            let pause_ms = if at == 0 { first_delta_ms } else { word_ms };
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            let word = if at == 0 { word.to_owned() } else { format!(" {word}") };
            Ok(Delta::Text(Arc::from(word)))
        });
        let end =
            stream::once(async move { Ok(Delta::Finished { input_tokens, output_tokens: u64::from(words), stop }) });
        text.chain(end).boxed()
    }
}
