//! Whole files.

use bytes::Bytes;
use floe::audio::{
    Samples,
    container::{Limits, Reader, decode_file, decode_open_file},
    wav,
};

use super::{clip, container, ms, similarity, tone};
use crate::support::fixture;

pub(crate) const FILES: [&str; 6] = ["clip.ogg", "clip.webm", "clip-vorbis.ogg", "clip.mp3", "clip.flac", "clip.m4a"];

fn decoded(bytes: Vec<u8>) -> Vec<f32> {
    decode_file(Bytes::from(bytes), Limits::default()).unwrap().data
}

#[test]
fn every_container_holds_the_clip() {
    let clip = clip().data;
    for file in FILES {
        let heard = decoded(container(file));
        // AAC's priming (64 ms) and the padding of its last block stay in: the format reader does not tell them.
        let (lags, extra) = if file == "clip.m4a" { (0..=1_100, 2_100) } else { (0..=20, 320) };
        let (alike, lag) = similarity(&clip, &heard, lags);
        assert!(alike > 0.9, "{file}: {alike} at {lag}");
        assert!((clip.len()..=clip.len() + extra).contains(&heard.len()), "{file}: {} samples", heard.len());
    }
}

#[test]
fn lossless_files_are_exact() {
    let clip = clip().data;
    assert_eq!(decoded(container("clip.flac")), clip);
    let file = std::fs::File::open(fixture("audio/17-slt.wav")).unwrap();
    assert_eq!(decode_open_file(file, Limits::default()).unwrap().data, clip);
}

#[test]
fn stereo_is_averaged_and_resampled() {
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: 44_100,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut bytes, spec).unwrap();
    for sample in tone(44_100, 400.0, 44_100) {
        writer.write_sample((sample * 32_767.0) as i16).unwrap();
        writer.write_sample(0_i16).unwrap();
    }
    writer.finalize().unwrap();
    let heard = decoded(bytes.into_inner());
    assert_eq!(heard.len(), 16_000);
    let expected = tone(16_000, 400.0, 16_000);
    for (a, b) in heard.iter().zip(&expected).skip(800).take(14_000) {
        assert!((a - b / 2.0).abs() < 0.01);
    }
}

#[test]
fn a_file_that_is_too_long_is_refused() {
    for file in FILES {
        let bytes = Bytes::from(container(file));
        let error = decode_file(bytes, Limits { duration_ms_max: 1_000 }).unwrap_err();
        assert_eq!(error.code(), "audio_file_too_long", "{file}");
    }
}

#[test]
fn a_file_that_is_cut_off_gives_what_is_there() {
    for file in ["clip.ogg", "clip.webm", "clip.mp3", "clip.flac"] {
        let whole = decoded(container(file));
        let mut bytes = container(file);
        // Two pages is all that the Ogg file has: its first audio page is whole at the very end only.
        let keep = if file == "clip.ogg" { bytes.len() * 9 / 10 } else { bytes.len() / 2 };
        bytes.truncate(keep);
        let part = decoded(bytes);
        assert!(part.len() < whole.len(), "{file}");
        if file != "clip.ogg" {
            assert!(part.len() > whole.len() / 3, "{file}: {}", part.len());
            assert_eq!(part[..ms(300)], whole[..ms(300)], "{file}");
        }
    }
}

#[test]
fn a_file_without_audio_is_said_to_have_none() {
    for bytes in [&b""[..], b"hello, this is a text and no recording of it", &[0; 4_096]] {
        let error = decode_file(Bytes::copy_from_slice(bytes), Limits::default()).unwrap_err();
        assert!(["audio_container_unreadable", "audio_codec_unsupported"].contains(&error.code()), "{error}");
    }
}

#[test]
fn a_stream_needs_no_way_back() {
    for file in ["clip.ogg", "clip.webm", "clip-vorbis.ogg", "clip.mp3", "clip.flac"] {
        let mut reader = Reader::from_stream(std::io::Cursor::new(container(file))).unwrap();
        let mut samples = 0;
        while let Some(block) = reader.next_block().unwrap() {
            samples += block.samples.len();
        }
        assert!(samples >= clip().data.len(), "{file}: {samples}");
    }
}

#[test]
fn absurd_rates_in_a_header_are_refused() {
    let mut bytes = std::io::Cursor::new(Vec::new());
    wav::write(&mut bytes, &Samples { rate_hz: 16_000, data: vec![0.1; 4_000] }).unwrap();
    for rate_hz in [1_u32, 7_000, 4_000_000_000] {
        let mut bytes = bytes.get_ref().clone();
        bytes[24..28].copy_from_slice(&rate_hz.to_le_bytes());
        let error = decode_file(Bytes::from(bytes), Limits::default()).unwrap_err();
        assert_eq!(error.code(), "audio_rate_unsupported", "{rate_hz}");
    }
}
