//! Every effect a conversation can ask for.

use std::{sync::Arc, time::Duration};

use super::{
    input::{AgentStop, Usage},
    item::Item,
    settings::{Settings, ToolChoice},
};
use crate::{
    audio::{AudioChunk, AudioPos, Format},
    ids::{CallId, ItemId, ResponseId, SegmentId, UtteranceId},
};

/// An effect: a command to a driver, an event for the client, or a record for the store.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// For a driver.
    Command(Command),
    /// For the client, in this order.
    Event(Event),
    /// For the store.
    Record(Record),
}

/// What a driver is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Open a recognition, from a position in the past (pre-roll) on.
    StartRecognition {
        /// For which utterance.
        utterance: UtteranceId,
        /// From where.
        from: AudioPos,
    },
    /// Transcribe everything up to a position. Answered once.
    RecognizeTo {
        /// Of which utterance.
        utterance: UtteranceId,
        /// Up to where.
        at: AudioPos,
    },
    /// Transcribe a recording that the client inserted. Answered once.
    RecognizeRecording {
        /// As which utterance.
        utterance: UtteranceId,
        /// Of which item.
        item: ItemId,
        /// Up to its end.
        at: AudioPos,
    },
    /// The utterance is over, or was none: stop and forget.
    CancelRecognition {
        /// Which.
        utterance: UtteranceId,
    },
    /// Ask the agent. A later round of the same reply comes after its tools have answered.
    Generate {
        /// For which reply.
        response: ResponseId,
        /// With what.
        request: Box<ReplyRequest>,
    },
    /// Run a tool of the server.
    RunTool {
        /// Within which reply.
        response: ResponseId,
        /// Which call.
        call: CallId,
        /// Name of the tool.
        name: Arc<str>,
        /// Arguments as JSON text.
        arguments: Arc<str>,
    },
    /// Speak a segment. Segments of a reply are spoken in order.
    Speak {
        /// Of which reply.
        response: ResponseId,
        /// Which segment.
        segment: SegmentId,
        /// Its words as written.
        text: Arc<str>,
        /// In which voice.
        voice: Arc<str>,
        /// How fast, 1 = as the voice likes.
        speed: f32,
        /// In which format, if not the session's.
        format: Option<Format>,
    },
    /// Stop everything that works for a reply: agent, tools and voice.
    CancelResponse {
        /// Which.
        response: ResponseId,
    },
    /// Everything of this reply has been said; its scope can go.
    ReleaseResponse {
        /// Which.
        response: ResponseId,
    },
    /// End the session once everything emitted so far has been written.
    Close(CloseReason),
}

/// Why a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The client said goodbye.
    Goodbye,
    /// Nothing happened for too long.
    Idle,
    /// The session reached its greatest length.
    TooLong,
    /// The server restarts.
    Restart,
}

/// What the agent is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplyRequest {
    /// The conversation as the user experienced it, oldest first: replies hold what was heard.
    pub history: Vec<Item>,
    /// The settings this reply began with.
    pub settings: Arc<Settings>,
    /// Whether the agent calls tools in this round. [`ToolChoice::Forbidden`] in the last one allowed: it must answer in words.
    pub tool_choice: ToolChoice,
}

