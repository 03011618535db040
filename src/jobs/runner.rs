//! Claims jobs and works on them: a bounded number at a time, each under a lease that is renewed while it goes on.
//!
//! When the server stops, nothing new is claimed, what is in work gets the time that is left, and the rest is given back. A
//! server that is killed gives nothing back: its leases run out, and another claims what it had.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;

use super::{Config, Failure, Job, List, ms};
use crate::{
    store::{
        Store,
        jobs::{Claimed, Effect, kind},
    },
    telemetry::metrics,
};

/// Somebody who wants to know how far a job has come, for tests that end things there.
pub type Watcher = Arc<dyn Fn(Step, &Claimed) -> bool + Send + Sync>;

/// Where a worker stands with a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It is claimed, and nothing is done.
    Claimed,
    /// The work is done, and nothing of it written.
    Worked,
    /// It is written.
    Written,
}

/// How a gang of workers works.
#[derive(Clone)]
pub struct Gang {
    /// What it can do.
    jobs: Arc<HashMap<&'static str, Arc<dyn Job>>>,
    kinds: Arc<[&'static str]>,
    store: Store,
    node: Arc<str>,
    config: Arc<Config>,
    workers: usize,
    watcher: Option<Watcher>,
}

/// The runner's tasks. Dropping it ends them at once, as a kill does: leases run out by themselves.
#[derive(Debug)]
pub struct Running {
    gangs: JoinSet<()>,
    stop: CancellationToken,
    /// Ends what is still in work.
    end: CancellationToken,
}

impl Running {
    /// Claims nothing any more, lets what is in work go on for `grace`, gives back the rest. Says whether everything was done.
    pub async fn stop(mut self, grace: Duration) -> bool {
        self.stop.cancel();
        let all = async { while self.gangs.join_next().await.is_some() {} };
        if time::timeout(grace, all).await.is_ok() {
            return true;
        }
        self.end.cancel();
        let _returned = time::timeout(RETURN, async { while self.gangs.join_next().await.is_some() {} }).await;
        false
    }
}

/// Time to give back what is not done.
const RETURN: Duration = Duration::from_secs(3);

/// Starts to work: webhooks' messages have workers of their own, so that a slow receiver holds up nothing else.
pub fn start(store: &Store, node: &str, config: &Config, jobs: List) -> Running {
    start_watched(store, node, config, jobs, None)
}

/// The same with somebody who is asked at every step: a worker that hears `false` is dropped there, as if it had been killed.
pub fn start_watched(store: &Store, node: &str, config: &Config, jobs: List, watcher: Option<Watcher>) -> Running {
    let (stop, end, mut gangs) = (CancellationToken::new(), CancellationToken::new(), JoinSet::new());
    let (hooks, others): (List, List) = jobs.into_iter().partition(|job| job.kind() == kind::WEBHOOK);
    for (jobs, workers) in [(others, config.workers), (hooks, config.webhook_workers)] {
        if workers == 0 || jobs.is_empty() {
            continue;
        }
        let gang = Gang {
            kinds: jobs.iter().map(|job| job.kind()).collect(),
            jobs: Arc::new(jobs.into_iter().map(|job| (job.kind(), job)).collect()),
            store: store.clone(),
            node: node.into(),
            config: Arc::new(config.clone()),
            workers,
            watcher: watcher.clone(),
        };
        gangs.spawn(gang.run(stop.clone(), end.clone()));
    }
    Running { gangs, stop, end }
}

impl Gang {
    async fn run(self, stop: CancellationToken, end: CancellationToken) {
        let mut working = JoinSet::new();
        let mut changed = self.store.jobs_changed();
        let mut is_away = false;
        loop {
            changed.mark_unchanged();
            let free = self.workers - working.len();
            let mut wait = Duration::from_millis(self.config.poll_ms.max(10));
            if free > 0 && !stop.is_cancelled() {
                match self.claim(free).await {
                    Ok((claimed, again_in)) => {
                        is_away = false;
                        wait = again_in;
                        for job in claimed {
                            working.spawn(self.clone().work(job, end.clone()));
                        }
                    }
                    Err(error) => {
                        if !std::mem::replace(&mut is_away, true) {
                            tracing::warn!(%error, "jobs cannot be claimed; trying again");
                        }
                    }
                }
            }
            if stop.is_cancelled() && working.is_empty() {
                return;
            }
            tokio::select! {
                Some(_) = working.join_next(), if !working.is_empty() => {}
                () = stop.cancelled(), if !stop.is_cancelled() => {}
                _ = changed.changed(), if working.len() < self.workers => {}
                () = time::sleep(wait), if working.len() < self.workers => {}
            }
        }
    }

