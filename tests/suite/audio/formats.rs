//! Every format there and back: what a client encodes is what Floe hears, and what Floe says is what a client plays.

use floe::audio::{Codec, Egress, Error, Format, Ingress, Law, Playout, Samples, wav};

use super::{clip, format, joined, ms, rms, similarity};
use crate::support::fixture;

/// Encodes as a client's microphone would, and hears as the server does.
fn heard(format: Format, samples: &Samples) -> Vec<f32> {
    let (mut microphone, mut chunks) = (Egress::new(format).unwrap(), Vec::new());
    microphone.push(samples, &mut chunks).unwrap();
    microphone.finish(&mut chunks).unwrap();
    let (mut ingress, mut frames, mut timestamp) = (Ingress::new(format).unwrap(), Vec::new(), 0_u32);
    for chunk in &chunks {
        ingress.push(&chunk.payload, Some(timestamp), false, &mut frames).unwrap();
        timestamp += chunk.samples;
    }
    ingress.finish(&mut frames).unwrap();
    joined(&frames)
}

#[test]
fn every_input_format_hears_the_same() {
    let clip = clip();
    for codec in [Codec::PcmS16le, Codec::Opus, Codec::Pcmu, Codec::Pcma] {
        for rate_hz in codec.rates_hz() {
            let heard = heard(format(codec, *rate_hz), &clip);
            let (alike, lag) = similarity(&clip.data, &heard, 0..=200);
            // At 8 kHz the upper half of the spectrum is gone; Opus and G.711 are lossy.
            let least = match (codec, rate_hz) {
                (Codec::PcmS16le, 8_000) => 0.95,
                (Codec::PcmS16le, _) => 0.995,
                _ => 0.90,
            };
            assert!(alike > least, "{codec} at {rate_hz}: {alike}");
            // 6.5 ms is Opus' own lookahead; nothing else may shift.
            let expected = if codec == Codec::Opus { 104 } else { 0 };
            assert!(lag.abs_diff(expected) <= 4, "{codec} at {rate_hz}: {lag} samples late");
        }
    }
}

#[test]
fn every_output_format_plays_the_same() {
    let clip = clip();
    for codec in [Codec::PcmS16le, Codec::Opus, Codec::Pcmu, Codec::Pcma] {
        for rate_hz in codec.rates_hz() {
            let format = format(codec, *rate_hz);
            let (mut egress, mut playout) = (Egress::new(format).unwrap(), Playout::new(format).unwrap());
            let (mut chunks, mut played) = (Vec::new(), Vec::new());
            egress.push(&clip, &mut chunks).unwrap();
            egress.finish(&mut chunks).unwrap();
            for chunk in &chunks {
                let before = played.len();
                playout.push(&chunk.payload, &mut played).unwrap();
                assert_eq!(played.len() - before, chunk.samples as usize);
                assert_eq!(chunk.clock_hz, playout.rate_hz());
                assert!(chunk.duration().as_micros().abs_diff(20_000) < 100);
            }
            let level = rms(&played) / rms(&clip.data);
            assert!((0.8..1.1).contains(&level), "{codec} at {rate_hz}: level {level}");
            let seconds = played.len() as f32 / playout.rate_hz() as f32;
            assert!((1.759..1.81).contains(&seconds), "{codec} at {rate_hz}: {seconds} s");
        }
    }
}

#[test]
fn segments_of_one_reply_join_without_a_seam() {
    let clip = clip();
    let encode = |pieces: &[usize]| {
        let (mut egress, mut chunks) = (Egress::new(format(Codec::PcmS16le, 24_000)).unwrap(), Vec::new());
        let mut rest = clip.data.as_slice();
        for len in pieces.iter().chain([&usize::MAX]) {
            let (piece, tail) = rest.split_at((*len).min(rest.len()));
            rest = tail;
            egress.push(&Samples { rate_hz: 16_000, data: piece.to_vec() }, &mut chunks).unwrap();
        }
        egress.finish(&mut chunks).unwrap();
        chunks
    };
    assert_eq!(encode(&[]), encode(&[1, 999, 0, 7_777, 3]));
}

#[test]
fn an_encoder_serves_one_reply_after_another() {
    for codec in [Codec::PcmS16le, Codec::Opus] {
        let mut egress = Egress::new(format(codec, 48_000)).unwrap();
        let mut reply = || {
            let mut chunks = Vec::new();
            egress.push(&clip(), &mut chunks).unwrap();
            egress.finish(&mut chunks).unwrap();
            chunks
        };
        assert_eq!(reply(), reply());
        let mut nothing = Vec::new();
        egress.finish(&mut nothing).unwrap();
        assert!(nothing.is_empty());
    }
}

