//! OpenAI Realtime: the rows of its checklist that are decided between codec and conversation, one test per row.
//!
//! Codec and conversation run together, in memory and on a clock of the test's own; what engines would say is scripted. Every
//! frame that leaves is checked by two validators: [`order`] for its place, [`clients`] for what client libraries require.

mod beta;
mod clients;
mod errors;
mod input;
mod interruption;
mod items;
mod onset;
mod order;
mod property;
mod responses;
mod sessions;
mod stage;
mod tools;
mod turns;
mod vendor;
