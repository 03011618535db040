//! What a caller saw.

use std::time::Duration;

use crate::protocol::native::wire::ReplyStatus;

/// One call.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// From the time at which the call was due until `ready`; `None` if it never came.
    pub connect: Option<Duration>,
    /// The user's turns in order.
    pub turns: Vec<Turn>,
    /// The replies in order.
    pub replies: Vec<Reply>,
    /// From the first word spoken over a reply until the server said that it stopped.
    pub barge_in: Option<Duration>,
    /// Frames of speech.
    pub frames: Frames,
    /// Codes of `warning`s and harmless `error`s.
    pub problems: Vec<String>,
    /// The caller vanished on purpose.
    pub dropped: bool,
    /// Speech of all replies, one after the other, if it was to be kept.
    pub audio: Vec<f32>,
    /// Samples per second of that.
    pub audio_rate_hz: u32,
}

/// One turn of the user.
#[derive(Debug, Clone, Default)]
pub struct Turn {
    /// Its number.
    pub turn: u32,
    /// The words; `None` if there never was a final transcript.
    pub text: Option<String>,
    /// Where speech began in the microphone's audio.
    pub start_ms: u64,
    /// Where it ended.
    pub end_ms: u64,
    /// From the beginning of speech to the first partial transcript.
    pub first_partial: Option<Duration>,
    /// From the end of speech to the final transcript.
    pub final_after: Option<Duration>,
    /// The words could not be found.
    pub failed: bool,
}

/// One reply.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Its number.
    pub reply: u32,
    /// The turn that it answers.
    pub turn: Option<u32>,
    /// Its words; if it was cut off, those that were heard.
    pub text: String,
    /// How it ended; `None` if it did not.
    pub status: Option<ReplyStatus>,
    /// Why it failed.
    pub reason: Option<String>,
    /// From the end of the user's speech to its first words.
    pub first_text: Option<Duration>,
    /// From the end of the user's speech to its first sound.
    pub first_audio: Option<Duration>,
    /// Playing time of all its frames.
    pub audio: Duration,
    /// Frames that came after `reply.interrupted`: there must be none.
    pub stale_frames: u64,
    pub(super) cut: bool,
}

impl Reply {
    pub(super) const fn new(reply: u32, turn: Option<u32>) -> Self {
        Self {
            reply,
            turn,
            text: String::new(),
            status: None,
            reason: None,
            first_text: None,
            first_audio: None,
            audio: Duration::ZERO,
            stale_frames: 0,
            cut: false,
        }
    }
}

/// Frames of speech, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Frames {
    /// Came.
    pub received: u64,
    /// Came after their playing time, with 100 ms of buffer.
    pub late: u64,
    /// Never came: holes in the numbering, and a completed reply without its last frame.
    pub missing: u64,
}
