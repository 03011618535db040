//! Is this frame speech? One engine today; a rule about what follows from it belongs to the conversation.

use crate::audio::FRAME_SAMPLES;

/// A detector of speech for one stream. Cheap enough to be called in the task that reads the socket.
pub trait VoiceActivity: Send {
    /// Probability of speech in this frame, 0…1. Frames come in order.
    fn probability(&mut self, frame: &[f32; FRAME_SAMPLES]) -> f32;

    /// Forgets the stream so far (another microphone, a gap).
    fn reset(&mut self);
}
