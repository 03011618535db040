//! What was found out about model files, kept in `floe-models.json` beside them: hashes, what the user trusts, speeds.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

const FILE: &str = "floe-models.json";
const VERSION: u32 = 1;
/// A larger file is not ours.
const MAX_BYTES: u64 = 4 << 20;
/// Files seen that are remembered, at most: more are forgotten all at once.
const MAX_FILES: usize = 1_000;

/// All that is kept.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Content {
    version: u32,
    /// Hashes of files by absolute path.
    #[serde(default)]
    files: BTreeMap<PathBuf, Seen>,
    /// Hashes that may be loaded although the manifest does not have them, and why.
    #[serde(default)]
    pub(super) trusted: BTreeMap<String, String>,
    /// Seconds of work per second of speech, by processor and hash.
    #[serde(default)]
    pub(super) speeds: BTreeMap<String, BTreeMap<String, f64>>,
}

/// A file as it was when it was hashed. Any change to it changes its size or the time of its last change of status, which
/// nobody but the system sets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    bytes: u64,
    changed_ns: i64,
    inode: u64,
    sha256: String,
}

impl Seen {
    pub(super) fn new(path: &Path, sha256: String) -> io::Result<Self> {
        let file = fs::metadata(path)?;
        let changed_ns = file.ctime().saturating_mul(1_000_000_000).saturating_add(file.ctime_nsec());
        Ok(Self { bytes: file.len(), changed_ns, inode: file.ino(), sha256 })
    }
}

impl Content {
    /// Reads what is kept in `folder`; nothing if there is nothing, or nothing readable.
    pub(super) fn read(folder: &Path) -> Self {
        let path = folder.join(FILE);
        let small = fs::metadata(&path).is_ok_and(|file| file.len() <= MAX_BYTES);
        let text = if small { fs::read(&path).unwrap_or_default() } else { Vec::new() };
        let content: Self = serde_json::from_slice(&text).unwrap_or_default();
        if content.version == VERSION { content } else { Self::default() }
    }

    /// The hash of a file that has not changed since it was hashed.
    pub(super) fn hash(&self, path: &Path) -> Option<String> {
        let path = fs::canonicalize(path).ok()?;
        let seen = self.files.get(&path)?;
        (Seen::new(&path, seen.sha256.clone()).ok()? == *seen).then(|| seen.sha256.clone())
    }

    /// Remembers a file's hash.
    pub(super) fn remember(&mut self, path: PathBuf, seen: Seen) {
        if self.files.len() >= MAX_FILES {
            self.files.clear();
        }
        self.files.insert(path, seen);
    }
}

/// Changes what is kept, under a lock, so that processes do not undo each other's work.
pub(super) fn update(folder: &Path, change: impl FnOnce(&mut Content)) -> io::Result<()> {
    let lock = fs::File::create(folder.join(format!(".{FILE}.lock")))?;
    lock.lock()?;
    let mut content = Content::read(folder);
    content.version = VERSION;
    change(&mut content);
    let fresh = folder.join(format!(".{FILE}.new"));
    fs::write(&fresh, serde_json::to_vec_pretty(&content)?)?;
    fs::rename(&fresh, folder.join(FILE))
}
