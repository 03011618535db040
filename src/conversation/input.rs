//! Every fact that can change a conversation.

use std::{sync::Arc, time::Duration};

use super::{item::Content, settings::SettingsPatch, time::Time};
use crate::{
    audio::{AudioChunk, AudioPos, Format},
    ids::{CallId, ItemId, ResponseId, SegmentId, UtteranceId},
};

/// A fact. Facts about things that are over change nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    // ---- from the client
    /// Settings changed. Out-of-range values are clamped.
    SettingsChanged(Box<SettingsPatch>),
    /// Words were typed.
    TextEntered {
        /// What.
        text: Arc<str>,
        /// A note to the agent rather than the user's words.
        system: bool,
    },
    /// The client puts an item into the history. Answered by [`Event::ItemAdded`](super::Event::ItemAdded) or
    /// [`Event::ItemRefused`](super::Event::ItemRefused). Nobody answers it unless a reply is requested.
    ItemInserted {
        /// Its id, [of the client](ItemId::of_client).
        item: ItemId,
        /// Where.
        place: Place,
        /// What.
        content: Content,
    },
    /// The same for speech that was recorded before. Its words are found first; a reply requested meanwhile waits for them.
    RecordingInserted {
        /// Its id, [of the client](ItemId::of_client).
        item: ItemId,
        /// Where.
        place: Place,
        /// Its length, as the position of its end.
        end: AudioPos,
    },
    /// The client takes an item out of the history. Answered by [`Event::ItemDeleted`](super::Event::ItemDeleted) or a
    /// refusal. A reply in progress that wrote it is cancelled.
    ItemDeleted(ItemId),
    /// Of this item of a reply, no more than `heard` came out of the client's speaker: its words are cut to what was heard.
    /// Answered by [`Event::ItemTruncated`](super::Event::ItemTruncated) or a refusal. More than was sent counts as all.
    ItemTruncated {
        /// Which.
        item: ItemId,
        /// How much of the item's own audio.
        heard: Duration,
    },
    /// Everything recorded since the last commit is a turn (push-to-talk released), or the running utterance ends now.
    AudioCommitted,
    /// Uncommitted audio is to be forgotten.
    AudioCleared,
    /// The client stopped or resumed sending its microphone.
    Muted(bool),
    /// A reply is wanted now. Answered by [`Event::ResponseStarted`](super::Event::ResponseStarted) or
    /// [`Event::ResponseRefused`](super::Event::ResponseRefused).
    ResponseRequested(Box<ResponseOptions>),
    /// A reply is to stop; `None` means the current one.
    ResponseCancelled(Option<ResponseId>),
    /// The client told what it has played.
    PlaybackProgress {
        /// Of which reply.
        response: ResponseId,
        /// How much of it has come out of the speaker.
        played: Duration,
        /// What the player is doing.
        state: PlaybackState,
    },

    // ---- ears
    /// A frame was heard. Frames come in order; `end` only grows.
    Frame {
        /// Position just after its last sample.
        end: AudioPos,
        /// Probability of speech, 0…1.
        speech: f32,
    },

    // ---- stt
    /// Words so far. `stable` only ever grows within an utterance.
    TranscriptPartial {
        /// Of which utterance.
        utterance: UtteranceId,
        /// Words that will not change.
        stable: Arc<str>,
        /// Words that may.
        tail: Arc<str>,
    },
    /// All words up to a position; the answer to one `RecognizeTo`.
    TranscriptFinal {
        /// Of which utterance.
        utterance: UtteranceId,
        /// The position of the `RecognizeTo` that this answers.
        at: AudioPos,
        /// The words; empty if there was no speech after all.
        text: Arc<str>,
        /// Language as the recogniser names it.
        language: Arc<str>,
        /// 0…1.
        confidence: f32,
    },
    /// There will be no transcript.
    RecognitionFailed {
        /// Of which utterance.
        utterance: UtteranceId,
        /// Why, as a word: busy, rejected, unavailable, broken.
        reason: &'static str,
    },

    // ---- agent and tools
    /// More words of a reply.
    ReplyText {
        /// Of which.
        response: ResponseId,
        /// The words, with their blanks.
        delta: Arc<str>,
    },
    /// The agent called a tool.
    ToolCalled {
        /// Within which reply.
        response: ResponseId,
        /// Name of the tool.
        name: Arc<str>,
        /// Arguments as JSON text.
        arguments: Arc<str>,
    },
    /// The agent has finished this round: if it called tools, the next round follows their results.
    ReplyFinished {
        /// Of which reply.
        response: ResponseId,
        /// What it cost.
        usage: Usage,
        /// Why it stopped.
        stop: AgentStop,
    },
    /// The agent failed.
    ReplyFailed {
        /// Of which reply.
        response: ResponseId,
        /// Why, as a word.
        reason: &'static str,
    },
    /// A tool answered, here or in the client.
    ToolFinished {
        /// Which call.
        call: CallId,
        /// What it gave.
        output: Arc<str>,
        /// Whether it failed.
        failed: bool,
    },
    /// Something is to be said later of the assistant's own accord (a timer has been set).
    AnnouncementSet {
        /// In how long.
        after: Duration,
        /// What.
        text: Arc<str>,
    },
    /// All announcements not yet made are off.
    AnnouncementsCancelled,

    // ---- tts
    /// Speech of a segment.
    SpeechChunk {
        /// Of which reply.
        response: ResponseId,
        /// Of which segment; segments come in order.
        segment: SegmentId,
        /// One wire frame of it.
        audio: AudioChunk,
    },
    /// A segment has been spoken whole.
    SpeechFinished {
        /// Of which reply.
        response: ResponseId,
        /// Which segment.
        segment: SegmentId,
    },
    /// A segment cannot be spoken; its text still counts as shown.
    SpeechFailed {
        /// Of which reply.
        response: ResponseId,
        /// Which segment.
        segment: SegmentId,
        /// Why, as a word.
        reason: &'static str,
    },

    // ---- writer
    /// Audio was handed to the socket: the credit for more.
    AudioSent {
        /// Of which reply.
        response: ResponseId,
        /// How much.
        duration: Duration,
    },

    // ---- store
    /// An item is durable.
    ItemStored(ItemId),
    /// An item is not durable and will not be.
    ItemNotStored(ItemId),

    // ---- life
    /// The socket is gone; the session may go on.
    PeerLost,
    /// A socket is back.
    PeerBack,
    /// The server is leaving: finish the reply, begin none, be gone by then.
    Draining {
        /// By when.
        deadline: Time,
    },
    /// The client says goodbye.
    Goodbye {
        /// Whether the reply in progress is to be finished first.
        flush: bool,
    },
}

