//! Speech that is said again and again (greetings, apologies, confirmations) is made once: on this node, and where phrases
//! are shared, on any. What was said once stays here; what was said twice is shared.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{FutureExt as _, StreamExt as _, stream, stream::BoxStream};

use super::{
    Segment, TextToSpeech,
    phrases::{self, Phrases},
};
use crate::{audio::Samples, engine::Error};

/// How long a phrase is kept that nobody asks for.
const IDLE: Duration = Duration::from_secs(3_600);

/// How long one is kept whoever asks: a phrase may name somebody who is erased meanwhile, and that takes no longer than a day.
const OLDEST: Duration = Duration::from_secs(23 * 3_600);

/// What speech depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    engine: &'static str,
    text: Arc<str>,
    voice: Arc<str>,
    language: Arc<str>,
    /// The speed's bits, since floats have no equality that a map could use.
    speed: u32,
}

impl Key {
    fn new(engine: &'static str, segment: &Segment) -> Self {
        let Segment { text, voice, language, speed } = segment.clone();
        Self { engine, text, voice, language, speed: speed.to_bits() }
    }
}

/// One segment, complete.
struct Recorded {
    pieces: Vec<Samples>,
    /// Whether other nodes have been told, or told us.
    is_shared: AtomicBool,
}

type Recording = Arc<Recorded>;

impl Recorded {
    fn new(pieces: Vec<Samples>, is_shared: bool) -> Recording {
        Arc::new(Self { pieces, is_shared: AtomicBool::new(is_shared) })
    }
}

/// What is played of a recording.
fn play(recording: Recording) -> BoxStream<'static, Result<Samples, Error>> {
    stream::iter(0..recording.pieces.len()).map(move |at| Ok(recording.pieces[at].clone())).boxed()
}

/// An engine that remembers. In memory only and bounded in bytes: when it is full, what is asked for least goes.
pub struct Cache {
    engine: Arc<dyn TextToSpeech>,
    name: &'static str,
    /// What is asked of the engine besides the segment: nodes share only what sounds the same.
    identity: Arc<str>,
    longest_ms: u32,
    recordings: moka::sync::Cache<Key, Recording>,
    /// Where other nodes keep theirs.
    phrases: OnceLock<Arc<dyn Phrases>>,
    counters: Arc<Counters>,
}

#[derive(Default)]
struct Counters {
    hits: AtomicU64,
    misses: AtomicU64,
    insertions: AtomicU64,
}

impl Cache {
    /// Remembers segments of up to `longest_ms` of speech by `engine` (called `name`), in at most `max_bytes`.
    pub fn new(engine: Arc<dyn TextToSpeech>, name: &'static str, max_bytes: u64, longest_ms: u32) -> Self {
        let recordings = moka::sync::Cache::builder()
            .max_capacity(max_bytes)
            .weigher(|key: &Key, recording: &Recording| {
                let text = key.text.len() + key.voice.len() + key.language.len();
                let samples: usize =
                    recording.pieces.iter().map(|piece| size_of_val(&*piece.data) + size_of::<Samples>()).sum();
                u32::try_from(text + samples).unwrap_or(u32::MAX)
            })
            .time_to_idle(IDLE)
            .time_to_live(OLDEST)
            .build();
        let (phrases, counters) = (OnceLock::new(), Arc::default());
        Self { engine, name, identity: name.into(), longest_ms, recordings, phrases, counters }
    }

    /// The same, with everything by which this engine sounds different from others of its name.
    #[must_use]
    pub fn identified(self, identity: &str) -> Self {
        Self { identity: identity.into(), ..self }
    }

    fn listen(&self, key: Key, segment: Segment) -> Listener {
        Listener {
            speech: self.engine.synthesize(segment),
            heard: Some((key, Vec::new(), 0)),
            longest_ms: self.longest_ms,
            recordings: self.recordings.clone(),
            counters: self.counters.clone(),
        }
    }

