//! What whisper.cpp should be given and what of its answer is believed: loudness, windows, contexts, loops. Pure.

use std::ops::Range;

use crate::audio::RATE_HZ;

const MS: usize = RATE_HZ as usize / 1000;
/// Loudness is looked at in pieces of 20 ms: the encoder's own step.
const STEP: usize = 20 * MS;
/// Audio kept before the first and after the last voiced step: more silence only invites imagined words.
const MARGIN: usize = 300 * MS;
/// A step this much quieter than the loudest one (−32 dB) is not voice.
const VOICED: f32 = 0.025;
/// What whisper.cpp takes in one window.
pub(super) const WINDOW_SAMPLES: usize = 30 * RATE_HZ as usize;
/// A longer recording is cut no earlier than here…
const CUT_FROM: usize = 20 * RATE_HZ as usize;
/// …and no later than here, which leaves the context its slack.
const CUT_TO: usize = 28 * RATE_HZ as usize;
/// Steps around a cut whose loudness counts: 200 ms.
const CUT_STEPS: usize = 10;

/// The root mean square of each whole 20 ms step.
fn loudness(samples: &[f32]) -> impl DoubleEndedIterator<Item = f32> + ExactSizeIterator + '_ {
    samples.chunks(STEP).map(|step| (step.iter().map(|it| it * it).sum::<f32>() / STEP as f32).sqrt())
}

/// A level in dB below full scale as a root mean square.
pub(super) fn rms_of_dbfs(dbfs: f32) -> f32 {
    10f32.powf(dbfs / 20.0)
}

/// The part that is worth transcribing: from 300 ms before the first voiced step to 300 ms after the last. `None` if even the
/// loudest step lies below `floor_rms`.
pub(super) fn voiced(samples: &[f32], floor_rms: f32) -> Option<&[f32]> {
    let loudest = loudness(samples).fold(0.0, f32::max);
    if loudest < floor_rms || samples.is_empty() {
        return None;
    }
    let threshold = floor_rms.max(loudest * VOICED);
    let first = loudness(samples).position(|it| it >= threshold)?;
    let last = loudness(samples).rposition(|it| it >= threshold)?;
    Some(&samples[(first * STEP).saturating_sub(MARGIN)..samples.len().min((last + 1) * STEP + MARGIN)])
}

/// The encoder context for this much audio: multiples of 256 (others are read past their end by whisper.cpp's attention), with
/// at least 64 positions of slack, without which published weights fall into loops.
pub(super) fn context(samples: usize, full: usize) -> usize {
    let needed = samples.div_ceil(STEP) + 64;
    let bucket = needed.next_multiple_of(256);
    if bucket >= full.min(1500) { full } else { bucket }
}

/// Most tokens that this much audio can hold, with a margin: nobody speaks faster. `most` is what the model can write.
pub(super) fn token_cap(samples: usize, most: usize) -> usize {
    ((samples as f64 / f64::from(RATE_HZ) * 7.5).ceil() as usize + 8).min(most)
}

/// Whether these are hardly any words for so much audio: less than one every four seconds, where people say ten.
pub(super) fn is_sparse(text: &str, samples: usize) -> bool {
    text.split_whitespace().count() * 4 * (RATE_HZ as usize) < samples
}

/// Cuts audio into windows of at most 30 s at the quietest places, so that nothing is lost and few words are hurt.
pub(super) fn windows(samples: &[f32]) -> Vec<Range<usize>> {
    let mut windows = Vec::new();
    let mut start = 0;
    while samples.len() - start > WINDOW_SAMPLES {
        let cut = start + quietest(&samples[start..], CUT_FROM..CUT_TO);
        windows.push(start..cut);
        start = cut;
    }
    windows.push(start..samples.len());
    windows
}

/// The middle of the quietest 200 ms in this range of samples (which is longer than that).
pub(super) fn quietest(samples: &[f32], within: Range<usize>) -> usize {
    let end = within.end.min(samples.len());
    let steps: Vec<f32> = samples.get(within.start..end).map(|it| loudness(it).collect()).unwrap_or_default();
    let quietest = steps
        .windows(CUT_STEPS)
        .map(|steps| steps.iter().map(|it| it * it).sum::<f32>())
        .enumerate()
        .min_by(|(_, a), (_, b)| a.total_cmp(b));
    quietest.map_or(end, |(at, _)| within.start + (at + CUT_STEPS / 2) * STEP)
}

