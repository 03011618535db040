//! The asynchronous half: collects frames, asks for partials while the user speaks and for a final when told to.

use std::{
    collections::VecDeque,
    future::{self, Future},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt as _, stream, stream::BoxStream};
use tokio::sync::mpsc;

use super::{
    gate,
    kernel::{Job, Transcript, WhisperKernel, average},
};
use crate::{
    audio::{AudioPos, RATE_HZ},
    compute::{Class, Handle, Key, Pending},
    engine::{Error, ErrorKind},
    stt::{Feed, Update, agreement::Agreement, utterance::Utterance},
};

/// Longest audio of a partial; beyond it the window moves on.
const PARTIAL_SAMPLES: usize = 15 * RATE_HZ as usize;
/// Where the window may be cut when it moves on.
const CUT: std::ops::Range<usize> = 8 * RATE_HZ as usize..13 * RATE_HZ as usize;

/// Questions that may wait for their final at a time. The conversation asks one at a time; more is a caller gone wrong.
const MAX_FINISHES: usize = 16;

/// When things are due.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) partial_interval: Duration,
    pub(super) final_deadline: Duration,
}

/// Transcribes one utterance. The stream holds its pending jobs, so dropping it aborts them.
pub(super) fn listen(
    handle: Handle<WhisperKernel>,
    feed: mpsc::Receiver<Feed>,
    language: &'static str,
    partials: bool,
    times: Times,
) -> BoxStream<'static, Result<Update, Error>> {
    let listener = Listener {
        key: handle.fresh_key(),
        handle,
        feed: Some(feed),
        language,
        name: language.into(),
        partials,
        times,
        utterance: Utterance::default(),
        agreement: Agreement::new(),
        shown: (String::new(), String::new()),
        window: 0,
        asked: 0,
        partial: None,
        finishes: VecDeque::new(),
        current: None,
    };
    stream::unfold(Some(listener), |listener| async {
        let mut listener = listener?;
        match listener.next().await? {
            Ok(update) => Some((Ok(update), Some(listener))),
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed()
}

struct Listener {
    handle: Handle<WhisperKernel>,
    key: Key,
    /// `None` once closed.
    feed: Option<mpsc::Receiver<Feed>>,
    language: &'static str,
    name: Arc<str>,
    partials: bool,
    times: Times,
    utterance: Utterance,
    agreement: Agreement,
    /// The last partial said: stable words and tail.
    shown: (String, String),
    /// Sample at which the audio of partials begins.
    window: usize,
    /// Samples that were there when the last partial was asked for.
    asked: usize,
    partial: Option<Partial>,
    /// Positions asked for and not begun, at most [`MAX_FINISHES`]: more ends the stream with an error.
    finishes: VecDeque<AudioPos>,
    current: Option<Final>,
}

struct Partial {
    pending: Pending<WhisperKernel>,
    /// The end of the window, if this is the last look at it.
    cut: Option<usize>,
}

/// A final in the making: one job after the other, so that a long recording lets others through.
struct Final {
    at: AudioPos,
    windows: VecDeque<Arc<[f32]>>,
    pending: Pending<WhisperKernel>,
    sum: Transcript,
}

enum Event {
    Fed(Option<Feed>),
    Partial(Result<Transcript, Error>),
    Final(Result<Transcript, Error>),
}

impl Listener {
    /// The next thing to say; `None` when nothing more can come.
    async fn next(&mut self) -> Option<Result<Update, Error>> {
        loop {
            if self.current.is_none()
                && let Some(at) = self.finishes.pop_front()
                && let Some(update) = self.begin(at)
            {
                return Some(Ok(update));
            }
            self.ask_partial();
            if self.feed.is_none() && self.current.is_none() && self.finishes.is_empty() {
                return None;
            }
            match self.event().await {
                Event::Fed(Some(Feed::Frame(frame))) => {
                    if let Err(error) = self.utterance.push(&frame) {
                        return Some(Err(error));
                    }
                }
                Event::Fed(Some(Feed::Finish(at))) => {
                    if self.finishes.len() == MAX_FINISHES {
                        return Some(Err(Error::new(ErrorKind::Rejected, "too many finals asked for at a time")));
                    }
                    self.finishes.push_back(at);
                }
                Event::Fed(None) => self.feed = None,
                Event::Partial(result) => {
                    if let Some(update) = self.partial_done(result) {
                        return Some(Ok(update));
                    }
                }
                Event::Final(result) => {
                    if let Some(update) = self.final_done(result) {
                        return Some(update);
                    }
                }
            }
        }
    }

    async fn event(&mut self) -> Event {
        let Self { feed, partial, current, .. } = self;
        tokio::select! {
            biased;
            result = or_never(current.as_mut().map(|it| &mut it.pending)) => Event::Final(result),
            fed = or_never(feed.as_mut().map(|it| it.recv())) => Event::Fed(fed),
            result = or_never(partial.as_mut().map(|it| &mut it.pending)) => Event::Partial(result),
        }
    }

    fn submit(&self, class: Class, within: Duration, samples: Arc<[f32]>) -> Pending<WhisperKernel> {
        let job = Job { samples, language: self.language, thorough: class == Class::Final };
        self.handle.submit(self.key, class, within, job)
    }

    /// Begins the final up to `at`; says it at once if there is no audio.
    fn begin(&mut self, at: AudioPos) -> Option<Update> {
        self.partial = None;
        self.asked = self.utterance.samples().len();
        let samples = self.utterance.up_to(at);
        if samples.is_empty() {
            return Some(self.finished(at, &Transcript::default()));
        }
        let mut windows: VecDeque<Arc<[f32]>> =
            gate::windows(samples).into_iter().map(|it| samples[it].into()).collect();
        let first = windows.pop_front()?;
        let pending = self.submit(Class::Final, self.times.final_deadline, first);
        self.current = Some(Final { at, windows, pending, sum: Transcript::default() });
        None
    }

    fn final_done(&mut self, result: Result<Transcript, Error>) -> Option<Result<Update, Error>> {
        let mut current = self.current.take()?;
        let window = match result {
            Ok(window) => window,
            Err(error) => return Some(Err(error)),
        };
        if !window.text.is_empty() {
            if !current.sum.text.is_empty() {
                current.sum.text.push(' ');
            }
            current.sum.text.push_str(&window.text);
            current.sum.logprob_sum += window.logprob_sum;
            current.sum.tokens += window.tokens;
        }
        match current.windows.pop_front() {
            Some(next) => {
                current.pending = self.submit(Class::Final, self.times.final_deadline, next);
                self.current = Some(current);
                None
            }
            None => Some(Ok(self.finished(current.at, &current.sum))),
        }
    }

    fn finished(&self, at: AudioPos, transcript: &Transcript) -> Update {
        let confidence = if transcript.text.is_empty() { 0.0 } else { average(transcript).exp() as f32 };
        Update::Final {
            at,
            text: transcript.text.as_str().into(),
            language: Arc::clone(&self.name),
            confidence: confidence.clamp(0.0, 1.0),
        }
    }

    /// Asks for a partial if enough has been said since the last one. A job that waits is replaced by the newer one, a running
    /// one is let finish: under load partials get rarer instead of never being done.
    fn ask_partial(&mut self) {
        let length = self.utterance.samples().len();
        let due = length - self.asked >= samples_in(self.times.partial_interval);
        let busy = self.current.is_some()
            || self.partial.as_ref().is_some_and(|it| it.cut.is_some() || it.pending.is_running());
        if !self.partials || self.feed.is_none() || !due || busy {
            return;
        }
        let window = &self.utterance.samples()[self.window..];
        let cut = (window.len() > PARTIAL_SAMPLES).then(|| gate::quietest(window, CUT));
        let samples = window[..cut.unwrap_or(window.len())].into();
        let pending = self.submit(Class::Partial, self.times.partial_interval, samples);
        if cut.is_none() {
            self.asked = length;
        }
        self.partial = Some(Partial { pending, cut: cut.map(|cut| self.window + cut) });
    }

    fn partial_done(&mut self, result: Result<Transcript, Error>) -> Option<Update> {
        let Partial { cut, .. } = self.partial.take()?;
        match result {
            Ok(transcript) => match cut {
                Some(cut) => {
                    self.agreement.roll(&transcript.text);
                    self.window = cut;
                }
                // Nothing believable: what was shown may stand.
                None if transcript.text.is_empty() => return None,
                None => self.agreement.hear(&transcript.text),
            },
            // Shed, aborted or failed: the next one or the final will tell.
            Err(error) => {
                tracing::debug!(kind = error.kind.as_str(), "no partial");
                self.asked = self.utterance.samples().len();
                return None;
            }
        }
        let shown = (self.agreement.stable(), self.agreement.tail());
        if shown == self.shown || cut.is_some() && shown.0 == self.shown.0 {
            return None;
        }
        self.shown.clone_from(&shown);
        Some(Update::Partial { stable: shown.0.into(), tail: shown.1.into() })
    }
}

/// The future, or one that never ends if there is none.
async fn or_never<F: Future>(future: Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => future::pending().await,
    }
}

fn samples_in(duration: Duration) -> usize {
    usize::try_from(duration.as_millis()).unwrap_or(usize::MAX).saturating_mul(RATE_HZ as usize / 1000)
}
