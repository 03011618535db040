//! How fast this machine is with a model: measured once per processor and file, estimated for files that are not here.

use std::{fs, path::Path, time::Duration};

use super::{
    Error, Shelf,
    ggml::shape::{Dims, SIZES},
    manifest::{Family, Model},
};

/// Three seconds of speech at 16 kHz, as 16-bit samples in a WAV file.
const CLIP: &[u8] = include_bytes!("clip.wav");
/// Longest time that one measurement may take.
const LONGEST: Duration = Duration::from_secs(20);
/// Bytes before the samples.
const WAV_HEADER: usize = 44;

/// A speed, and how it is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speed {
    /// Seconds of work on one core per second of speech.
    pub factor: f64,
    /// Measured here, or reckoned from another model.
    pub measured: bool,
}

impl Speed {
    /// Whether transcription is faster than speech.
    pub fn keeps_up(self) -> bool {
        self.factor < 1.0
    }
}

/// Measures a model file: seconds of work per second of speech.
pub type Measure<'a> = &'a dyn Fn(&Path) -> Result<f64, Error>;

/// The processor, in its maker's words.
pub fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    model.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

/// Transcribes three seconds of speech with this model on one core. Blocks for at most 20 s and the time to load the file.
pub fn measure(model: &Path) -> Result<f64, Error> {
    let samples: Vec<f32> = CLIP[WAV_HEADER..]
        .chunks_exact(2)
        .map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]])) / 32_768.0)
        .collect();
    let seconds = samples.len() as f64 / 16_000.0;
    match time(model, &samples) {
        Ok(Some(taken)) => Ok(taken.as_secs_f64() / seconds),
        // Not done in time: slower than this, whatever it is exactly.
        Ok(None) => Ok(LONGEST.as_secs_f64() / seconds),
        Err(reason) => Err(Error::Measure { path: model.to_owned(), reason }),
    }
}

#[cfg(feature = "whisper")]
fn time(model: &Path, samples: &[f32]) -> Result<Option<Duration>, String> {
    crate::stt::whisper::time(model, samples, LONGEST).map_err(|error| error.message)
}

#[cfg(not(feature = "whisper"))]
fn time(_: &Path, _: &[f32]) -> Result<Option<Duration>, String> {
    Err("this Floe was built without whisper.cpp".into())
}

/// The measured speed of a file, from the shelf's memory or measured now.
pub fn of_file(shelf: &Shelf, path: &Path, measure: Measure<'_>) -> Result<f64, Error> {
    let sha256 = shelf.hash(path)?;
    let processor = processor();
    if let Some(factor) = shelf.speed(&processor, &sha256) {
        return Ok(factor);
    }
    let factor = measure(path)?;
    shelf.note_speed(&processor, &sha256, factor);
    Ok(factor)
}

/// What a model that is not here would need, reckoned from a measured one by the work that their shapes make. Rough: small
/// shapes use a processor less well than big ones. `None` for what is no recogniser, and for shapes that are not known.
pub fn estimate(model: &Model, measured: &[(Dims, f64)]) -> Option<Speed> {
    if model.family != Family::Whisper {
        return None;
    }
    let own = dims(model)?.work();
    // From the nearest shape, where the error is least.
    let nearness = |dims: &Dims| (dims.work().ln() - own.ln()).abs();
    let (dims, factor) = measured.iter().min_by(|one, other| nearness(&one.0).total_cmp(&nearness(&other.0)))?;
    Some(Speed { factor: factor * own / dims.work(), measured: false })
}

/// The shape of a published Whisper model, by its name.
pub fn dims(model: &Model) -> Option<Dims> {
    let size = model.name.split(['.', '-']).next().unwrap_or_default();
    SIZES.iter().find(|(name, _)| name.split('.').next() == Some(size)).map(|(_, dims)| *dims)
}
