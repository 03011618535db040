//! The folder with the models: what is in it, whether it is what it claims, and room for more.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    Config, Error, Manifest, hash,
    manifest::{File, Model},
    records::{self, Content, Seen},
};

/// Files below this size are hashed each time: that takes a few hundredths of a second, and nothing is written.
const REMEMBERED_FROM_BYTES: u64 = 32 << 20;
/// Room left beside a new file.
const MARGIN_BYTES: u64 = 16 << 20;

/// A folder and the manifest of what may be in it. Everything here blocks on the file system.
#[derive(Debug, Clone)]
pub struct Shelf {
    manifest: Manifest,
    folder: PathBuf,
}

/// Why a file may be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// The manifest has its hash, as a file of this model.
    Manifest(String),
    /// The user, or `floe models widen`, vouched for it; the sentence says who.
    Trusted(String),
}

/// What is on the disk under a file's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nothing.
    Missing,
    /// Exactly that file.
    Right,
    /// Something else, with this hash (none if the size is wrong already).
    Wrong(Option<String>),
}

impl Shelf {
    /// A folder that need not exist yet.
    pub fn new(manifest: Manifest, folder: impl Into<PathBuf>) -> Self {
        Self { manifest, folder: folder.into() }
    }

    /// The configured folder with the manifest of this version.
    pub fn configured(config: &Config) -> Result<Self, Error> {
        Ok(Self::new(Manifest::embedded()?, &config.folder))
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where a file of the manifest is, or would be.
    pub fn path(&self, file: &File) -> PathBuf {
        self.folder.join(&file.name)
    }

    /// Whether all files of a model are here with the right sizes. Cheap; says nothing about what is in them.
    pub fn has(&self, model: &Model) -> bool {
        let right = |file: &File| fs::metadata(self.path(file)).is_ok_and(|it| it.is_file() && it.len() == file.bytes);
        model.files.iter().all(right)
    }

    /// Looks at a file of the manifest, hash included.
    pub fn look(&self, file: &File) -> Result<State, Error> {
        let path = self.path(file);
        match fs::metadata(&path) {
            Err(_) => Ok(State::Missing),
            Ok(found) if found.len() != file.bytes => Ok(State::Wrong(None)),
            Ok(_) => {
                let sha256 = self.hash(&path)?;
                Ok(if sha256 == file.sha256 { State::Right } else { State::Wrong(Some(sha256)) })
            }
        }
    }

    /// The hash of any file: as remembered if it has not changed since, else read anew.
    pub fn hash(&self, path: &Path) -> Result<String, Error> {
        match Content::read(&self.folder).hash(path) {
            Some(sha256) => Ok(sha256),
            None => self.hash_anew(path),
        }
    }

    /// The hash of any file, read anew and remembered.
    pub fn hash_anew(&self, path: &Path) -> Result<String, Error> {
        let sha256 = hash::of_file(path)?;
        self.remember(path, &sha256);
        Ok(sha256)
    }

    /// Remembers the hash of a file, if that is worth it.
    pub fn remember(&self, path: &Path, sha256: &str) {
        let seen = fs::canonicalize(path).and_then(|path| Ok((Seen::new(&path, sha256.to_owned())?, path)));
        if let Ok((seen, path)) = seen
            && fs::metadata(&path).is_ok_and(|file| file.len() >= REMEMBERED_FROM_BYTES)
        {
            self.note(|content| content.remember(path, seen));
        }
    }

    /// Whether a file with this hash may be loaded.
    pub fn knows(&self, sha256: &str) -> Option<Known> {
        if let Some((model, _)) = self.manifest.by_hash(sha256) {
            return Some(Known::Manifest(model.name.clone()));
        }
        Content::read(&self.folder).trusted.get(sha256).cloned().map(Known::Trusted)
    }

    /// From now on a file with this hash may be loaded.
    pub fn trust(&self, sha256: &str, why: &str) -> Result<(), Error> {
        self.create()?;
        records::update(&self.folder, |content| {
            content.trusted.insert(sha256.to_owned(), why.to_owned());
        })
        .map_err(|error| Error::writing(&self.folder, error))
    }

    /// Seconds of work per second of speech with this file on this processor, as measured once.
    pub fn speed(&self, processor: &str, sha256: &str) -> Option<f64> {
        Content::read(&self.folder).speeds.get(processor)?.get(sha256).copied()
    }

    /// Remembers a measured speed.
    pub fn note_speed(&self, processor: &str, sha256: &str, factor: f64) {
        self.note(|content| {
            content.speeds.entry(processor.to_owned()).or_default().insert(sha256.to_owned(), factor);
        });
    }

    fn note(&self, change: impl FnOnce(&mut Content)) {
        // A folder that cannot be written is no reason to fail: then it is found out anew each time.
        if let Err(error) = records::update(&self.folder, change) {
            tracing::debug!(%error, "what was found out about a model file cannot be kept");
        }
    }

    /// Makes the folder.
    pub fn create(&self) -> Result<(), Error> {
        fs::create_dir_all(&self.folder).map_err(|error| Error::writing(&self.folder, error))
    }

    /// Whether there is room for this many more bytes.
    pub fn make_sure_of_room(&self, bytes: u64) -> Result<(), Error> {
        let available = fs4::available_space(&self.folder).map_err(|error| Error::file(&self.folder, error))?;
        let needed = bytes.saturating_add(MARGIN_BYTES);
        if bytes > 0 && available < needed {
            let folder = self.folder.clone();
            return Err(Error::NoSpace { folder, needed_bytes: needed, available_bytes: available });
        }
        Ok(())
    }

    /// Model files in the folder that are not in the manifest, by name.
    pub fn strangers(&self) -> Vec<PathBuf> {
        let named = |name: &str| self.manifest.models().iter().flat_map(|it| &it.files).any(|file| file.name == name);
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut found: Vec<PathBuf> = entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|it| it == "bin" || it == "onnx"))
            .filter(|path| path.file_name().and_then(|it| it.to_str()).is_some_and(|name| !named(name)))
            .collect();
        found.sort();
        found
    }
}

/// Writes a folder's entries to the disk, so that a rename survives a power cut.
pub(super) fn sync_folder(path: &Path) -> Result<(), Error> {
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(folder).and_then(|it| it.sync_all()).map_err(|error| Error::file(folder, error))
}
