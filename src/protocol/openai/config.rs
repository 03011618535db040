//! The session as it is in force: OpenAI's view of it, and the settings that follow.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::{Map, Value};

use super::{
    Dialect, Kind, detection,
    error::{self, ErrorObject},
    formats, update,
    wire::session::{
        Audio, AudioInput, AudioOutput, BetaSession, BetaTranscription, Format, GaSession, GaTranscription, InputOnly,
        MaxTokens, NoiseReduction, Session, SessionPatch, Tool, ToolChoice, Transcription, TurnDetection,
    },
};
use crate::conversation::{self, ClientCalls, Delivery, Settings, SettingsPatch, ToolPlace, ToolSpec};

/// The voice that is told where the server's voice has no name.
const UNNAMED_VOICE: &str = "default";

/// The shortest idleness that ends a session.
const IDLE_MIN: Duration = Duration::from_secs(3_600);

/// How the voices that clients ask for are called here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Voices {
    /// Names of OpenAI's, and what the voice engine calls them.
    pub aliases: BTreeMap<String, String>,
    /// Whether any other name is handed to the voice engine as it is. Otherwise the server's own voice speaks.
    pub any: bool,
}

impl Voices {
    /// What the voice engine calls the voice `asked` for; `None`: the server's own.
    pub fn engine<'a>(&'a self, asked: &'a str) -> Option<&'a str> {
        self.aliases.get(asked).map(String::as_str).or_else(|| self.any.then_some(asked))
    }
}

/// A session in force: what `session.updated` tells, and what a client secret binds.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionConfig {
    pub(super) kind: Kind,
    pub(super) model: String,
    pub(super) modality: Modality,
    pub(super) instructions: String,
    pub(super) input: Format,
    pub(super) transcription: Option<Transcription>,
    pub(super) noise_reduction: Option<NoiseReduction>,
    pub(super) turn_detection: Option<TurnDetection>,
    pub(super) output: Format,
    pub(super) voice: String,
    pub(super) speed: f64,
    pub(super) tools: Vec<Tool>,
    pub(super) tool_choice: ToolChoice,
    pub(super) max_output_tokens: MaxTokens,
    pub(super) truncation: Value,
    pub(super) tracing: Option<Value>,
    pub(super) include: Option<Vec<String>>,
    pub(super) voices: Arc<Voices>,
    /// The server's own settings, under everything the client says.
    pub(super) base: Arc<Settings>,
}

/// In what a reply comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Modality {
    /// Speech, with its words.
    Audio,
    /// Words only.
    Text,
}

impl Modality {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Text => "text",
        }
    }

    pub(super) fn of(settings: &Settings) -> Self {
        if settings.speak { Self::Audio } else { Self::Text }
    }
}

impl SessionConfig {
    /// What a client gets that asks for nothing but a model.
    pub fn new(kind: Kind, model: &str, base: &Settings, voices: Arc<Voices>) -> Self {
        let transcription = match kind {
            Kind::Realtime => None,
            // What such a session is for.
            Kind::Transcription => Some(Transcription { model: Some(model.to_owned()), ..Transcription::default() }),
        };
        let voice = if base.voice.is_empty() { UNNAMED_VOICE.to_owned() } else { base.voice.to_string() };
        Self {
            kind,
            model: model.to_owned(),
            modality: Modality::of(base),
            instructions: base.instructions.to_string(),
            input: formats::DEFAULT,
            transcription,
            noise_reduction: None,
            turn_detection: Some(detection::default(base)),
            output: formats::DEFAULT,
            voice,
            speed: f64::from(base.speed),
            tools: Vec::new(),
            tool_choice: ToolChoice::Mode("auto".to_owned()),
            max_output_tokens: base.output_tokens_max.map_or(MaxTokens::Unlimited, MaxTokens::Limit),
            truncation: Value::String("auto".to_owned()),
            tracing: None,
            include: None,
            voices,
            base: Arc::new(base.clone()),
        }
    }

