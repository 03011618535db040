//! What has been played, for a client that plays nothing: a recording is answered faster than anybody could listen.

use std::time::Duration;

use super::Pace;
use crate::{
    conversation::{Input, PlaybackState, Settings},
    ids::ResponseId,
};

/// Reports what was sent as played, if the client sends a recording; otherwise reports nothing.
#[derive(Debug)]
pub(crate) struct Loudspeaker {
    pace: Pace,
    reply: ResponseId,
    played: Duration,
}

impl Loudspeaker {
    /// One for a client of this pace.
    pub(crate) fn new(pace: Pace) -> Self {
        Self { pace, reply: ResponseId::default(), played: Duration::ZERO }
    }

    /// Settings under which a reply leaves as fast as it is made, if nobody waits for it to be played.
    pub(crate) fn settings(&self, settings: Settings) -> Settings {
        match self.pace {
            Pace::Live | Pace::Unpaced => settings,
            Pace::File => Settings { playback_reports: true, send_ahead: AT_ONCE, burst: AT_ONCE, ..settings },
        }
    }

    /// What follows from this fact, if it says that audio was sent.
    pub(crate) fn hear(&mut self, fact: &Input) -> Option<Input> {
        let Input::AudioSent { response, duration } = *fact else { return None };
        if self.pace != Pace::File {
            return None;
        }
        if self.reply != response {
            (self.reply, self.played) = (response, Duration::ZERO);
        }
        self.played += duration;
        Some(Input::PlaybackProgress { response, played: self.played, state: PlaybackState::Playing })
    }
}

/// Longer than any reply.
const AT_ONCE: Duration = Duration::from_secs(3_600);
