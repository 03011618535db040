//! The laws of the resampler: length, phase, level, and independence of how the input is cut.

use floe::audio::resample::Resampler;
use proptest::prelude::*;

use super::{rms, tone};

const RATES_HZ: [u32; 7] = [8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000];

fn resampled(in_hz: u32, out_hz: u32, input: &[f32], cuts: &[usize]) -> Vec<f32> {
    let (mut resampler, mut out, mut rest) = (Resampler::new(in_hz, out_hz).unwrap(), Vec::new(), input);
    for len in cuts {
        let (piece, tail) = rest.split_at((*len).min(rest.len()));
        rest = tail;
        resampler.push(piece, &mut out).unwrap();
    }
    resampler.push(rest, &mut out).unwrap();
    resampler.flush(&mut out).unwrap();
    out
}

#[test]
fn length_phase_and_level_hold_for_every_pair_of_rates() {
    for in_hz in RATES_HZ {
        for out_hz in RATES_HZ {
            let input = tone(in_hz, 700.0, in_hz as usize / 2 + 37);
            let out = resampled(in_hz, out_hz, &input, &[]);
            let len = (input.len() as u64 * u64::from(out_hz)).div_ceil(u64::from(in_hz));
            assert_eq!(out.len() as u64, len, "{in_hz} to {out_hz}");
            // Away from the edges, where the tone is switched on, it is the same tone at the same time.
            let expected = tone(out_hz, 700.0, out.len());
            let edge = out_hz as usize / 20;
            let inside = edge..out.len() - edge;
            let error: Vec<f32> = out[inside.clone()].iter().zip(&expected[inside]).map(|(a, b)| a - b).collect();
            assert!(rms(&error) < 0.004, "{in_hz} to {out_hz}: {}", rms(&error));
        }
    }
}

#[test]
fn what_the_lower_rate_cannot_hold_is_removed() {
    let input = tone(48_000, 9_000.0, 48_000);
    let out = resampled(48_000, 16_000, &input, &[]);
    assert!(rms(&out[800..15_200]) < 0.001, "{}", rms(&out[800..15_200]));
}

#[test]
fn flushing_starts_anew() {
    let mut resampler = Resampler::new(44_100, 16_000).unwrap();
    let input = tone(44_100, 500.0, 10_001);
    let mut run = || {
        let mut out = Vec::new();
        resampler.push(&input, &mut out).unwrap();
        resampler.flush(&mut out).unwrap();
        out
    };
    assert_eq!(run(), run());
}

#[test]
fn absurd_rates_are_refused_before_anything_is_allocated() {
    for rate_hz in [0, 1, 7_999, 192_001, u32::MAX] {
        assert_eq!(Resampler::new(rate_hz, 16_000).unwrap_err().code(), "audio_rate_unsupported");
        assert_eq!(Resampler::new(16_000, rate_hz).unwrap_err().code(), "audio_rate_unsupported");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn cuts_do_not_matter(
        from in 0..RATES_HZ.len(),
        to in 0..RATES_HZ.len(),
        input in prop::collection::vec(-1.0_f32..1.0, 0..6_000),
        cuts in prop::collection::vec(0_usize..1_500, 0..12),
    ) {
        let (in_hz, out_hz) = (RATES_HZ[from], RATES_HZ[to]);
        prop_assert_eq!(resampled(in_hz, out_hz, &input, &cuts), resampled(in_hz, out_hz, &input, &[]));
    }
}
