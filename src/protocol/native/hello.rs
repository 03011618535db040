//! The handshake: what the client can do × what the server offers = what they will do.

use std::{sync::Arc, time::Duration};

use super::{
    close, formats,
    formats::Direction,
    wire::{AudioOffer, ClientInfo, ClientMessage, Hello, Resume, ServerInfo, Unreadable, WireFormat},
};
use crate::{
    audio::{Codec, Format},
    conversation::{SettingsPatch, ToolPlace, ToolSpec, TurnMode},
    ids::ConversationId,
    protocol::{Message, ProtocolError},
};

/// The agent that a client gets who asks for none.
pub const DEFAULT_AGENT: &str = "default";

/// Most tools that one client may declare.
pub const MAX_TOOLS: usize = 64;

/// Most formats of a hello that are looked at.
const MAX_FORMATS: usize = 64;

/// What this server can do; the same for all clients.
#[derive(Debug, Clone)]
pub struct Offer {
    /// Agents by name.
    pub agents: Vec<String>,
    /// Codecs for the microphone.
    pub input: Vec<Codec>,
    /// Codecs for speech.
    pub output: Vec<Codec>,
    /// What can be switched on.
    pub features: Features,
    /// Whether recordings may come faster than real time.
    pub file_pace: bool,
    /// The session ends after so long without speech, text or reply; zero = never. Told, not enforced here.
    pub idle: Duration,
    /// Longest session; zero = no limit. Told, not enforced here.
    pub session_max: Duration,
    /// How far speech leaves ahead of its playing time. Told, not enforced here.
    pub send_ahead: Duration,
    /// How long a session waits for a client that lost its socket. Told, not enforced here.
    pub resume_window: Duration,
    /// How often a client should ping, in seconds.
    pub heartbeat_s: u32,
    /// Who serves.
    pub server: ServerInfo,
}

impl Default for Offer {
    fn default() -> Self {
        Self {
            agents: vec![DEFAULT_AGENT.to_owned()],
            input: formats::INPUT_CODECS.to_vec(),
            output: formats::OUTPUT_CODECS.to_vec(),
            features: Features { playback: true, partials: true, resume: true },
            file_pace: true,
            idle: Duration::from_secs(300),
            session_max: Duration::ZERO,
            send_ahead: Duration::from_millis(400),
            resume_window: Duration::from_secs(120),
            heartbeat_s: 15,
            server: ServerInfo { name: "floe".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() },
        }
    }
}

/// What a client may ask for by name. `captions` and `metrics` are names of the protocol that this version does not grant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Features {
    /// The client reports what it has played.
    pub playback: bool,
    /// Transcripts are sent while the user speaks.
    pub partials: bool,
    /// The client may lose its socket and come back to its session.
    pub resume: bool,
}

impl Features {
    /// Those of `self` that are among `names`.
    fn asked(self, names: &[String]) -> Self {
        let asked = |name: &str| names.iter().any(|n| n == name);
        Self {
            playback: self.playback && asked("playback"),
            partials: self.partials && asked("partials"),
            resume: self.resume && asked("resume"),
        }
    }

    /// Their names.
    pub fn names(self) -> Vec<String> {
        let all = [(self.playback, "playback"), (self.partials, "partials"), (self.resume, "resume")];
        all.into_iter().filter(|(on, _)| *on).map(|(_, name)| name.to_owned()).collect()
    }
}

/// How binary messages are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Framing {
    /// A header of twelve bytes before each frame.
    #[default]
    V1,
    /// Nothing but audio.
    Raw,
}

impl Framing {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::Raw => "raw",
        }
    }
}

/// How fast the microphone's audio comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pace {
    /// As it is spoken.
    #[default]
    Realtime,
    /// A recording, as fast as the server reads.
    File,
}

impl Pace {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Realtime => "realtime",
            Self::File => "file",
        }
    }
}

