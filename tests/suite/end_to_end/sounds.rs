//! What is no speech gives no words.

use floe::caller::Recording;

use super::support::{call, server, transcript};

const RATE: usize = 16_000;

/// Noise that is the same in every run.
fn noise(seed: u32, loudness: f32) -> impl FnMut() -> f32 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 8) as f32 / (1 << 23) as f32 - 1.0) * loudness
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minute_of_silence_noise_and_tones_gives_no_words_and_no_crash() {
    let (server, _) = server().await;
    let mut white = noise(1, 0.01);
    let mut loud = noise(2, 0.2);
    let silence = vec![0.0; 10 * RATE];
    let hiss: Vec<f32> = (0..10 * RATE).map(|_| white()).collect();
    let roar: Vec<f32> = (0..10 * RATE).map(|_| loud()).collect();
    let hum: Vec<f32> =
        (0..10 * RATE).map(|at| (at as f32 * 50.0 * std::f32::consts::TAU / RATE as f32).sin() * 0.1).collect();
    let clicks: Vec<f32> = (0..10 * RATE).map(|at| if at % 4_000 < 8 { 0.8 } else { 0.0 }).collect();
    let tone = |at: usize| {
        let note = [262.0, 330.0, 392.0, 523.0][at / (RATE / 2) % 4];
        (at as f32 * note * std::f32::consts::TAU / RATE as f32).sin() * 0.15
    };
    let music: Vec<f32> = (0..10 * RATE).map(tone).collect();
    for (name, sound) in
        [("silence", silence), ("hiss", hiss), ("roar", roar), ("hum", hum), ("clicks", clicks), ("music", music)]
    {
        let report = call(&server, &Recording::from(sound)).await;
        assert_eq!(transcript(&report).trim(), "", "{name} gave words");
        assert!(report.replies.is_empty(), "{name} was answered");
    }
}
