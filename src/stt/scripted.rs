//! For tests and benchmarks of everything around recognition: an engine that says what it is told. Not in the table of
//! engines, so no configuration can choose it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt as _, stream, stream::BoxStream};
use tokio::sync::mpsc;

use super::{Error, Feed, Options, SpeechToText, Update, utterance::Utterance};
use crate::audio::{AudioPos, RATE_HZ};

/// Samples of audio for each word of a partial: 320 ms.
const WORD_SAMPLES: usize = RATE_HZ as usize * 320 / 1000;

type Script = dyn Fn(usize) -> Result<String, Error> + Send + Sync;

/// Says the same things in the same order, whatever it hears. With partials, one more word appears for every 320 ms of audio.
/// An utterance without any audio gets an empty final.
#[derive(Clone)]
pub struct Scripted {
    script: Arc<Script>,
    utterances: Arc<AtomicUsize>,
    delay: Duration,
}

impl Scripted {
    /// These transcripts, one per utterance, over and over. Without any, every transcript is empty.
    pub fn new<T: Into<String>>(transcripts: impl IntoIterator<Item = T>) -> Self {
        let transcripts: Vec<String> = transcripts.into_iter().map(Into::into).collect();
        Self::with(move |number| {
            let at = number.checked_rem(transcripts.len());
            Ok(at.map(|at| transcripts[at].clone()).unwrap_or_default())
        })
    }

    /// Whatever the closure says for the utterance of this number (from 0): words or a failure.
    pub fn with(script: impl Fn(usize) -> Result<String, Error> + Send + Sync + 'static) -> Self {
        Self { script: Arc::new(script), utterances: Arc::default(), delay: Duration::ZERO }
    }

    /// The same, but each final takes this long.
    #[must_use]
    pub fn delayed(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// Utterances begun so far.
    pub fn utterances(&self) -> usize {
        self.utterances.load(Ordering::Relaxed)
    }
}

impl SpeechToText for Scripted {
    fn transcribe(&self, feed: mpsc::Receiver<Feed>, options: Options) -> BoxStream<'static, Result<Update, Error>> {
        let number = self.utterances.fetch_add(1, Ordering::Relaxed);
        let said = (self.script)(number);
        let language = if options.language.is_empty() { "en".into() } else { options.language };
        let reader = Reader {
            feed,
            said: Some(said),
            utterance: Utterance::default(),
            language,
            partials: options.partials,
            shown: 0,
            delay: self.delay,
        };
        stream::unfold(reader, |mut reader| async move { Some((reader.next().await?, reader)) }).boxed()
    }
}

struct Reader {
    feed: mpsc::Receiver<Feed>,
    /// `None` once it has failed.
    said: Option<Result<String, Error>>,
    utterance: Utterance,
    language: Arc<str>,
    partials: bool,
    shown: usize,
    delay: Duration,
}

impl Reader {
    async fn next(&mut self) -> Option<Result<Update, Error>> {
        loop {
            self.said.as_ref()?;
            match self.feed.recv().await? {
                Feed::Frame(frame) => {
                    if let Err(error) = self.utterance.push(&frame) {
                        self.said = None;
                        return Some(Err(error));
                    }
                    if let Some(partial) = self.partial() {
                        return Some(Ok(partial));
                    }
                }
                Feed::Finish(at) => return Some(self.finish(at).await),
            }
        }
    }

    fn partial(&mut self) -> Option<Update> {
        let Some(Ok(said)) = &self.said else { return None };
        let words: Vec<&str> = said.split_whitespace().collect();
        let heard = (self.utterance.samples().len() / WORD_SAMPLES).min(words.len());
        if !self.partials || heard <= self.shown {
            return None;
        }
        self.shown = heard;
        let (stable, tail) = words[..heard].split_at(heard - 1);
        Some(Update::Partial { stable: stable.join(" ").into(), tail: tail.join(" ").into() })
    }

    async fn finish(&mut self, at: AudioPos) -> Result<Update, Error> {
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        let text = match self.said.take() {
            Some(Err(error)) => return Err(error),
            said => {
                self.said = said;
                self.said.as_ref().and_then(|it| it.as_ref().ok()).cloned().unwrap_or_default()
            }
        };
        let text = if self.utterance.up_to(at).is_empty() { String::new() } else { text };
        let confidence = if text.is_empty() { 0.0 } else { 1.0 };
        Ok(Update::Final { at, text: text.into(), language: Arc::clone(&self.language), confidence })
    }
}
