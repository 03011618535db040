//! How a response ended and what it cost, in OpenAI's words.
//!
//! Tokens of text are those that the language model counted. Speech has none in a cascade; so that bills and rate displays
//! have a number, 100 ms of the user's speech and 50 ms of the assistant's count as one audio token each, rounded up.

use std::time::Duration;

use super::wire::response::{FailedError, InputTokens, OutputTokens, ResponseStatus, StatusDetails, Usage};
use crate::conversation::{self, AgentStop, Status};

/// Milliseconds of the user's speech that count as one token.
pub const INPUT_MS_PER_TOKEN: u64 = 100;

/// Milliseconds of the assistant's speech that count as one token.
pub const OUTPUT_MS_PER_TOKEN: u64 = 50;

pub(super) fn told(status: Status) -> (ResponseStatus, Option<StatusDetails>) {
    let cancelled = |reason| (ResponseStatus::Cancelled, Some(StatusDetails::Cancelled { reason }));
    let incomplete = |reason| (ResponseStatus::Incomplete, Some(StatusDetails::Incomplete { reason }));
    match status {
        Status::Completed | Status::Incomplete(AgentStop::Finished) => (ResponseStatus::Completed, None),
        Status::Interrupted => cancelled("turn_detected"),
        Status::Cancelled => cancelled("client_cancelled"),
        Status::Incomplete(AgentStop::TokensMax) => incomplete("max_output_tokens"),
        Status::Incomplete(AgentStop::Filtered) => incomplete("content_filter"),
        Status::Failed(code) => {
            let error = FailedError { kind: "server_error", code, message: "The reply could not be finished." };
            (ResponseStatus::Failed, Some(StatusDetails::Failed { error }))
        }
    }
}

pub(super) fn usage(agent: conversation::Usage, heard: Duration, spoken: Duration) -> Usage {
    let tokens = |audio: Duration, ms: u64| u64::try_from(audio.as_millis()).unwrap_or(u64::MAX).div_ceil(ms);
    let (text_in, text_out) = (agent.input_tokens, agent.output_tokens);
    let (audio_in, audio_out) = (tokens(heard, INPUT_MS_PER_TOKEN), tokens(spoken, OUTPUT_MS_PER_TOKEN));
    let (input_tokens, output_tokens) = (text_in.saturating_add(audio_in), text_out.saturating_add(audio_out));
    Usage {
        total_tokens: input_tokens.saturating_add(output_tokens),
        input_tokens,
        output_tokens,
        input_token_details: InputTokens { text_tokens: text_in, audio_tokens: audio_in, ..InputTokens::default() },
        output_token_details: OutputTokens { text_tokens: text_out, audio_tokens: audio_out },
    }
}
