//! Bytes that no client should send: never a panic, always a typed error or audio, and the stream goes on.

use bytes::Bytes;
use floe::audio::{
    AudioPos, Codec, Egress, Ingress,
    container::{Limits, decode_file},
    opus,
};
use proptest::prelude::*;

use super::{clip, container, container::FILES, format};

fn code(codec: Codec, rate_hz: u32, payload: &[u8]) -> &'static str {
    let (mut ingress, mut frames) = (Ingress::new(format(codec, rate_hz)).unwrap(), Vec::new());
    let error = ingress.push(payload, Some(0), false, &mut frames).unwrap_err();
    assert!(error.is_recoverable() && frames.is_empty());
    // The sentence is for whoever writes the client.
    assert!(error.to_string().len() > 20);
    error.code()
}

#[test]
fn each_fault_has_its_word() {
    assert_eq!(code(Codec::PcmS16le, 16_000, &[0; 641]), "audio_misaligned");
    assert_eq!(code(Codec::PcmS16le, 16_000, &[0; 32_002]), "audio_too_long");
    assert_eq!(code(Codec::Pcmu, 8_000, &[0; 8_001]), "audio_too_long");
    assert_eq!(code(Codec::Opus, 48_000, &[0; 1_501]), "audio_too_long");
    // Code 3 with no frames; more than 120 ms; a first frame longer than the packet.
    assert_eq!(code(Codec::Opus, 48_000, &[0x03, 0x00]), "audio_not_opus");
    assert_eq!(code(Codec::Opus, 48_000, &[0x1B, 0x03, 1, 2, 3, 4, 5, 6]), "audio_not_opus");
    assert_eq!(code(Codec::Opus, 48_000, &[0x02, 0xFB, 0xFF, 0x00]), "audio_not_opus");
    assert_eq!(code(Codec::Opus, 48_000, &[0x04 | 0x08, 1, 2, 3]), "audio_not_mono");
}

#[test]
fn a_bad_packet_leaves_the_stream_as_it_was() {
    let (mut egress, mut chunks) = (Egress::new(format(Codec::Opus, 16_000)).unwrap(), Vec::new());
    egress.push(&clip(), &mut chunks).unwrap();
    let hear = |bad: bool| {
        let (mut ingress, mut frames) = (Ingress::new(format(Codec::Opus, 48_000)).unwrap(), Vec::new());
        for (n, chunk) in chunks.iter().enumerate() {
            if bad {
                ingress.push(&[0x03, 0x00], Some(960 * n as u32), false, &mut frames).unwrap_err();
            }
            ingress.push(&chunk.payload, Some(960 * n as u32), false, &mut frames).unwrap();
        }
        super::joined(&frames)
    };
    assert_eq!(hear(true), hear(false));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn random_payloads_never_panic(
        which in 0_usize..4,
        messages in prop::collection::vec(
            (prop::collection::vec(any::<u8>(), 0..400), any::<Option<u32>>(), any::<bool>()), 1..24),
    ) {
        let codec = [Codec::PcmS16le, Codec::Opus, Codec::Pcmu, Codec::Pcma][which];
        let rate_hz = *codec.rates_hz().last().unwrap();
        let (mut ingress, mut frames) = (Ingress::new(format(codec, rate_hz)).unwrap(), Vec::new());
        for (payload, timestamp, gap) in &messages {
            if let Err(error) = ingress.push(payload, *timestamp, *gap, &mut frames) {
                prop_assert!(error.is_recoverable(), "{error}");
            }
        }
        ingress.finish(&mut frames).unwrap();
        // A message adds at most itself (120 ms) and a concealed gap (120 ms); skipping has its own bound.
        let most = AudioPos::from_ms(10_000 + 16 + 360 * messages.len() as u64);
        prop_assert!(ingress.position() <= most, "{}", ingress.position());
        for frame in &frames {
            prop_assert_eq!(frame.samples.len(), 256);
            prop_assert!(frame.samples.iter().all(|sample| sample.abs() < 2.0));
        }
    }

    #[test]
    fn random_opus_headers_are_judged_without_harm(packet in prop::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(info) = opus::inspect(&packet) {
            prop_assert!((120..=5_760).contains(&info.samples));
        }
    }

    #[test]
    fn damaged_containers_never_panic(
        file in 0..FILES.len(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..24),
        head in prop::collection::vec((0_usize..200, any::<u8>()), 0..4),
        keep in any::<prop::sample::Index>(),
    ) {
        let mut bytes = container(FILES[file]);
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        for (at, value) in head {
            bytes[at] = value;
        }
        bytes.truncate(keep.index(bytes.len()) + 1);
        // A lying header must not make minutes out of seconds of bytes.
        if let Ok(samples) = decode_file(Bytes::from(bytes), Limits { duration_ms_max: 60_000 }) {
            prop_assert!(samples.data.iter().all(|sample| sample.is_finite()));
        }
    }

    #[test]
    fn random_bytes_are_no_container(bytes in prop::collection::vec(any::<u8>(), 0..4_000)) {
        if let Ok(samples) = decode_file(Bytes::from(bytes), Limits { duration_ms_max: 60_000 }) {
            prop_assert!(samples.data.len() <= 60 * 16_000);
        }
    }
}