    /// What can be begun now, and when to look again if that is nothing.
    async fn claim(&self, count: usize) -> Result<(Vec<Claimed>, Duration), crate::store::Error> {
        let poll = Duration::from_millis(self.config.poll_ms.max(10));
        if !self.store.is_ready() {
            return Ok((Vec::new(), poll));
        }
        // Asked first without a lock: mostly nothing is due, and a claim holds up whoever writes.
        let due_in = match self.store.next_due().await? {
            None => return Ok((Vec::new(), poll)),
            Some(due) => due.saturating_sub(crate::store::now_ms()),
        };
        if due_in > 0 {
            return Ok((Vec::new(), poll.min(Duration::from_millis(due_in.unsigned_abs()))));
        }
        let claimed = self.store.claim_jobs(&self.kinds, &self.node, count, ms(self.config.lease_ms)).await?;
        let again_in = if claimed.len() == count { Duration::ZERO } else { poll };
        Ok((claimed, again_in))
    }

    /// One attempt, from the claim to the end of it.
    async fn work(self, job: Claimed, end: CancellationToken) {
        if !self.step(Step::Claimed, &job) {
            return;
        }
        let attempts_max = self.attempts_max(&job);
        if job.attempts > attempts_max {
            // Whoever had it before never said a word: it may be the job that ends its worker.
            return self.fail(&job, "its workers were lost", None).await;
        }
        let Some(worker) = self.jobs.get(job.kind.as_str()) else { return };
        let working = time::timeout(Duration::from_millis(self.config.timeout_ms), worker.run(job.clone()));
        let done = tokio::select! {
            done = working => done.unwrap_or_else(|_| Err(Failure::Later("it took too long".into()))),
            () = self.keep_lease(&job) => Err(Failure::Lost),
            () = end.cancelled() => {
                let _its_lease_runs_out = self.store.return_job(&job).await;
                return;
            }
        };
        if !self.step(Step::Worked, &job) {
            return;
        }
        match done {
            Ok(effect) => self.finish(&job, &effect).await,
            Err(Failure::Lost) => metrics::job(&job.kind, "lost"),
            Err(Failure::Never(error)) => self.fail(&job, &error, None).await,
            Err(Failure::Later(error)) if job.attempts >= attempts_max => self.fail(&job, &error, None).await,
            Err(Failure::Later(error)) => self.fail(&job, &error, Some(self.pause(&job))).await,
        }
        self.step(Step::Written, &job);
    }

    fn attempts_max(&self, job: &Claimed) -> i64 {
        let is_hook = job.kind == kind::WEBHOOK;
        let configured = if is_hook { self.config.webhook_attempts_max } else { self.config.attempts_max };
        configured.max(1)
    }

    /// Twice as long after each attempt, and between half and all of that, so that what failed together does not come back
    /// together.
    fn pause(&self, job: &Claimed) -> Duration {
        let first = if job.kind == kind::WEBHOOK { self.config.webhook_pause_ms } else { self.config.pause_ms };
        let doublings = u32::try_from(job.attempts.clamp(1, 32) - 1).unwrap_or_default();
        let whole = first.saturating_mul(1 << doublings).min(self.config.pause_max_ms).max(1);
        let (_, chance) = uuid::Uuid::new_v4().as_u64_pair();
        Duration::from_millis(whole / 2 + chance % (whole / 2 + 1))
    }

    /// Says now and then that the work goes on. Ends when the lease is lost.
    async fn keep_lease(&self, job: &Claimed) {
        let lease = Duration::from_millis(self.config.lease_ms.max(30));
        let mut held_until = now() + lease;
        loop {
            time::sleep(lease / 3).await;
            match self.store.extend_lease(job, ms(self.config.lease_ms)).await {
                Ok(Ok(())) => held_until = now() + lease,
                Ok(Err(_)) => return,
                // Perhaps nobody can claim it either; but whoever can may by then.
                Err(_) if now() >= held_until => return,
                Err(_) => {}
            }
        }
    }

    /// Writes what came of it. A database that does not answer is asked again as long as the lease may hold.
    async fn finish(&self, job: &Claimed, effect: &Effect) {
        let until = now() + Duration::from_millis(self.config.lease_ms);
        loop {
            match self.store.finish_job(job, effect).await {
                Ok(Ok(())) => return metrics::job(&job.kind, "done"),
                // Or it was written by the attempt whose answer we did not get.
                Ok(Err(_)) => return metrics::job(&job.kind, "lost"),
                Err(error) if error.is_about_content() => return self.fail(job, &error.to_string(), None).await,
                Err(error) if now() >= until => {
                    tracing::warn!(job = %job.id, %error, "what a job came to cannot be written");
                    return;
                }
                Err(_) => time::sleep(Duration::from_millis(200)).await,
            }
        }
    }

    async fn fail(&self, job: &Claimed, error: &str, again_in: Option<Duration>) {
        let outcome = if again_in.is_some() { "failed" } else { "dead" };
        metrics::job(&job.kind, outcome);
        tracing::warn!(job = %job.id, kind = job.kind, attempt = job.attempts, outcome, error, "a job failed");
        let again_at_ms = again_in
            .map(|pause| crate::store::now_ms().saturating_add(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX)));
        // If that cannot be written, its lease runs out, and it is tried again then.
        let _its_lease_runs_out = self.store.fail_job(job, error, again_at_ms).await;
    }

    fn step(&self, step: Step, job: &Claimed) -> bool {
        self.watcher.as_ref().is_none_or(|watcher| watcher(step, job))
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a lease may still hold")]
fn now() -> Instant {
    Instant::now()
}
