//! One segment: its groups of clauses one after the other, each passed on as soon as it is there, the next one already
//! under way.

use std::{collections::VecDeque, pin::pin, sync::Arc, time::Duration};

use futures_util::{FutureExt as _, StreamExt as _, future, stream, stream::BoxStream};
use tokio::{sync::mpsc, task::JoinSet, time::timeout};

use super::{
    Inner,
    clauses::{self, Clause},
    graph::Scales,
    ids::{self, Ids},
    kernel::Job,
    phonemes,
    voice::{Phonemes, Voice},
};
use crate::{
    audio::Samples,
    compute::Class,
    engine::{Error, ErrorKind},
    tts::{espeak, trim::Trim},
};

/// Longest piece passed on, in milliseconds of speech.
const PIECE_MS: u32 = 100;

/// Speech of groups that waits for the consumer. While it is full, no further group is begun: one is heard, one is ready.
const GROUPS_READY: usize = 1;

/// What is to be said, by whom, and how.
pub(super) struct Utterance {
    pub(super) text: Arc<str>,
    pub(super) voice: Arc<Voice>,
    pub(super) speaker: i32,
    pub(super) scales: Scales,
}

/// Speaks. Nothing happens before the first poll. Dropping it kills espeak-ng, takes the group that waits out of the queue,
/// and ends the group that is being computed (ONNX Runtime) or leaves it to its end (rten).
pub(super) fn speech(inner: Arc<Inner>, utterance: Utterance) -> BoxStream<'static, Result<Samples, Error>> {
    let pieces = async move {
        let rate_hz = utterance.voice.rate_hz;
        let (ready, groups) = mpsc::channel(GROUPS_READY);
        let mut scope = JoinSet::new();
        scope.spawn(async move {
            if let Err(error) = speak(&inner, &utterance, &ready).await {
                // Nobody is left to hear it if this fails.
                let _ = ready.send(Err(error)).await;
            }
        });
        let cutter = Cutter { groups, scope, trim: Trim::new(rate_hz), rate_hz, cut: VecDeque::new(), over: false };
        stream::unfold(cutter, |mut cutter| async move { Some((cutter.next().await?, cutter)) })
    };
    pieces.into_stream().flatten().boxed()
}

/// Makes the groups of a segment, one after the other.
async fn speak(
    inner: &Inner,
    utterance: &Utterance,
    ready: &mpsc::Sender<Result<Vec<f32>, Error>>,
) -> Result<(), Error> {
    let text = espeak::sanitized(&utterance.text);
    if text.len() > inner.config.max_text_bytes {
        let message = format!("a segment of {} bytes; at most {} are spoken", text.len(), inner.config.max_text_bytes);
        return Err(Error::new(ErrorKind::Rejected, message));
    }
    let groups = clauses::groups(&text, inner.config.clause_chars_min);
    let gone = || Error::new(ErrorKind::Cancelled, "the stream was dropped");
    let (key, mut spoken) = (inner.workers.fresh_key(), Duration::ZERO);
    let mut rest = groups.iter();
    let mut next = phonemes_of(inner, &utterance.voice, rest.next()).await?;
    while let Some(ids) = next.take() {
        let room = ready.reserve().await.map_err(|_| gone())?;
        let mut following = pin!(future::maybe_done(phonemes_of(inner, &utterance.voice, rest.next())));
        let result = if ids.ids.is_empty() {
            Ok(Vec::new())
        } else {
            // Declared first, dropped last: the job is seen to be unwanted before it is ended.
            let stop = inner.runtime.stop();
            let _ends = stop.on_drop();
            let job = Job {
                voice: Arc::clone(&utterance.voice),
                ids: ids.ids,
                scales: utterance.scales,
                speaker: utterance.speaker,
                stop,
            };
            // The first words are waited for; later ones only when those before them have been heard.
            let within = Duration::from_millis(inner.config.deadline_ms) + spoken;
            let speech = inner.workers.submit(key, Class::Final, within, job);
            let wait = Duration::from_millis(inner.config.timeout_ms);
            let mut speech = pin!(timeout(wait, speech));
            loop {
                tokio::select! {
                    biased;
                    speech = &mut speech => break speech.unwrap_or_else(|_| Err(too_slow(inner))),
                    () = &mut following, if matches!(*following, future::MaybeDone::Future(_)) => {}
                }
            }
        };
        let speech = result?;
        spoken += Duration::from_secs_f64(speech.len() as f64 / f64::from(utterance.voice.rate_hz));
        room.send(Ok(speech));
        following.as_mut().await;
        next = following.take_output().transpose()?.flatten();
    }
    Ok(())
}

/// The ids of a group; `None` if there is no group.
async fn phonemes_of(inner: &Inner, voice: &Voice, group: Option<&Vec<Clause>>) -> Result<Option<Ids>, Error> {
    let Some(group) = group else { return Ok(None) };
    let phonemes = match voice.phonemes {
        Phonemes::Espeak => inner.phonemizer.phonemes(&voice.espeak_voice, group).await?,
        Phonemes::Text => {
            let words: Vec<&str> = group.iter().map(|clause| clause.text.as_str()).collect();
            phonemes::decomposed(&words.join(" "))
        }
    };
    let ids = ids::ids(&ids::merged(phonemes, &voice.clusters), &voice.ids);
    if ids.unknown > 0 {
        tracing::debug!(
            voice = voice.name,
            unknown = ids.unknown,
            "phonemes that the voice does not know were left out"
        );
    }
    Ok(Some(ids))
}

fn too_slow(inner: &Inner) -> Error {
    let message = format!("no speech from the Piper voice within {} ms", inner.config.timeout_ms);
    Error::new(ErrorKind::Unavailable, message)
}

/// Groups as they come, cut into pieces, with the silence at both ends of the segment cut short.
struct Cutter {
    groups: mpsc::Receiver<Result<Vec<f32>, Error>>,
    scope: JoinSet<()>,
    trim: Trim,
    rate_hz: u32,
    /// Pieces of the group that came last.
    cut: VecDeque<Samples>,
    over: bool,
}

impl Cutter {
    async fn next(&mut self) -> Option<Result<Samples, Error>> {
        loop {
            if let Some(piece) = self.cut.pop_front() {
                return Some(Ok(piece));
            }
            if self.over {
                return None;
            }
            let samples = match self.groups.recv().await {
                Some(Ok(samples)) => self.trim.push(&samples),
                Some(Err(error)) => {
                    self.over = true;
                    return Some(Err(error));
                }
                // The task dropped its sender: it is over, or it panicked.
                None => {
                    self.over = true;
                    if let Some(Err(_)) = self.scope.join_next().await {
                        return Some(Err(Error::new(ErrorKind::Broken, "the voice's task failed")));
                    }
                    self.trim.finish()
                }
            };
            let longest = (self.rate_hz * PIECE_MS / 1000).max(1) as usize;
            let rate_hz = self.rate_hz;
            self.cut.extend(samples.chunks(longest).map(|data| Samples { rate_hz, data: data.to_vec() }));
        }
    }
}
