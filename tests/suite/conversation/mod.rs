//! Tests of `conversation`.
