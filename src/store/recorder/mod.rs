//! The recorder: owns every write that sessions cause.
//!
//! Sessions hand over records and never wait. One task writes them in batches; what the database does not take in time goes
//! to the spool, and is caught up with, in order, once the database is back. A record is *durable* when it has been committed
//! in the database or reached the disk in the spool; each session is told up to which of its records that is so.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;

use super::{
    Error, Store, now_ms,
    pen::{From, Pen, Verdict},
    record::Entry,
    spool::{Chunk, Spool},
    thread::{Ended, SpoolThread, Visitor},
};
use crate::telemetry::metrics;

mod scribe;

pub use scribe::{Claim, Refused, Scribe};

/// Takes records. Cheap to clone. Its queue holds [`RECORDS_MAX`] records of [`BYTES_MAX`] bytes; when it is full (the disk
/// hangs, too) a record is refused.
#[derive(Debug, Clone)]
pub struct Recorder {
    queue: mpsc::Sender<Queued>,
    node: Arc<str>,
    load: Arc<Load>,
    spool: Visitor,
}

/// The recorder's task. Dropping it ends it at once; what is in its queue is lost then.
#[derive(Debug)]
pub struct Running {
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

/// How far the records of one session have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// The newest revision that is durable.
    pub durable_to: i64,
    /// The newest revision that is not and will not be.
    pub lost_to: i64,
    /// Whether the session is another's by now, or its conversation was deleted: nothing of it will be durable any more.
    pub is_fenced: bool,
}

/// A record on its way, and whom to tell.
#[derive(Debug)]
struct Queued {
    entry: Entry,
    bytes: u64,
    progress: Arc<watch::Sender<Progress>>,
}

/// What is on its way, for everybody to see.
#[derive(Debug, Default)]
struct Load {
    queued_bytes: AtomicU64,
    spooled: AtomicU64,
}

impl Recorder {
    /// Starts the recorder of this server. Fails if another one works in the same directory.
    pub async fn start(store: Store) -> Result<(Self, Running), Error> {
        let spool = Spool::open(&store.config.dir, store.config.spool_bytes_max)?;
        let node = spool.node().map_err(|source| super::db::in_file(&store.config.dir, source))?;
        let (queue, records) = mpsc::channel(RECORDS_MAX);
        let load = Arc::new(Load::default());
        load.spooled.store(spool.records(), Ordering::Relaxed);
        metrics::spooled(spool.records());
        let (spool, ended) = SpoolThread::start(spool, &store.config.dir)?;
        let visitor = spool.visitor();
        let writer = Writer {
            queue: records,
            load: Arc::clone(&load),
            spool,
            pen: Some(Pen::new(store.clone(), node.clone())),
            store,
            began_ms: now_ms(),
            is_marked: false,
            is_away: false,
            work: None,
            pause: PAUSE_MIN,
            retry_at: now(),
        };
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(writer.run(stop.clone(), ended));
        Ok((Self { queue, node: node.into(), load, spool: visitor }, Running { tasks, stop }))
    }

    /// The name of this server, under which it claims sessions.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Clears away what no database would take (and what was torn) if it is older than this time and its conversation is not
    /// there: it was deleted, or never was.
    pub async fn clear_refused(&self, store: &Store, before_ms: i64) -> Result<(), Error> {
        let Some(Ok(conversations)) = self.spool.call(|spool| spool.refused()).await else { return Ok(()) };
        if conversations.is_empty() {
            return Ok(());
        }
        let known = store.known(&conversations).await?;
        let cleared = self.spool.call(move |spool| spool.clear_refused(&known, before_ms)).await;
        if let Some(Err(error)) = cleared {
            tracing::warn!(%error, "refused records cannot be cleared away");
        }
        Ok(())
    }

    /// Records that are on disk here and not in the database.
    pub fn spooled(&self) -> u64 {
        self.load.spooled.load(Ordering::Relaxed)
    }
}

impl Running {
    /// Takes no further records, writes those that came, and ends. Says whether that was done within `grace`; what is in
    /// the spool stays there.
    pub async fn stop(mut self, grace: Duration) -> bool {
        self.stop.cancel();
        time::timeout(grace, self.tasks.join_next()).await.is_ok()
    }
}

/// The task.
struct Writer {
    queue: mpsc::Receiver<Queued>,
    load: Arc<Load>,
    spool: SpoolThread,
    store: Store,
    /// At home whenever no work is in hand.
    pen: Option<Pen>,
    began_ms: i64,
    /// Whether what a dead predecessor left has been marked.
    is_marked: bool,
    /// Whether the database did not take the last write; said once.
    is_away: bool,
    work: Option<Work>,
    pause: Duration,
    retry_at: Instant,
}

