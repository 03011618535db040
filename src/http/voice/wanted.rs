//! What is wanted of a recording: query parameters, the form's fields, and `Accept`.

use axum::{
    extract::Query,
    http::{HeaderMap, StatusCode, Uri, header},
};
use utoipa::{IntoParams, ToSchema};

use super::{Problem, sound::Sound};
use crate::{conversation::SettingsPatch, converse::Mode};

/// Options of `POST /api/voice/process`: in the query, or as fields of the form, which win.
#[derive(Debug, Default, IntoParams, ToSchema)]
#[schema(as = ProcessOptions)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// `turns` (default): each turn is answered when it is over, as in a call. `whole`: one reply at the end, to everything.
    #[param(inline)]
    #[schema(inline)]
    pub(super) mode: Option<ModeName>,
    /// Speaks the replies and puts them into the answer, in Base64. Without it nothing is spoken.
    #[param(inline)]
    #[schema(inline)]
    pub(super) audio: Option<Sound>,
    /// `false`: nothing of it is kept. Otherwise it is kept like a call, where a store is configured.
    pub(super) store: Option<bool>,
    /// Language of both sides as a BCP 47 tag; without it the server's.
    #[param(max_length = 35)]
    #[schema(max_length = 35)]
    pub(super) language: Option<String>,
    /// The voice, in the words of the voice engine; without it the server's.
    #[param(max_length = 100)]
    #[schema(max_length = 100)]
    pub(super) voice: Option<String>,
    /// What the agent is told to be, instead of what the server's configuration says. A field of the form only: addresses are
    /// short, and end up in logs.
    #[param(ignore)]
    #[schema(max_length = 16384)]
    pub(super) instructions: Option<String>,
}

/// What is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "lowercase")]
pub(super) enum ModeName {
    Turns,
    Whole,
}

/// How the answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// JSON, at the end.
    Json,
    /// Server-sent events, the last of which has the same JSON.
    Events,
    /// The speech of the replies, sent while it is spoken.
    Speech(Sound),
}

impl Wanted {
    /// Reads the query. Names that we do not know are an error, except those that may hold a key.
    pub(super) fn of_query(uri: &Uri) -> Result<Self, Problem> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
        let mut wanted = Self::default();
        for (name, value) in pairs {
            match name.as_str() {
                "api_key" | "api-key" | "authorization" | "Authorization" => {}
                "instructions" => return Err(Problem::bad_request("instructions are a field of the form.")),
                _ => wanted.set(&name, value)?,
            }
        }
        Ok(wanted)
    }

    /// Sets one option.
    pub(super) fn set(&mut self, name: &str, value: String) -> Result<(), Problem> {
        let bounded = |value: String, max: usize| {
            if value.chars().count() > max {
                return Err(Problem::bad_request(format!("{name} has at most {max} characters.")));
            }
            Ok(Some(value).filter(|value| !value.trim().is_empty()))
        };
        match (name, value.as_str()) {
            ("mode", "turns") => self.mode = Some(ModeName::Turns),
            ("mode", "whole") => self.mode = Some(ModeName::Whole),
            ("mode", _) => return Err(Problem::bad_request("mode is turns or whole.")),
            ("audio", "wav") => self.audio = Some(Sound::Wav),
            ("audio", "opus") => self.audio = Some(Sound::Opus),
            ("audio", _) => return Err(Problem::bad_request("audio is wav or opus.")),
            ("store", "true") => self.store = Some(true),
            ("store", "false") => self.store = Some(false),
            ("store", _) => return Err(Problem::bad_request("store is true or false.")),
            ("language", _) => self.language = bounded(value, LANGUAGE_CHARS_MAX)?,
            ("voice", _) => self.voice = bounded(value, VOICE_CHARS_MAX)?,
            ("instructions", _) => self.instructions = bounded(value, INSTRUCTIONS_CHARS_MAX)?,
            _ => {
                let detail = "There are file, mode, audio, store, language, voice and instructions.";
                return Err(Problem::bad_request(detail));
            }
        }
        Ok(())
    }

    /// What is answered.
    pub(super) fn mode(&self) -> Mode {
        match self.mode {
            None | Some(ModeName::Turns) => Mode::Turns,
            Some(ModeName::Whole) => Mode::Whole,
        }
    }

    /// How the conversation differs from what the server would do by itself.
    pub(super) fn patch(&self) -> SettingsPatch {
        SettingsPatch {
            language: self.language.as_deref().map(Into::into),
            voice: self.voice.as_deref().map(Into::into),
            instructions: self.instructions.as_deref().map(Into::into),
            ..SettingsPatch::default()
        }
    }
}

impl Answer {
    /// The first thing in `Accept` that we can make; JSON if it says nothing.
    pub(super) fn accepted(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut all = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).peekable();
        if all.peek().is_none() {
            return Ok(Self::Json);
        }
        let ranges = all.flat_map(|value| value.split(','));
        let answer =
            |range: &str| match range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
                "application/json" | "application/*" | "*/*" => Some(Self::Json),
                "text/event-stream" => Some(Self::Events),
                "audio/wav" | "audio/x-wav" | "audio/wave" | "audio/*" => Some(Self::Speech(Sound::Wav)),
                "audio/ogg" | "audio/opus" => Some(Self::Speech(Sound::Opus)),
                _ => None,
            };
        ranges.filter_map(answer).next().ok_or_else(|| {
            let detail = "There are application/json, text/event-stream, audio/wav and audio/ogg.";
            Problem::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", detail)
        })
    }
}

const LANGUAGE_CHARS_MAX: usize = 35;
const VOICE_CHARS_MAX: usize = 100;
/// As many as fit into one text message of `floe.v1` with room to spare.
const INSTRUCTIONS_CHARS_MAX: usize = 16_384;
