//! Which job next: a pure queue. Time comes in as microseconds; nothing here waits, locks or reads a clock.

/// How urgent a kind of work is. Earlier in this list goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Somebody has finished speaking and waits.
    Final,
    /// Somebody may have finished speaking. Once overdue it counts as a final, so a stream of finals cannot starve it.
    SpeculativeFinal,
    /// Words on a screen. Starves under load, and is meant to: it is what is shed first.
    Partial,
}

impl Class {
    const COUNT: usize = 3;

    const fn index(self) -> usize {
        self as usize
    }

    const fn is_final(self) -> bool {
        matches!(self, Self::Final | Self::SpeculativeFinal)
    }
}

/// On whose behalf a job runs: one key per utterance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(pub u64);

/// One job, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(u64);

/// Sizes of a scheduler.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Jobs that run at a time.
    pub workers: usize,
    /// Finals (of both classes) that may wait. When full, a further one is refused.
    pub finals: usize,
    /// Partials that may wait, at most one per key. When full, a partial of another key is refused.
    pub partials: usize,
}

/// What a push changed besides the queue.
#[derive(Debug)]
pub struct Pushed<T> {
    /// The new job.
    pub id: JobId,
    /// Jobs that left the queue because this one makes them pointless.
    pub dropped: Vec<T>,
    /// Running jobs that should stop now.
    pub abort: Vec<JobId>,
}

/// A job that is to run now.
#[derive(Debug)]
pub struct Started<T> {
    /// Which; report it to [`Scheduler::done`].
    pub id: JobId,
    /// Its class.
    pub class: Class,
    /// The job itself.
    pub job: T,
}

#[derive(Debug)]
struct Queued<T> {
    id: JobId,
    key: Key,
    class: Class,
    deadline_us: u64,
    job: T,
}

impl<T> Queued<T> {
    /// Smaller goes first: class, then deadline, then age.
    fn rank(&self, now_us: u64) -> (Class, u64, JobId) {
        let overdue = self.class == Class::SpeculativeFinal && self.deadline_us <= now_us;
        (if overdue { Class::Final } else { self.class }, self.deadline_us, self.id)
    }
}

#[derive(Debug)]
struct Running {
    id: JobId,
    key: Key,
    class: Class,
    since_us: u64,
    aborting: bool,
}

/// Waiting and running jobs. Bound: [`Limits::finals`] + [`Limits::partials`] jobs wait, [`Limits::workers`] run; when full
/// a push is refused and the caller gets its job back. A few hundred entries at most, so it is a plain list: a scan costs
/// less than a heap from whose middle jobs are removed.
#[derive(Debug)]
pub struct Scheduler<T> {
    limits: Limits,
    queue: Vec<Queued<T>>,
    running: Vec<Running>,
    next: u64,
    service_us: [Option<u64>; Class::COUNT],
}

impl<T> Scheduler<T> {
    /// An empty scheduler; at least one worker and room for one final are assumed.
    pub fn new(limits: Limits) -> Self {
        let limits = Limits { workers: limits.workers.max(1), finals: limits.finals.max(1), ..limits };
        Self { limits, queue: Vec::new(), running: Vec::new(), next: 0, service_us: [None; Class::COUNT] }
    }

    /// Queues a job that should be done by `deadline_us`.
    ///
    /// A partial replaces the waiting partial of the same key and keeps its place in the line (else a talker whose partials
    /// are renewed often would never be served). A final drops the waiting partials of its key and aborts the running
    /// ones; if all workers are busy it also aborts one partial of somebody else. `Err` returns the job: no room.
    pub fn push(&mut self, key: Key, class: Class, deadline_us: u64, job: T) -> Result<Pushed<T>, T> {
        let mut deadline_us = deadline_us;
        let mut dropped = Vec::new();
        if class == Class::Partial {
            if let Some(older) = self.take_partial(key) {
                deadline_us = deadline_us.min(older.deadline_us);
                dropped.push(older.job);
            } else if self.waiting(Class::Partial) >= self.limits.partials {
                return Err(job);
            }
        } else if self.finals_waiting() >= self.limits.finals {
            return Err(job);
        }
        let id = JobId(self.next);
        self.next += 1;
        let mut abort = Vec::new();
        if class.is_final() {
            while let Some(older) = self.take_partial(key) {
                dropped.push(older.job);
            }
            for running in self.running.iter_mut().filter(|it| it.key == key && it.class == Class::Partial) {
                if !running.aborting {
                    running.aborting = true;
                    abort.push(running.id);
                }
            }
        }
        self.queue.push(Queued { id, key, class, deadline_us, job });
        if class == Class::Final {
            abort.extend(self.preempt());
        }
        Ok(Pushed { id, dropped, abort })
    }

