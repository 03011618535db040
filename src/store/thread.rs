//! The spool's own thread: waiting for a disk must not hold up the others.

use std::{
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use tokio::{sync::oneshot, time};

use super::{Error, db::in_file, spool::Spool};

type Job = Box<dyn FnOnce(&mut Spool) + Send>;

/// A spool on a thread of its own. Its queue holds [`JOBS_MAX`] jobs; when that is full, or the disk hangs, a call fails.
#[derive(Debug, Clone)]
pub(super) struct SpoolThread {
    jobs: Arc<mpsc::SyncSender<Job>>,
}

/// The same for those who do not keep the thread alive.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    jobs: std::sync::Weak<mpsc::SyncSender<Job>>,
}

impl Visitor {
    /// Does something with the spool. `None` if the thread has ended, or the disk does not answer in time.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Spool) -> T + Send + 'static,
    ) -> Option<T> {
        SpoolThread { jobs: self.jobs.upgrade()? }.call(job).await
    }
}

/// Resolves when the thread has ended and the directory is free.
pub(super) type Ended = oneshot::Receiver<()>;

impl SpoolThread {
    /// Moves a spool to its thread.
    pub(super) fn start(mut spool: Spool, dir: &std::path::Path) -> Result<(Self, Ended), Error> {
        let (jobs, queue) = mpsc::sync_channel::<Job>(JOBS_MAX);
        let (ended, when_ended) = oneshot::channel();
        thread::Builder::new()
            .name("floe-spool".into())
            .spawn(move || {
                while let Ok(job) = queue.recv() {
                    job(&mut spool);
                }
                drop(spool);
                let _nobody_waits = ended.send(());
            })
            .map_err(|source| in_file(dir, source))?;
        Ok((Self { jobs: Arc::new(jobs) }, when_ended))
    }

    /// For those who do not keep it alive.
    pub(super) fn visitor(&self) -> Visitor {
        Visitor { jobs: Arc::downgrade(&self.jobs) }
    }

    /// Does something with the spool. `None` if the disk does not answer in time: then it may be done yet.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Spool) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |spool| drop(answer.send(job(spool))));
        self.jobs.try_send(job).ok()?;
        time::timeout(DISK_TIMEOUT, answered).await.ok()?.ok()
    }
}

const JOBS_MAX: usize = 4;

/// Longest wait for the disk.
const DISK_TIMEOUT: Duration = Duration::from_secs(4);