#[test]
fn a_voice_may_change_its_rate_within_a_reply() {
    let (mut egress, mut chunks) = (Egress::new(format(Codec::PcmS16le, 16_000)).unwrap(), Vec::new());
    for rate_hz in [22_050, 24_000, 16_000] {
        egress.push(&Samples { rate_hz, data: vec![0.25; rate_hz as usize / 10] }, &mut chunks).unwrap();
    }
    egress.finish(&mut chunks).unwrap();
    assert_eq!(chunks.iter().map(|chunk| chunk.samples).sum::<u32>(), 4_800);
}

#[test]
fn numbers_that_are_no_samples_become_samples() {
    let (mut egress, mut chunks) = (Egress::new(format(Codec::PcmS16le, 16_000)).unwrap(), Vec::new());
    let data = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 7.0].repeat(80);
    egress.push(&Samples { rate_hz: 16_000, data }, &mut chunks).unwrap();
    assert_eq!(chunks[0].payload[..8], [0, 0, 0xFF, 0x7F, 0x00, 0x80, 0xFF, 0x7F]);
}

#[test]
fn g711_agrees_with_ffmpeg_and_with_itself() {
    for (law, file) in [(Law::Mu, "audio/g711/pcmu.s16le"), (Law::A, "audio/g711/pcma.s16le")] {
        let table = std::fs::read(fixture(file)).unwrap();
        for code in 0..=255_u8 {
            let at = usize::from(code) * 2;
            let expected = i16::from_le_bytes([table[at], table[at + 1]]);
            assert_eq!(law.decode(code), expected, "{law:?} {code:#04x}");
            // µ-law has two zeros.
            assert_eq!(law.decode(law.encode(expected)), expected, "{law:?} {code:#04x}");
        }
        for sample in i16::MIN..=i16::MAX {
            let error = i32::from(law.decode(law.encode(sample))).abs_diff(i32::from(sample));
            let step = (u32::from(sample.unsigned_abs()) / 16).max(16);
            assert!(error <= step, "{law:?}: {sample} is off by {error}");
        }
    }
}

#[test]
fn g711_known_values() {
    for (law, code, sample) in [
        (Law::Mu, 0xFF, 0),
        (Law::Mu, 0x80, 32_124),
        (Law::Mu, 0x00, -32_124),
        (Law::A, 0xD5, 8),
        (Law::A, 0x55, -8),
        (Law::A, 0xAA, 32_256),
        (Law::A, 0x2A, -32_256),
    ] {
        assert_eq!((law.decode(code), law.encode(sample)), (sample, code), "{law:?}");
    }
}

#[test]
fn pcm_is_exact_at_16_khz() {
    let clip = clip();
    let heard = heard(format(Codec::PcmS16le, 16_000), &clip);
    assert_eq!(heard[..clip.data.len()], clip.data);
    assert!(heard[clip.data.len()..].iter().all(|sample| *sample == 0.0));
}

#[test]
fn a_file_is_written_as_it_was() {
    let (clip, mut bytes) = (clip(), std::io::Cursor::new(Vec::new()));
    wav::write(&mut bytes, &clip).unwrap();
    assert_eq!(bytes.into_inner(), std::fs::read(fixture("audio/17-slt.wav")).unwrap());
}

#[test]
fn formats_that_do_not_exist_are_refused() {
    let refused = |codec, rate_hz, frame_ms| Egress::new(Format { codec, rate_hz, frame_ms }).unwrap_err().code();
    assert_eq!(refused(Codec::PcmS16le, 11_025, 20), "audio_rate_unsupported");
    assert_eq!(refused(Codec::Opus, 44_100, 20), "audio_rate_unsupported");
    assert_eq!(refused(Codec::Opus, 48_000, 30), "audio_frame_unsupported");
    assert_eq!(refused(Codec::PcmS16le, 16_000, 0), "audio_frame_unsupported");
    assert_eq!(refused(Codec::Wav, 0, 20), "audio_input_only");
    assert_eq!(Ingress::new(format(Codec::Pcmu, 16_000)).unwrap_err().code(), "audio_rate_unsupported");
    let error = Ingress::new(format(Codec::PcmS16le, u32::MAX)).unwrap_err();
    assert_eq!(error, Error::RateUnsupported { codec: Codec::PcmS16le, rate_hz: u32::MAX });
    let mut egress = Egress::new(format(Codec::PcmS16le, 16_000)).unwrap();
    let error = egress.push(&Samples { rate_hz: 0, data: vec![0.0; ms(20)] }, &mut Vec::new()).unwrap_err();
    assert_eq!(error, Error::RateOutOfRange { rate_hz: 0 });
}

#[test]
fn names_are_their_own_inverse() {
    for codec in Codec::ALL {
        assert_eq!(Codec::from_name(codec.name()), Some(codec));
    }
    assert_eq!(Codec::from_name("mp3"), None);
}
