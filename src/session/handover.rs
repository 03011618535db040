//! What a session leaves for another server, should this one be lost: its state in the memory that servers share.

use tokio_util::sync::CancellationToken;

use crate::store::{
    Scribe, now_ms,
    record::ItemRow,
    shared::{Digest, Held, ITEMS_MAX, Snapshot},
};

/// One session's state, kept as it changes. Nothing here waits.
#[derive(Debug)]
pub(crate) struct Handover {
    held: Held,
    /// The newest items by their places: as many as a state holds.
    rows: Vec<ItemRow>,
}

impl Handover {
    /// The state of a session that begins with these items.
    pub(crate) fn new(held: Held, rows: Vec<ItemRow>) -> Self {
        Self { held, rows }
    }

    /// An item, as it was just handed to the recorder.
    pub(crate) fn note(&mut self, row: &ItemRow, revision: i64, scribe: &Scribe) {
        self.rows.retain(|known| known.item != row.item);
        let place = self.rows.partition_point(|known| known.position <= row.position);
        if row.kind != "deleted" {
            self.rows.insert(place, row.clone());
        }
        let too_many = self.rows.len().saturating_sub(ITEMS_MAX);
        self.rows.drain(..too_many);
        let opening = scribe.opening();
        self.held.put_snapshot(Snapshot {
            session: self.held.session(),
            conversation: scribe.conversation(),
            epoch: self.held.epoch(),
            revision,
            node: String::new(),
            tenant: opening.tenant.clone(),
            agent: opening.agent.clone(),
            language: opening.language.clone(),
            items: self.rows.clone(),
            items_left_out: 0,
            at_ms: now_ms(),
            more: serde_json::Map::new(),
        });
    }

    /// The token by which the client may take up the session elsewhere.
    pub(crate) fn put_token(&self, token: Digest) {
        self.held.put_resume_token(token);
    }

    /// Cancelled once another server has the session.
    pub(crate) fn taken_over(&self) -> CancellationToken {
        self.held.taken_over().clone()
    }

    /// The conversation is over, and nobody is to go on with it by its token.
    pub(crate) fn end(self) {
        self.held.end();
    }
}
