//! Tests of `vad`.
