//! The worker threads: each takes the scheduler's next job, runs it on its own kernel and answers.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{
    AbortFlag, Kernel, Pressure, Sizes,
    scheduler::{Class, JobId, Key, Limits, Scheduler, Started},
};
use crate::engine::{Error, ErrorKind};

/// A job on its way to a worker, and the way back.
pub(super) struct Slot<K: Kernel> {
    pub(super) job: K::Job,
    pub(super) abort: AbortFlag,
    pub(super) reply: oneshot::Sender<Result<K::Reply, Error>>,
}

impl<K: Kernel> Slot<K> {
    fn cancel(self, why: &str) {
        self.abort.set();
        // Fails if the receiver is gone, and then nobody wants to know.
        let _ = self.reply.send(Err(Error::new(ErrorKind::Cancelled, why)));
    }
}

struct State<K: Kernel> {
    scheduler: Scheduler<Slot<K>>,
    /// The flags of the running jobs; at most one per worker.
    running: Vec<(JobId, AbortFlag)>,
    closed: bool,
}

/// What the workers and the waiting futures share.
pub(super) struct Shared<K: Kernel> {
    state: Mutex<State<K>>,
    work: Condvar,
    started: Instant,
    workers: usize,
    keys: AtomicU64,
}

impl<K: Kernel> Shared<K> {
    fn lock(&self) -> MutexGuard<'_, State<K>> {
        // Kernels run outside the lock, so a panic of one cannot leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[expect(clippy::disallowed_methods, reason = "the threads are the scheduler's clock")]
    fn now_us(&self) -> u64 {
        micros(Instant::now().duration_since(self.started))
    }

