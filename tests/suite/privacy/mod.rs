//! Forgetting, and what is kept of who read what: on both databases, and with a real server around it.

#[cfg(feature = "whisper")]
mod canary;
mod forgetting;
