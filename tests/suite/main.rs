//! The hermetic suite: no network beyond loopback, no service, nothing outside the repository.

mod agent;
mod audio;
mod caller;
mod compute;
mod conversation;
mod http;
mod protocol;
mod session;
mod stt;
mod support;
mod tts;
mod vad;
