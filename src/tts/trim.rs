//! Silence around a segment, cut short so that replies are snappy. Silence inside stays.

use std::collections::VecDeque;

/// Below this a sample is silence: −50 dB.
const SILENCE: f32 = 0.003;

/// Silence kept before the first sound and after the last, in milliseconds.
const LEAD_MS: u32 = 20;
const TAIL_MS: u32 = 60;

/// Longest silence held back until it is known whether sound follows, in milliseconds. More than that is passed on: no
/// voice pauses so long at an end.
const HELD_MS: u32 = 3_000;

/// Cuts the silence at both ends of one segment as its samples pass.
pub(super) struct Trim {
    lead: usize,
    tail: usize,
    most: usize,
    sounded: bool,
    held: VecDeque<f32>,
}

impl Trim {
    /// For samples at `rate_hz`.
    pub(super) fn new(rate_hz: u32) -> Self {
        let samples = |ms: u32| usize::try_from(u64::from(rate_hz) * u64::from(ms) / 1000).unwrap_or(0);
        Self {
            lead: samples(LEAD_MS),
            tail: samples(TAIL_MS),
            most: samples(HELD_MS),
            sounded: false,
            held: VecDeque::new(),
        }
    }

    /// Takes samples and gives those that are certain to be wanted.
    pub(super) fn push(&mut self, samples: &[f32]) -> Vec<f32> {
        let Some(last) = samples.iter().rposition(|s| s.abs() >= SILENCE) else {
            self.held.extend(samples);
            let keep = if self.sounded { self.most } else { self.lead };
            let over = self.held.len().saturating_sub(keep);
            let passed: Vec<f32> = self.held.drain(..over).collect();
            return if self.sounded { passed } else { Vec::new() };
        };
        let (sound, rest) = samples.split_at(last + 1);
        let mut out: Vec<f32> = self.held.drain(..).chain(sound.iter().copied()).collect();
        if !self.sounded {
            let first = out.iter().position(|s| s.abs() >= SILENCE).unwrap_or(0);
            out.drain(..first.saturating_sub(self.lead));
            self.sounded = true;
        }
        self.held.extend(rest);
        out
    }

    /// The end: what is left of the silence. Nothing if there was never a sound.
    pub(super) fn finish(&mut self) -> Vec<f32> {
        let keep = if self.sounded { self.tail } else { 0 };
        self.held.drain(..).take(keep).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trimmed(input: &[f32], piece: usize) -> Vec<f32> {
        let mut trim = Trim::new(16_000);
        let mut out: Vec<f32> = input.chunks(piece).flat_map(|samples| trim.push(samples)).collect();
        out.extend(trim.finish());
        out
    }

    #[test]
    fn ends_are_cut_and_the_middle_stays() {
        let (quiet, loud) = (|n: usize| vec![0.001; n], |n: usize| vec![0.5; n]);
        let input = [quiet(8_000), loud(100), quiet(10_000), loud(50), quiet(4_000)].concat();
        for piece in [1, 7, 160, 2_048, 40_000] {
            let out = trimmed(&input, piece);
            assert_eq!(out.len(), 320 + 100 + 10_000 + 50 + 960, "in pieces of {piece}");
            assert_eq!(out.iter().filter(|s| **s == 0.5).count(), 150);
        }
    }

    #[test]
    fn silence_alone_gives_nothing() {
        assert!(trimmed(&[0.0; 50_000], 160).is_empty());
        assert!(trimmed(&[], 160).is_empty());
    }

    #[test]
    fn what_is_held_has_a_bound() {
        let mut trim = Trim::new(16_000);
        trim.push(&[0.5]);
        let passed: usize = (0..100).map(|_| trim.push(&[0.0; 1_600]).len()).sum();
        assert_eq!(passed, 160_000 - 48_000);
    }
}
