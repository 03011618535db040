//! Which model file to load: the one that was named, or the best that this machine keeps up with.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    Error, Shelf,
    manifest::{Family, Model},
    shelf::{Known, State},
    speed::{self, Measure},
};

/// The value of `stt.model` that leaves the choice to us.
pub const AUTO: &str = "auto";

/// What was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The file.
    pub path: PathBuf,
    /// What to call it.
    pub name: String,
    /// Why it was chosen, if the choice was ours.
    pub why: Option<String>,
    /// Whether it is the one that comes with Floe.
    pub bundled: bool,
}

impl Choice {
    fn of(shelf: &Shelf, model: &Model, why: Option<String>) -> Self {
        let path = shelf.path(model.main_file());
        Self { path, name: model.name.clone(), why, bundled: model.bundled }
    }
}

/// The file for `stt.model`: `auto`, the name of a model, or a path. `language` is the BCP 47 tag it must know; empty = any.
///
/// Refuses a file that neither the manifest nor the user vouches for. Blocks: a new file is read once, and for `auto` one of
/// unknown speed is measured once; the results are kept beside the models.
pub fn choose(
    shelf: &Shelf,
    wanted: &Path,
    language: &str,
    trust: bool,
    measure: Measure<'_>,
) -> Result<Choice, Error> {
    if wanted == Path::new(AUTO) {
        return best(shelf, language, measure);
    }
    if let Some(model) = shelf.manifest().models().iter().find(|model| Path::new(&model.name) == wanted) {
        if model.family != Family::Whisper {
            return Err(Error::Usage(format!("stt.model is {}, which speaks and cannot listen", model.name)));
        }
        let choice = Choice::of(shelf, model, None);
        return match shelf.look(model.main_file())? {
            State::Right => Ok(choice),
            State::Missing if model.bundled => Err(Error::Bundled(model.name.clone())),
            State::Missing => Err(Error::NotHere { name: model.name.clone(), folder: shelf.folder().to_owned() }),
            State::Wrong(found) => Err(damaged(model, found)),
        };
    }
    // Engines say what is wrong with a file that is missing or no model; here only its hash matters.
    let known = if trust || !wanted.is_file() { None } else { Some(shelf.hash(wanted)?) };
    let name = wanted.display().to_string();
    let mut choice = Choice { path: wanted.to_owned(), name, why: None, bundled: false };
    if let Some(sha256) = known {
        match shelf.knows(&sha256) {
            Some(Known::Manifest(name)) => {
                choice.bundled = shelf.manifest().bundled().is_some_and(|model| model.name == name);
                choice.name = name;
            }
            Some(Known::Trusted(_)) => {}
            None => return Err(Error::Untrusted { file: wanted.to_owned(), sha256 }),
        }
    }
    Ok(choice)
}

/// Whether a voice's file may be loaded: the manifest or the user vouches for it. Blocks: a new file is read once.
pub fn vouch_for_voice(shelf: &Shelf, voice: &Path) -> Result<(), Error> {
    let sha256 = shelf.hash(voice)?;
    match shelf.knows(&sha256) {
        Some(_) => Ok(()),
        None => Err(Error::Untrusted { file: voice.to_owned(), sha256 }),
    }
}

/// The voices in a folder for which nobody vouches, and those that cannot be read. Blocks likewise.
pub fn strange_voices(shelf: &Shelf, folder: &Path) -> Vec<(PathBuf, Error)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let voices = entries.filter(|path| path.extension().is_some_and(|extension| extension == "onnx"));
    voices.filter_map(|path| vouch_for_voice(shelf, &path).err().map(|error| (path, error))).collect()
}

fn damaged(model: &Model, found: Option<String>) -> Error {
    let found = found.unwrap_or_else(|| "of a file of another size".into());
    Error::WrongHash { file: model.main_file().name.clone(), expected: model.main_file().sha256.clone(), found }
}

/// The best recogniser here that keeps up with speech, else the bundled one.
fn best(shelf: &Shelf, language: &str, measure: Measure<'_>) -> Result<Choice, Error> {
    let mut passed_over = Vec::new();
    let here = shelf.manifest().models().iter().rev();
    for model in here.filter(|it| it.family == Family::Whisper && !it.bundled && shelf.has(it)) {
        if !model.speaks(language) {
            passed_over.push(format!("{} does not know {language:?}", model.name));
            continue;
        }
        if shelf.look(model.main_file())? != State::Right {
            passed_over.push(format!("{} is damaged (floe models fetch {} repairs it)", model.name, model.name));
            continue;
        }
        match speed::of_file(shelf, &shelf.path(model.main_file()), measure) {
            Ok(factor) if factor < 1.0 => {
                let why = format!("the best here that keeps up with speech, {:.1} times as fast", 1.0 / factor);
                return Ok(Choice::of(shelf, model, Some(with(&why, &passed_over))));
            }
            Ok(factor) => {
                passed_over.push(format!("{} is too slow here, {:.1} times as long as speech", model.name, factor));
            }
            Err(error) => passed_over.push(error.to_string()),
        }
    }
    let bundled = shelf.manifest().bundled().filter(|model| shelf.path(model.main_file()).is_file());
    let bundled = bundled.ok_or_else(|| Error::NoModel(shelf.folder().to_owned()))?;
    match shelf.look(bundled.main_file())? {
        State::Right => Ok(Choice::of(shelf, bundled, Some(with("it comes with Floe", &passed_over)))),
        State::Wrong(found) => Err(damaged(bundled, found)),
        State::Missing => Err(Error::NoModel(shelf.folder().to_owned())),
    }
}

fn with(why: &str, passed_over: &[String]) -> String {
    if passed_over.is_empty() { why.to_owned() } else { format!("{why}; {}", passed_over.join("; ")) }
}
