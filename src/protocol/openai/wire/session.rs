//! The session object: what a client wants changed, and what is in force.

use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use super::present;

/// A change of a session. Absent fields change nothing; where `Some(None)` can be told apart, `null` switches off. The
/// beta's flat fields are read beside the nested ones.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub struct SessionPatch {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub output_modalities: Option<Vec<String>>,
    pub instructions: Option<String>,
    pub audio: Option<AudioPatch>,
    pub tools: Option<Vec<ToolPatch>>,
    pub tool_choice: Option<ToolChoice>,
    pub max_output_tokens: Option<MaxTokens>,
    pub truncation: Option<Value>,
    #[serde(deserialize_with = "present")]
    pub tracing: Option<Option<Value>>,
    pub prompt: Option<Value>,
    #[serde(deserialize_with = "present")]
    pub include: Option<Option<Vec<String>>>,
    // ---- beta
    pub modalities: Option<Vec<String>>,
    pub voice: Option<Voice>,
    pub speed: Option<f64>,
    pub input_audio_format: Option<FlatFormat>,
    pub output_audio_format: Option<FlatFormat>,
    #[serde(deserialize_with = "present")]
    pub input_audio_transcription: Option<Option<TranscriptionPatch>>,
    #[serde(deserialize_with = "present")]
    pub input_audio_noise_reduction: Option<Option<NoiseReductionPatch>>,
    #[serde(deserialize_with = "present")]
    pub turn_detection: Option<Option<TurnDetectionPatch>>,
    pub max_response_output_tokens: Option<MaxTokens>,
}

/// See [`SessionPatch::audio`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub struct AudioPatch {
    pub input: Option<InputPatch>,
    pub output: Option<OutputPatch>,
}

/// The microphone's half of an [`AudioPatch`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub struct InputPatch {
    pub format: Option<FormatPatch>,
    #[serde(deserialize_with = "present")]
    pub transcription: Option<Option<TranscriptionPatch>>,
    #[serde(deserialize_with = "present")]
    pub noise_reduction: Option<Option<NoiseReductionPatch>>,
    #[serde(deserialize_with = "present")]
    pub turn_detection: Option<Option<TurnDetectionPatch>>,
}

/// The voice's half of an [`AudioPatch`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub struct OutputPatch {
    pub format: Option<FormatPatch>,
    pub voice: Option<Voice>,
    pub speed: Option<f64>,
}

/// A format as it is asked for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub struct FormatPatch {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub rate: Option<u32>,
}

/// A format in the beta's place: its word there, or the object of today.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum FlatFormat {
    /// `pcm16`, `g711_ulaw`, `g711_alaw`.
    Name(String),
    /// As in [`InputPatch::format`].
    Object(FormatPatch),
}

/// See [`InputPatch::transcription`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub struct TranscriptionPatch {
    pub model: Option<String>,
    pub language: Option<String>,
    pub prompt: Option<String>,
}

/// See [`InputPatch::noise_reduction`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub struct NoiseReductionPatch {
    #[serde(rename = "type")]
    pub kind: Option<String>,
}

/// See [`InputPatch::turn_detection`]. Milliseconds may come as fractions; they are rounded.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub struct TurnDetectionPatch {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub threshold: Option<f64>,
    pub prefix_padding_ms: Option<f64>,
    pub silence_duration_ms: Option<f64>,
    #[serde(deserialize_with = "present")]
    pub idle_timeout_ms: Option<Option<f64>>,
    pub create_response: Option<bool>,
    pub interrupt_response: Option<bool>,
    pub eagerness: Option<String>,
}

/// A tool as it is declared.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub struct ToolPatch {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub name: Option<String>,
    pub description: Option<String>,
    pub parameters: Option<Map<String, Value>>,
}

/// A voice by name, or a custom voice by id.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Voice {
    /// Its name.
    Name(String),
    /// A voice of the client's own.
    Custom {
        /// Its id.
        id: String,
    },
}

impl Voice {
    /// What it is called.
    pub fn into_name(self) -> String {
        match self {
            Self::Name(name) | Self::Custom { id: name } => name,
        }
    }
}

/// Whether and which tool is called.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum ToolChoice {
    /// `auto`, `none`, `required`.
    Mode(String),
    /// One in particular.
    Tool {
        /// `function` or `mcp`.
        #[serde(rename = "type")]
        kind: String,
        /// Its name.
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
}