/// What the client is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Settings now in force.
    SettingsUpdated(Arc<Settings>),
    /// The user began to speak.
    SpeechStarted {
        /// The item these words will become.
        item: ItemId,
        /// Where, in media time.
        at: AudioPos,
    },
    /// The user stopped.
    SpeechStopped {
        /// The item.
        item: ItemId,
        /// Where speech ended.
        at: AudioPos,
        /// What ended it.
        reason: StopReason,
    },
    /// A user turn stands. `durable` says whether it is stored.
    TurnCommitted {
        /// The item.
        item: ItemId,
        /// Whether it is on disk. False where no store is configured.
        durable: bool,
    },
    /// Words so far.
    TranscriptPartial {
        /// The item.
        item: ItemId,
        /// Counts up within the item.
        revision: u32,
        /// Words that will not change.
        stable: Arc<str>,
        /// Words that may.
        unstable: Arc<str>,
    },
    /// The words of a turn. Empty: it was no speech after all, and no reply follows.
    TranscriptFinal {
        /// The item.
        item: ItemId,
        /// The words.
        text: Arc<str>,
        /// Language as the recogniser names it.
        language: Arc<str>,
        /// 0…1.
        confidence: f32,
        /// Where speech began.
        start: AudioPos,
        /// Where it ended.
        end: AudioPos,
    },
    /// The words of a turn could not be found.
    TranscriptFailed {
        /// The item.
        item: ItemId,
        /// Why, as a word.
        reason: &'static str,
    },
    /// A reply began.
    ResponseStarted {
        /// Which.
        response: ResponseId,
        /// The user item it answers, if any.
        turn: Option<ItemId>,
        /// The tag of the request; 0 if nobody asked for it.
        tag: u64,
        /// Its settings.
        settings: Arc<Settings>,
        /// Whether it stands beside the conversation.
        aside: bool,
    },
    /// No reply was begun.
    ResponseRefused {
        /// The tag of the request.
        tag: u64,
        /// Why.
        reason: ResponseRefusal,
    },
    /// More of its words, as written. The first of an item announces it: it stands after everything announced before.
    ResponseText {
        /// Of which reply.
        response: ResponseId,
        /// Of which item: a reply has one per round with words.
        item: ItemId,
        /// The words.
        delta: Arc<str>,
    },
    /// A frame of its speech.
    ResponseAudio {
        /// Of which reply.
        response: ResponseId,
        /// Of which item.
        item: ItemId,
        /// The frame.
        chunk: AudioChunk,
        /// Where it lies in the reply's own audio.
        offset: Duration,
        /// Whether it is the last of this reply.
        last: bool,
    },
    /// A reply was cut off: the client throws away what it has not played. No audio of this reply follows.
    PlaybackFlushed {
        /// Which reply.
        response: ResponseId,
        /// How much of it had been heard.
        heard: Duration,
        /// The words of that.
        heard_text: Arc<str>,
    },
    /// A reply is over. Each response that started is done exactly once.
    ResponseDone {
        /// Which.
        response: ResponseId,
        /// How it ended.
        status: Status,
        /// Its words; if it was cut off, those that were heard.
        text: Arc<str>,
        /// What it cost.
        usage: Usage,
        /// How long each stage took.
        timings: Timings,
    },
    /// The client is to run a tool and answer with its result.
    ToolCallRequested {
        /// Within which reply.
        response: ResponseId,
        /// The item of the call.
        item: ItemId,
        /// Which call.
        call: CallId,
        /// Name of the tool.
        name: Arc<str>,
        /// Arguments as JSON text.
        arguments: Arc<str>,
    },
    /// The client's item stands.
    ItemAdded {
        /// The item.
        item: Item,
        /// The one before it.
        after: Option<ItemId>,
    },
    /// The client's item was not put in, taken out or cut.
    ItemRefused {
        /// Which.
        item: ItemId,
        /// Why.
        reason: ItemRefusal,
    },
    /// An item is gone.
    ItemDeleted {
        /// Which.
        item: ItemId,
    },
    /// An item holds only what was heard of it.
    ItemTruncated {
        /// Which.
        item: ItemId,
        /// How much of its audio that is.
        heard: Duration,
        /// The words of that.
        text: Arc<str>,
    },
    /// What was recorded and not committed is forgotten.
    AudioCleared,
    /// The user has said nothing for [`Settings::prompt_after`] after a reply. The silence stands as an item, and a reply
    /// follows if replies come by themselves.
    InputTimedOut {
        /// The item.
        item: ItemId,
        /// Since where, in media time.
        start: AudioPos,
        /// Up to where.
        end: AudioPos,
    },
    /// Something went wrong that the user should know of; the conversation goes on.
    Problem {
        /// A word that programs can match.
        code: &'static str,
        /// A sentence.
        message: &'static str,
    },
    /// The server will close soon.
    GoingAway {
        /// In how long at the latest.
        within: Duration,
    },
    /// The session is over; the socket closes next.
    Ended(CloseReason),
}

/// What ended an utterance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// Enough silence.
    Silence,
    /// The client committed.
    Committed,
    /// It reached its greatest length.
    TooLong,
    /// Frames stopped coming.
    AudioGap,
    /// The client threw it away: it becomes no turn, and its transcript is empty.
    Cleared,
}

/// Why an item was not put in, taken out or cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemRefusal {
    /// There is one with this id.
    Duplicate,
    /// There is none with the id after which it was to stand.
    UnknownPlace,
    /// There is none with this id.
    Unknown,
    /// It answers a call that nobody made, or that was answered before.
    UnknownCall,
    /// Only speech of the assistant can be cut.
    NotSpoken,
}

/// Why no reply was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseRefusal {
    /// Another is in progress.
    Busy,
    /// The session is about to end.
    Leaving,
    /// Too many stand beside the conversation already.
    TooMany,
}

/// How a reply ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Said, and as far as we know heard, to the end.
    Completed,
    /// The user spoke over it.
    Interrupted,
    /// The client, or a newer request, stopped it.
    Cancelled,
    /// The agent stopped before it had said everything.
    Incomplete(AgentStop),
    /// Something broke; the word says what.
    Failed(&'static str),
}

/// The latency receipt of a reply. Each from the end of the user's speech unless said otherwise; `None` if that stage was
/// not reached or the reply answered no speech.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timings {
    /// Until the end of the turn was decided.
    pub endpoint: Option<Duration>,
    /// Until the final transcript was there.
    pub transcript: Option<Duration>,
    /// Until the agent's first word.
    pub first_text: Option<Duration>,
    /// Until the voice's first sound.
    pub first_audio: Option<Duration>,
    /// Until the first audio was handed to the socket.
    pub first_sent: Option<Duration>,
}

/// What the store is to keep.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// An item as it now stands; a later record with the same id replaces it.
    Item(Item),
    /// The receipt of a finished reply.
    Receipt {
        /// Which.
        response: ResponseId,
        /// How it ended.
        status: Status,
        /// What it cost.
        usage: Usage,
        /// How long each stage took.
        timings: Timings,
    },
}
