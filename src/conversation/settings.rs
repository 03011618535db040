//! What governs a conversation. A client may change much of it mid-session; a response keeps what it began with.

use std::{sync::Arc, time::Duration};

/// Who decides that the user has finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnMode {
    /// The server, after enough silence.
    Auto,
    /// The client, by committing (push-to-talk). Speech never starts, ends or interrupts anything by itself.
    Manual,
}

/// Where a tool runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolPlace {
    /// In the server.
    Server,
    /// In the client, which is sent the call and answers with the result.
    Client,
}

/// Whether the agent calls tools.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ToolChoice {
    /// As it sees fit.
    #[default]
    Auto,
    /// Not at all.
    Forbidden,
    /// At least one, in the first round.
    Required,
    /// This one, in the first round.
    Named(Arc<str>),
}

/// How speech leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Little ahead of its playing time. A reply is over when it has been played.
    Paced,
    /// As fast as it is made and the socket takes it; the client keeps what it has not played, and says what was heard of
    /// an item that it cuts. A reply is over when all of it has left.
    AtOnce,
}

/// What a client's tool call does to the reply that made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCalls {
    /// The reply waits for the results and goes on.
    WithinReply,
    /// The reply ends; the client inserts the results and requests another.
    EndReply,
}

/// A tool that the agent may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolSpec {
    /// The name by which it is called.
    pub name: Arc<str>,
    /// What it does, for the language model.
    pub description: Arc<str>,
    /// JSON schema of its arguments, as JSON text.
    pub parameters: Arc<str>,
    /// Where it runs.
    pub place: ToolPlace,
}

/// Everything that governs one conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Who ends the user's turn.
    pub turn_mode: TurnMode,
    /// Whether the end of a user turn asks for a reply by itself.
    pub reply_automatically: bool,
    /// Whether a commit by the client asks for a reply, too, where replies come by themselves.
    pub reply_to_commits: bool,
    /// Whether speech stops a reply.
    pub barge_in: bool,
    /// Probability from which a frame counts as the beginning of speech.
    pub speech_threshold: f32,
    /// Probability below which a frame counts as silence once speech has begun.
    pub silence_threshold: f32,
    /// Audio of speech before it counts as speech.
    pub min_speech: Duration,
    /// The same while the assistant is audible: less than this does not interrupt.
    pub min_interruption: Duration,
    /// Quiet audio that ends an utterance.
    pub silence: Duration,
    /// Audio kept from before speech was noticed.
    pub preroll: Duration,
    /// Longest utterance; then it is ended.
    pub utterance_max: Duration,
    /// Session time without any frame, in the middle of speech, after which the utterance ends.
    pub audio_gap: Duration,
    /// What the agent is told to be.
    pub instructions: Arc<str>,
    /// The voice, in the words of the voice engine.
    pub voice: Arc<str>,
    /// Language of both sides, as a BCP 47 tag; empty = the engine decides.
    pub language: Arc<str>,
    /// Tools the agent may call.
    pub tools: Arc<[ToolSpec]>,
    /// Whether it calls them.
    pub tool_choice: ToolChoice,
    /// What a call of a client's tool does to the reply.
    pub client_calls: ClientCalls,
    /// Rounds of tool calls within one reply; then the reply ends with what it has.
    pub tool_rounds_max: u32,
    /// Tokens that the agent may write in one reply; `None` = as many as it likes.
    pub output_tokens_max: Option<u32>,
    /// Whether replies are spoken; otherwise they are text only.
    pub speak: bool,
    /// How fast it speaks, 1 = as the voice likes; 0.25 to 4.
    pub speed: f32,
    /// How speech leaves.
    pub delivery: Delivery,
    /// Silence after a reply has been played until the assistant speaks up by itself; `None` = never.
    pub prompt_after: Option<Duration>,
    /// Said when the session begins; empty = nothing.
    pub greeting: Arc<str>,
    /// Said when a reply fails before a word of it was spoken.
    pub apology: Arc<str>,
    /// How far audio leaves ahead of its playing time. The first [`Settings::burst`] of a reply is not held back.
    pub send_ahead: Duration,
    /// Audio at the beginning of a reply that leaves at once, so that the client can fill its buffer.
    pub burst: Duration,
    /// Audio released but not yet handed to the socket, at most.
    pub in_flight_max: Duration,
    /// Audio waiting at the door above which no further segment is sent to the voice engine.
    pub queued_audio_max: Duration,
    /// Whether the client reports what it has played. Otherwise what was heard is reckoned from what was sent and when.
    pub playback_reports: bool,
    /// Whether partial transcripts are asked for.
    pub partials: bool,
    /// Longest wait for a final transcript.
    pub transcript_timeout: Duration,
    /// Longest wait for the first words of a reply, per round.
    pub first_delta_timeout: Duration,
    /// Longest pause between two words of a reply.
    pub delta_gap_timeout: Duration,
    /// Longest reply, from request to the agent's last word.
    pub reply_timeout: Duration,
    /// Longest wait for the first audio of a segment.
    pub first_audio_timeout: Duration,
    /// Longest wait for a tool's result.
    pub tool_timeout: Duration,
    /// Session time without speech, text or reply after which the session ends; zero = never.
    pub idle_timeout: Duration,
    /// Longest session; zero = no limit.
    pub session_max: Duration,
    /// Whether a store is to confirm each turn before the client hears that it is durable.
    pub durable: bool,
    /// Longest wait for that; then the client hears that it is not.
    pub durable_timeout: Duration,
    /// Whether a short pause may start a speculative final and a draft reply on it. Off in this version's servers.
    pub drafts: bool,
}

