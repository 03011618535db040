//! The whole path: real recordings over a real socket through the real model, the built-in agent and the real voice.

mod formats;
mod interrupting;
mod sound;
mod sounds;
mod support;
mod words;
