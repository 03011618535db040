//! Tones instead of words: their length follows from the text, and no process, key or network is needed.

use std::{f32::consts::TAU, time::Duration};

use futures_util::{FutureExt as _, StreamExt as _, stream, stream::BoxStream};
use serde::{Deserialize, Serialize};

use super::{SPEED_MIN, Segment, TextToSpeech};
use crate::{
    audio::Samples,
    engine::{Error, ErrorKind},
};

/// Pitch of the tone.
const TONE_HZ: u32 = 400;

/// How long and how fast the tones are.
#[derive(Debug, Clone, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Length of the tone per character, in milliseconds.
    pub char_ms: u32,
    /// Rate of the samples, in Hz.
    pub rate_hz: u32,
    /// Length of one piece, in milliseconds.
    pub piece_ms: u32,
    /// Wait before the first piece, in milliseconds.
    pub first_piece_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { char_ms: 60, rate_hz: 24_000, piece_ms: 80, first_piece_ms: 0 }
    }
}

/// The engine.
pub struct Scripted {
    config: Config,
}

impl Scripted {
    /// Checks the settings.
    pub fn new(config: Config) -> Result<Self, Error> {
        if !(8_000..=48_000).contains(&config.rate_hz)
            || !(1..=1_000).contains(&config.piece_ms)
            || config.char_ms > 10_000
        {
            let message = "tts.scripted: rate_hz must be 8000 to 48000, piece_ms 1 to 1000, char_ms at most 10000";
            return Err(Error::new(ErrorKind::Rejected, message));
        }
        Ok(Self { config })
    }

    /// Samples that `text` will have at normal speed.
    pub fn length_samples(&self, text: &str) -> u64 {
        let ms = text.chars().count() as u64 * u64::from(self.config.char_ms);
        ms * u64::from(self.config.rate_hz) / 1000
    }
}

impl TextToSpeech for Scripted {
    fn synthesize(&self, segment: Segment) -> BoxStream<'static, Result<Samples, Error>> {
        let rate_hz = self.config.rate_hz;
        let longest = u64::from(rate_hz * self.config.piece_ms / 1000).max(1);
        // Blank text has nothing to say, here as with every engine.
        let normal = if segment.text.trim().is_empty() { 0 } else { self.length_samples(&segment.text) };
        let total = (normal as f64 / f64::from(segment.speed.max(SPEED_MIN))).round() as u64;
        let pieces = stream::iter((0..total.div_ceil(longest)).map(move |piece| {
            let range = piece * longest..((piece + 1) * longest).min(total);
            Ok(Samples { rate_hz, data: range.map(|at| tone(at, rate_hz)).collect() })
        }));
        let wait = Duration::from_millis(self.config.first_piece_ms);
        async move {
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            pieces
        }
        .into_stream()
        .flatten()
        .boxed()
    }
}

/// Sample `at` of the tone; computed from its phase within one second, so that it stays exact however long it lasts.
fn tone(at: u64, rate_hz: u32) -> f32 {
    let phase = (at % u64::from(rate_hz)) * u64::from(TONE_HZ) % u64::from(rate_hz);
    0.3 * (TAU * phase as f32 / rate_hz as f32).sin()
}