/// What both sides will do.
#[derive(Debug, Clone, PartialEq)]
pub struct Negotiated {
    /// How the microphone's audio comes.
    pub input: Format,
    /// How speech goes.
    pub output: Format,
    /// How binary messages are cut.
    pub framing: Framing,
    /// How fast the microphone's audio comes.
    pub pace: Pace,
    /// What is switched on. The session sets [`crate::conversation::Settings::playback_reports`] from `playback`.
    pub features: Features,
    /// What the client wants to be different; to be applied before the conversation begins.
    pub settings: SettingsPatch,
    /// The agent.
    pub agent: String,
    /// Who is calling, for logs.
    pub client: ClientInfo,
    /// A stored conversation that the client wants to go on with.
    pub conversation: Option<ConversationId>,
    /// Whether who speaks agreed to being kept, if the client said so.
    pub consent: Option<bool>,
    /// A dropped session that the client wants to come back to.
    pub resume: Option<Resume>,
}

/// Reads a connection's first message and decides. An error closes the connection: send [`refusal`] first.
pub fn negotiate(message: &Message, offer: &Offer) -> Result<Negotiated, ProtocolError> {
    let hello = read(message)?;
    let agent = hello.agent.unwrap_or_else(|| DEFAULT_AGENT.to_owned());
    if !offer.agents.contains(&agent) {
        let message = format!("no such agent; there are: {}", offer.agents.join(", "));
        return Err(about_hello(ProtocolError::closing(close::NOT_FOUND, "unknown_agent", message)));
    }
    let conversation = hello.conversation.as_deref().map(str::parse).transpose().map_err(|_| unknown_conversation())?;
    let framing = match hello.framing.as_deref() {
        None | Some("v1") => Framing::V1,
        Some("raw") => Framing::Raw,
        Some(_) => return Err(violation("unknown_framing", "framing is \"v1\" or \"raw\"")),
    };
    let pace = match hello.input.as_ref().and_then(|input| input.pace.as_deref()) {
        None | Some("realtime") => Pace::Realtime,
        Some("file") if offer.file_pace => Pace::File,
        // Not allowed by policy: `ready` says what was applied.
        Some("file") => Pace::Realtime,
        Some(_) => return Err(violation("unknown_pace", "input.pace is \"realtime\" or \"file\"")),
    };
    let mut features = offer.features.asked(&hello.features);
    // Without headers nobody knows what was missed, and a recording can be sent again as a whole.
    features.resume &= framing == Framing::V1 && pace == Pace::Realtime;
    let mut settings =
        patch(&hello.settings).map_err(|error| ProtocolError { close: Some(close::VIOLATION), ..error })?;
    settings.partials = Some(features.partials);
    Ok(Negotiated {
        input: choose(hello.input.as_ref(), &offer.input, Direction::Input)?,
        output: choose(hello.output.as_ref(), &offer.output, Direction::Output)?,
        framing,
        pace,
        features,
        settings,
        agent,
        client: hello.client,
        conversation,
        consent: hello.consent,
        resume: hello.resume,
    })
}

/// There is no such conversation to go on with.
pub fn unknown_conversation() -> ProtocolError {
    let message = "no such conversation; send null to begin a new one";
    about_hello(ProtocolError::closing(close::NOT_FOUND, "unknown_conversation", message))
}

fn read(message: &Message) -> Result<Hello, ProtocolError> {
    let Message::Text(text) = message else {
        return Err(violation("hello_expected", "the first message is a text message `hello`, before any audio"));
    };
    if text.len() > super::MAX_SETTINGS_BYTES {
        return Err(about_hello(super::too_big("hello", super::MAX_SETTINGS_BYTES)));
    }
    match ClientMessage::parse(text) {
        Ok(ClientMessage::Hello(hello)) => Ok(*hello),
        Ok(_) | Err(Unreadable::UnknownType { .. }) => Err(violation("hello_expected", "the first message is `hello`")),
        Err(error) => Err(violation("bad_hello", error.to_string())),
    }
}

