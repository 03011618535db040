//! The synchronous half: one group of clauses at a time, on a worker thread and the few threads of its own.

use std::sync::Arc;

use super::{
    graph::Scales,
    ids,
    runtime::{Chosen, Stop},
    voice::{Inference, Voice},
};
use crate::{
    compute::{AbortFlag, Kernel},
    engine::{Error, ErrorKind},
};

/// Longest speech that one group may become, in seconds. A voice and a json that do not belong together can ask for hours.
const SPEECH_S_MAX: usize = 300;

/// Who speaks what, and how.
pub(super) struct Job {
    pub(super) voice: Arc<Voice>,
    pub(super) ids: Vec<i32>,
    pub(super) scales: Scales,
    pub(super) speaker: i32,
    /// Ends it while it is computed.
    pub(super) stop: Stop,
}

/// One worker.
pub(super) struct PiperKernel {
    /// Loaded and tried before anybody waits for it; others are loaded by the first job that needs them.
    first: Arc<Voice>,
    runtime: Chosen,
}

impl PiperKernel {
    /// A worker that lets `runtime` compute (shared by all workers of the engine, so that its threads are bounded).
    pub(super) fn new(first: Arc<Voice>, runtime: Chosen) -> Self {
        Self { first, runtime }
    }
}

impl Kernel for PiperKernel {
    type Job = Job;
    type Reply = Vec<f32>;

    /// Speaks one phoneme: shows that the graph and its json belong together.
    fn warm_up(&mut self) -> Result<(), Error> {
        let voice = Arc::clone(&self.first);
        let signs = [ids::BEGIN, ids::PAD, ids::PAD, ids::END];
        let ids = signs.iter().filter_map(|sign| voice.ids.get(*sign)).flatten().copied().collect();
        let Inference { noise_scale, length_scale, noise_w } = voice.inference;
        let scales = Scales { noise: noise_scale, length: length_scale, noise_w };
        let speaker = voice.speaker("")?;
        self.run(Job { voice, ids, scales, speaker, stop: Stop::default() }, &AbortFlag::default()).map(drop)
    }

    /// Looks at `abort` before it begins and after. What ends it in between is `Job::stop`, where the runtime can.
    fn run(&mut self, job: Job, abort: &AbortFlag) -> Result<Vec<f32>, Error> {
        let Job { voice, ids, scales, speaker, stop } = job;
        let cancelled = || Error::new(ErrorKind::Cancelled, "nobody waits for this any more");
        if abort.is_set() {
            return Err(cancelled());
        }
        let broken = |what: &dyn std::fmt::Display| Error { kind: ErrorKind::Broken, ..voice.wrong(what) };
        let graph = voice.graph(&self.runtime)?;
        let speech = graph.run(&ids, scales, speaker, &stop);
        // First: a run that was stopped fails.
        if abort.is_set() {
            return Err(cancelled());
        }
        let mut speech = speech.map_err(|what| broken(&what))?;
        if speech.len() > SPEECH_S_MAX * voice.rate_hz as usize {
            return Err(broken(&"it does not stop speaking"));
        }
        if !speech.iter().all(|sample| sample.is_finite()) {
            return Err(broken(&"what comes out of it are no numbers"));
        }
        speech.iter_mut().for_each(|sample| *sample = sample.clamp(-1.0, 1.0));
        Ok(speech)
    }
}
