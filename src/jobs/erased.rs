//! The file in which a server notes whom it was told to erase. A database that comes back from a backup does not know; this does.
//!
//! One JSON object per line, appended and fsynced before anything is erased. Nothing in it but the user's id and the time.

use std::{io, path::PathBuf, sync::Arc};

use tokio::{
    fs::{File, OpenOptions},
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::Mutex,
};

use crate::store::Erasure;

/// The file. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Log {
    path: Arc<PathBuf>,
    /// One writer at a time in this process; of several processes, each line is written in one go.
    writing: Arc<Mutex<()>>,
}

impl Log {
    /// The file at this path; made when it is first written.
    pub fn at(path: PathBuf) -> Self {
        Self { path: Arc::new(path), writing: Arc::default() }
    }

    /// Notes one, and waits until it is on disk.
    pub async fn append(&self, erasure: &Erasure) -> io::Result<()> {
        let mut line = serde_json::to_vec(erasure)?;
        // A line that was torn by a kill stays alone.
        line.insert(0, b'\n');
        line.push(b'\n');
        let _one_at_a_time = self.writing.lock().await;
        let mut file = OpenOptions::new().create(true).append(true).open(&*self.path).await?;
        file.write_all(&line).await?;
        file.flush().await?;
        file.sync_all().await?;
        // The name must be on disk, too.
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or_else(|| std::path::Path::new("."))).await?.sync_all().await
    }

    /// All that were noted, the newest of each user. A line that is torn is left out.
    pub async fn read(&self) -> io::Result<Vec<Erasure>> {
        let mut text = String::new();
        match File::open(&*self.path).await {
            Ok(file) => {
                let mut bytes = Vec::new();
                file.take(BYTES_MAX).read_to_end(&mut bytes).await?;
                text.push_str(&String::from_utf8_lossy(&bytes));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let mut newest: std::collections::BTreeMap<(String, String), i64> = Default::default();
        for line in text.lines() {
            if let Ok(Erasure { tenant, user, before_ms }) = serde_json::from_str(line) {
                let known = newest.entry((tenant, user)).or_insert(before_ms);
                *known = before_ms.max(*known);
            }
        }
        Ok(newest.into_iter().map(|((tenant, user), before_ms)| Erasure { tenant, user, before_ms }).collect())
    }
}

/// Longest file that is read: some hundred thousand users.
const BYTES_MAX: u64 = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_noted_is_read_again_whatever_was_torn() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("erasures.v1");
        let log = Log::at(path.clone());
        assert_eq!(log.read().await.unwrap(), []);
        let of = |user: &str, before_ms| Erasure { tenant: "default".into(), user: user.into(), before_ms };
        log.append(&of("one", 1)).await.unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend(b"{\"tenant\":\"default\",\"us");
        std::fs::write(&path, bytes).unwrap();
        log.append(&of("two\n", 2)).await.unwrap();
        log.append(&of("one", 3)).await.unwrap();
        log.append(&of("one", 2)).await.unwrap();
        assert_eq!(log.read().await.unwrap(), [of("one", 3), of("two\n", 2)]);
    }
}
