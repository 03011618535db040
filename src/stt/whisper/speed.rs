//! How long a model takes on this machine: two passes over some speech, on one thread, as the server runs them.

use std::{
    path::Path,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use super::{
    Config,
    kernel::{Job, WhisperKernel},
    load,
};
use crate::{
    compute::{AbortFlag, Kernel as _},
    engine::{Error, ErrorKind},
};

/// Loads `model`, transcribes `samples` (16 kHz, at most 30 s) twice and returns the time of the quicker pass; `None` if none
/// was done within `limit`. Blocks, beside `limit`, for the time that loading takes.
pub fn time(model: &Path, samples: &[f32], limit: Duration) -> Result<Option<Duration>, Error> {
    let context = load::context(model)?;
    // Every Whisper knows English.
    let mut kernel = WhisperKernel::new(&context, "en", &Config::default())?;
    let samples: Arc<[f32]> = samples.into();
    let abort = AbortFlag::default();
    let (done, waiting) = mpsc::sync_channel::<()>(1);
    thread::scope(|scope| {
        let alarm = abort.clone();
        let alarm = move || {
            if waiting.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
                alarm.set();
            }
        };
        thread::Builder::new()
            .name("stt-alarm".into())
            .spawn_scoped(scope, alarm)
            .map_err(|error| Error::new(ErrorKind::Broken, error))?;
        let mut quickest = None;
        for _ in 0..2 {
            #[expect(clippy::disallowed_methods, reason = "this measures time")]
            let started = Instant::now();
            let job = Job { samples: Arc::clone(&samples), language: "en", thorough: false };
            match kernel.run(job, &abort) {
                Ok(_) => quickest = quickest.min(Some(started.elapsed())).or(Some(started.elapsed())),
                Err(error) if error.kind == ErrorKind::Cancelled => break,
                Err(error) => return Err(error),
            }
        }
        // Ends the alarm; it has ended already if the time is over.
        drop(done);
        Ok(quickest)
    })
}