/// The text as a reader wants it: single blanks, without tags such as `[BLANK_AUDIO]`, `(music)` or `♪`.
pub(super) fn clean(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut closing = Vec::new();
    for letter in text.chars() {
        match letter {
            '[' => closing.push(']'),
            '(' => closing.push(')'),
            _ if closing.last() == Some(&letter) => {
                closing.pop();
                kept.push(' ');
            }
            '♪' | '♫' => {}
            _ if closing.is_empty() => kept.push(letter),
            _ => {}
        }
    }
    kept.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// If the text ends in a loop, as a decoder that has lost its way writes it: the text up to and including the first round.
/// A loop is a word at least five times in a row, or two to eight words at least three times.
pub(super) fn without_loop(text: &str) -> Option<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    for length in 1..=8usize.min(words.len() / 3) {
        let rounds = words
            .rchunks_exact(length)
            .zip(words.rchunks_exact(length).skip(1))
            .take_while(|(a, b)| a.iter().zip(*b).all(|(a, b)| a.eq_ignore_ascii_case(b)))
            .count()
            + 1;
        if rounds >= if length == 1 { 5 } else { 3 } {
            return Some(words[..words.len() - (rounds - 1) * length].join(" "));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(ms: usize, level: f32) -> Vec<f32> {
        (0..ms * MS).map(|n| level * (n as f32 * 0.2).sin()).collect()
    }

    #[test]
    fn contexts_are_multiples_of_256_with_slack_or_the_whole_window() {
        for (seconds, wanted) in
            [(0.1, 256), (3.84, 256), (3.86, 512), (8.96, 512), (9.0, 768), (24.0, 1280), (25.0, 1500), (30.0, 1500)]
        {
            assert_eq!(context((seconds * 16_000.0) as usize, 1500), wanted, "{seconds} s");
        }
    }

    #[test]
    fn token_caps_follow_the_length_and_stop_at_what_the_model_can_write() {
        assert_eq!(token_cap(0, 216), 8);
        assert_eq!(token_cap(16_000, 216), 16);
        assert_eq!(token_cap(30 * 16_000, 216), 216);
    }

    #[test]
    fn one_word_in_twelve_seconds_is_sparse_and_one_in_three_is_not() {
        assert!(is_sparse("family", 12 * 16_000));
        assert!(!is_sparse("hello", 3 * 16_000));
        assert!(!is_sparse("", 0));
    }

    #[test]
    fn quiet_audio_has_no_voice_and_silence_around_speech_is_cut_to_300_ms() {
        let floor = rms_of_dbfs(-60.0);
        assert!(voiced(&[], floor).is_none());
        assert!(voiced(&[0.0; 16_000], floor).is_none());
        assert!(voiced(&tone(1000, 0.0005), floor).is_none());
        let mut speech = tone(1000, 0.1);
        assert_eq!(voiced(&speech, floor).map(<[f32]>::len), Some(16_000));
        speech.extend([0.0; 32_000]);
        assert_eq!(voiced(&speech, floor).map(<[f32]>::len), Some(1300 * MS));
        speech.splice(..0, [0.0; 16_000]);
        assert_eq!(voiced(&speech, floor).map(<[f32]>::len), Some(1600 * MS));
    }

    #[test]
    fn long_audio_is_cut_in_its_pauses_without_losing_a_sample() {
        let mut samples = tone(23_000, 0.3);
        samples.extend(vec![0.0; 500 * MS]);
        samples.extend(tone(26_000, 0.3));
        let windows = windows(&samples);
        assert_eq!(windows.len(), 2);
        assert!((23_000 * MS..=23_500 * MS).contains(&windows[0].end), "{windows:?}");
        assert_eq!((windows[0].start, windows[0].end, windows[1].end), (0, windows[1].start, samples.len()));
    }

    #[test]
    fn every_window_fits_whatever_the_audio() {
        for seconds in [0, 1, 30, 31, 59, 61, 95] {
            let samples = tone(seconds * 1000, 0.2);
            let windows = windows(&samples);
            assert_eq!(windows.iter().map(ExactSizeIterator::len).sum::<usize>(), samples.len());
            assert!(windows.iter().all(|it| it.len() <= WINDOW_SAMPLES), "{seconds} s");
        }
    }

    #[test]
    fn tags_and_blanks_go_and_words_stay() {
        for (raw, wanted) in [
            ("  what  time is it ", "what time is it"),
            ("[BLANK_AUDIO]", ""),
            (" (upbeat music) hello [laughs (loudly)] there", "hello there"),
            ("♪ la la ♪", "la la"),
            ("8) and 9]", "8) and 9]"),
            ("(never closed", ""),
        ] {
            assert_eq!(clean(raw), wanted, "{raw:?}");
        }
    }

    #[test]
    fn loops_are_found_and_honest_repetition_is_not() {
        for (text, wanted) in [
            ("so so so so so", Some("so")),
            ("ok thank you Thank you thank you", Some("ok thank you")),
            ("a b c a b c a b c a b c", Some("a b c")),
            ("no no no no", None),
            ("bye bye and bye bye", None),
            ("", None),
        ] {
            assert_eq!(without_loop(text).as_deref(), wanted, "{text:?}");
        }
    }
}
