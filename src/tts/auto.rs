//! The choice: a neural voice for what one is installed for, espeak-ng for everything else.

use std::sync::Arc;

use futures_util::stream::BoxStream;

use super::{Segment, TextToSpeech, espeak::Espeak, piper::Piper};
use crate::{audio::Samples, engine::Error};

/// Two engines and the rule between them: a segment that names a Piper voice, or names none and is in a language that one
/// speaks, is Piper's. A failing Piper voice is not replaced by espeak-ng: a reply does not change its voice in the middle.
pub(super) struct Auto {
    pub(super) piper: Piper,
    pub(super) espeak: Arc<Espeak>,
}

impl TextToSpeech for Auto {
    fn synthesize(&self, segment: Segment) -> BoxStream<'static, Result<Samples, Error>> {
        if self.piper.speaks(&segment) { self.piper.synthesize(segment) } else { self.espeak.synthesize(segment) }
    }
}
