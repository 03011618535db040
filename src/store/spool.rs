//! An append-only file for what the database does not take now. What [`Spool::append`] reports as kept is on disk.
//!
//! Each record: its length (4 bytes), the first 8 bytes of its SHA-256, its JSON. A process that is killed leaves at most a
//! torn end, which was never reported as kept; it is cut off at the next start. Reading moves nothing: what has been read
//! counts as done only by [`Spool::advance`], so a record is written to the database at least once, and writing it twice
//! changes nothing.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{Error, db::in_file, record::Entry};

/// The file, and the right to this directory.
#[derive(Debug)]
pub(super) struct Spool {
    file: File,
    dir: PathBuf,
    bytes_max: u64,
    /// Where the next record goes.
    end: u64,
    /// Up to where records are in the database.
    done: u64,
    records: u64,
    /// Held as long as this lives: nobody else works in this directory.
    _lock: File,
}

/// What was read in one go.
#[derive(Debug)]
pub(super) struct Chunk {
    /// The records, in order.
    pub(super) entries: Vec<Entry>,
    /// How many that are, with those that could not be understood.
    pub(super) records: u64,
    /// Where the next one begins.
    pub(super) end: u64,
}

impl Spool {
    /// Opens the spool of a directory. Cuts off a torn end. Blocks.
    pub(super) fn open(dir: &Path, bytes_max: u64) -> Result<Self, Error> {
        fs::create_dir_all(dir).map_err(|source| in_file(dir, source))?;
        let lock = dir.join("floe.lock");
        let lock = File::create(&lock).map_err(|source| in_file(&lock, source))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(Error::InUse(dir.to_owned())),
            Err(fs::TryLockError::Error(source)) => return Err(in_file(dir, source)),
        }
        let path = dir.join("spool.v1");
        let open = || -> io::Result<(File, u64)> {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
            // The name must be on disk, too.
            File::open(dir)?.sync_all()?;
            let length = file.metadata()?.len();
            Ok((file, length))
        };
        let (file, length) = open().map_err(|source| in_file(&path, source))?;
        let mut spool = Self { file, dir: dir.to_owned(), bytes_max, end: 0, done: 0, records: 0, _lock: lock };
        spool.recover(length).map_err(|source| in_file(&path, source))?;
        Ok(spool)
    }

    fn recover(&mut self, length: u64) -> io::Result<()> {
        while let Some(payload) = self.payload(self.end, length)? {
            self.end += HEADER_BYTES + payload.len() as u64;
            self.records += 1;
        }
        if self.end < length {
            tracing::warn!(
                bytes = length - self.end,
                "the spool has a torn end, from a write that was never confirmed"
            );
            // Should it be damage rather than a torn write, somebody may want to look at it.
            let mut rest = vec![0; usize::try_from((length - self.end).min(RECORD_BYTES_MAX)).unwrap_or(0)];
            self.file.read_exact_at(&mut rest, self.end)?;
            fs::write(self.dir.join(TORN), rest)?;
            self.file.set_len(self.end)?;
            self.file.sync_all()?;
        }
        Ok(())
    }

    /// The record at a position; `None` where no whole one stands.
    fn payload(&self, at: u64, limit: u64) -> io::Result<Option<Vec<u8>>> {
        if limit.saturating_sub(at) < HEADER_BYTES {
            return Ok(None);
        }
        let mut header = [0; HEADER_BYTES as usize];
        self.file.read_exact_at(&mut header, at)?;
        let [a, b, c, d, sum @ ..] = header;
        let length = u64::from(u32::from_le_bytes([a, b, c, d]));
        if length == 0 || length > RECORD_BYTES_MAX || limit - at - HEADER_BYTES < length {
            return Ok(None);
        }
        let mut payload = vec![0; usize::try_from(length).unwrap_or(0)];
        self.file.read_exact_at(&mut payload, at + HEADER_BYTES)?;
        Ok((checksum(&payload) == sum).then_some(payload))
    }

    /// Writes records at the end, and waits until they are on disk. Says how many of them are, counted from the first; the
    /// others did not fit, or the disk refused them. Blocks.
    pub(super) fn append(&mut self, entries: &[Entry]) -> usize {
        let mut bytes = Vec::new();
        let mut kept = 0;
        for entry in entries {
            let Ok(payload) = serde_json::to_vec(entry) else { break };
            let length = payload.len() as u64;
            let Ok(header) = u32::try_from(length) else { break };
            let after = self.end + bytes.len() as u64 + HEADER_BYTES + length;
            if length > RECORD_BYTES_MAX || after > self.bytes_max {
                break;
            }
            bytes.extend_from_slice(&header.to_le_bytes());
            bytes.extend_from_slice(&checksum(&payload));
            bytes.extend_from_slice(&payload);
            kept += 1;
        }
        if kept == 0 {
            return 0;
        }
        let written = self.file.write_all_at(&bytes, self.end).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            tracing::error!(%error, "the spool cannot be written");
            let _what_stays_is_overwritten = self.file.set_len(self.end);
            return 0;
        }
        self.end += bytes.len() as u64;
        self.records += kept as u64;
        kept
    }

    /// The first records that are not done. Empty when all are. Blocks.
    pub(super) fn read(&mut self) -> io::Result<Chunk> {
        let mut chunk = Chunk { entries: Vec::new(), records: 0, end: self.done };
        while chunk.entries.len() < CHUNK_RECORDS && chunk.end - self.done < CHUNK_BYTES {
            let Some(payload) = self.payload(chunk.end, self.end)? else { break };
            chunk.end += HEADER_BYTES + payload.len() as u64;
            chunk.records += 1;
            match serde_json::from_slice(&payload) {
                Ok(entry) => chunk.entries.push(entry),
                // Of a newer version, perhaps: kept for that.
                Err(_) => self.set_aside(&payload)?,
            }
        }
        if chunk.records == 0 && chunk.end < self.end {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the spool changed under us"));
        }
        Ok(chunk)
    }

    /// Everything up to the end of a chunk is in the database. Empties the file when that is all. Blocks.
    pub(super) fn advance(&mut self, chunk_end: u64, records: u64) -> io::Result<()> {
        self.done = chunk_end;
        self.records = self.records.saturating_sub(records);
        if self.done >= self.end {
            self.file.set_len(0)?;
            self.file.sync_all()?;
            (self.done, self.end, self.records) = (0, 0, 0);
        }
        Ok(())
    }

    /// Keeps a record that no database will take where a person finds it. Blocks.
    pub(super) fn reject(&mut self, entry: &Entry) -> io::Result<()> {
        self.set_aside(&serde_json::to_vec(entry)?)
    }

    fn set_aside(&self, payload: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(self.dir.join(REJECTED))?;
        if file.metadata()?.len() > self.bytes_max {
            return Ok(());
        }
        file.write_all(payload)?;
        file.write_all(b"\n")?;
        file.sync_data()
    }

    /// The conversations of the records that no database would take; nil for what cannot be read. Blocks.
    pub(super) fn refused(&self) -> io::Result<Vec<Uuid>> {
        let mut conversations: Vec<Uuid> = self.refused_lines()?.iter().map(|line| about(line).0).collect();
        if self.dir.join(TORN).exists() {
            conversations.push(Uuid::nil());
        }
        conversations.sort_unstable();
        conversations.dedup();
        Ok(conversations)
    }

    /// Takes out those that are older than this time and whose conversations are not among these; the torn end, too. Blocks.
    pub(super) fn clear_refused(&mut self, known: &[Uuid], before_ms: i64) -> io::Result<()> {
        let lines = self.refused_lines()?;
        let stays = |line: &&Vec<u8>| {
            let (conversation, at_ms) = about(line);
            known.contains(&conversation) || at_ms >= before_ms
        };
        let kept: Vec<&Vec<u8>> = lines.iter().filter(stays).collect();
        let path = self.dir.join(REJECTED);
        if kept.is_empty() {
            remove(&path)?;
        } else if kept.len() < lines.len() {
            let fresh = self.dir.join("spool.rejected.new");
            let mut file = File::create(&fresh)?;
            for line in kept {
                file.write_all(line)?;
                file.write_all(b"\n")?;
            }
            file.sync_all()?;
            fs::rename(&fresh, &path)?;
        }
        let torn = self.dir.join(TORN);
        let age = fs::metadata(&torn).and_then(|torn| torn.modified()).ok();
        let written_ms =
            age.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok()).map(|since| since.as_millis());
        if written_ms.is_some_and(|ms| i64::try_from(ms).is_ok_and(|ms| ms < before_ms)) {
            remove(&torn)?;
        }
        File::open(&self.dir)?.sync_all()
    }

    fn refused_lines(&self) -> io::Result<Vec<Vec<u8>>> {
        let bytes = match fs::read(self.dir.join(REJECTED)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            read => read?,
        };
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        Ok(lines.map(<[u8]>::to_vec).collect())
    }

    /// Records that are not in the database yet.
    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// The name of the server that works here; made up the first time. Blocks.
    pub(super) fn node(&self) -> io::Result<String> {
        let path = self.dir.join("node");
        match fs::read_to_string(&path) {
            Ok(name) if !name.trim().is_empty() => Ok(name.trim().to_owned()),
            Ok(_) => self.name_node(&path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.name_node(&path),
            Err(error) => Err(error),
        }
    }

    fn name_node(&self, path: &Path) -> io::Result<String> {
        let name = uuid::Uuid::now_v7().simple().to_string();
        let mut file = File::create(path)?;
        file.write_all(name.as_bytes())?;
        file.sync_all()?;
        Ok(name)
    }
}

