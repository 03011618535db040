//! How fast this machine is with a model: measured once per processor and file, estimated for files that are not here.

use std::{fs, path::Path, time::Duration};

use serde::Serialize;

use super::{
    Error, Shelf,
    ggml::shape::{Dims, SIZES},
    manifest::{Family, Model},
    widen,
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
    /// How it is known.
    pub source: Source,
}

/// How a speed is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Measured here, with that file.
    Measured,
    /// Measured here, with the bundled model at that size (see [`super::widen`]).
    StandIn,
    /// Reckoned from another model.
    Estimate,
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
    Some(Speed { factor: factor * own / dims.work(), source: Source::Estimate })
}

/// The shape of a published Whisper model, by its name.
pub fn dims(model: &Model) -> Option<Dims> {
    Some(size(model)?.1)
}

/// The English model of the same size: `base.en` for `base-q5_1`. Multilingual ones have one token more and are as fast.
pub fn size(model: &Model) -> Option<(&'static str, Dims)> {
    let size = model.name.split(['.', '-']).next().unwrap_or_default();
    SIZES.iter().find(|(name, _)| name.split('.').next() == Some(size)).copied()
}

/// What is known, from an earlier [`measure_stand_in`], of a size that is not here.
pub fn stand_in(shelf: &Shelf, like: &str) -> Option<f64> {
    shelf.speed(&processor(), &stand_in_key(like))
}

/// Measures a size that is not here: the bundled model is widened to it in a temporary file, up to half a gigabyte, beside the
/// models. Blocks for some seconds.
pub fn measure_stand_in(shelf: &Shelf, like: &str, measure: Measure<'_>) -> Result<f64, Error> {
    let bundled = shelf.manifest().bundled().ok_or_else(|| Error::NoModel(shelf.folder().to_owned()))?;
    let bytes = shelf.manifest().find(like)?.bytes();
    shelf.make_sure_of_room(bytes)?;
    let file = shelf.folder().join(format!(".stand-in-{}.bin", std::process::id()));
    let factor = widen::write_like(like, &shelf.path(bundled.main_file()), &file).and_then(|()| measure(&file));
    let _gone = fs::remove_file(&file);
    let factor = factor?;
    shelf.note_speed(&processor(), &stand_in_key(like), factor);
    Ok(factor)
}

fn stand_in_key(like: &str) -> String {
    format!("the size of {like}")
}