/// What is being done with the database. One thing at a time, so that order stays.
type Work = Pin<Box<dyn Future<Output = Done> + Send>>;

enum Done {
    Prepared(Pen, Result<(), Error>),
    Marked(Pen, Result<u64, Error>),
    Wrote(Pen, Vec<Queued>, Result<Vec<Verdict>, Error>),
    CaughtUp(Pen, Option<Chunk>, Result<Vec<Verdict>, Error>),
}

impl Writer {
    async fn run(mut self, stop: CancellationToken, ended: Ended) {
        let (mut stopping, mut is_open) = (false, true);
        let mut batch = Vec::new();
        while is_open || self.work.is_some() {
            if self.work.is_none() && !stopping && self.retry_at <= now() {
                self.work = self.next_work();
            }
            // While a batch is on its way to the database the next one waits in the queue, at most for the write timeout.
            let takes = is_open && !(self.is_direct() && self.work.is_some());
            let is_behind = self.work.is_none() && !stopping && !(self.is_direct() && self.is_marked);
            tokio::select! {
                biased;
                () = stop.cancelled(), if !stopping => {
                    stopping = true;
                    self.queue.close();
                    if !self.store.is_ready() {
                        // Preparing the tables can take long; the next server does it.
                        self.work = None;
                    }
                }
                done = work(&mut self.work), if self.work.is_some() => {
                    self.work = None;
                    self.finish(done).await;
                }
                taken = self.queue.recv_many(&mut batch, BATCH_RECORDS), if takes => {
                    is_open = taken > 0;
                    self.take(std::mem::take(&mut batch)).await;
                }
                () = time::sleep_until(self.retry_at), if is_behind => {}
            }
        }
        if let Some(pen) = self.pen.take() {
            pen.close().await;
        }
        drop(self.spool);
        let _disk_hangs = time::timeout(Duration::from_secs(2), ended).await;
    }

    /// Whether records go to the database at once: nothing older waits in the spool.
    fn is_direct(&self) -> bool {
        self.store.is_ready() && self.load.spooled.load(Ordering::Relaxed) == 0
    }

    /// What the database owes us, if anything.
    fn next_work(&mut self) -> Option<Work> {
        if self.is_direct() && self.is_marked {
            return None;
        }
        let mut pen = self.pen.take()?;
        let (store, spool, before_ms) = (self.store.clone(), self.spool.clone(), self.began_ms);
        Some(if !store.is_ready() {
            Box::pin(async move {
                let prepared = store.prepare().await;
                Done::Prepared(pen, prepared)
            })
        } else if self.load.spooled.load(Ordering::Relaxed) > 0 {
            Box::pin(async move {
                let Some(Ok(chunk)) = spool.call(Spool::read).await else {
                    return Done::CaughtUp(pen, None, Ok(Vec::new()));
                };
                let written = pen.write(&chunk.entries, From::Spool).await;
                Done::CaughtUp(pen, Some(chunk), written)
            })
        } else {
            Box::pin(async move {
                let marked = pen.mark_lost(before_ms).await;
                Done::Marked(pen, marked)
            })
        })
    }

    /// Takes a batch: to the database if nothing older waits, else to the spool.
    async fn take(&mut self, batch: Vec<Queued>) {
        if batch.is_empty() {
            return;
        }
        let bytes = batch.iter().map(|queued| queued.bytes).sum();
        self.load.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
        if !self.is_direct() {
            return self.put_aside(batch).await;
        }
        let Some(mut pen) = self.pen.take() else { return self.put_aside(batch).await };
        self.work = Some(Box::pin(async move {
            let entries: Vec<Entry> = batch.iter().map(|queued| queued.entry.clone()).collect();
            let written = pen.write(&entries, From::Session).await;
            Done::Wrote(pen, batch, written)
        }));
    }

    /// Puts a batch into the spool, and tells the sessions what became of it.
    async fn put_aside(&mut self, batch: Vec<Queued>) {
        let entries: Vec<Entry> = batch.iter().map(|queued| queued.entry.clone()).collect();
        let kept = self.spool.call(move |spool| (spool.append(&entries), spool.records())).await;
        let (kept, spooled) = kept.unwrap_or((0, self.load.spooled.load(Ordering::Relaxed)));
        self.set_spooled(spooled);
        metrics::records("spooled", kept);
        metrics::records("lost", batch.len() - kept);
        if kept < batch.len() {
            tracing::error!(
                records = batch.len() - kept,
                "neither the database nor the spool takes records: they are lost"
            );
        }
        for (index, queued) in batch.iter().enumerate() {
            queued.tell(index < kept);
        }
    }

