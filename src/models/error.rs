//! What can go wrong with model files; every message says what to do.

use std::{io, path::PathBuf};

/// Why a model cannot be had, or must not be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The manifest is no manifest.
    #[error("the manifest of models cannot be read: {0}")]
    Manifest(String),
    /// There is no such model.
    #[error("there is no model {name:?}{}; `floe models list --all` shows all", suggestion(.near))]
    Unknown {
        /// What was asked for.
        name: String,
        /// What may have been meant.
        near: Option<String>,
    },
    /// The model is known but not here.
    #[error("{name} is not in {}; get it with: floe models fetch {name}", .folder.display())]
    NotHere {
        /// Which model.
        name: String,
        /// Where it should be.
        folder: PathBuf,
    },
    /// The model comes with Floe, so nobody serves it.
    #[error("{0} comes with Floe and cannot be fetched; take it from Floe's repository")]
    Bundled(String),
    /// No server answers.
    #[error(
        "cannot reach {host} ({reason}). Is there a network? Behind a proxy set HTTPS_PROXY; a mirror is FLOE_MODELS_URL; \
         without a network bring the file and use: floe models fetch --from FILE"
    )]
    NoNetwork {
        /// Whom we tried to reach.
        host: String,
        /// What the network said.
        reason: String,
    },
    /// The server answers, but not with the file.
    #[error("{host} answers {status} for {file}; another place to get it can be set as FLOE_MODELS_URL")]
    Refused {
        /// Who.
        host: String,
        /// HTTP status.
        status: u16,
        /// Which file.
        file: String,
    },
    /// The download stopped again and again.
    #[error("{file}: {reason}, {tries} times; {kept_bytes} bytes are kept, and the same command goes on from there")]
    Cut {
        /// Which file.
        file: String,
        /// What happened last.
        reason: String,
        /// Failed tries.
        tries: u32,
        /// How much of it is here.
        kept_bytes: u64,
    },
    /// Somebody pressed Ctrl-C.
    #[error("interrupted; what has come is kept, and the same command goes on from there")]
    Interrupted,
    /// The disk is too full.
    #[error("{} has room for {} MB, and {} MB are needed", .folder.display(), .available_bytes / 1_000_000, .needed_bytes / 1_000_000)]
    NoSpace {
        /// Where.
        folder: PathBuf,
        /// Bytes that would be written, with a margin.
        needed_bytes: u64,
        /// Bytes that are free.
        available_bytes: u64,
    },
    /// The disk filled up meanwhile.
    #[error("the disk of {} is full; free some of it, and the same command goes on from there", .0.display())]
    Full(PathBuf),
    /// The folder cannot be written.
    #[error("cannot write into {}: {reason}; choose another folder with models.folder (FLOE_MODELS_FOLDER)", .folder.display())]
    Folder {
        /// Where.
        folder: PathBuf,
        /// What the system says.
        reason: io::ErrorKind,
    },
    /// The bytes are not those of the manifest.
    #[error("{file} has SHA-256 {found}, and {expected} was expected; it was not kept")]
    WrongHash {
        /// Which file.
        file: String,
        /// What the manifest says.
        expected: String,
        /// What the file has.
        found: String,
    },
    /// The server has something of another size.
    #[error(
        "{host} sends {found_bytes} bytes as {file}, which has {expected_bytes}: a login page of the network, or a mirror \
         without this file?"
    )]
    WrongSize {
        /// Who.
        host: String,
        /// Which file.
        file: String,
        /// What the manifest says.
        expected_bytes: u64,
        /// What would have come.
        found_bytes: u64,
    },
    /// Another process fetches the same file.
    #[error("another process is fetching {0} and has not finished; try again later")]
    Locked(String),
    /// A model file that nobody vouches for.
    #[error(
        "{} is no model that Floe knows (SHA-256 {sha256}). If you trust where it comes from, say so once with \
         `floe models fetch --from {} --trust`, or start with `floe serve --trust`",
        .file.display(), .file.display()
    )]
    Untrusted {
        /// Which file.
        file: PathBuf,
        /// Its hash.
        sha256: String,
    },
    /// There is no model at all.
    #[error("there is no speech model in {}; get one with: floe models fetch base.en", .0.display())]
    NoModel(PathBuf),
    /// A file is there already and would be overwritten.
    #[error("{} exists already; remove it first", .0.display())]
    Exists(PathBuf),
    /// A file cannot be read or written.
    #[error("{}: {reason}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: io::Error,
    },
    /// The file is not in whisper.cpp's format, or not of a shape that can be widened.
    #[error("{}: {what}", .path.display())]
    Format {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The command line asks for something that makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The machine's speed cannot be measured.
    #[error("cannot measure {}: {reason}", .path.display())]
    Measure {
        /// Which model.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}

fn suggestion(near: &Option<String>) -> String {
    near.as_ref().map(|near| format!("; did you mean {near}?")).unwrap_or_default()
}

impl Error {
    /// That a file could not be read or written.
    pub fn file(path: impl Into<PathBuf>, reason: io::Error) -> Self {
        Self::File { path: path.into(), reason }
    }

    /// That something could not be written into a folder: its permissions, or the lack of room.
    pub fn writing(folder: impl Into<PathBuf>, error: io::Error) -> Self {
        use io::ErrorKind as Kind;
        let folder = folder.into();
        match error.kind() {
            Kind::StorageFull | Kind::QuotaExceeded => Self::Full(folder),
            kind @ (Kind::PermissionDenied
            | Kind::ReadOnlyFilesystem
            | Kind::NotADirectory
            | Kind::NotFound
            | Kind::AlreadyExists) => Self::Folder { folder, reason: kind },
            _ => Self::file(folder, error),
        }
    }
}