/// How a requested reply differs from an ordinary one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ResponseOptions {
    /// Chosen by whoever asks; comes back with the answer. 0 = nobody waits for one.
    pub tag: u64,
    /// These very words are to be said; the agent is not asked.
    pub say: Option<Arc<str>>,
    /// Settings of this reply only.
    pub patch: SettingsPatch,
    /// What becomes of a reply in progress.
    pub busy: Busy,
    /// What the agent is shown.
    pub context: Context,
    /// The reply belongs to the conversation, or stands beside it: then it takes nobody's floor, is interrupted by nobody,
    /// and leaves no trace in the history.
    pub aside: bool,
    /// The format of its speech, if it is not the session's.
    pub format: Option<Format>,
}

/// What becomes of a reply in progress when another is requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Busy {
    /// It is cancelled.
    #[default]
    Replace,
    /// It goes on, and the request is refused.
    Refuse,
}

/// What the agent is shown for a requested reply.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Context {
    /// The conversation so far.
    #[default]
    History,
    /// These and nothing else. Items that do not stand are left out.
    Only(Vec<ContextItem>),
}

/// A piece of a [`Context`].
#[derive(Debug, Clone, PartialEq)]
pub enum ContextItem {
    /// An item of the conversation.
    Existing(ItemId),
    /// Something said for this purpose.
    New(Content),
}

/// Where an item is put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// After everything.
    End,
    /// Before everything.
    Front,
    /// After this one.
    After(ItemId),
}

/// Why an agent stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AgentStop {
    /// It has said everything, or wants its tools.
    #[default]
    Finished,
    /// It wrote as many tokens as it may.
    TokensMax,
    /// Its own filter stopped it.
    Filtered,
}

/// What a client's player is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaybackState {
    /// Playing.
    Playing,
    /// Held.
    Paused,
    /// Everything received has been played.
    Drained,
    /// Everything unplayed has been thrown away.
    Flushed,
}

/// What a reply cost at the agent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
}
