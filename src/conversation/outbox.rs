//! Outputs waiting to be polled, in the order in which they came about.

use std::collections::VecDeque;

use super::output::{Command, Event, Output, Record};

/// Outputs of the fact being handled. Drained before the next fact, so its length is bounded by what one fact can cause.
#[derive(Debug, Default)]
pub(crate) struct Outbox(VecDeque<Output>);

impl Outbox {
    pub(crate) fn command(&mut self, command: Command) {
        self.0.push_back(Output::Command(command));
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.0.push_back(Output::Event(event));
    }

    pub(crate) fn record(&mut self, record: Record) {
        self.0.push_back(Output::Record(record));
    }

    /// What another collected, without what is for the store.
    pub(crate) fn take_all_but_records(&mut self, other: Self) {
        self.0.extend(other.0.into_iter().filter(|output| !matches!(output, Output::Record(_))));
    }

    pub(crate) fn pop(&mut self) -> Option<Output> {
        self.0.pop_front()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
