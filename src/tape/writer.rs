//! A thread that encodes and writes tapes.

use std::{
    collections::{HashMap, VecDeque},
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use tokio::sync::oneshot;

use super::{
    Fate, folder,
    reels::{Reels, Taped},
};
use crate::{
    audio::{AudioChunk, AudioPos, Format},
    ids::{ConversationId, ResponseId},
};

/// Something to do with a tape.
#[derive(Debug)]
pub(super) enum Job {
    Begin { tape: u64, conversation: ConversationId, part: i64, fate: Arc<Fate> },
    Heard { tape: u64, end: AudioPos, samples: Option<Arc<[f32]>> },
    Said { tape: u64, at: AudioPos, chunk: AudioChunk, format: Format, response: ResponseId },
    Cut { tape: u64, at: AudioPos },
    Settle { tape: u64 },
    Finish { tape: u64, done: oneshot::Sender<Taped> },
    Forget { conversation: ConversationId, done: oneshot::Sender<()> },
    Stop,
}

/// The thread's state.
pub(super) struct Writer {
    dir: Arc<Path>,
    queue: Receiver<Job>,
    tapes: HashMap<u64, Reels>,
    /// The newest conversations that were erased: a tape of theirs that begins later has no files.
    forgotten: VecDeque<ConversationId>,
    /// Whether the disk takes nothing; said once, by whichever thread notices.
    trouble: Arc<AtomicBool>,
}

impl Writer {
    pub(super) fn new(dir: Arc<Path>, queue: Receiver<Job>, trouble: Arc<AtomicBool>) -> Self {
        Self { dir, queue, tapes: HashMap::new(), forgotten: VecDeque::new(), trouble }
    }

    /// Starts the thread. What comes out resolves when it has ended.
    pub(super) fn start(mut self) -> io::Result<oneshot::Receiver<()>> {
        let (ended, when_ended) = oneshot::channel();
        thread::Builder::new().name("floe-tape".into()).spawn(move || {
            self.run();
            let _nobody_waits = ended.send(());
        })?;
        Ok(when_ended)
    }

    fn run(&mut self) {
        let mut done = 0_usize;
        loop {
            match self.queue.recv_timeout(SWEEP) {
                Ok(Job::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(job) => self.work(job),
                Err(RecvTimeoutError::Timeout) => self.end_forsaken(),
            }
            done += 1;
            if done.is_multiple_of(SWEEP_JOBS) {
                self.end_forsaken();
            }
        }
        for (_, reels) in self.tapes.drain() {
            reels.finish();
        }
    }

    fn work(&mut self, job: Job) {
        match job {
            Job::Begin { tape, conversation, part, fate } => {
                if !self.forgotten.contains(&conversation) {
                    let folder = folder(&self.dir, conversation);
                    let reels = Reels::new(folder, conversation, part, fate, Arc::clone(&self.trouble));
                    self.tapes.insert(tape, reels);
                }
            }
            Job::Heard { tape, end, samples } => self.with(tape, |reels| reels.heard(end, samples.as_deref())),
            Job::Said { tape, at, chunk, format, response } => {
                self.with(tape, |reels| reels.said(at, &chunk, format, response));
            }
            Job::Cut { tape, at } => self.with(tape, |reels| reels.cut(at)),
            Job::Settle { tape } => self.with(tape, Reels::settle),
            Job::Finish { tape, done } => {
                let taped = self.tapes.remove(&tape).map(Reels::finish).unwrap_or_default();
                let _gave_up = done.send(taped);
            }
            Job::Forget { conversation, done } => {
                self.tapes.retain(|_, reels| reels.conversation() != conversation);
                self.forgotten.push_back(conversation);
                if self.forgotten.len() > FORGOTTEN_MAX {
                    self.forgotten.pop_front();
                }
                let _gave_up = done.send(());
            }
            Job::Stop => {}
        }
    }

    /// A tape that was forgotten is not there any more; what its session still says goes nowhere.
    fn with(&mut self, tape: u64, work: impl FnOnce(&mut Reels)) {
        if let Some(reels) = self.tapes.get_mut(&tape) {
            work(reels);
        }
    }

    /// Ends tapes whose sessions were dropped, or gave up waiting.
    fn end_forsaken(&mut self) {
        let is_over = |reels: &mut Reels| reels.fate().is_over.load(Ordering::Relaxed);
        for (_, reels) in self.tapes.extract_if(|_, reels| is_over(reels)) {
            reels.finish();
        }
    }
}

/// How often a thread without work looks for forsaken tapes, and after how many jobs one with work does.
const SWEEP: Duration = Duration::from_secs(1);
const SWEEP_JOBS: usize = 4_096;

/// Erased conversations that a thread remembers; their sessions learn of it within seconds, from their next write.
const FORGOTTEN_MAX: usize = 1_024;
