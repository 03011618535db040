//! Tests of `caller`.
