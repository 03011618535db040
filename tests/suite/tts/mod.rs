//! Tests of `tts`.