fn choose(offered: Option<&AudioOffer>, codecs: &[Codec], direction: Direction) -> Result<Format, ProtocolError> {
    let rate = match direction {
        Direction::Input => 16_000,
        Direction::Output => 24_000,
    };
    let default = [WireFormat { codec: "pcm_s16le".to_owned(), rate: Some(rate), frame_ms: None }];
    let wanted = offered.map_or(default.as_slice(), |offer| offer.formats.as_slice());
    wanted.iter().take(MAX_FORMATS).find_map(|format| formats::accept(format, codecs, direction)).ok_or_else(|| {
        let (code, message) = match direction {
            Direction::Input => {
                ("no_common_input_format", "none of input.formats is supported; `formats` lists what is")
            }
            Direction::Output => {
                ("no_common_output_format", "none of output.formats is supported; `formats` lists what is")
            }
        };
        about_hello(ProtocolError::closing(close::NO_COMMON_FORMAT, code, message))
    })
}

/// The formats to be listed with a refusal.
pub(super) fn supported_for(error: &ProtocolError, offer: &Offer) -> Option<Vec<WireFormat>> {
    match error.code {
        "no_common_input_format" => Some(formats::list(&offer.input)),
        "no_common_output_format" => Some(formats::list(&offer.output)),
        _ => None,
    }
}

fn violation(code: &'static str, message: impl Into<std::borrow::Cow<'static, str>>) -> ProtocolError {
    about_hello(ProtocolError::closing(close::VIOLATION, code, message))
}

fn about_hello(error: ProtocolError) -> ProtocolError {
    ProtocolError { about: Some("hello".to_owned()), ..error }
}

/// What a client wants to be different, in the conversation's words.
pub(super) fn patch(change: &super::wire::SettingsChange) -> Result<SettingsPatch, ProtocolError> {
    let ms = |ms: u32| Duration::from_millis(u64::from(ms));
    let turn = change.turn.clone().unwrap_or_default();
    Ok(SettingsPatch {
        turn_mode: turn.mode.map(|mode| match mode {
            super::wire::TurnMode::Auto => TurnMode::Auto,
            super::wire::TurnMode::Manual => TurnMode::Manual,
        }),
        reply_automatically: turn.reply,
        barge_in: turn.barge_in,
        speech_threshold: turn.threshold.map(|threshold| threshold.clamp(0.0, 1.0)),
        silence: turn.silence_ms.map(ms),
        preroll: turn.preroll_ms.map(ms),
        min_speech: turn.min_speech_ms.map(ms),
        min_interruption: turn.min_interruption_ms.map(ms),
        instructions: change.instructions.as_deref().map(Arc::from),
        voice: change.voice.as_deref().map(Arc::from),
        language: change.language.as_deref().map(Arc::from),
        client_tools: change.tools.as_deref().map(tools).transpose()?,
        speak: change.speak,
        partials: None,
        ..SettingsPatch::default()
    })
}

fn tools(declared: &[super::wire::Tool]) -> Result<Vec<ToolSpec>, ProtocolError> {
    let bad = |message: String| ProtocolError::harmless("bad_tool", message);
    if declared.len() > MAX_TOOLS {
        return Err(bad(format!("{} tools; at most {MAX_TOOLS} are taken", declared.len())));
    }
    let mut specs: Vec<ToolSpec> = Vec::with_capacity(declared.len());
    for (index, tool) in declared.iter().enumerate() {
        let letters = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if tool.name.is_empty() || tool.name.len() > 64 || !tool.name.chars().all(letters) {
            return Err(bad(format!("tools[{index}].name must be 1 to 64 of A-Z a-z 0-9 _ -")));
        }
        if specs.iter().any(|spec| *spec.name == *tool.name) {
            return Err(bad(format!("tools[{index}].name is there twice")));
        }
        let parameters = match &tool.parameters {
            None => r#"{"type":"object","properties":{}}"#.to_owned(),
            Some(schema) if schema.is_object() => schema.to_string(),
            Some(_) => return Err(bad(format!("tools[{index}].parameters must be a JSON schema object"))),
        };
        specs.push(ToolSpec {
            name: Arc::from(tool.name.as_str()),
            description: Arc::from(tool.description.as_str()),
            parameters: Arc::from(parameters),
            place: ToolPlace::Client,
        });
    }
    Ok(specs)
}

/// The message that says why a hello was refused; send it, then close with the error's code.
pub fn refusal(error: &ProtocolError, offer: &Offer) -> Message {
    super::encode::refusal(error, supported_for(error, offer))
}