    /// The session object of a client secret (`session` of its request), read and checked. The session's own `type` and
    /// `model` count, if it has them.
    pub fn parse(
        session: Option<&Value>,
        kind: Kind,
        model: &str,
        base: &Settings,
        voices: Arc<Voices>,
    ) -> Result<Self, ErrorObject> {
        let told = |name: &str| session.and_then(|session| session.get(name)).and_then(Value::as_str);
        let kind = match told("type") {
            Some("transcription") => Kind::Transcription,
            Some("realtime") => Kind::Realtime,
            _ => kind,
        };
        let mut config = Self::new(kind, told("model").unwrap_or(model), base, voices);
        if let Some(session) = session {
            let patch: SessionPatch = error::read(session, "session")?;
            config.apply(patch)?;
        }
        Ok(config)
    }

    /// Applies a change, all of it or, with an error that names the field, nothing.
    pub fn apply(&mut self, patch: SessionPatch) -> Result<(), ErrorObject> {
        let mut new = self.clone();
        update::apply(&mut new, patch)?;
        *self = new;
        Ok(())
    }

    /// What kind of session it is.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The model asked for.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// The session object as it is told. `expires_at` is in seconds since 1970.
    pub fn echo(&self, id: &str, dialect: Dialect, expires_at: Option<u64>) -> Session {
        let (id, include) = (id.to_owned(), self.include.clone());
        match (dialect, self.kind) {
            (Dialect::Ga, Kind::Realtime) => Session::Ga(Box::new(GaSession {
                kind: "realtime",
                object: "realtime.session",
                id,
                model: self.model.clone(),
                output_modalities: [self.modality.name()],
                instructions: self.instructions.clone(),
                tools: self.tools.clone(),
                tool_choice: self.tool_choice.clone(),
                max_output_tokens: self.max_output_tokens,
                tracing: self.tracing.clone(),
                truncation: self.truncation.clone(),
                prompt: None,
                include,
                audio: Audio {
                    input: self.echo_input(),
                    output: AudioOutput { format: self.output, voice: self.voice.clone(), speed: self.speed },
                },
                expires_at,
            })),
            (Dialect::Ga, Kind::Transcription) => Session::GaTranscription(Box::new(GaTranscription {
                kind: "transcription",
                object: "realtime.transcription_session",
                id,
                include,
                audio: InputOnly { input: self.echo_input() },
                expires_at,
            })),
            (Dialect::Beta, Kind::Realtime) => Session::Beta(Box::new(self.echo_beta(id, expires_at))),
            (Dialect::Beta, Kind::Transcription) => Session::BetaTranscription(Box::new(BetaTranscription {
                object: "realtime.transcription_session",
                id,
                input_audio_format: formats::flat_name(self.input),
                input_audio_transcription: self.transcription.clone(),
                input_audio_noise_reduction: self.noise_reduction.clone(),
                turn_detection: self.turn_detection,
                include,
                expires_at,
            })),
        }
    }

    fn echo_input(&self) -> AudioInput {
        AudioInput {
            format: self.input,
            transcription: self.transcription.clone(),
            noise_reduction: self.noise_reduction.clone(),
            turn_detection: self.turn_detection,
        }
    }

    fn echo_beta(&self, id: String, expires_at: Option<u64>) -> BetaSession {
        BetaSession {
            object: "realtime.session",
            id,
            model: self.model.clone(),
            modalities: match self.modality {
                Modality::Audio => vec!["audio", "text"],
                Modality::Text => vec!["text"],
            },
            instructions: self.instructions.clone(),
            voice: self.voice.clone(),
            input_audio_format: formats::flat_name(self.input),
            output_audio_format: formats::flat_name(self.output),
            input_audio_transcription: self.transcription.clone(),
            input_audio_noise_reduction: self.noise_reduction.clone(),
            turn_detection: self.turn_detection,
            tools: self.tools.clone(),
            tool_choice: self.tool_choice.clone(),
            // The beta's default; the language model's own temperature is the server's affair.
            temperature: 0.8,
            speed: self.speed,
            max_response_output_tokens: self.max_output_tokens,
            tracing: self.tracing.clone(),
            expires_at,
        }
    }

