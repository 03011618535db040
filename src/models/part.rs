//! A file on its way: what has come of it, its hash so far, and the version it is a part of.

use std::path::{Path, PathBuf};

use tokio::{
    fs::{self, File},
    io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _, SeekFrom},
};

use super::{Error, hash::Hasher, shelf::sync_folder};

/// Bytes read at a time.
const PIECE_BYTES: usize = 1 << 20;

/// `NAME.part`, and `NAME.part.etag` with the server's word for the version it is a part of.
pub(super) struct Part {
    file: File,
    target: PathBuf,
    path: PathBuf,
    bytes: u64,
    hasher: Hasher,
    etag: Option<String>,
    /// Whether some of it is from an earlier run, whose server may have had another version.
    inherited: bool,
}

fn beside(target: &Path, ending: &str) -> PathBuf {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    target.with_file_name(name)
}

impl Part {
    /// Opens or makes the part, and hashes what is there. A part that is longer than the file is thrown away.
    pub(super) async fn open(target: &Path, most_bytes: u64) -> Result<Self, Error> {
        let path = beside(target, ".part");
        let file = File::options().read(true).write(true).create(true).truncate(false).open(&path).await;
        let file = file.map_err(|error| Error::writing(path.parent().unwrap_or(&path), error))?;
        let etag = fs::read_to_string(beside(target, ".part.etag")).await.ok();
        let target = target.to_owned();
        let mut part = Self { file, target, path, bytes: 0, hasher: Hasher::default(), etag, inherited: false };
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            match part.file.read(&mut piece).await.map_err(|error| Error::file(&part.path, error))? {
                0 => break,
                count => {
                    part.hasher.update(&piece[..count]);
                    part.bytes += count as u64;
                }
            }
            if part.bytes > most_bytes {
                part.restart().await?;
                break;
            }
        }
        part.inherited = part.bytes > 0;
        Ok(part)
    }

    /// How much has come.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether some of it is from an earlier run.
    pub(super) fn is_inherited(&self) -> bool {
        self.inherited
    }

    /// The version that this is a part of, if the server gave it a name that can be relied on.
    pub(super) fn etag(&self) -> Option<&str> {
        self.etag.as_deref().filter(|tag| !tag.starts_with("W/") && !tag.is_empty())
    }

    /// Remembers the version.
    pub(super) async fn set_etag(&mut self, etag: Option<&str>) -> Result<(), Error> {
        if self.etag.as_deref() != etag {
            self.etag = etag.map(str::to_owned);
            let path = beside(&self.target, ".part.etag");
            let done = match etag {
                Some(tag) => fs::write(&path, tag).await,
                None => fs::remove_file(&path).await.or(Ok(())),
            };
            done.map_err(|error| Error::writing(path.parent().unwrap_or(&path), error))?;
        }
        Ok(())
    }

    /// Throws away what has come.
    pub(super) async fn restart(&mut self) -> Result<(), Error> {
        let failed = |error| Error::file(&self.path, error);
        self.file.set_len(0).await.map_err(failed)?;
        self.file.seek(SeekFrom::Start(0)).await.map_err(failed)?;
        self.bytes = 0;
        self.inherited = false;
        self.hasher = Hasher::default();
        self.set_etag(None).await
    }

    /// Takes the next bytes.
    pub(super) async fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let folder = || self.path.parent().unwrap_or(&self.path).to_owned();
        self.file.write_all(bytes).await.map_err(|error| Error::writing(folder(), error))?;
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Brings what has come to the disk.
    pub(super) async fn flush(&mut self) -> Result<(), Error> {
        let folder = || self.path.parent().unwrap_or(&self.path).to_owned();
        self.file.flush().await.map_err(|error| Error::writing(folder(), error))
    }

    /// The hash of what has come.
    pub(super) fn hash(&self) -> String {
        self.hasher.hex()
    }

    /// Everything has come and is right: gives it its name. Either the whole file has that name afterwards, or none.
    pub(super) async fn finish(mut self) -> Result<(), Error> {
        self.flush().await?;
        self.file.sync_all().await.map_err(|error| Error::file(&self.path, error))?;
        fs::rename(&self.path, &self.target).await.map_err(|error| Error::file(&self.target, error))?;
        let _gone = fs::remove_file(beside(&self.target, ".part.etag")).await;
        sync_folder(&self.target)
    }

    /// It is of no use.
    pub(super) async fn discard(self) {
        let _gone = fs::remove_file(beside(&self.target, ".part.etag")).await;
        let _gone = fs::remove_file(&self.path).await;
    }
}
