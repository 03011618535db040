//! A reply's voice: segments in, chunks in the client's format out, in order, with the next segment under way while the
//! last one still comes.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use tokio::{sync::mpsc, task::JoinSet, time};

use crate::{
    audio::{AudioChunk, Egress, Format, Samples},
    conversation::Input,
    engine::{Error, ErrorKind},
    ids::{ResponseId, SegmentId},
    tts::{Segment, TextToSpeech},
};

/// Speaks segments until there are no more, or the scope is dropped. All of them in the format of the first: a reply is one
/// stream.
pub(crate) async fn run(
    response: ResponseId,
    tts: Arc<dyn TextToSpeech>,
    mut segments: mpsc::Receiver<(SegmentId, Format, Segment)>,
    facts: mpsc::Sender<Input>,
) {
    let Some((id, format, segment)) = segments.recv().await else { return };
    let mut egress = match Egress::new(format) {
        Ok(egress) => egress,
        Err(error) => {
            tracing::error!(%response, %error, "no encoder for the client's format");
            let mut next = Some(id);
            while let Some(segment) = next {
                let _gone = facts.send(Input::SpeechFailed { response, segment, reason: "broken" }).await;
                next = segments.recv().await.map(|(segment, ..)| segment);
            }
            return;
        }
    };
    let mut scope = JoinSet::new();
    let mut begun: VecDeque<(SegmentId, mpsc::Receiver<Result<Samples, Error>>)> = VecDeque::new();
    begun.push_back((id, begin(&mut scope, &tts, segment)));
    loop {
        // Begin whatever has been asked for, so that a remote voice works on the next segment during this one.
        while let Ok((id, _, segment)) = segments.try_recv() {
            begun.push_back((id, begin(&mut scope, &tts, segment)));
        }
        let Some((id, pieces)) = begun.front_mut() else {
            match segments.recv().await {
                Some((id, _, segment)) => begun.push_back((id, begin(&mut scope, &tts, segment))),
                None => return,
            }
            continue;
        };
        tokio::select! {
            biased;
            Some((id, _, segment)) = segments.recv() => begun.push_back((id, begin(&mut scope, &tts, segment))),
            piece = time::timeout(PIECE_MAX, pieces.recv()) => {
                let piece = piece.unwrap_or_else(|_| Some(Err(Error::new(ErrorKind::Unavailable, "no audio in time"))));
                let segment = *id;
                let over = !matches!(piece, Some(Ok(_)));
                if deliver(response, segment, &mut egress, piece, &facts).await.is_err() {
                    return;
                }
                if over {
                    begun.pop_front();
                }
            }
        }
    }
}

/// Starts one segment's synthesis. The channel holds [`PIECES_MAX`] pieces; a full one holds the engine back.
fn begin(
    scope: &mut JoinSet<()>,
    tts: &Arc<dyn TextToSpeech>,
    segment: Segment,
) -> mpsc::Receiver<Result<Samples, Error>> {
    let (pieces, queue) = mpsc::channel(PIECES_MAX);
    let mut stream = tts.synthesize(segment);
    scope.spawn(async move {
        while let Some(piece) = stream.next().await {
            if pieces.send(piece).await.is_err() {
                return;
            }
        }
    });
    queue
}

/// The loop is gone.
struct Gone;

/// Encodes one piece, or ends the segment, and tells the loop.
async fn deliver(
    response: ResponseId,
    segment: SegmentId,
    egress: &mut Egress,
    piece: Option<Result<Samples, Error>>,
    facts: &mpsc::Sender<Input>,
) -> Result<(), Gone> {
    let mut chunks: Vec<AudioChunk> = Vec::new();
    let (encoded, end) = match piece {
        Some(Ok(samples)) => (egress.push(&samples, &mut chunks), None),
        Some(Err(error)) => {
            tracing::warn!(%response, %segment, kind = %error.kind, error = %error.message, "the voice failed");
            let fact = Input::SpeechFailed { response, segment, reason: error.kind.as_str() };
            (egress.finish(&mut chunks), Some(fact))
        }
        None => (egress.finish(&mut chunks), Some(Input::SpeechFinished { response, segment })),
    };
    let end = match encoded {
        Ok(()) => end,
        Err(error) => {
            tracing::error!(%response, %segment, %error, "encoding failed");
            Some(Input::SpeechFailed { response, segment, reason: "broken" })
        }
    };
    for audio in chunks {
        facts.send(Input::SpeechChunk { response, segment, audio }).await.map_err(|_| Gone)?;
    }
    if let Some(fact) = end {
        facts.send(fact).await.map_err(|_| Gone)?;
    }
    Ok(())
}

/// Pieces of one segment synthesised and not yet encoded.
const PIECES_MAX: usize = 16;

/// Longest silence of a voice engine in the middle of a segment; the conversation's own timers are shorter.
const PIECE_MAX: Duration = Duration::from_secs(30);
