//! Missing audio: media time goes on, concealed or silent.

use floe::audio::{AudioPos, Codec, Egress, Frame, Ingress, opus};

use super::{clip, format, joined, ms, rms, similarity};

/// The clip as Opus packets of 20 ms (960 ticks).
fn packets(rate_hz: u32) -> Vec<Vec<u8>> {
    let (mut egress, mut chunks) = (Egress::new(format(Codec::Opus, rate_hz)).unwrap(), Vec::new());
    egress.push(&clip(), &mut chunks).unwrap();
    egress.finish(&mut chunks).unwrap();
    chunks.into_iter().map(|chunk| chunk.payload.to_vec()).collect()
}

/// Hears the packets but those in `lost`.
fn without(packets: &[Vec<u8>], lost: std::ops::Range<usize>, start: u32) -> Vec<f32> {
    let (mut ingress, mut frames) = (Ingress::new(format(Codec::Opus, 48_000)).unwrap(), Vec::new());
    for (n, packet) in packets.iter().enumerate().filter(|(n, _)| !lost.contains(n)) {
        ingress.push(packet, Some(start.wrapping_add(960 * n as u32)), n == lost.end, &mut frames).unwrap();
    }
    ingress.finish(&mut frames).unwrap();
    joined(&frames)
}

fn error(a: &[f32], b: &[f32]) -> f32 {
    rms(&a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>())
}

#[test]
fn a_lost_opus_packet_is_rebuilt_from_the_next() {
    for rate_hz in [16_000, 24_000, 48_000] {
        let packets = packets(rate_hz);
        let whole = without(&packets, 0..0, 0);
        let (mut rebuilt, mut extrapolated) = (0.0, 0.0);
        // The loud half of the clip.
        for n in 28..60 {
            let lost = ms(20 * n)..ms(20 * n + 20);
            // With timestamps that wrap just there.
            let heard = without(&packets, n..n + 1, u32::MAX - 960 * n as u32 + 1);
            assert_eq!(heard.len(), whole.len());
            rebuilt += error(&heard[lost.clone()], &whole[lost.clone()]);

            let (mut decoder, mut guess) = (opus::Decoder::new(16_000).unwrap(), Vec::new());
            for packet in &packets[..n] {
                decoder.decode(packet, &mut guess).unwrap();
            }
            decoder.conceal(960, &[], &mut guess).unwrap();
            extrapolated += error(&guess[lost.clone()], &whole[lost]);
        }
        assert!(rebuilt < 0.8 * extrapolated, "{rate_hz}: {rebuilt} against {extrapolated}");
    }
}

#[test]
fn every_length_of_gap_keeps_media_time() {
    let packets = packets(16_000);
    let whole = without(&packets, 0..0, 0);
    for lost in 1..40 {
        let heard = without(&packets, 20..20 + lost, 0);
        assert_eq!(heard.len(), whole.len(), "{lost} packets lost");
        let (alike, lag) = similarity(&whole[ms(1_300)..], &heard[ms(1_300)..], 0..=40);
        assert!(alike > 0.95 && lag == 0, "{lost} packets lost: {alike} at {lag}");
        if lost > 6 {
            let silent = ms(400)..ms(400 + 20 * lost);
            assert_eq!(rms(&heard[silent]), 0.0);
        }
    }
}

#[test]
fn a_declared_gap_without_timestamps_is_one_packet_long() {
    let packets = packets(16_000);
    let (mut ingress, mut frames) = (Ingress::new(format(Codec::Opus, 48_000)).unwrap(), Vec::new());
    ingress.push(&packets[0], None, true, &mut frames).unwrap();
    assert_eq!(ingress.position(), AudioPos::from_ms(20), "nothing is missing before the first packet");
    ingress.push(&packets[2], None, true, &mut frames).unwrap();
    assert_eq!(ingress.position(), AudioPos::from_ms(60));
}

#[test]
fn pcm_gaps_are_silence_of_the_right_length() {
    for rate_hz in [8_000, 16_000, 44_100, 48_000] {
        let (mut ingress, mut frames) = (Ingress::new(format(Codec::PcmS16le, rate_hz)).unwrap(), Vec::new());
        let payload = [0, 0x40].repeat(rate_hz as usize / 10);
        ingress.push(&payload, Some(u32::MAX - 5), false, &mut frames).unwrap();
        let after = (u32::MAX - 5).wrapping_add(rate_hz / 10 + rate_hz);
        ingress.push(&payload, Some(after), true, &mut frames).unwrap();
        ingress.finish(&mut frames).unwrap();
        let heard = joined(&frames);
        assert_eq!(heard.len(), ms(1_200).next_multiple_of(256), "{rate_hz}");
        assert_eq!(rms(&heard[ms(110)..ms(1_090)]), 0.0, "{rate_hz}");
        assert!((rms(&heard[ms(20)..ms(80)]) - 0.5).abs() < 0.01, "{rate_hz}");
        assert!((rms(&heard[ms(1_120)..ms(1_180)]) - 0.5).abs() < 0.01, "{rate_hz}");
    }
}

#[test]
fn jitter_and_the_past_insert_nothing() {
    let (mut ingress, mut frames) = (Ingress::new(format(Codec::PcmS16le, 16_000)).unwrap(), Vec::new());
    let payload = vec![0; 640];
    for timestamp in [1_000_000, 1_000_320 + 70, 1_000_000, 12, 332] {
        ingress.push(&payload, Some(timestamp), true, &mut frames).unwrap();
    }
    assert_eq!(ingress.position(), AudioPos::from_ms(100));
}

#[test]
fn silence_cannot_be_had_for_nothing() {
    let (mut ingress, mut frames) = (Ingress::new(format(Codec::PcmS16le, 16_000)).unwrap(), Vec::<Frame>::new());
    for n in 0..100_u32 {
        // Each message holds 10 ms and claims that an hour went by.
        ingress.push(&[0; 320], Some(n.wrapping_mul(57_600_000)), true, &mut frames).unwrap();
    }
    assert!(ingress.position() <= AudioPos::from_ms(10_000 + 2_000), "{}", ingress.position());
}

#[test]
fn discontinuous_transmission_costs_no_time() {
    let mut encoder = opus::Encoder::new(16_000, 20).unwrap();
    encoder.set_dtx(true).unwrap();
    let (mut ingress, mut frames) = (Ingress::new(format(Codec::Opus, 48_000)).unwrap(), Vec::new());
    let mut tiny = 0;
    for n in 0..100_u32 {
        let packet = encoder.encode(&vec![0.0; encoder.frame_samples()]).unwrap();
        tiny += u32::from(packet.len() <= 2);
        // Clients may send the smallest packets as they are, or as empty payloads.
        let payload = if packet.len() <= 2 && n % 2 == 0 { &[][..] } else { &packet[..] };
        ingress.push(payload, None, false, &mut frames).unwrap();
    }
    assert!(tiny > 50, "{tiny} packets without content");
    assert_eq!(ingress.position(), AudioPos::from_ms(2_000));
    assert!(rms(&joined(&frames)) < 0.001);
}
