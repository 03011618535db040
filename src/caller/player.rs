//! The speaker: plays replies on the clock without a sound, counts what comes late or not at all, and reports.

use std::time::Duration;

use tokio::time::Instant;

use super::report::Frames;
use crate::protocol::native::{
    frame::{Header, LAST},
    wire::{ClientMessage, PlayerState},
};

/// What a client holds back before it plays, against jitter.
const BUFFER: Duration = Duration::from_millis(100);

/// How often a playing client reports.
const REPORT_EVERY: Duration = Duration::from_millis(250);

/// The same for one that plays instantly: as often as the server's limit of messages allows.
const INSTANT_REPORT_EVERY: Duration = Duration::from_millis(100);

/// Plays one reply at a time.
pub(super) struct Player {
    clock_hz: u32,
    /// Frames count as played as soon as they arrive.
    instant: bool,
    playing: Option<Playing>,
}

struct Playing {
    reply: u32,
    /// When the reply's first sample comes out of the speaker; later after each underrun.
    begin: Instant,
    next_sequence: u32,
    /// End of what has been received, in the reply's audio.
    received: Duration,
    last: bool,
    next_report: Instant,
}

impl Player {
    pub(super) const fn new(clock_hz: u32, instant: bool) -> Self {
        Self { clock_hz, instant, playing: None }
    }

    /// Takes a frame of `reply`, lasting `duration`.
    pub(super) fn frame(&mut self, reply: u32, header: &Header, duration: Duration, now: Instant, count: &mut Frames) {
        count.received += 1;
        let offset =
            Duration::from_nanos(u64::from(header.timestamp) * 1_000_000_000 / u64::from(self.clock_hz.max(1)));
        if self.playing.as_ref().is_none_or(|playing| playing.reply != reply) {
            self.playing = Some(Playing {
                reply,
                begin: now + BUFFER,
                next_sequence: 0,
                received: Duration::ZERO,
                last: false,
                next_report: now + if self.instant { INSTANT_REPORT_EVERY } else { BUFFER + REPORT_EVERY },
            });
        }
        let Some(playing) = &mut self.playing else { return };
        count.missing += u64::from(header.sequence.saturating_sub(playing.next_sequence));
        playing.next_sequence = header.sequence.wrapping_add(1);
        if !self.instant && !duration.is_zero() && now > playing.begin + offset {
            count.late += 1;
            playing.begin = now.checked_sub(offset).unwrap_or(now);
        }
        playing.received = playing.received.max(offset + duration);
        playing.last |= header.has(LAST);
    }

    /// How much of `reply` has come out of the speaker.
    pub(super) fn played(&self, reply: u32, now: Instant) -> Duration {
        self.playing.as_ref().filter(|playing| playing.reply == reply).map_or(Duration::ZERO, |p| self.heard(p, now))
    }

    fn heard(&self, playing: &Playing, now: Instant) -> Duration {
        if self.instant {
            return playing.received;
        }
        now.saturating_duration_since(playing.begin).min(playing.received)
    }

    /// The report that is due, if one is.
    pub(super) fn report(&mut self, now: Instant) -> Option<ClientMessage> {
        let playing = self.playing.as_ref()?;
        let (reply, heard, received, last) = (playing.reply, self.heard(playing, now), playing.received, playing.last);
        let state = if last && heard == received {
            self.playing = None;
            PlayerState::Drained
        } else if now >= playing.next_report {
            let every = if self.instant { INSTANT_REPORT_EVERY } else { REPORT_EVERY };
            self.playing.as_mut()?.next_report = now + every;
            PlayerState::Playing
        } else {
            return None;
        };
        Some(message(reply, heard, received, state))
    }

    /// When [`Self::report`] has something to say next.
    pub(super) fn wake(&self) -> Option<Instant> {
        let playing = self.playing.as_ref()?;
        let drained = playing.begin + if self.instant { Duration::ZERO } else { playing.received };
        Some(if playing.last { drained.min(playing.next_report) } else { playing.next_report })
    }

    /// Throws away what is unplayed of `reply` and says so.
    pub(super) fn flush(&mut self, reply: u32, now: Instant) -> Option<ClientMessage> {
        let heard = self.played(reply, now);
        let playing = self.playing.take_if(|playing| playing.reply == reply)?;
        Some(message(playing.reply, heard, heard, PlayerState::Flushed))
    }

    /// A reply is over: with no last frame something is missing, unless it was cut off.
    pub(super) fn done(&mut self, reply: u32, completed: bool, count: &mut Frames) {
        if let Some(playing) = self.playing.as_ref().filter(|playing| playing.reply == reply)
            && !playing.last
        {
            if completed {
                count.missing += 1;
            }
            self.playing = None;
        }
    }

    /// Whether something is still to be played.
    pub(super) const fn is_playing(&self) -> bool {
        self.playing.is_some()
    }
}

fn message(reply: u32, heard: Duration, received: Duration, state: PlayerState) -> ClientMessage {
    ClientMessage::Playback { reply, played_ms: ms(heard), buffered_ms: ms(received.saturating_sub(heard)), state }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