impl Default for Settings {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self {
            turn_mode: TurnMode::Auto,
            reply_automatically: true,
            reply_to_commits: true,
            barge_in: true,
            speech_threshold: 0.6,
            silence_threshold: 0.35,
            min_speech: ms(96),
            min_interruption: ms(192),
            silence: ms(500),
            preroll: ms(300),
            utterance_max: ms(28_000),
            audio_gap: ms(1_000),
            instructions: Arc::from(""),
            voice: Arc::from(""),
            language: Arc::from("en"),
            tools: Arc::from([]),
            tool_choice: ToolChoice::Auto,
            client_calls: ClientCalls::WithinReply,
            tool_rounds_max: 4,
            output_tokens_max: None,
            speak: true,
            speed: 1.0,
            delivery: Delivery::Paced,
            prompt_after: None,
            greeting: Arc::from(""),
            apology: Arc::from("Sorry, something went wrong. Please try again."),
            send_ahead: ms(400),
            burst: ms(500),
            in_flight_max: ms(1_000),
            queued_audio_max: ms(5_000),
            playback_reports: false,
            partials: true,
            transcript_timeout: ms(15_000),
            first_delta_timeout: ms(10_000),
            delta_gap_timeout: ms(15_000),
            reply_timeout: ms(120_000),
            first_audio_timeout: ms(10_000),
            tool_timeout: ms(20_000),
            idle_timeout: ms(300_000),
            session_max: ms(0),
            durable: false,
            durable_timeout: ms(5_000),
            drafts: false,
        }
    }
}

/// A change of settings by the client: only what is `Some` changes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SettingsPatch {
    /// See [`Settings::turn_mode`].
    pub turn_mode: Option<TurnMode>,
    /// See [`Settings::reply_automatically`].
    pub reply_automatically: Option<bool>,
    /// See [`Settings::barge_in`].
    pub barge_in: Option<bool>,
    /// See [`Settings::speech_threshold`].
    pub speech_threshold: Option<f32>,
    /// See [`Settings::silence`].
    pub silence: Option<Duration>,
    /// See [`Settings::preroll`].
    pub preroll: Option<Duration>,
    /// See [`Settings::min_speech`].
    pub min_speech: Option<Duration>,
    /// See [`Settings::min_interruption`].
    pub min_interruption: Option<Duration>,
    /// See [`Settings::instructions`].
    pub instructions: Option<Arc<str>>,
    /// See [`Settings::voice`].
    pub voice: Option<Arc<str>>,
    /// See [`Settings::language`].
    pub language: Option<Arc<str>>,
    /// Replaces the tools that run in the client; those of the server stay.
    pub client_tools: Option<Vec<ToolSpec>>,
    /// See [`Settings::tool_choice`].
    pub tool_choice: Option<ToolChoice>,
    /// See [`Settings::output_tokens_max`]; `Some(None)` lifts the limit.
    pub output_tokens_max: Option<Option<u32>>,
    /// See [`Settings::speak`].
    pub speak: Option<bool>,
    /// See [`Settings::speed`].
    pub speed: Option<f32>,
    /// See [`Settings::prompt_after`]; `Some(None)` switches it off.
    pub prompt_after: Option<Option<Duration>>,
    /// See [`Settings::partials`].
    pub partials: Option<bool>,
}

impl Settings {
    /// These settings with a change applied. Values out of range are clamped to it; those that are no numbers are ignored.
    #[must_use]
    pub fn patched(&self, patch: SettingsPatch) -> Self {
        let ms = Duration::from_millis;
        let mut new = self.clone();
        new.turn_mode = patch.turn_mode.unwrap_or(new.turn_mode);
        new.reply_automatically = patch.reply_automatically.unwrap_or(new.reply_automatically);
        new.barge_in = patch.barge_in.unwrap_or(new.barge_in);
        new.instructions = patch.instructions.unwrap_or(new.instructions);
        new.voice = patch.voice.unwrap_or(new.voice);
        new.language = patch.language.unwrap_or(new.language);
        new.speak = patch.speak.unwrap_or(new.speak);
        new.tool_choice = patch.tool_choice.unwrap_or(new.tool_choice);
        new.output_tokens_max = patch.output_tokens_max.unwrap_or(new.output_tokens_max);
        new.speed = patch.speed.filter(|speed| !speed.is_nan()).map_or(new.speed, |speed| speed.clamp(0.25, 4.0));
        new.prompt_after = patch.prompt_after.map_or(new.prompt_after, |wait| wait.map(|wait| wait.max(ms(1_000))));
        new.partials = patch.partials.unwrap_or(new.partials);
        if let Some(threshold) = patch.speech_threshold.filter(|threshold| !threshold.is_nan()) {
            new.speech_threshold = threshold.clamp(0.05, 0.99);
            new.silence_threshold = new.silence_threshold.min(new.speech_threshold * 0.6);
        }
        new.silence = patch.silence.map_or(new.silence, |silence| silence.clamp(ms(100), ms(5_000)));
        new.preroll = patch.preroll.map_or(new.preroll, |preroll| preroll.min(ms(1_000)));
        new.min_speech = patch.min_speech.map_or(new.min_speech, |length| length.clamp(ms(16), ms(1_000)));
        new.min_interruption =
            patch.min_interruption.map_or(new.min_interruption, |length| length.clamp(ms(16), ms(2_000)));
        if let Some(client_tools) = patch.client_tools {
            let of_server = new.tools.iter().filter(|tool| tool.place == ToolPlace::Server).cloned();
            new.tools = of_server.chain(client_tools).collect();
        }
        new
    }
}
