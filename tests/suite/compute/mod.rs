//! Tests of `compute`.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, which clippy does not take for tests")]

mod pool;
mod scheduler;
