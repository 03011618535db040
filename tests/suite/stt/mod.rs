//! Tests of `stt`.
