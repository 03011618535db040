//! The rules of a conversation, as a plain value: facts in, effects out.
//!
//! No IO, no clock, no task, no randomness: the same facts at the same times give the same outputs, byte for byte.

pub mod input;
pub mod item;
pub mod output;
pub mod settings;
pub mod time;

pub use input::{Input, PlaybackState, ResponseOptions, Usage};
pub use item::{Content, Item};
pub use output::{CloseReason, Command, Event, Output, Record, ReplyRequest, Status, StopReason, Timings};
pub use settings::{Settings, SettingsPatch, ToolPlace, ToolSpec, TurnMode};
pub use time::Time;
