//! The schedule: who calls when, with what, and how badly they behave.

use std::{path::Path, sync::Arc, time::Duration};

use floe::{
    caller::{self, Failed, Options, Recording, Report},
    replay,
};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until},
};

/// Endings of file names that are taken for recordings.
const ENDINGS: [&str; 9] = ["wav", "flac", "mp3", "ogg", "opus", "oga", "webm", "m4a", "mp4"];

/// How much of a reply is heard before it is spoken over.
const BARGE_IN_AFTER: Duration = Duration::from_millis(600);

/// When a caller vanishes: in the middle of the first words.
const DROP_AFTER: Duration = Duration::from_millis(700);

/// What all callers share.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) call: Options,
    pub(crate) recordings: Arc<[Recording]>,
    pub(crate) begin: Instant,
    /// No call begins after this.
    pub(crate) end: Instant,
    pub(crate) pause: Duration,
    pub(crate) barge_in: f64,
    pub(crate) drop: f64,
}

/// A call that is over.
pub(crate) struct Done {
    pub(crate) wanted_barge_in: bool,
    pub(crate) result: Result<Report, Failed>,
}

/// Reads all recordings of a folder, in the order of their names.
pub(crate) async fn recordings(dir: &Path) -> Result<Arc<[Recording]>, String> {
    let problem = |error: std::io::Error| format!("cannot read {}: {error}", dir.display());
    let mut paths = Vec::new();
    let mut entries = tokio::fs::read_dir(dir).await.map_err(problem)?;
    while let Some(entry) = entries.next_entry().await.map_err(problem)? {
        let path = entry.path();
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
        if ENDINGS.contains(&ending.as_str()) {
            paths.push(path);
        }
    }
    paths.sort();
    let mut recordings = Vec::with_capacity(paths.len());
    for path in &paths {
        recordings.push(replay::read(path).await.map_err(|error| format!("{}: {error}", path.display()))?);
    }
    if recordings.is_empty() {
        return Err(format!("no recordings in {}; they end in .{}", dir.display(), ENDINGS.join(", .")));
    }
    Ok(recordings.into())
}

/// Starts all callers. They stop by themselves after the plan's end, at once when the set is dropped.
pub(crate) fn start(plan: Plan, callers: u32, ramp: Duration, done: &mpsc::Sender<Done>) -> JoinSet<()> {
    let mut scope = JoinSet::new();
    for index in 0..callers {
        scope.spawn(caller(plan.clone(), index, callers, plan.begin + ramp * index / callers, done.clone()));
    }
    scope
}

async fn caller(plan: Plan, index: u32, callers: u32, begin: Instant, done: mpsc::Sender<Done>) {
    let mut due = begin;
    for round in 0_u32.. {
        sleep_until(due).await;
        if due >= plan.end {
            return;
        }
        // Numbers all calls in the order in which they are due.
        let number = u64::from(round) * u64::from(callers) + u64::from(index);
        let wanted_barge_in = chosen(number, plan.barge_in);
        let dropped = chosen(number.wrapping_add(1 << 20), plan.drop);
        let options = Options {
            due: Some(due),
            barge_in_after: (wanted_barge_in && !dropped).then_some(BARGE_IN_AFTER),
            drop_after: dropped.then_some(DROP_AFTER),
            ..plan.call.clone()
        };
        let count = plan.recordings.len() as u64;
        let which = usize::try_from(number % count).unwrap_or(0);
        let result = caller::call(&plan.recordings[which], &options).await;
        let wanted_barge_in = wanted_barge_in && !dropped;
        if done.send(Done { wanted_barge_in, result }).await.is_err() {
            return;
        }
        due = crate::now() + plan.pause;
    }
}

/// Whether call `number` is one of the `share` that misbehave: spread evenly, and the same in every run.
fn chosen(number: u64, share: f64) -> bool {
    // Multiples of the golden ratio, modulo 1, fall evenly.
    let scattered = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 11;
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    let place = scattered as f64 / (1_u64 << 53) as f64;
    place < share
}

#[cfg(test)]
mod tests {
    use super::chosen;

    #[test]
    fn shares_are_kept_evenly() {
        let count = |share| (0..1000).filter(|number| chosen(*number, share)).count();
        assert_eq!((count(0.0), count(1.0)), (0, 1000));
        assert!((190..=210).contains(&count(0.2)), "{}", count(0.2));
    }
}
