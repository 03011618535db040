//! Released, sent, played: audio at the door, and how much of it has come out of the client's speaker.

use std::{collections::VecDeque, time::Duration};

use super::{
    input::PlaybackState,
    settings::{Delivery, Settings},
    time::Time,
};
use crate::{audio::AudioChunk, ids::ItemId};

/// How long a client that reports its playback may take for the last report.
const REPORT_GRACE: Duration = Duration::from_millis(2_000);

/// The audio of one reply.
///
/// The queue at the door is bounded by credit: no segment is given to the voice while
/// [`Settings::queued_audio_max`] waits here, so it holds at most that and the segments already with the voice.
#[derive(Debug)]
pub(crate) struct Playback {
    door: VecDeque<(ItemId, AudioChunk)>,
    /// The item of the newest chunk.
    item: ItemId,
    queued: Duration,
    released: Duration,
    sent: Duration,
    clock: Clock,
    report: Option<Report>,
    end: End,
    clock_hz: u32,
}

/// The client's player as the server imagines it: it plays what was sent, in real time, and stops when it has nothing.
#[derive(Debug, Clone, Copy)]
struct Clock {
    played: Duration,
    at: Time,
}

#[derive(Debug, Clone, Copy)]
struct Report {
    played: Duration,
    state: PlaybackState,
    at: Time,
}

/// Whether more audio can come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It can.
    Open,
    /// All of it is here or has left.
    Known,
    /// And the client has been told which chunk was the last.
    Told,
}

/// A chunk that leaves.
#[derive(Debug)]
pub(crate) struct Released {
    pub(crate) item: ItemId,
    pub(crate) chunk: AudioChunk,
    pub(crate) offset: Duration,
    pub(crate) last: bool,
}

impl Playback {
    pub(crate) fn new(now: Time) -> Self {
        Self {
            door: VecDeque::new(),
            item: ItemId::default(),
            queued: Duration::ZERO,
            released: Duration::ZERO,
            sent: Duration::ZERO,
            clock: Clock { played: Duration::ZERO, at: now },
            report: None,
            end: End::Open,
            clock_hz: 0,
        }
    }

    /// Audio waiting at the door.
    pub(crate) fn queued(&self) -> Duration {
        self.queued
    }

    /// Audio handed to the socket.
    pub(crate) fn sent_so_far(&self) -> Duration {
        self.sent
    }

    /// Whether anything has left: from then on the user may hear it.
    pub(crate) fn is_audible(&self) -> bool {
        !self.released.is_zero()
    }

    /// Whether everything has been handed to the socket.
    pub(crate) fn is_sent(&self) -> bool {
        self.end == End::Told && self.sent >= self.released
    }

    /// A chunk of an item came from the voice.
    pub(crate) fn queue(&mut self, item: ItemId, chunk: AudioChunk) {
        self.queued += chunk.duration();
        self.clock_hz = chunk.clock_hz.max(1);
        self.item = item;
        self.door.push_back((item, chunk));
    }

    /// No more chunks will come.
    pub(crate) fn close(&mut self) {
        if self.end == End::Open {
            self.end = if self.clock_hz == 0 { End::Told } else { End::Known };
        }
    }

    /// The next chunk that may leave now: due, and within the socket's credit. If the end became known only after the
    /// last chunk had left, an empty one says so.
    pub(crate) fn release(&mut self, now: Time, settings: &Settings) -> Option<Released> {
        self.advance(now);
        let Some((_, next)) = self.door.front() else {
            if self.end != End::Known {
                return None;
            }
            self.end = End::Told;
            let chunk = AudioChunk { payload: bytes::Bytes::new(), samples: 0, clock_hz: self.clock_hz };
            return Some(Released { item: self.item, chunk, offset: self.released, last: true });
        };
        let in_flight = self.released.saturating_sub(self.sent);
        let has_credit = in_flight.is_zero() || in_flight + next.duration() <= settings.in_flight_max;
        if !has_credit || self.clock.played < self.due(settings) {
            return None;
        }
        let (item, chunk) = self.door.pop_front()?;
        let offset = self.released;
        self.queued = self.queued.saturating_sub(chunk.duration());
        self.released += chunk.duration();
        let last = self.end == End::Known && self.door.is_empty();
        if last {
            self.end = End::Told;
        }
        Some(Released { item, chunk, offset, last })
    }

    /// When the next chunk is due; `None` if there is none, or if it waits for credit rather than for the clock.
    pub(crate) fn next_release(&self, settings: &Settings) -> Option<Time> {
        let due = self.due(settings);
        let waits_for_clock = !self.door.is_empty() && self.clock.played < due && due <= self.sent;
        waits_for_clock.then(|| self.clock.at + (due - self.clock.played))
    }

    /// How much must have been played before the next chunk leaves.
    fn due(&self, settings: &Settings) -> Duration {
        if settings.delivery == Delivery::AtOnce || self.released < settings.burst {
            Duration::ZERO
        } else {
            self.released.saturating_sub(settings.send_ahead)
        }
    }