    /// Looks elsewhere before the engine speaks.
    fn look(&self, key: Key, segment: Segment, phrases: &dyn Phrases) -> BoxStream<'static, Result<Samples, Error>> {
        let finding = phrases.find(phrases::key(&self.identity, &segment));
        let (engine, recordings, counters) = (Arc::clone(&self.engine), self.recordings.clone(), self.counters.clone());
        let longest_ms = self.longest_ms;
        let look = async move {
            if let Some(pieces) = finding.await.as_deref().and_then(phrases::decode) {
                let recording = Recorded::new(pieces, true);
                recordings.insert(key, Arc::clone(&recording));
                return play(recording);
            }
            let speech = engine.synthesize(segment);
            listened(Listener { speech, heard: Some((key, Vec::new(), 0)), longest_ms, recordings, counters })
        };
        look.flatten_stream().boxed()
    }

    /// Segments answered from memory.
    pub fn hits(&self) -> u64 {
        self.counters.hits.load(Ordering::Relaxed)
    }

    /// Segments that the engine had to speak.
    pub fn misses(&self) -> u64 {
        self.counters.misses.load(Ordering::Relaxed)
    }

    /// Segments that were remembered.
    pub fn insertions(&self) -> u64 {
        self.counters.insertions.load(Ordering::Relaxed)
    }
}

impl TextToSpeech for Cache {
    fn synthesize(&self, segment: Segment) -> BoxStream<'static, Result<Samples, Error>> {
        let key = Key::new(self.name, &segment);
        if let Some(recording) = self.recordings.get(&key) {
            self.counters.hits.fetch_add(1, Ordering::Relaxed);
            if let Some(phrases) = self.phrases.get()
                && !recording.is_shared.swap(true, Ordering::Relaxed)
                && let Some(speech) = phrases::encode(&recording.pieces)
            {
                phrases.keep(phrases::key(&self.identity, &segment), speech);
            }
            return play(recording);
        }
        self.counters.misses.fetch_add(1, Ordering::Relaxed);
        match self.phrases.get() {
            Some(phrases) => self.look(key, segment, &**phrases),
            None => listened(self.listen(key, segment)),
        }
    }

    fn share(&self, phrases: Arc<dyn Phrases>) {
        // The first one stays: there is one place for all.
        let _second = self.phrases.set(phrases);
    }
}

fn listened(listener: Listener) -> BoxStream<'static, Result<Samples, Error>> {
    stream::unfold(listener, |mut listener| async move { Some((listener.next().await?, listener)) }).boxed()
}

/// Passes speech on and keeps a copy, which is remembered only if the speech came to its end.
struct Listener {
    speech: BoxStream<'static, Result<Samples, Error>>,
    /// The pieces so far and their length in microseconds; gone once it is clear that they will not be remembered.
    heard: Option<(Key, Vec<Samples>, u64)>,
    longest_ms: u32,
    recordings: moka::sync::Cache<Key, Recording>,
    counters: Arc<Counters>,
}

impl Listener {
    async fn next(&mut self) -> Option<Result<Samples, Error>> {
        match self.speech.next().await {
            Some(Ok(samples)) => {
                if let Some((_, pieces, length_us)) = &mut self.heard {
                    *length_us += samples.data.len() as u64 * 1_000_000 / u64::from(samples.rate_hz.max(1));
                    pieces.push(samples.clone());
                    if *length_us > u64::from(self.longest_ms) * 1000 {
                        self.heard = None;
                    }
                }
                Some(Ok(samples))
            }
            Some(Err(error)) => {
                self.heard = None;
                Some(Err(error))
            }
            None => {
                if let Some((key, pieces, 1..)) = self.heard.take() {
                    // Two sessions may have missed at once: the first one's copy stays.
                    let entry = self.recordings.entry(key).or_insert_with(|| Recorded::new(pieces, false));
                    self.counters.insertions.fetch_add(u64::from(entry.is_fresh()), Ordering::Relaxed);
                }
                None
            }
        }
    }
}
