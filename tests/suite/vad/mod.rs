//! Tests of `vad`: real recordings are speech in the middle, and what is no speech is none.

use floe::{
    audio::FRAME_SAMPLES,
    vad::{Config, VoiceActivity, engine},
};

use crate::{
    audio::{tone, wav},
    support::fixture,
};

/// Where an utterance begins for the conversation.
const ONSET: f32 = 0.6;

fn probabilities(vad: &mut dyn VoiceActivity, samples: &[f32]) -> Vec<f32> {
    let frames = samples.as_chunks::<FRAME_SAMPLES>().0;
    frames.iter().map(|frame| vad.probability(frame)).collect()
}

/// White noise with a root mean square of `dbfs`; the same every time.
fn noise(dbfs: f32, samples: usize) -> Vec<f32> {
    let mut state = 0x2545_F491_u32;
    let amplitude = 10_f32.powf(dbfs / 20.0) * 3_f32.sqrt();
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state as f32 / u32::MAX as f32).mul_add(2.0, -1.0) * amplitude
    };
    (0..samples).map(|_| next()).collect()
}

/// The longest run of frames at or above the onset.
fn longest_run(probabilities: &[f32]) -> usize {
    probabilities.split(|p| *p < ONSET).map(<[f32]>::len).max().unwrap_or(0)
}

#[test]
fn recordings_are_speech_where_they_are_loud() {
    let mut files = 0;
    for entry in std::fs::read_dir(fixture("audio")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !name.ends_with(".wav") {
            continue;
        }
        files += 1;
        // Half a second of room before and after.
        let mut samples = vec![0.0; 8_192];
        samples.extend(wav(&format!("audio/{name}")).data);
        let spoken = samples.len() / FRAME_SAMPLES;
        samples.extend([0.0; 16_384]);
        let found = probabilities(engine(&Config::default()).as_mut(), &samples);
        assert!(longest_run(&found) >= 6, "{name}: {found:?}");
        assert!(found[..30].iter().all(|p| *p < ONSET), "{name}: speech before the recording");
        assert!(found[spoken + 20..].iter().all(|p| *p < ONSET), "{name}: speech after the recording");
    }
    assert_eq!(files, 12);
}

#[test]
fn silence_and_noise_are_no_speech() {
    for (what, samples) in [
        ("digital silence", vec![0.0; 160_000]),
        ("noise at -80 dB", noise(-80.0, 160_000)),
        ("noise at -60 dB", noise(-60.0, 160_000)),
        ("noise at -40 dB", noise(-40.0, 160_000)),
    ] {
        let found = probabilities(engine(&Config::default()).as_mut(), &samples);
        let most = found.iter().copied().fold(0.0, f32::max);
        assert!(most < ONSET, "{what}: {most}");
    }
}

#[test]
fn a_loud_steady_sound_is_speech_for_half_a_second_at_most() {
    let mut sounds: Vec<_> =
        [-30.0, -20.0, -10.0, -6.0].map(|dbfs| (format!("{dbfs} dB"), noise(dbfs, 160_000))).into();
    sounds.extend([100.0, 220.0, 440.0, 1_000.0].map(|hz| (format!("{hz} Hz"), tone(16_000, hz, 160_000))));
    for (what, samples) in sounds {
        let found = probabilities(engine(&Config::default()).as_mut(), &samples);
        assert!(found[32..].iter().all(|p| *p == 0.0), "{what}");
    }
}

#[test]
fn nothing_in_recordings_is_too_steady() {
    // Without the floor: the detector, with its three frames of context, outlasts the last word into digital silence.
    let floorless = Config { floor_dbfs: -200.0, ..Config::default() };
    let open = Config { steady_db: 0.0, ..floorless.clone() };
    for name in ["00-en-us", "03-rms", "05-kal16", "10-en-gb", "12-en-us-f2", "17-slt", "31-awb"] {
        let samples = wav(&format!("audio/{name}.wav")).data;
        let ungated = probabilities(engine(&open).as_mut(), &samples);
        let gated = probabilities(engine(&floorless).as_mut(), &samples);
        for (gated, ungated) in gated.iter().zip(&ungated) {
            assert!(gated == ungated || *ungated < ONSET, "{name}: {ungated} became {gated}");
        }
    }
}

#[test]
fn a_whisper_below_the_floor_is_silence() {
    let quiet: Vec<f32> = wav("audio/17-slt.wav").data.iter().map(|sample| sample * 0.001).collect();
    let mut deaf = engine(&Config { floor_dbfs: -50.0, ..Config::default() });
    assert!(probabilities(deaf.as_mut(), &quiet).iter().all(|p| *p == 0.0));
}

#[test]
fn reset_forgets() {
    let (clip, mut vad) = (wav("audio/17-slt.wav").data, engine(&Config::default()));
    let first = probabilities(vad.as_mut(), &clip);
    vad.reset();
    assert_eq!(probabilities(vad.as_mut(), &clip), first);
}

#[test]
fn numbers_that_are_no_samples_are_survived() {
    let mut vad = engine(&Config::default());
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN_POSITIVE, -3.0] {
        let p = vad.probability(&[value; FRAME_SAMPLES]);
        assert!((0.0..=1.0).contains(&p), "{value}: {p}");
    }
}

#[test]
fn configuration_is_read_strictly() {
    let config: Config = toml::from_str("engine = \"earshot\"\nfloor_dbfs = -55.0").unwrap();
    assert_eq!(config, Config { floor_dbfs: -55.0, ..Config::default() });
    assert_eq!(toml::from_str::<Config>(&toml::to_string(&config).unwrap()).unwrap(), config);
    toml::from_str::<Config>("engine = \"silero\"").unwrap_err();
    toml::from_str::<Config>("threshold = 0.5").unwrap_err();
}