    /// The settings that a session of this configuration begins with.
    pub(super) fn settings(&self) -> Settings {
        let mut settings = Settings::clone(&self.base);
        settings.delivery = Delivery::AtOnce;
        settings.reply_to_commits = false;
        // Clients of this dialect expect to be left alone: only what was forgotten ends for idleness.
        if !settings.idle_timeout.is_zero() {
            settings.idle_timeout = settings.idle_timeout.max(IDLE_MIN);
        }
        settings.client_calls = ClientCalls::EndReply;
        settings.playback_reports = false;
        settings.partials = true;
        // Nothing is said unasked, and no tool is there that the client did not bring.
        settings.greeting = Arc::from("");
        settings.apology = Arc::from("");
        settings.tools = Arc::from([]);
        settings.patched(self.settings_patch())
    }

    /// Everything that the client may have changed, as it now is.
    pub(super) fn settings_patch(&self) -> SettingsPatch {
        let language = self.transcription.as_ref().and_then(|transcription| transcription.language.as_deref());
        let mut patch = SettingsPatch {
            instructions: Some(Arc::from(self.instructions.as_str())),
            voice: Some(self.engine_voice(&self.voice)),
            language: Some(language.map_or_else(|| Arc::clone(&self.base.language), Arc::from)),
            client_tools: Some(tool_specs(&self.tools)),
            tool_choice: Some(tool_choice(&self.tool_choice, &self.tools)),
            output_tokens_max: Some(limit(self.max_output_tokens)),
            speak: Some(self.modality == Modality::Audio),
            #[expect(clippy::cast_possible_truncation, reason = "between 0.25 and 1.5, checked")]
            speed: Some(self.speed as f32),
            ..SettingsPatch::default()
        };
        detection::project(self.turn_detection, &self.base, &mut patch);
        if self.kind == Kind::Transcription {
            patch.reply_automatically = Some(false);
            patch.prompt_after = Some(None);
        }
        patch
    }

    pub(super) fn engine_voice(&self, asked: &str) -> Arc<str> {
        match self.voices.engine(asked) {
            Some(name) if asked != UNNAMED_VOICE => Arc::from(name),
            _ => Arc::clone(&self.base.voice),
        }
    }
}

pub(super) fn tool_specs(tools: &[Tool]) -> Vec<ToolSpec> {
    let spec = |tool: &Tool| ToolSpec {
        name: Arc::from(tool.name.as_str()),
        description: Arc::from(tool.description.as_deref().unwrap_or_default()),
        parameters: Arc::from(parameters(tool.parameters.as_ref())),
        place: ToolPlace::Client,
    };
    tools.iter().map(spec).collect()
}

fn parameters(schema: Option<&Map<String, Value>>) -> String {
    let text = schema.and_then(|schema| serde_json::to_string(schema).ok());
    text.unwrap_or_else(|| r#"{"type":"object","properties":{}}"#.to_owned())
}

/// A choice that names a tool which is not there (any more) is none.
pub(super) fn tool_choice(choice: &ToolChoice, tools: &[Tool]) -> conversation::ToolChoice {
    match choice {
        ToolChoice::Mode(mode) if mode == "none" => conversation::ToolChoice::Forbidden,
        ToolChoice::Mode(mode) if mode == "required" && !tools.is_empty() => conversation::ToolChoice::Required,
        ToolChoice::Tool { name: Some(name), .. } if tools.iter().any(|tool| tool.name == *name) => {
            conversation::ToolChoice::Named(Arc::from(name.as_str()))
        }
        _ => conversation::ToolChoice::Auto,
    }
}

pub(super) const fn limit(tokens: MaxTokens) -> Option<u32> {
    match tokens {
        MaxTokens::Unlimited => None,
        MaxTokens::Limit(tokens) => Some(tokens),
    }
}
