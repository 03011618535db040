//! What has to be looked at again and again: at the start of a server and once an hour.
//!
//! Puts in the jobs that belong to an hour (one of each, however many servers do so), erases again whoever was erased and has
//! come back (with a restored database, or late from a spool), and clears away what lies in this server's own directory.

use std::{collections::HashMap, time::Duration};

use serde_json::json;
use tokio::{task::JoinSet, time};

use super::{erased::Log, forgetting::Means};
use crate::store::{
    Erasure, Error, Forget, Recorder,
    jobs::{NewJob, kind},
    now_ms,
};

/// The task. Dropping it ends it.
#[derive(Debug)]
pub struct Tending {
    _task: JoinSet<()>,
}

/// Begins.
pub fn start(means: Means, log: Log, recorder: Recorder) -> Tending {
    let mut task = JoinSet::new();
    task.spawn(async move {
        // Whoever talks already comes first.
        time::sleep(FIRST).await;
        loop {
            let again_in = match tend(&means, &log, &recorder).await {
                Ok(()) => HOUR,
                Err(error) => {
                    tracing::warn!(%error, "tidying up failed; trying again");
                    PAUSE
                }
            };
            time::sleep(again_in).await;
        }
    });
    Tending { _task: task }
}

/// Once.
pub async fn tend(means: &Means, log: &Log, recorder: &Recorder) -> Result<(), Error> {
    if !means.store.is_ready() {
        return Err(Error::NotReady);
    }
    let hour = now_ms() / 3_600_000;
    erase_again(means, log, hour).await?;
    for tenant in means.store.tenants().await? {
        if means.privacy.retention(&tenant).is_some() {
            let job = NewJob::once(&tenant, kind::RETENTION, tenant.clone(), json!({ "hour": hour }));
            means.store.enqueue(&job).await?;
        }
    }
    means.store.enqueue(&NewJob::once("default", kind::CLEAN, "jobs".to_owned(), json!({ "hour": hour }))).await?;
    recorder.clear_refused(&means.store, now_ms() - REFUSED_MS).await
}

/// Erases what has come back of users who were erased. File and table each learn what the other knows: the table says it to other
/// servers, the file outlives the table.
async fn erase_again(means: &Means, log: &Log, hour: i64) -> Result<(), Error> {
    let noted = log.read().await.map_err(Error::Erasures)?;
    let name = |erasure: &Erasure| (erasure.tenant.clone(), erasure.user.clone());
    let mut table: HashMap<_, i64> =
        means.store.erasures().await?.iter().map(|one| (name(one), one.before_ms)).collect();
    for erasure in &noted {
        if table.get(&name(erasure)).is_none_or(|known| *known < erasure.before_ms) {
            means.store.note_erasure(erasure).await?;
            table.insert(name(erasure), erasure.before_ms);
        }
    }
    let noted: HashMap<_, i64> = noted.iter().map(|one| (name(one), one.before_ms)).collect();
    for ((tenant, user), before_ms) in table {
        let erasure = Erasure { tenant, user, before_ms };
        if noted.get(&name(&erasure)).is_none_or(|known| *known < before_ms) {
            log.append(&erasure).await.map_err(Error::Erasures)?;
        }
        let left = means.store.to_forget(&erasure.tenant, Forget::User(&erasure.user, before_ms)).await?;
        if !left.is_empty() {
            tracing::warn!(
                conversations = left.len(),
                "an erased user's conversations have come back; erasing them again"
            );
            let payload = json!({ "before_ms": before_ms, "hour": hour });
            means.store.enqueue(&NewJob::once(&erasure.tenant, kind::ERASE, erasure.user.clone(), payload)).await?;
        }
    }
    Ok(())
}

const FIRST: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
const PAUSE: Duration = Duration::from_secs(30);

/// How long a record that no database would take, and whose conversation is not there, waits for somebody to look at it.
const REFUSED_MS: i64 = 20 * 3_600_000;