    /// Makes room for the waiting finals: the partial that has run for the shortest time is aborted, if no worker is free
    /// and fewer partials are on their way out than finals wait.
    fn preempt(&mut self) -> Option<JobId> {
        let leaving = self.running.iter().filter(|it| it.aborting).count();
        let free = self.limits.workers.saturating_sub(self.running.len());
        if free + leaving >= self.finals_waiting() {
            return None;
        }
        let victim = self
            .running
            .iter_mut()
            .filter(|it| it.class == Class::Partial && !it.aborting)
            .max_by_key(|it| (it.since_us, it.id))?;
        victim.aborting = true;
        Some(victim.id)
    }

    fn take_partial(&mut self, key: Key) -> Option<Queued<T>> {
        let at = self.queue.iter().position(|it| it.key == key && it.class == Class::Partial)?;
        Some(self.queue.swap_remove(at))
    }

    /// The job to run now, if a worker is free. The caller runs it and reports [`Scheduler::done`].
    pub fn pop(&mut self, now_us: u64) -> Option<Started<T>> {
        if self.running.len() >= self.limits.workers {
            return None;
        }
        let (at, _) = self.queue.iter().enumerate().min_by_key(|(_, it)| it.rank(now_us))?;
        let Queued { id, key, class, job, .. } = self.queue.swap_remove(at);
        self.running.push(Running { id, key, class, since_us: now_us, aborting: false });
        Some(Started { id, class, job })
    }

    /// A started job has ended. Only `completed` ones teach how long work takes.
    pub fn done(&mut self, id: JobId, now_us: u64, completed: bool) {
        let Some(at) = self.running.iter().position(|it| it.id == id) else { return };
        let Running { class, since_us, .. } = self.running.swap_remove(at);
        if completed {
            self.learn(class, now_us.saturating_sub(since_us));
        }
    }

    /// Takes a service time into account: a moving average that gives the newest an eighth of the weight.
    pub fn learn(&mut self, class: Class, took_us: u64) {
        let average = &mut self.service_us[class.index()];
        *average = Some(average.map_or(took_us, |old| (old.saturating_mul(7).saturating_add(took_us)) / 8));
    }

    /// Takes a waiting job out; `None` if it does not wait (any more).
    pub fn remove(&mut self, id: JobId) -> Option<T> {
        let at = self.queue.iter().position(|it| it.id == id)?;
        Some(self.queue.swap_remove(at).job)
    }

    /// Empties the queue. What runs goes on.
    pub fn drain(&mut self) -> Vec<T> {
        self.queue.drain(..).map(|it| it.job).collect()
    }

    /// How long a final pushed now would wait before it starts, by the averages so far: every worker finishes what it
    /// runs, then the waiting finals are dealt out. Zero while nothing has been measured.
    pub fn predicted_wait_us(&self, now_us: u64) -> u64 {
        let mut free_us: Vec<u64> = self
            .running
            .iter()
            .map(|it| self.expected_us(it.class).saturating_sub(now_us.saturating_sub(it.since_us)))
            .collect();
        free_us.resize(self.limits.workers.max(free_us.len()), 0);
        for job in self.queue.iter().filter(|it| it.rank(now_us).0 == Class::Final) {
            if let Some(soonest) = free_us.iter_mut().min() {
                *soonest = soonest.saturating_add(self.expected_us(job.class));
            }
        }
        free_us.into_iter().min().unwrap_or(0)
    }

    fn expected_us(&self, class: Class) -> u64 {
        let known = self.service_us[class.index()];
        // Never measured: assume what a final takes, and the other way round.
        known
            .or(self.service_us[Class::Final.index()])
            .or_else(|| self.service_us.iter().copied().flatten().max())
            .unwrap_or(0)
    }

    /// Waiting jobs of one class.
    pub fn waiting(&self, class: Class) -> usize {
        self.queue.iter().filter(|it| it.class == class).count()
    }

    fn finals_waiting(&self) -> usize {
        self.queue.iter().filter(|it| it.class.is_final()).count()
    }

    /// Jobs that run.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Whether this job has been started and has not ended.
    pub fn is_running(&self, id: JobId) -> bool {
        self.running.iter().any(|it| it.id == id)
    }
}
