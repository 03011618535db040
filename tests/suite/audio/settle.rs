//! Where a client says that something ends: nothing of it is held back, and nothing of it is heard in what follows.

use floe::audio::{AudioPos, Codec, FRAME_SAMPLES, Ingress};

use super::{format, rms};

/// One sample of sound, and one of silence.
const fn samples(codec: Codec) -> (&'static [u8], &'static [u8]) {
    match codec {
        Codec::Pcmu => (&[0x8f], &[0xff]),
        Codec::Pcma => (&[0xa5], &[0xd5]),
        _ => (&[0x00, 0x30], &[0x00, 0x00]),
    }
}

#[test]
fn nothing_from_before_is_heard_after_it() {
    for codec in [Codec::PcmS16le, Codec::Pcmu, Codec::Pcma] {
        let (loud, silent) = samples(codec);
        for rate_hz in codec.rates_hz() {
            for count in [1, 7, 333, 4_001] {
                let (mut ingress, mut frames) = (Ingress::new(format(codec, *rate_hz)).unwrap(), Vec::new());
                ingress.push(&loud.repeat(count), None, false, &mut frames).unwrap();
                ingress.settle(&mut frames).unwrap();
                let (before, at) = (frames.len(), ingress.position());
                let case = format!("{count} samples of {codec} at {rate_hz}");
                assert_eq!(at, AudioPos((count as u64 * 16_000).div_ceil(u64::from(*rate_hz))), "{case}");
                assert_eq!(frames.last().unwrap().end, at, "all of it was handed out: {case}");
                assert!(frames.iter().all(|frame| frame.samples.len() == FRAME_SAMPLES), "{case}");
                ingress.push(&silent.repeat(*rate_hz as usize / 5), None, false, &mut frames).unwrap();
                let after = &frames[before..];
                assert_eq!(after[0].end.0, at.0 + FRAME_SAMPLES as u64, "media time goes on where it was: {case}");
                let heard = after.iter().map(|frame| rms(&frame.samples)).fold(0.0, f32::max);
                assert!(heard < 0.001, "{heard}: {case}");
            }
        }
    }
}

#[test]
fn settling_again_and_again_changes_nothing() {
    let (mut ingress, mut frames) = (Ingress::new(format(Codec::PcmS16le, 24_000)).unwrap(), Vec::new());
    ingress.settle(&mut frames).unwrap();
    assert!(frames.is_empty());
    ingress.push(&[1; 2 * 2_400], None, false, &mut frames).unwrap();
    ingress.settle(&mut frames).unwrap();
    let count = frames.len();
    ingress.settle(&mut frames).unwrap();
    assert_eq!((frames.len(), ingress.position()), (count, AudioPos::from_ms(100)));
}