/// Whose record a line is, and when it was made.
fn about(line: &[u8]) -> (Uuid, i64) {
    serde_json::from_slice::<Entry>(line).map_or((Uuid::nil(), 0), |entry| (entry.conversation, entry.at_ms))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What no database would take, and the torn end that was found last.
const REJECTED: &str = "spool.rejected";
const TORN: &str = "spool.torn";

fn checksum(payload: &[u8]) -> [u8; 8] {
    let digest = Sha256::digest(payload);
    let mut sum = [0; 8];
    sum.copy_from_slice(&digest[..8]);
    sum
}

const HEADER_BYTES: u64 = 12;

/// Longest record: every text of an item at its longest, escaped.
const RECORD_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Records, and bytes, read in one go.
const CHUNK_RECORDS: usize = 256;
const CHUNK_BYTES: u64 = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::record::{Change, Closing};

    fn entry(revision: i64) -> Entry {
        let change = Change::Closed(Closing::default());
        let (conversation, session) = (uuid::Uuid::from_u128(1), uuid::Uuid::from_u128(2));
        Entry { conversation, session, epoch: 1, revision, at_ms: 3, change }
    }

    fn revisions(spool: &mut Spool) -> Vec<i64> {
        spool.read().unwrap().entries.iter().map(|entry| entry.revision).collect()
    }

    #[test]
    fn a_torn_end_is_cut_off_wherever_it_tears() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spool.v1");
        let mut spool = Spool::open(dir.path(), 1 << 20).unwrap();
        assert_eq!(spool.append(&[entry(1), entry(2)]), 2);
        let two = spool.end;
        assert_eq!(spool.append(&[entry(3)]), 1);
        let three = spool.end;
        drop(spool);
        let whole = fs::read(&path).unwrap();
        for tear in two..three {
            fs::write(&path, &whole[..usize::try_from(tear).unwrap()]).unwrap();
            let mut spool = Spool::open(dir.path(), 1 << 20).unwrap();
            assert_eq!(revisions(&mut spool), [1, 2], "torn at {tear}");
            assert_eq!(spool.append(&[entry(4)]), 1);
            assert_eq!(revisions(&mut spool), [1, 2, 4], "torn at {tear}");
        }
        // Zeros, as some file systems leave them, and a flipped bit in the last record.
        let mut zeros = whole.clone();
        zeros.resize(whole.len() + 4096, 0);
        fs::write(&path, &zeros).unwrap();
        assert_eq!(revisions(&mut Spool::open(dir.path(), 1 << 20).unwrap()), [1, 2, 3]);
        let mut flipped = whole;
        *flipped.last_mut().unwrap() ^= 1;
        fs::write(&path, &flipped).unwrap();
        assert_eq!(revisions(&mut Spool::open(dir.path(), 1 << 20).unwrap()), [1, 2]);
    }

    #[test]
    fn what_was_read_comes_again_until_it_is_done() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(dir.path(), 1 << 20).unwrap();
        spool.append(&[entry(1), entry(2)]);
        let chunk = spool.read().unwrap();
        spool.append(&[entry(3)]);
        assert_eq!(revisions(&mut spool), [1, 2, 3]);
        spool.advance(chunk.end, chunk.records).unwrap();
        assert_eq!(revisions(&mut spool), [3]);
        drop(spool);
        // Killed in the middle of catching up: from the beginning, which does no harm.
        let mut spool = Spool::open(dir.path(), 1 << 20).unwrap();
        let chunk = spool.read().unwrap();
        assert_eq!(chunk.records, 3);
        spool.advance(chunk.end, chunk.records).unwrap();
        assert_eq!(spool.records(), 0);
        assert_eq!(fs::metadata(dir.path().join("spool.v1")).unwrap().len(), 0);
    }

    #[test]
    fn it_takes_what_fits_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(dir.path(), 1 << 20).unwrap();
        spool.append(&[entry(1)]);
        let one = spool.end;
        drop(spool);
        let mut spool = Spool::open(dir.path(), one * 3 + 2).unwrap();
        assert_eq!(spool.append(&[entry(2), entry(3), entry(4)]), 2);
        assert_eq!(spool.append(&[entry(4)]), 0);
        assert_eq!(revisions(&mut spool), [1, 2, 3]);
    }

    #[test]
    fn a_directory_belongs_to_one_server() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(dir.path(), 1 << 20).unwrap();
        let name = spool.node().unwrap();
        assert!(matches!(Spool::open(dir.path(), 1 << 20), Err(Error::InUse(_))));
        drop(spool);
        assert_eq!(Spool::open(dir.path(), 1 << 20).unwrap().node().unwrap(), name);
    }

    #[test]
    fn what_was_refused_is_cleared_away_with_its_conversation() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(dir.path(), 1 << 20).unwrap();
        let (old, young) = (entry(1), Entry { at_ms: 100, conversation: Uuid::from_u128(9), ..entry(2) });
        for entry in [&old, &young, &old] {
            spool.reject(entry).unwrap();
        }
        spool.set_aside(b"nonsense").unwrap();
        fs::write(dir.path().join(TORN), "words").unwrap();
        assert_eq!(spool.refused().unwrap(), [Uuid::nil(), old.conversation, young.conversation]);
        spool.clear_refused(&[old.conversation], 50).unwrap();
        assert_eq!(
            spool.refused().unwrap(),
            [Uuid::nil(), old.conversation, young.conversation],
            "there, and young; and torn"
        );
        assert!(!spool.refused_lines().unwrap().contains(&b"nonsense".to_vec()));
        spool.clear_refused(&[], i64::MAX).unwrap();
        assert!(spool.refused().unwrap().is_empty());
        assert!(!dir.path().join(REJECTED).exists() && !dir.path().join(TORN).exists());
    }

    #[test]
    fn what_nobody_understands_is_set_aside_and_the_rest_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(dir.path(), 1 << 20).unwrap();
        spool.append(&[entry(1)]);
        let strange = b"{\"of\":\"the future\"}";
        let mut bytes = u32::try_from(strange.len()).unwrap().to_le_bytes().to_vec();
        bytes.extend(checksum(strange));
        bytes.extend(strange);
        spool.file.write_all_at(&bytes, spool.end).unwrap();
        drop(spool);
        let mut spool = Spool::open(dir.path(), 1 << 20).unwrap();
        spool.append(&[entry(2)]);
        assert_eq!(revisions(&mut spool), [1, 2]);
        assert!(fs::read(dir.path().join("spool.rejected")).unwrap().starts_with(strange));
    }
}
