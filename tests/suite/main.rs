//! The hermetic suite: no network beyond loopback, no service, nothing outside the repository.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod agent;
mod audio;
mod caller;
mod compute;
mod config;
mod conversation;
// Whole processes: once is enough, with everything in them.
#[cfg(feature = "whisper")]
mod crashes;
#[cfg(feature = "whisper")]
mod deploy;
#[cfg(feature = "whisper")]
mod end_to_end;
mod http;
mod jobs;
mod models;
mod privacy;
mod protocol;
mod reach;
mod session;
mod store;
mod stt;
mod support;
mod tape;
mod tidy;
mod tts;
mod vad;
