//! Requests that their callers have named, so that asking twice does not do it twice.

use bytes::Bytes;
use uuid::Uuid;

use super::{Away, Digest, Shared, held::Note};

/// What is to be done with a request.
#[derive(Debug)]
pub enum Beginning {
    /// It is new: answer it, and say so.
    New(Begun),
    /// It is being answered at this moment.
    Running,
    /// It was answered, like this.
    Done(Bytes),
    /// Another request was made under this name.
    Mismatch,
}

/// The same as the places know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    New,
    Running,
    Done(Bytes),
    Mismatch,
}

/// A request that is being answered. Dropping it says that it was not: the next one of this name is new.
#[derive(Debug)]
pub struct Begun {
    shared: Shared,
    key: Digest,
    request: Digest,
    owner: Uuid,
    /// Whether it began while Redis was away.
    is_alone: bool,
    is_settled: bool,
}

impl Begun {
    pub(super) fn new(shared: Shared, key: Digest, request: Digest, owner: Uuid, is_alone: bool) -> Self {
        Self { shared, key, request, owner, is_alone, is_settled: false }
    }

    /// This is the answer, for 24 hours. An error means that only this node knows it.
    pub async fn finish(mut self, answer: Bytes) -> Result<(), Away> {
        self.is_settled = true;
        let finished = self.shared.finish(self.key, self.owner, self.is_alone, Some(answer.clone())).await;
        if finished.is_err() {
            let alone = &self.shared.inner.alone;
            let _earlier = alone.begin(self.key, self.request, self.owner);
            alone.settle(self.key, self.owner, Some(answer));
        }
        finished
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if self.is_settled {
            return;
        }
        // Where the keeper's queue is full the name is free again after [`super::keys::RUNNING`].
        self.shared.inner.desk.note(Note::Forget { key: self.key, owner: self.owner, is_alone: self.is_alone });
    }
}
