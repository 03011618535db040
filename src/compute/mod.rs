//! CPU-heavy work: one scheduler and a few threads for all of it.
//!
//! An engine's *kernel* is synchronous and owns the model's state; it runs on a worker thread of its own. The engine submits
//! jobs through a [`Handle`] and awaits [`Pending`]; dropping that future stops the job. Workers never touch the async
//! runtime, and the runtime never waits for a worker.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::sync::oneshot;

pub use scheduler::{Class, Key};

use crate::engine::{Error, ErrorKind};
use threads::{Pool, Shared};

pub mod scheduler;
mod threads;

/// The synchronous half of an engine. One per worker thread, made and used there.
pub trait Kernel: 'static {
    /// What it is given.
    type Job: Send + 'static;
    /// What it answers.
    type Reply: Send + 'static;

    /// Called once after the kernel has been made, so that the first user does not pay for cold caches. Its duration is
    /// the first estimate of what a job takes.
    fn warm_up(&mut self) -> Result<(), Error> {
        Ok(())
    }

    /// Does one job. Should look at `abort` often and return [`ErrorKind::Cancelled`] when it is set. A panic fails this
    /// job only; the kernel is then thrown away and made afresh.
    fn run(&mut self, job: Self::Job, abort: &AbortFlag) -> Result<Self::Reply, Error>;
}

/// "Stop, nobody wants this any more": shared by whoever waits for a job and the kernel that does it.
#[derive(Debug, Clone, Default)]
pub struct AbortFlag(Arc<AtomicBool>);

impl AbortFlag {
    /// Whether the job should stop.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Asks the job to stop.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// The flag itself, for a C library that polls it. Lives as long as any clone of `self`.
    pub fn as_atomic(&self) -> &AtomicBool {
        &self.0
    }
}

/// Sizes of a set of workers.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Worker threads; 0 = one per core.
    pub workers: usize,
    /// Finals that may wait; a further one is refused with [`ErrorKind::Busy`].
    pub finals: usize,
    /// Partials that may wait, one per key; a further key's is refused with [`ErrorKind::Busy`].
    pub partials: usize,
}

/// How much there is to do, for admission and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pressure {
    /// Worker threads.
    pub workers: usize,
    /// Jobs that run now.
    pub running: usize,
    /// Finals that wait, speculative ones included.
    pub finals_waiting: usize,
    /// Partials that wait.
    pub partials_waiting: usize,
    /// How long a final submitted now would wait for a worker, in milliseconds.
    pub predicted_wait_ms: u64,
}

/// The way to the workers. Cheap to clone. When the last clone goes, running jobs are aborted and the threads are joined:
/// that blocks until each kernel has noticed (for whisper at most one pass of the encoder).
pub struct Handle<K: Kernel> {
    pool: Arc<Pool<K>>,
}

impl<K: Kernel> Clone for Handle<K> {
    fn clone(&self) -> Self {
        Self { pool: Arc::clone(&self.pool) }
    }
}

impl<K: Kernel> fmt::Debug for Handle<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.pressure()).finish()
    }
}

impl<K: Kernel> Handle<K> {
    /// Starts the workers, each named `name` and a number, each with a kernel of its own from `make`; `make` is called
    /// again after a panic. Blocks until all kernels are made and warm; the first failure ends all and is returned.
    pub fn start(
        name: &str,
        sizes: Sizes,
        make: impl Fn() -> Result<K, Error> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        Ok(Self { pool: Arc::new(Pool::start(name, sizes, Arc::new(make))?) })
    }

    /// A key that nobody else has: one per utterance.
    pub fn fresh_key(&self) -> Key {
        self.pool.shared.fresh_key()
    }

    /// Queues a job that should be done within `within`. It is queued at once, not when the future is first polled; no
    /// room means that the future fails with [`ErrorKind::Busy`]. Never blocks for longer than the queue's lock is held.
    pub fn submit(&self, key: Key, class: Class, within: Duration, job: K::Job) -> Pending<K> {
        let abort = AbortFlag::default();
        let (reply, answer) = oneshot::channel();
        match self.pool.shared.push(key, class, within, threads::Slot { job, abort: abort.clone(), reply }) {
            Ok(id) => Pending { shared: Arc::clone(&self.pool.shared), abort, waiting: Waiting::Answer { id, answer } },
            Err(error) => Pending { shared: Arc::clone(&self.pool.shared), abort, waiting: Waiting::Refused(error) },
        }
    }

    /// How much there is to do now.
    pub fn pressure(&self) -> Pressure {
        self.pool.shared.pressure()
    }

    /// How long a final submitted now would wait for a worker.
    pub fn predicted_wait(&self) -> Duration {
        self.pool.shared.predicted_wait()
    }
}

/// A submitted job. Dropping it takes the job out of the queue, or asks the worker to stop.
#[must_use = "dropping it cancels the job"]
pub struct Pending<K: Kernel> {
    shared: Arc<Shared<K>>,
    abort: AbortFlag,
    waiting: Waiting<K::Reply>,
}

enum Waiting<R> {
    Refused(Error),
    Answer { id: scheduler::JobId, answer: oneshot::Receiver<Result<R, Error>> },
    Over,
}

impl<K: Kernel> fmt::Debug for Pending<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").field("abort", &self.abort.is_set()).finish_non_exhaustive()
    }
}

impl<K: Kernel> Pending<K> {
    /// Whether a worker is at it right now.
    pub fn is_running(&self) -> bool {
        matches!(&self.waiting, Waiting::Answer { id, .. } if self.shared.is_running(*id))
    }
}

// No field is pinned structurally: polling goes through `&mut` of an `Unpin` receiver.
impl<K: Kernel> Unpin for Pending<K> {}

impl<K: Kernel> Future for Pending<K> {
    type Output = Result<K::Reply, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let result = match &mut self.waiting {
            Waiting::Answer { answer, .. } => match Pin::new(answer).poll(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(result)) => result,
                Poll::Ready(Err(_)) => Err(Error::new(ErrorKind::Cancelled, "the job was dropped unanswered")),
            },
            Waiting::Refused(_) | Waiting::Over => match std::mem::replace(&mut self.waiting, Waiting::Over) {
                Waiting::Refused(error) => Err(error),
                _ => Err(Error::new(ErrorKind::Cancelled, "polled again after its answer")),
            },
        };
        self.waiting = Waiting::Over;
        Poll::Ready(result)
    }
}

impl<K: Kernel> Drop for Pending<K> {
    fn drop(&mut self) {
        if let Waiting::Answer { id, .. } = &self.waiting {
            self.abort.set();
            self.shared.forget(*id);
        }
    }
}