    pub(super) fn fresh_key(&self) -> Key {
        Key(self.keys.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn push(&self, key: Key, class: Class, within: Duration, slot: Slot<K>) -> Result<JobId, Error> {
        let now_us = self.now_us();
        let mut state = self.lock();
        if state.closed {
            return Err(Error::new(ErrorKind::Cancelled, "the workers are shutting down"));
        }
        let pushed = state
            .scheduler
            .push(key, class, now_us.saturating_add(micros(within)), slot)
            .map_err(|_| Error::new(ErrorKind::Busy, "too many jobs wait for a worker"))?;
        for (_, flag) in state.running.iter().filter(|(id, _)| pushed.abort.contains(id)) {
            flag.set();
        }
        drop(state);
        self.work.notify_one();
        for slot in pushed.dropped {
            slot.cancel("a newer job took its place");
        }
        Ok(pushed.id)
    }

    /// Takes the job out of the queue, if it still waits there.
    pub(super) fn forget(&self, id: JobId) {
        let removed = self.lock().scheduler.remove(id);
        // Dropped here, outside the lock: a job may hold megabytes.
        drop(removed);
    }

    pub(super) fn is_running(&self, id: JobId) -> bool {
        self.lock().scheduler.is_running(id)
    }

    pub(super) fn predicted_wait(&self) -> Duration {
        let now_us = self.now_us();
        Duration::from_micros(self.lock().scheduler.predicted_wait_us(now_us))
    }

    pub(super) fn pressure(&self) -> Pressure {
        let now_us = self.now_us();
        let state = self.lock();
        let scheduler = &state.scheduler;
        Pressure {
            workers: self.workers,
            running: scheduler.running(),
            finals_waiting: scheduler.waiting(Class::Final) + scheduler.waiting(Class::SpeculativeFinal),
            partials_waiting: scheduler.waiting(Class::Partial),
            predicted_wait_ms: scheduler.predicted_wait_us(now_us).div_ceil(1000),
        }
    }

    /// Waits for a job; `None` when the workers are to end.
    fn next(&self) -> Option<Started<Slot<K>>> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            let now_us = self.now_us();
            if let Some(started) = state.scheduler.pop(now_us) {
                state.running.push((started.id, started.job.abort.clone()));
                return Some(started);
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn done(&self, id: JobId, completed: bool) {
        let now_us = self.now_us();
        let mut state = self.lock();
        state.running.retain(|(running, _)| *running != id);
        state.scheduler.done(id, now_us, completed);
    }

    fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        for (_, flag) in &state.running {
            flag.set();
        }
        let waiting = state.scheduler.drain();
        drop(state);
        self.work.notify_all();
        for slot in waiting {
            slot.cancel("the workers are shutting down");
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

type Make<K> = Arc<dyn Fn() -> Result<K, Error> + Send + Sync>;

/// The threads. Dropping it ends and joins them.
pub(super) struct Pool<K: Kernel> {
    pub(super) shared: Arc<Shared<K>>,
    threads: Vec<JoinHandle<()>>,
}

impl<K: Kernel> Pool<K> {
    pub(super) fn start(name: &str, sizes: Sizes, make: Make<K>) -> Result<Self, Error> {
        let workers = match sizes.workers {
            0 => thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        };
        let limits = Limits { workers, finals: sizes.finals, partials: sizes.partials };
        let state = State { scheduler: Scheduler::new(limits), running: Vec::new(), closed: false };
        #[expect(clippy::disallowed_methods, reason = "the threads are the scheduler's clock")]
        let started = Instant::now();
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            work: Condvar::new(),
            started,
            workers,
            keys: AtomicU64::new(0),
        });
        // From here on every early return drops the pool, which ends the threads already started.
        let mut pool = Self { shared, threads: Vec::with_capacity(workers) };
        // Bound: one message per worker, so sending never waits.
        let (ready, all_ready) = mpsc::sync_channel(workers);
        for number in 0..workers {
            let (shared, make, ready) = (Arc::clone(&pool.shared), Arc::clone(&make), ready.clone());
            let thread = thread::Builder::new()
                .name(format!("{name}-{number}"))
                .spawn(move || work(&shared, &make, &ready))
                .map_err(|error| Error::new(ErrorKind::Broken, error))?;
            pool.threads.push(thread);
        }
        drop(ready);
        for _ in 0..workers {
            match all_ready.recv() {
                Ok(result) => result?,
                Err(_) => return Err(Error::new(ErrorKind::Broken, "a worker ended while it started")),
            }
        }
        Ok(pool)
    }
}

impl<K: Kernel> Drop for Pool<K> {
    fn drop(&mut self) {
        self.shared.close();
        let own = thread::current().id();
        for thread in self.threads.drain(..).filter(|it| it.thread().id() != own) {
            // A worker only panics outside its kernel if this file is wrong, and the panic hook has said so by then.
            let _ = thread.join();
        }
    }
}

fn work<K: Kernel>(shared: &Shared<K>, make: &Make<K>, ready: &mpsc::SyncSender<Result<(), Error>>) {
    let mut kernel = match fresh(shared, make) {
        Ok(kernel) => {
            let _ = ready.send(Ok(()));
            Some(kernel)
        }
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    while let Some(Started { id, job: Slot { job, abort, reply }, .. }) = shared.next() {
        let result = if abort.is_set() {
            Err(Error::new(ErrorKind::Cancelled, "dropped before it began"))
        } else {
            run(shared, make, &mut kernel, job, &abort)
        };
        shared.done(id, result.is_ok());
        // Fails if nobody waits any more.
        let _ = reply.send(result);
    }
}

/// A new kernel, warm. A panic while it is made is an error like any other.
fn fresh<K: Kernel>(shared: &Shared<K>, make: &Make<K>) -> Result<K, Error> {
    let mut warming_us = 0;
    let kernel = catch_unwind(AssertUnwindSafe(|| {
        let mut kernel = make()?;
        warming_us = shared.now_us();
        kernel.warm_up()?;
        Ok(kernel)
    }))
    .unwrap_or_else(|_| Err(Error::new(ErrorKind::Broken, "the kernel panicked while it was made")))?;
    let took_us = shared.now_us().saturating_sub(warming_us);
    shared.lock().scheduler.learn(Class::Final, took_us);
    Ok(kernel)
}

fn run<K: Kernel>(
    shared: &Shared<K>,
    make: &Make<K>,
    kernel: &mut Option<K>,
    job: K::Job,
    abort: &AbortFlag,
) -> Result<K::Reply, Error> {
    // After a panic there is none; made here, so that one that cannot be made fails jobs instead of the worker.
    let mut healthy = match kernel.take() {
        Some(kernel) => kernel,
        None => fresh(shared, make)?,
    };
    let result = catch_unwind(AssertUnwindSafe(|| healthy.run(job, abort)));
    match result {
        Ok(result) => {
            *kernel = Some(healthy);
            result
        }
        Err(_) => {
            // Its state cannot be trusted. Dropping it may panic again.
            let _ = catch_unwind(AssertUnwindSafe(move || drop(healthy)));
            Err(Error::new(ErrorKind::Broken, "the kernel panicked"))
        }
    }
}
