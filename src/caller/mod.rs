//! One caller: streams a recording at a server like a live microphone and listens to what comes back.
//!
//! [`call`] is one call from connect to goodbye, in one task: a loop that reads, and beside it a writer. What was seen is in
//! its [`Report`]; latencies count from the moment at which a sample was *due* to be spoken, so a server that makes the
//! caller wait is charged for it. Used by `floe replay`, `floe-load` and tests.

use std::{sync::Arc, time::Duration};

use secrecy::SecretString;
use tokio::time::Instant;

use crate::{
    audio::{Codec, Format},
    protocol::native::Pace,
};

mod conversing;
mod error;
mod link;
mod microphone;
mod player;
mod report;
pub mod trust;

pub use error::Error;
pub use report::{Frames, Reply, Report, Turn};

/// A recording: mono samples in −1…1 at 16 kHz, shared by all who speak it.
pub type Recording = Arc<[f32]>;

/// How to call.
#[derive(Debug, Clone)]
pub struct Options {
    /// `ws://` or `wss://` (`http` and `https` mean the same); without a path: `/v1/stream`.
    pub url: String,
    /// Sent as `Authorization: Bearer`.
    pub token: Option<SecretString>,
    /// Whom `wss://` believes, as [`trust::authorities`] reads it; `None` = the public authorities.
    pub trust: Option<Arc<rustls::ClientConfig>>,
    /// How the microphone speaks: any codec but a container.
    pub input: Format,
    /// How replies are wanted.
    pub output: Format,
    /// As a live microphone, or as fast as the server reads. Then replies count as played as soon as they arrive, and
    /// speech does not interrupt them (`turn.barge_in: false`): the next utterance is there before the reply.
    pub pace: Pace,
    /// Whether the reply's audio is decoded and kept in the report; at most ten minutes of it.
    pub keep_audio: bool,
    /// Speak over the first reply when so much of it has been played. Needs [`Pace::Realtime`].
    pub barge_in_after: Option<Duration>,
    /// Vanish without a word when the microphone has run for so long.
    pub drop_after: Option<Duration>,
    /// Silence sent after the recording before the call may be over: more than the server needs to end a turn.
    pub tail: Duration,
    /// Longest wait for the connection and for `ready`, each.
    pub connect_timeout: Duration,
    /// Longest wait for the next step of an open turn or reply; and, with nothing open, for an answer to a ping.
    pub step_timeout: Duration,
    /// When the call was due to begin; `None` = now. [`Report::connect`] counts from here.
    pub due: Option<Instant>,
}

impl Options {
    /// A plain call: 16 kHz PCM in 20 ms frames, replies as 24 kHz PCM.
    pub fn new(url: impl Into<String>) -> Self {
        let pcm = |rate_hz| Format { codec: Codec::PcmS16le, rate_hz, frame_ms: 20 };
        Self {
            url: url.into(),
            token: None,
            trust: None,
            input: pcm(16_000),
            output: pcm(24_000),
            pace: Pace::Realtime,
            keep_audio: false,
            barge_in_after: None,
            drop_after: None,
            tail: Duration::from_secs(2),
            connect_timeout: Duration::from_secs(10),
            step_timeout: Duration::from_secs(30),
            due: None,
        }
    }
}

/// Makes one call with one recording. Dropping the future hangs up.
///
/// Over when the recording and [`Options::tail`] have been sent, no turn and no reply is open, and nothing has come for a
/// second. Errors: whatever keeps that from happening; what was seen until then is lost with it, except in
/// [`Failed::report`].
pub async fn call(recording: &Recording, options: &Options) -> Result<Report, Failed> {
    let due = options.due.unwrap_or_else(now);
    let mut report = Report::default();
    match conversing::run(recording, options, due, &mut report).await {
        Ok(()) => Ok(report),
        Err(error) => Err(Failed { error, report: Box::new(report) }),
    }
}

/// A call that went wrong.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Failed {
    /// What.
    #[source]
    pub error: Error,
    /// What was seen until then.
    pub report: Box<Report>,
}

#[expect(clippy::disallowed_methods, reason = "a caller lives outside of the server, in real time")]
fn now() -> Instant {
    Instant::now()
}