    /// The socket took some.
    pub(crate) fn sent(&mut self, now: Time, duration: Duration) {
        self.advance(now);
        self.sent = (self.sent + duration).min(self.released);
    }

    /// The client told what it has played.
    pub(crate) fn report(&mut self, now: Time, played: Duration, state: PlaybackState) {
        self.report = Some(Report { played: played.min(self.released), state, at: now });
    }

    /// How much the user has heard, by report if there is one, else by the clock.
    pub(crate) fn played(&mut self, now: Time) -> Duration {
        self.advance(now);
        match self.report {
            Some(Report { played, state: PlaybackState::Playing, at }) => {
                (played + now.since(at)).min(self.sent.max(played))
            }
            Some(Report { state: PlaybackState::Drained, .. }) => self.sent,
            Some(Report { played, .. }) => played,
            None => self.clock.played,
        }
    }

    /// Whether the last word has been heard, as far as anyone can know.
    pub(crate) fn is_over(&mut self, now: Time, settings: &Settings) -> bool {
        let is_played = |settings| self.reports_the_end() || self.played_out(settings) <= now;
        self.is_sent() && (settings.delivery == Delivery::AtOnce || is_played(settings))
    }

    /// When that will be by the clock alone; `None` while audio has yet to be sent.
    pub(crate) fn over_at(&self, settings: &Settings) -> Option<Time> {
        self.is_sent().then(|| self.played_out(settings))
    }

    fn reports_the_end(&self) -> bool {
        self.report.is_some_and(|report| report.played >= self.released || report.state == PlaybackState::Drained)
    }

    /// When the client has played all of it, by the clock.
    pub(crate) fn played_out(&self, settings: &Settings) -> Time {
        let grace = if settings.playback_reports && !self.released.is_zero() { REPORT_GRACE } else { Duration::ZERO };
        self.clock.at + self.released.saturating_sub(self.clock.played) + grace
    }

    fn advance(&mut self, now: Time) {
        let played = self.clock.played + now.since(self.clock.at);
        // At its end the clock stands still, so that the grace after it runs from there.
        if !(self.is_sent() && self.clock.played >= self.released) {
            let ran_for = played.min(self.sent).saturating_sub(self.clock.played);
            let at = if self.is_sent() { self.clock.at + ran_for } else { now };
            self.clock = Clock { played: played.min(self.sent), at };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(ms: u32) -> AudioChunk {
        AudioChunk { payload: bytes::Bytes::new(), samples: ms * 16, clock_hz: 16_000 }
    }

    fn drain(playback: &mut Playback, now_ms: u64, settings: &Settings) -> usize {
        std::iter::from_fn(|| playback.release(Time::from_ms(now_ms), settings)).count()
    }

    #[test]
    fn a_burst_leaves_at_once_the_rest_in_time() {
        let settings = Settings::default();
        let mut playback = Playback::new(Time::ZERO);
        (0..100).for_each(|_| playback.queue(ItemId(1), chunk(20)));
        assert_eq!(drain(&mut playback, 0, &settings), 25, "the burst of 500 ms");
        assert_eq!(playback.next_release(&settings), None, "nothing was sent: nothing is playing");
        playback.sent(Time::ZERO, Duration::from_millis(500));
        assert_eq!(playback.next_release(&settings), Some(Time::from_ms(100)));
        assert_eq!(drain(&mut playback, 100, &settings), 1, "500 ms out, 100 played: 400 ahead");
    }

    #[test]
    fn an_unsent_window_holds_everything_back() {
        let settings = Settings { burst: Duration::from_secs(9), ..Settings::default() };
        let mut playback = Playback::new(Time::ZERO);
        (0..100).for_each(|_| playback.queue(ItemId(1), chunk(20)));
        assert_eq!(drain(&mut playback, 0, &settings), 50, "1 s in flight");
        playback.sent(Time::from_ms(1), Duration::from_millis(40));
        assert_eq!(drain(&mut playback, 1, &settings), 2);
    }

    #[test]
    fn the_last_chunk_says_so_even_if_it_was_not_known() {
        let settings = Settings::default();
        let mut playback = Playback::new(Time::ZERO);
        playback.queue(ItemId(1), chunk(20));
        assert!(!playback.release(Time::ZERO, &settings).unwrap().last);
        playback.close();
        let end = playback.release(Time::ZERO, &settings).unwrap();
        assert!(end.last && end.chunk.samples == 0);
        playback.sent(Time::ZERO, Duration::from_millis(20));
        assert_eq!(playback.over_at(&settings), Some(Time::from_ms(20)));
    }

    #[test]
    fn a_starved_player_stands_still() {
        let settings = Settings::default();
        let mut playback = Playback::new(Time::ZERO);
        playback.queue(ItemId(1), chunk(100));
        playback.release(Time::ZERO, &settings).unwrap();
        playback.sent(Time::ZERO, Duration::from_millis(100));
        assert_eq!(playback.played(Time::from_ms(5_000)), Duration::from_millis(100));
    }
}
