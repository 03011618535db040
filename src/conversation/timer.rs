//! Every deadline of a conversation, by name.

use super::time::Time;

/// Why a conversation wants to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Timer {
    /// Frames stopped in the middle of speech.
    AudioGap,
    /// A final transcript has not come.
    TranscriptOverdue,
    /// The agent has not said a word this round.
    FirstDelta,
    /// The agent paused for too long.
    DeltaGap,
    /// The reply as a whole takes too long.
    ReplyOverdue,
    /// The voice engine owes audio.
    FirstAudio,
    /// A tool has not answered.
    ToolCall,
    /// The next chunk may leave.
    SendAhead,
    /// By the clock, the reply has been played.
    PlayedOut,
    /// Something is to be said of the assistant's own accord.
    Announcement,
    /// The user has said nothing since the last reply was played.
    Prompt,
    /// Nothing happened for too long.
    Idle,
    /// The session is at its greatest length.
    SessionMax,
    /// The server, or a client that said goodbye, waits no longer.
    Drain,
    /// A store has not confirmed a turn.
    StoreOverdue,
}

/// When a reply, or any of several, wants to be woken for what.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    pub(crate) first_delta: Option<Time>,
    pub(crate) delta_gap: Option<Time>,
    pub(crate) reply: Option<Time>,
    pub(crate) first_audio: Option<Time>,
    pub(crate) tool_call: Option<Time>,
    pub(crate) send_ahead: Option<Time>,
    pub(crate) played_out: Option<Time>,
}

impl Deadlines {
    /// The earlier of each kind.
    pub(crate) fn or(self, other: Self) -> Self {
        let earlier = |one: Option<Time>, two: Option<Time>| one.into_iter().chain(two).min();
        Self {
            first_delta: earlier(self.first_delta, other.first_delta),
            delta_gap: earlier(self.delta_gap, other.delta_gap),
            reply: earlier(self.reply, other.reply),
            first_audio: earlier(self.first_audio, other.first_audio),
            tool_call: earlier(self.tool_call, other.tool_call),
            send_ahead: earlier(self.send_ahead, other.send_ahead),
            played_out: earlier(self.played_out, other.played_out),
        }
    }
}

const ALL: [Timer; 15] = [
    Timer::AudioGap,
    Timer::TranscriptOverdue,
    Timer::FirstDelta,
    Timer::DeltaGap,
    Timer::ReplyOverdue,
    Timer::FirstAudio,
    Timer::ToolCall,
    Timer::SendAhead,
    Timer::PlayedOut,
    Timer::Announcement,
    Timer::Prompt,
    Timer::Idle,
    Timer::SessionMax,
    Timer::Drain,
    Timer::StoreOverdue,
];

/// One optional deadline per [`Timer`]. Setting costs a store; finding the next one costs a look at each.
#[derive(Debug, Clone, Default)]
pub(crate) struct TimerTable([Option<Time>; ALL.len()]);

impl TimerTable {
    /// Replaces a deadline; `None` takes it away.
    pub(crate) fn set(&mut self, timer: Timer, at: Option<Time>) {
        self.0[timer as usize] = at;
    }

    /// Takes a deadline away.
    pub(crate) fn clear(&mut self, timer: Timer) {
        self.set(timer, None);
    }

    /// Whether this one is set.
    pub(crate) fn is_set(&self, timer: Timer) -> bool {
        self.0[timer as usize].is_some()
    }

    /// The earliest deadline; among equals the one declared first.
    pub(crate) fn next(&self) -> Option<(Time, Timer)> {
        ALL.into_iter().filter_map(|timer| Some((self.0[timer as usize]?, timer))).min_by_key(|(at, _)| *at)
    }

    /// Takes the earliest deadline that has come.
    pub(crate) fn take_due(&mut self, now: Time) -> Option<Timer> {
        let (_, timer) = self.next().filter(|(at, _)| *at <= now)?;
        self.clear(timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_deadline_comes_first_and_only_once() {
        let mut table = TimerTable::default();
        table.set(Timer::Idle, Some(Time::from_ms(20)));
        table.set(Timer::AudioGap, Some(Time::from_ms(10)));
        assert_eq!(table.next(), Some((Time::from_ms(10), Timer::AudioGap)));
        assert_eq!(table.take_due(Time::from_ms(9)), None);
        assert_eq!(table.take_due(Time::from_ms(30)), Some(Timer::AudioGap));
        assert_eq!(table.take_due(Time::from_ms(30)), Some(Timer::Idle));
        assert_eq!(table.take_due(Time::from_ms(30)), None);
    }

    #[test]
    fn each_timer_has_its_own_slot() {
        for (slot, timer) in ALL.into_iter().enumerate() {
            assert_eq!(timer as usize, slot);
        }
    }
}
