//! Tests of `compute`.
