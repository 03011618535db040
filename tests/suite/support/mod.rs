//! What several areas' tests share.

use std::path::PathBuf;

pub(crate) mod client;
pub(crate) mod duplex;
pub(crate) mod fake_llm;
#[cfg(feature = "whisper")]
pub(crate) mod node;
#[cfg(feature = "piper")]
pub(crate) mod onnx;
#[cfg(feature = "piper")]
pub(crate) mod piper;
pub(crate) mod postgres;
pub(crate) mod redis;
pub(crate) mod server;
pub(crate) mod stuck;
pub(crate) mod timeline;

/// A file below `tests/fixtures`.
pub(crate) fn fixture(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(path)
}

/// The bundled Whisper model.
#[cfg(feature = "whisper")]
pub(crate) fn bundled_model() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models/floe-demo.en.bin")
}
