//! Probabilities of frames become "speech began here" and "it has been quiet since there". All of it in media time.

use std::time::Duration;

use super::settings::Settings;
use crate::audio::{AudioPos, FRAME_SAMPLES};

/// Quiet audio within which several short sounds still count as one beginning.
const ONSET_GAP: Duration = Duration::from_millis(64);

/// Audio after the last voiced frame that is still transcribed: soft endings fall below the detector's threshold.
pub(crate) const TAIL: Duration = Duration::from_millis(160);

/// One frame as the rules see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heard {
    pub(crate) start: AudioPos,
    pub(crate) end: AudioPos,
    pub(crate) sound: Sound,
}

/// What a frame holds. The band between the two thresholds keeps what was: that is the hysteresis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sound {
    Speech,
    Unsure,
    Silence,
}

impl Heard {
    /// Reads a frame that ends at `end`; the one before ended at `previous`.
    pub(crate) fn new(previous: AudioPos, end: AudioPos, speech: f32, settings: &Settings) -> Self {
        let sound = if speech >= settings.speech_threshold {
            Sound::Speech
        } else if speech >= settings.silence_threshold {
            Sound::Unsure
        } else {
            Sound::Silence
        };
        let start = AudioPos(end.0.saturating_sub(FRAME_SAMPLES as u64)).max(previous);
        Self { start, end, sound }
    }
}

/// The evidence so far that somebody began to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Onset {
    /// None.
    #[default]
    Quiet,
    /// Some: since `start`, with so many voiced samples, the last of them just before `voiced_to`.
    Rising { start: AudioPos, voiced_samples: u64, voiced_to: AudioPos },
}

impl Onset {
    /// Takes a frame. Where speech began, once there is `needed` of it; less is a misfire and forgotten.
    pub(crate) fn hear(&mut self, frame: Heard, needed: Duration) -> Option<AudioPos> {
        let length = frame.end.0.saturating_sub(frame.start.0);
        match (*self, frame.sound) {
            (Self::Quiet, Sound::Speech) => {
                *self = Self::Rising { start: frame.start, voiced_samples: length, voiced_to: frame.end };
            }
            (Self::Quiet, Sound::Unsure | Sound::Silence) => {}
            (Self::Rising { start, voiced_samples, .. }, Sound::Speech | Sound::Unsure) => {
                *self = Self::Rising { start, voiced_samples: voiced_samples + length, voiced_to: frame.end };
            }
            (Self::Rising { voiced_to, .. }, Sound::Silence) if frame.end.since(voiced_to) > ONSET_GAP => {
                *self = Self::Quiet;
            }
            (Self::Rising { .. }, Sound::Silence) => {}
        }
        match *self {
            Self::Rising { start, voiced_samples, .. } if AudioPos(voiced_samples).since(AudioPos(0)) >= needed => {
                *self = Self::Quiet;
                Some(start)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn began(probabilities: &[f32], needed_ms: u64) -> Option<AudioPos> {
        let settings = Settings::default();
        let mut onset = Onset::default();
        let mut previous = AudioPos(0);
        probabilities.iter().find_map(|&speech| {
            let frame = Heard::new(previous, AudioPos(previous.0 + 256), speech, &settings);
            previous = frame.end;
            onset.hear(frame, Duration::from_millis(needed_ms))
        })
    }

    #[test]
    fn speech_begins_at_its_first_frame() {
        assert_eq!(began(&[0.0, 0.9, 0.9, 0.9], 48), Some(AudioPos(256)));
    }

    #[test]
    fn a_cough_is_forgotten() {
        let mut cough = vec![0.9, 0.9, 0.9, 0.9];
        cough.extend([0.0; 5]);
        assert_eq!(began(&cough.repeat(10), 96), None);
    }

    #[test]
    fn a_short_dip_is_not_the_end_of_a_beginning() {
        assert_eq!(began(&[0.9, 0.9, 0.1, 0.1, 0.9, 0.9], 64), Some(AudioPos(0)));
    }

    #[test]
    fn unsure_frames_continue_but_do_not_begin() {
        assert_eq!(began(&[0.5; 20], 48), None);
        assert_eq!(began(&[0.7, 0.5, 0.5], 48), Some(AudioPos(0)));
    }
}
