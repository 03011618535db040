//! `floe.v1`.
