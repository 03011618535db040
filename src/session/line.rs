//! The socket that a session has now, if it has one: what comes in, and the way to its writer.

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::{sync::mpsc, task::JoinSet, time};

use super::{
    Attachment, Received,
    attachment::{Outbox, Parcel, Receiving, WriteLimits},
};
use crate::conversation::Input;

/// The line to the client.
pub(crate) struct Line {
    facts: mpsc::Sender<Input>,
    /// Writers of this socket, and of those before it that are still saying goodbye.
    writers: JoinSet<()>,
    socket: Option<(Receiving, Outbox)>,
}

impl Line {
    /// A line with a socket.
    pub(crate) fn new(facts: mpsc::Sender<Input>, socket: Attachment) -> Self {
        let mut line = Self { facts, writers: JoinSet::new(), socket: None };
        line.take(socket);
        line
    }

    /// From now on this is the socket.
    pub(crate) fn take(&mut self, socket: Attachment) {
        let limits = WriteLimits { queue: WRITER_MAX, timeout: WRITE_TIMEOUT };
        while self.writers.try_join_next().is_some() {}
        self.socket = Some(socket.start(&mut self.writers, self.facts.clone(), limits));
    }

    /// The socket is lost; its writer ends by itself.
    pub(crate) fn drop_socket(&mut self) {
        self.socket = None;
    }

    /// Room for one message (`None` once the writer has ended), and what comes in. Both are cancel-safe, and neither resolves
    /// without a socket.
    pub(crate) fn ends(
        &mut self,
    ) -> (impl Future<Output = Option<mpsc::Permit<'_, Parcel>>>, impl Future<Output = Received>) {
        let (receiver, outbox) = match &mut self.socket {
            Some((receiver, outbox)) => (Some(receiver), Some(&*outbox)),
            None => (None, None),
        };
        let room = async move {
            match outbox {
                Some(outbox) => outbox.room().await,
                None => std::future::pending().await,
            }
        };
        let incoming = async move {
            match receiver {
                Some(receiver) => receiver.next().await.unwrap_or(Received::Gone),
                None => std::future::pending().await,
            }
        };
        (room, incoming)
    }

    /// A close frame, if there is a socket and it has room at once.
    pub(crate) fn last_words(&self, code: u16, reason: &str) {
        if let Some((_, outbox)) = &self.socket {
            outbox.last_words(code, reason);
        }
    }

    /// Lets the writer write what it has, and the close frame, within its own timeout.
    pub(crate) async fn end(mut self) {
        self.socket = None;
        let written = async { while self.writers.join_next().await.is_some() {} };
        let _slow = time::timeout(WRITE_TIMEOUT, written).await;
    }
}

/// Messages handed to the writer and not yet written: 16 audio frames of 20 ms. When full, the loop keeps the rest.
const WRITER_MAX: usize = 16;

/// A client that takes nothing for this long is lost.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
