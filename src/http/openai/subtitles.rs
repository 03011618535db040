//! What was said, as subtitles: one cue per utterance.

use std::fmt::Write as _;

use crate::{audio::AudioPos, transcribe::Utterance};

/// SubRip: numbered cues, comma decimals.
pub(super) fn srt(utterances: &[Utterance]) -> String {
    let mut text = String::new();
    for (number, utterance) in (1..).zip(utterances) {
        let (start, end) = (clock(utterance.start, ','), clock(utterance.end, ','));
        let _always_ok = write!(text, "{number}\n{start} --> {end}\n{}\n\n", one_line(&utterance.text));
    }
    text
}

/// WebVTT: the three characters that mean something there are written as entities.
pub(super) fn vtt(utterances: &[Utterance]) -> String {
    let mut text = String::from("WEBVTT\n\n");
    for utterance in utterances {
        let words = one_line(&utterance.text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let (start, end) = (clock(utterance.start, '.'), clock(utterance.end, '.'));
        let _always_ok = write!(text, "{start} --> {end}\n{words}\n\n");
    }
    text
}

/// `01:02:03,004`.
fn clock(at: AudioPos, point: char) -> String {
    let ms = at.as_ms();
    format!("{:02}:{:02}:{:02}{point}{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60, ms % 1_000)
}

/// A blank line would end the cue.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said() -> Vec<Utterance> {
        let utterance = |start_ms, end_ms, text: &str| Utterance {
            start: AudioPos::from_ms(start_ms),
            end: AudioPos::from_ms(end_ms),
            text: text.into(),
            language: "en".into(),
            confidence: 0.9,
        };
        vec![utterance(320, 1_600, "what time is it"), utterance(3_723_004, 3_724_000, "a < b --> c\n\n& d")]
    }

    #[test]
    fn cues_are_numbered_and_timed() {
        assert_eq!(
            srt(&said()),
            "1\n00:00:00,320 --> 00:00:01,600\nwhat time is it\n\n2\n01:02:03,004 --> 01:02:04,000\na < b --> c & d\n\n"
        );
    }

    #[test]
    fn words_cannot_break_out_of_a_cue() {
        assert_eq!(
            vtt(&said()),
            "WEBVTT\n\n00:00:00.320 --> 00:00:01.600\nwhat time is it\n\n\
             01:02:03.004 --> 01:02:04.000\na &lt; b --&gt; c &amp; d\n\n"
        );
    }
}
