//! The client: what it sends, and how it comes and goes.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Ending, Received, Session,
    attachment::{Outgoing, Parcel},
    line::Line,
    pass,
    returns::{Expected, Return},
};
use crate::{
    audio::AudioPos,
    conversation::{Input, PlaybackState},
    protocol::{Back, Incoming, native::close},
    telemetry::metrics,
};

impl Session {
    /// The socket is gone. If we were closing anyway, nobody is missed.
    pub(super) fn lose(&mut self) {
        self.ending = if self.ending == Ending::Open { Ending::Gone } else { Ending::Over };
    }

    /// How long to wait for the client, now that it is gone; `None` if it is not, or cannot come back, or has said goodbye.
    pub(super) fn may_wait(&self, expected: &Option<Expected>, given_up: Option<Instant>) -> Option<Duration> {
        let expected = expected.as_ref().filter(|_| self.ending == Ending::Gone && given_up.is_none())?;
        self.missed.as_ref().map(|_| expected.window)
    }

    /// The socket is lost: goes on without one for a while.
    pub(super) fn wait_for_peer(&mut self, line: &mut Line) {
        self.ending = Ending::Open;
        self.tell(Input::PeerLost);
        line.drop_socket();
        tracing::debug!("the client is gone, and may come back");
        metrics::peer("lost");
    }

    /// The client is back: sends what it missed, or if that is no longer known, how things stand.
    pub(super) fn welcome_back(&mut self, line: &mut Line, back: Return, expected: &mut Expected) {
        let Return { socket, left_off, pass: _ } = back;
        line.last_words(close::TAKEN_OVER, "another connection took the session over");
        line.take(socket);
        expected.renew();
        if let Some(recording) = &self.recording {
            recording.put_token(expected.digest());
        }
        self.waiting.clear();
        let Some(missed) = &self.missed else { return };
        let is_covered = missed.covers(left_off) && self.codec.number() >= Some(left_off.last_n);
        let welcome = self.codec.welcome_back(Back {
            resumed_after: is_covered.then_some(left_off.last_n),
            items: self.core.history().items(),
            settings: self.core.settings(),
            token: expected.token(),
        });
        let welcome = welcome.map(|message| Parcel { outgoing: Outgoing::Message(message), audio: None });
        self.waiting.extend(welcome);
        self.waiting.extend(missed.since(left_off, is_covered));
        metrics::peer(if is_covered { "resumed" } else { "back" });
        if let Some((response, played)) = left_off.reply {
            self.tell(Input::PlaybackProgress { response, played, state: PlaybackState::Playing });
        }
        self.tell(Input::PeerBack);
    }

    /// The client may not stay: its credential has ended.
    pub(super) fn dismiss(&mut self) {
        self.close(close::CREDENTIAL_ENDED, pass::REASON);
    }

    pub(super) fn receive(&mut self, received: Received) {
        match received {
            Received::Message(message) => match self.codec.decode(message) {
                Ok(incoming) => incoming.into_iter().for_each(|incoming| self.incoming(incoming)),
                Err(error) => self.complain(Err(error)),
            },
            Received::Alive => {}
            Received::Gone => self.lose(),
            Received::Violation(code, reason) => self.close(code, reason),
        }
    }

    fn incoming(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Audio(packet) => {
                let now = self.now();
                let heard = self.ears.hear(packet, now);
                self.complain(heard);
            }
            Incoming::Recording { item, place, audio } => match self.ears.decode(&audio) {
                Ok(frames) => {
                    let end = frames.last().map_or(AudioPos(0), |frame| frame.end);
                    self.hearing.keep(item, frames);
                    self.tell(Input::RecordingInserted { item, place, end });
                    self.hearing.forget_recording();
                }
                Err(error) => self.complain(Err(error)),
            },
            Incoming::Formats { input, output } => {
                self.speaking.set_format(output);
                let changed = self.ears.set_format(input);
                self.complain(changed);
            }
            Incoming::Input(fact) if self.divides(&fact) => {
                let divided = self.ears.divide(fact);
                self.complain(divided);
            }
            // What refers to a place in the audio keeps its place; what refers to a reply does not wait for audio.
            Incoming::Input(
                fact @ (Input::Muted(_)
                | Input::TextEntered { .. }
                | Input::ItemInserted { .. }
                | Input::ResponseRequested(_)
                | Input::Goodbye { .. }),
            ) => self.ears.place(fact),
            Incoming::Input(fact) => self.tell(fact),
            Incoming::Answer(message) => {
                self.waiting.push_back(Parcel { outgoing: Outgoing::Message(message), audio: None });
            }
            Incoming::Refused(error) => self.complain(Err(error)),
        }
    }

    /// Whether what was heard before the fact is over with it: then not a sample may be counted among what comes after.
    fn divides(&self, fact: &Input) -> bool {
        match fact {
            Input::AudioCommitted | Input::AudioCleared => true,
            Input::SettingsChanged(patch) => patch.turn_mode.is_some_and(|it| it != self.core.settings().turn_mode),
            _ => false,
        }
    }
}
