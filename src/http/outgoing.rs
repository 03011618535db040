//! A body that is made while it is read, and a place that is given back when nobody reads.

use std::{io, pin::pin, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use tokio::{sync::mpsc, task::JoinSet, time};

/// Pieces that the client has not taken. When full, the work waits.
const PIECES_MAX: usize = 16;

/// A client that takes nothing for this long is given up, and so is its place.
const UNREAD_MAX: Duration = Duration::from_secs(30);

/// The body of these pieces, during which `place` is held. A failure among them, or a client that does not read, breaks it off: what was sent never looks
/// whole. Dropping the body ends the work.
pub(super) fn body(
    pieces: impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static,
    place: impl Send + 'static,
) -> Body {
    let (sender, queue) = mpsc::channel(PIECES_MAX);
    let mut scope = JoinSet::new();
    scope.spawn(async move {
        let _place = place;
        let mut pieces = pin!(pieces);
        loop {
            let next = pieces.next().await;
            let over = !matches!(next, Some(Ok(_)));
            let taken = time::timeout(UNREAD_MAX, sender.send(next)).await;
            if over || !matches!(taken, Ok(Ok(()))) {
                return;
            }
        }
    });
    let reader = Reader { queue, broken: false, _scope: scope };
    Body::from_stream(stream::unfold(reader, |mut reader| async move { Some((reader.next().await?, reader)) }))
}

struct Reader {
    /// Bounded by [`PIECES_MAX`]. `None` is the proper end.
    queue: mpsc::Receiver<Option<Result<Bytes, io::Error>>>,
    broken: bool,
    _scope: JoinSet<()>,
}

impl Reader {
    async fn next(&mut self) -> Option<Result<Bytes, io::Error>> {
        if self.broken {
            return None;
        }
        let piece = self.queue.recv().await.unwrap_or_else(|| Some(Err(io::ErrorKind::TimedOut.into())));
        self.broken = !matches!(piece, Some(Ok(_)));
        piece
    }
}
