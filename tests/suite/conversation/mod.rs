//! Tests of `conversation`: plays (see `support/timeline.rs`), the table of the floor, and random facts against a model.

mod announcements;
mod barge_in;
mod drain;
mod durability;
mod failures;
mod floor;
mod manual_turns;
mod pacing;
mod reference;
mod requests;
mod settings;
mod tools;
mod turn_taking;