/// Tokens that a reply may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxTokens {
    /// `"inf"`.
    Unlimited,
    /// So many, at least one.
    Limit(u32),
}

impl Serialize for MaxTokens {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Unlimited => to.serialize_str("inf"),
            Self::Limit(tokens) => to.serialize_u32(*tokens),
        }
    }
}

impl<'de> Deserialize<'de> for MaxTokens {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let wrong = || serde::de::Error::custom("expected a whole number from 1 on, or \"inf\"");
        match Value::deserialize(from)? {
            Value::String(word) if word == "inf" => Ok(Self::Unlimited),
            Value::Number(number) => {
                let tokens = number.as_u64().filter(|tokens| *tokens > 0).ok_or_else(wrong)?;
                Ok(Self::Limit(u32::try_from(tokens).unwrap_or(u32::MAX)))
            }
            _ => Err(wrong()),
        }
    }
}

/// A session in force, in the shape of its dialect.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Session {
    /// Today's.
    Ga(Box<GaSession>),
    /// Today's, listening only.
    GaTranscription(Box<GaTranscription>),
    /// The beta's.
    Beta(Box<BetaSession>),
    /// The beta's, listening only.
    BetaTranscription(Box<BetaTranscription>),
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub struct GaSession {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub object: &'static str,
    pub id: String,
    pub model: String,
    pub output_modalities: [&'static str; 1],
    pub instructions: String,
    pub tools: Vec<Tool>,
    pub tool_choice: ToolChoice,
    pub max_output_tokens: MaxTokens,
    pub tracing: Option<Value>,
    pub truncation: Value,
    pub prompt: Option<Value>,
    pub include: Option<Vec<String>>,
    pub audio: Audio,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub struct GaTranscription {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub object: &'static str,
    pub id: String,
    pub include: Option<Vec<String>>,
    pub audio: InputOnly,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub struct BetaSession {
    pub object: &'static str,
    pub id: String,
    pub model: String,
    pub modalities: Vec<&'static str>,
    pub instructions: String,
    pub voice: String,
    pub input_audio_format: &'static str,
    pub output_audio_format: &'static str,
    pub input_audio_transcription: Option<Transcription>,
    pub input_audio_noise_reduction: Option<NoiseReduction>,
    pub turn_detection: Option<TurnDetection>,
    pub tools: Vec<Tool>,
    pub tool_choice: ToolChoice,
    pub temperature: f64,
    pub speed: f64,
    pub max_response_output_tokens: MaxTokens,
    pub tracing: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub struct BetaTranscription {
    pub object: &'static str,
    pub id: String,
    pub input_audio_format: &'static str,
    pub input_audio_transcription: Option<Transcription>,
    pub input_audio_noise_reduction: Option<NoiseReduction>,
    pub turn_detection: Option<TurnDetection>,
    pub include: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub struct Audio {
    pub input: AudioInput,
    pub output: AudioOutput,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub struct InputOnly {
    pub input: AudioInput,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub struct AudioInput {
    pub format: Format,
    pub transcription: Option<Transcription>,
    pub noise_reduction: Option<NoiseReduction>,
    pub turn_detection: Option<TurnDetection>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub struct AudioOutput {
    pub format: Format,
    pub voice: String,
    pub speed: f64,
}

/// A format in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "type")]
pub enum Format {
    /// 16-bit samples.
    #[serde(rename = "audio/pcm")]
    Pcm {
        /// Samples a second.
        rate: u32,
    },
    /// G.711 µ-law at 8 kHz.
    #[serde(rename = "audio/pcmu")]
    Pcmu,
    /// G.711 A-law at 8 kHz.
    #[serde(rename = "audio/pcma")]
    Pcma,
}

/// How transcripts are made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub struct Transcription {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
}

/// What is done against noise. It is remembered and told, and changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub struct NoiseReduction {
    #[serde(rename = "type")]
    pub kind: String,
}

/// How the end of a turn is found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub enum TurnDetection {
    ServerVad {
        threshold: f64,
        prefix_padding_ms: u32,
        silence_duration_ms: u32,
        create_response: bool,
        interrupt_response: bool,
        idle_timeout_ms: Option<u32>,
    },
    SemanticVad {
        eagerness: Eagerness,
        create_response: bool,
        interrupt_response: bool,
    },
}

/// How soon a pause counts as the end of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the values are OpenAI's")]
pub enum Eagerness {
    Low,
    Medium,
    High,
    Auto,
}

/// A tool in force.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub struct Tool {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Map<String, Value>>,
}
