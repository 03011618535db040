//! The socket a session currently has: what comes in, what goes out, without the WebSocket library.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Sink, SinkExt as _, Stream};
use tokio::{sync::mpsc, task::JoinSet, time};

use crate::{conversation::Input, ids::ResponseId, protocol::Message};

/// What a socket gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// A message.
    Message(Message),
    /// A sign of life without content (a ping, a pong).
    Alive,
    /// The peer closed, or the connection broke.
    Gone,
    /// What came was not WebSocket, or too big: the peer is told this code and reason.
    Violation(u16, &'static str),
}

/// What a socket is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outgoing {
    /// A message.
    Message(Message),
    /// A WebSocket ping.
    Ping,
    /// A close frame; the last thing written.
    Close(u16, String),
}

/// One entry of the way out. `audio` names the reply audio it carries: once handed to the socket it is reported back as
/// credit.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) outgoing: Outgoing,
    pub(crate) audio: Option<(ResponseId, Duration)>,
}

/// What comes in, whatever it comes from.
pub type Receiving = Pin<Box<dyn Stream<Item = Received> + Send>>;
/// What goes out, wherever it goes.
pub type Sending = Pin<Box<dyn Sink<Outgoing, Error = Lost> + Send>>;

/// The socket takes nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the socket is lost")]
pub struct Lost;

/// A sink whose errors say no more than that. (`sink_map_err` panics when it is asked again after an error, and whoever closes
/// a lost socket does that.)
#[derive(Debug)]
pub struct Plain<W>(pub W);

impl<W: Sink<Outgoing> + Unpin> Sink<Outgoing> for Plain<W> {
    type Error = Lost;

    fn poll_ready(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        Pin::new(&mut self.0).poll_ready(context).map_err(|_| Lost)
    }

    fn start_send(mut self: Pin<&mut Self>, outgoing: Outgoing) -> Result<(), Lost> {
        Pin::new(&mut self.0).start_send(outgoing).map_err(|_| Lost)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        Pin::new(&mut self.0).poll_flush(context).map_err(|_| Lost)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        Pin::new(&mut self.0).poll_close(context).map_err(|_| Lost)
    }
}

/// Both halves of a socket.
#[derive(Debug)]
pub struct Attachment<R = Receiving, W = Sending> {
    /// What comes in.
    pub receiver: R,
    /// What goes out.
    pub sender: W,
}

impl<R, W> Attachment<R, W>
where
    R: Stream<Item = Received> + Send + Unpin + 'static,
    W: Sink<Outgoing> + Send + Unpin + 'static,
{
    /// The same, whatever it is made of.
    pub fn boxed(self) -> Attachment {
        Attachment { receiver: Box::pin(self.receiver), sender: Box::pin(Plain(self.sender)) }
    }

    /// Starts the writer in `tasks` and leaves the receiving half to the loop.
    pub(crate) fn start(self, tasks: &mut JoinSet<()>, facts: mpsc::Sender<Input>, limits: WriteLimits) -> (R, Outbox) {
        let (parcels, queue) = mpsc::channel(limits.queue);
        tasks.spawn(write(self.sender, queue, facts, limits.timeout));
        (self.receiver, Outbox { parcels })
    }
}

/// How patient the writer is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WriteLimits {
    /// Messages handed to the writer and not yet written. When full, the loop keeps its outbox.
    pub(crate) queue: usize,
    /// Longest write of one message; then the socket counts as lost.
    pub(crate) timeout: Duration,
}

/// The way to the writer. Its bound is [`WriteLimits::queue`]; nobody awaits a send, only a permit inside a select.
#[derive(Debug)]
pub(crate) struct Outbox {
    parcels: mpsc::Sender<Parcel>,
}

impl Outbox {
    /// Room for one parcel; `None` once the writer has ended. Cancel-safe.
    pub(crate) async fn room(&self) -> Option<mpsc::Permit<'_, Parcel>> {
        self.parcels.reserve().await.ok()
    }

    /// A close frame, if there is room at once; otherwise the client has not read for long and learns from the lost
    /// connection.
    pub(crate) fn last_words(&self, code: u16, reason: &str) {
        let outgoing = Outgoing::Close(code, reason.to_owned());
        let _full = self.parcels.try_send(Parcel { outgoing, audio: None });
    }
}

/// Writes parcels until there are no more, the socket breaks, or it takes nothing for too long. Ends after a close.
async fn write<W>(mut sink: W, mut queue: mpsc::Receiver<Parcel>, facts: mpsc::Sender<Input>, timeout: Duration)
where
    W: Sink<Outgoing> + Send + Unpin,
{
    while let Some(Parcel { outgoing, audio }) = queue.recv().await {
        let closes = matches!(outgoing, Outgoing::Close(..));
        // Whatever is queued behind this one leaves in the same system call.
        let written = time::timeout(timeout, async {
            if queue.is_empty() { sink.send(outgoing).await } else { sink.feed(outgoing).await }
        });
        match written.await {
            Ok(Ok(())) => {}
            // A sink that has failed is not to be touched again.
            Ok(Err(_)) => return,
            Err(_elapsed) => break,
        }
        if let Some((response, duration)) = audio
            && facts.send(Input::AudioSent { response, duration }).await.is_err()
        {
            break;
        }
        if closes {
            break;
        }
    }
    // A peer that does not answer a close frame must not hold us.
    let _closed = time::timeout(Duration::from_secs(1), sink.close()).await;
}

/// The payload of our pings: empty, so that nothing leaks and nothing is allocated.
pub const PING: Bytes = Bytes::new();