    async fn finish(&mut self, done: Done) {
        match done {
            Done::Prepared(pen, prepared) => {
                self.pen = Some(pen);
                self.judge(prepared.as_ref().map(drop));
            }
            Done::Marked(pen, marked) => {
                self.pen = Some(pen);
                self.is_marked = marked.is_ok();
                if let Ok(conversations @ 1..) = &marked {
                    tracing::warn!(conversations, "conversations were live when this server's predecessor ended");
                }
                self.judge(marked.as_ref().map(drop));
            }
            Done::Wrote(pen, batch, written) => {
                self.pen = Some(pen);
                self.judge(written.as_ref().map(drop));
                match written {
                    Ok(verdicts) => {
                        for (queued, verdict) in batch.iter().zip(verdicts) {
                            settle(&self.spool, &queued.entry, verdict).await;
                            queued.tell(verdict == Verdict::Kept);
                            queued.progress.send_if_modified(|progress| {
                                let is_news = verdict == Verdict::Fenced && !progress.is_fenced;
                                progress.is_fenced |= is_news;
                                is_news
                            });
                        }
                    }
                    Err(_) => self.put_aside(batch).await,
                }
            }
            Done::CaughtUp(pen, chunk, written) => {
                self.pen = Some(pen);
                self.judge(written.as_ref().map(drop));
                let (Some(chunk), Ok(verdicts)) = (chunk, written) else {
                    self.wait();
                    return;
                };
                let late = verdicts.iter().filter(|verdict| **verdict == Verdict::Late).count();
                if late > 0 {
                    tracing::warn!(
                        late,
                        "conversations went on elsewhere before these records were written: they were added"
                    );
                }
                for (entry, verdict) in chunk.entries.iter().zip(verdicts) {
                    settle(&self.spool, entry, verdict).await;
                }
                let done = move |spool: &mut Spool| {
                    let advanced = spool.advance(chunk.end, chunk.records);
                    (advanced, spool.records())
                };
                match self.spool.call(done).await {
                    Some((Ok(()), spooled)) => self.set_spooled(spooled),
                    _ => self.wait(),
                }
            }
        }
    }

    /// Notes whether the database is there, and when to try again if not.
    fn judge(&mut self, result: Result<(), &Error>) {
        metrics::store_up(result.is_ok());
        match result {
            Ok(()) => {
                if std::mem::take(&mut self.is_away) {
                    tracing::info!("the database is back");
                }
                self.pause = PAUSE_MIN;
                self.retry_at = now();
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_away, true) {
                    tracing::warn!(%error, "the database takes no records; they go to the spool");
                }
                self.wait();
            }
        }
    }

    fn wait(&mut self) {
        self.retry_at = now() + self.pause;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }

    fn set_spooled(&self, records: u64) {
        self.load.spooled.store(records, Ordering::Relaxed);
        metrics::spooled(records);
    }
}

impl Queued {
    fn tell(&self, is_durable: bool) {
        let revision = self.entry.revision;
        self.progress.send_modify(|progress| {
            let to = if is_durable { &mut progress.durable_to } else { &mut progress.lost_to };
            *to = revision.max(*to);
        });
    }
}

/// Counts what became of a record, and keeps one that the database refuses.
async fn settle(spool: &SpoolThread, entry: &Entry, verdict: Verdict) {
    match verdict {
        Verdict::Kept => metrics::records("kept", 1),
        Verdict::Fenced => metrics::records("fenced", 1),
        Verdict::Late => metrics::records("late", 1),
        Verdict::Refused => {
            metrics::records("refused", 1);
            let entry = entry.clone();
            let _a_full_disk_is_logged_elsewhere = spool.call(move |spool| spool.reject(&entry)).await;
        }
    }
}

async fn work(work: &mut Option<Work>) -> Done {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}

#[expect(clippy::disallowed_methods, reason = "when to try the database again")]
fn now() -> Instant {
    Instant::now()
}

/// Records in the queue.
pub const RECORDS_MAX: usize = 1_000;

/// Bytes in the queue.
pub const BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Records of one transaction.
const BATCH_RECORDS: usize = 256;

/// Pauses between two attempts to reach the database.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
