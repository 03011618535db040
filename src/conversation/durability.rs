//! Turns that a store has yet to confirm: the client hears `durable` only of what is on disk.

use std::collections::VecDeque;

use super::{Conversation, output::Event, time::Time, timer::Timer};
use crate::ids::ItemId;

/// Turns that wait; beyond it the oldest counts as not durable.
const UNCONFIRMED_MAX: usize = 64;

/// Turns that a store has not confirmed, oldest first, and until when each waits; at most [`UNCONFIRMED_MAX`].
#[derive(Debug, Default)]
pub(crate) struct Unconfirmed(VecDeque<(ItemId, Time)>);

impl Unconfirmed {
    /// Whether no turn waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Conversation {
    /// Tells the client of a turn: at once, or when the store has spoken.
    pub(super) fn announce_turn(&mut self, item: ItemId) {
        if !self.settings.durable {
            return self.outbox.event(Event::TurnCommitted { item, durable: false });
        }
        if self.unconfirmed.0.len() >= UNCONFIRMED_MAX
            && let Some((item, _)) = self.unconfirmed.0.pop_front()
        {
            self.outbox.event(Event::TurnCommitted { item, durable: false });
        }
        self.unconfirmed.0.push_back((item, self.now + self.settings.durable_timeout));
        self.set_store_deadline();
    }

    /// The store has spoken about an item. `None` if nobody waits for that, or not any more.
    pub(super) fn confirm(&mut self, item: ItemId, durable: bool) -> Option<()> {
        let index = self.unconfirmed.0.iter().position(|(waiting, _)| *waiting == item)?;
        self.unconfirmed.0.remove(index);
        self.outbox.event(Event::TurnCommitted { item, durable });
        self.set_store_deadline();
        Some(())
    }

    /// Gives up on confirmations that took too long.
    pub(super) fn expire_confirmations(&mut self) {
        while let Some((item, _)) = self.unconfirmed.0.pop_front_if(|(_, deadline)| *deadline <= self.now) {
            self.outbox.event(Event::TurnCommitted { item, durable: false });
        }
        self.set_store_deadline();
    }

    /// The session ends: what is not confirmed by now is not durable as far as the client knows.
    pub(super) fn give_up_confirmations(&mut self) {
        for (item, _) in std::mem::take(&mut self.unconfirmed.0) {
            self.outbox.event(Event::TurnCommitted { item, durable: false });
        }
    }

    fn set_store_deadline(&mut self) {
        let first = self.unconfirmed.0.front().map(|(_, deadline)| *deadline);
        self.timers.set(Timer::StoreOverdue, first);
    }
}
