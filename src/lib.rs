#![doc = include_str!("ARCHITECTURE.md")]

pub mod agent;
pub mod audio;
pub mod caller;
pub mod compute;
pub mod conversation;
pub mod engine;
pub mod ids;
pub mod protocol;
pub mod replay;
pub mod stt;
pub mod tts;
pub mod vad;
