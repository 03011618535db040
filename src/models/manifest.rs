//! The manifest: every model that Floe knows, with its files, their hashes and their addresses.

use serde::{Deserialize, Serialize};

use super::Error;

/// The manifest of this version of Floe.
const EMBEDDED: &str = include_str!("../../models/manifest.toml");

/// What a multilingual model has for a language.
pub const MULTILINGUAL: &str = "multilingual";

/// All models, the recognisers from the roughest to the best.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    version: u32,
    #[serde(rename = "model", default)]
    models: Vec<Model>,
}

/// One model.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// What people call it: `base.en`.
    pub name: String,
    /// What it is for.
    pub family: Family,
    /// Whether it comes with Floe.
    #[serde(default)]
    pub bundled: bool,
    /// Its language as ISO 639-1, or [`MULTILINGUAL`].
    pub language: String,
    /// Under what terms it may be used.
    pub licence: String,
    /// Memory that one worker needs with it.
    pub memory_bytes: u64,
    /// A few words for somebody who has to choose.
    pub good_for: String,
    /// Its files; the first is the one that an engine is given.
    #[serde(rename(deserialize = "file", serialize = "files"))]
    pub files: Vec<File>,
}

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Recognises speech.
    Whisper,
    /// Speaks.
    Piper,
}

/// One file of a model.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Its name in the folder and on a mirror.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Its hash, in lower-case hexadecimal.
    pub sha256: String,
    /// Where it is; empty if it comes with Floe.
    #[serde(default)]
    pub url: String,
}

impl Model {
    /// Bytes of all its files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// The file that an engine is given. The manifest's check makes sure that there is one.
    pub fn main_file(&self) -> &File {
        &self.files[0]
    }

    /// Whether it knows the language of a BCP 47 tag; an empty one is any.
    pub fn speaks(&self, tag: &str) -> bool {
        let primary = tag.split(['-', '_']).next().unwrap_or_default();
        primary.is_empty() || self.language == MULTILINGUAL || self.language.eq_ignore_ascii_case(primary)
    }
}

impl Manifest {
    /// The one compiled in.
    pub fn embedded() -> Result<Self, Error> {
        Self::parse(EMBEDDED)
    }

    /// Reads a manifest and checks that its entries can be used.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let manifest: Self = toml::from_str(text).map_err(|error| Error::Manifest(error.to_string()))?;
        if manifest.version != 1 {
            return Err(Error::Manifest(format!("version {} is not known", manifest.version)));
        }
        for (at, model) in manifest.models.iter().enumerate() {
            let wrong = |what: &str| Err(Error::Manifest(format!("{}: {what}", model.name)));
            if manifest.models[..at].iter().any(|other| other.name == model.name) {
                return wrong("stands twice");
            }
            if model.files.is_empty() {
                return wrong("has no file");
            }
            for file in &model.files {
                // The name becomes a path below the folder.
                if file.name.is_empty() || file.name.starts_with('.') || file.name.contains(['/', '\\', '\0']) {
                    return wrong("has a file name that is none");
                }
                if file.sha256.len() != 64 || !file.sha256.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f')) {
                    return wrong("has a SHA-256 that is none");
                }
                if file.url.is_empty() != model.bundled {
                    return wrong("needs an address, or to be bundled");
                }
            }
        }
        Ok(manifest)
    }

    /// All models, in the manifest's order.
    pub fn models(&self) -> &[Model] {
        &self.models
    }

    /// The model of this name.
    pub fn find(&self, name: &str) -> Result<&Model, Error> {
        if let Some(model) = self.models.iter().find(|model| model.name == name) {
            return Ok(model);
        }
        let near = self.models.iter().map(|model| (strsim::jaro_winkler(name, &model.name), model));
        let near = near.max_by(|one, other| one.0.total_cmp(&other.0)).filter(|(likeness, _)| *likeness > 0.75);
        Err(Error::Unknown { name: name.to_owned(), near: near.map(|(_, model)| model.name.clone()) })
    }

    /// The model and the file with this hash.
    pub fn by_hash(&self, sha256: &str) -> Option<(&Model, &File)> {
        let mut all = self.models.iter().flat_map(|model| model.files.iter().map(move |file| (model, file)));
        all.find(|(_, file)| file.sha256 == sha256)
    }

    /// The recogniser that comes with Floe.
    pub fn bundled(&self) -> Option<&Model> {
        self.models.iter().find(|model| model.bundled && model.family == Family::Whisper)
    }
}
