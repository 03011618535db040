//! What a client may have missed when its socket is lost: kept for a while, and sent again when it is back.

use std::{collections::VecDeque, time::Duration};

use super::attachment::{Outgoing, Parcel};
use crate::{conversation::Input, ids::ResponseId, protocol::Message};

/// The newest messages, in order: at most [`MESSAGES_MAX`] of [`BYTES_MAX`] bytes. Older ones are forgotten.
#[derive(Debug, Default)]
pub(crate) struct Missed {
    messages: VecDeque<Sent>,
    bytes: usize,
    /// The number of the newest message that was forgotten.
    forgotten_to: u64,
}

/// A message as it was, or is yet to be, handed to the socket.
#[derive(Debug)]
struct Sent {
    message: Message,
    /// Its number, if it has one.
    number: Option<u64>,
    audio: Option<Audio>,
}

/// The speech in a message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Audio {
    pub(crate) response: ResponseId,
    pub(crate) duration: Duration,
    /// Where in the reply it ends.
    pub(crate) end: Duration,
    /// Whether the socket took it: the credit for it was given.
    pub(crate) is_written: bool,
}

/// Where a client left off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LeftOff {
    /// Number of the last message it received.
    pub last_n: u64,
    /// The reply it was playing, and how much of that it has played.
    pub reply: Option<(ResponseId, Duration)>,
}

impl Missed {
    /// Notes a message on its way out.
    pub(crate) fn note(&mut self, message: &Message, number: Option<u64>, audio: Option<Audio>) {
        self.bytes += size(message);
        self.messages.push_back(Sent { message: message.clone(), number, audio });
        while self.messages.len() > MESSAGES_MAX || self.bytes > BYTES_MAX {
            let Some(oldest) = self.messages.pop_front() else { break };
            self.bytes -= size(&oldest.message);
            self.forgotten_to = oldest.number.unwrap_or(self.forgotten_to);
        }
    }

    /// Speech was handed to the socket, or another fact.
    pub(crate) fn hear(&mut self, fact: &Input) {
        let Input::AudioSent { response, .. } = *fact else { return };
        let audio = self.messages.iter_mut().filter_map(|sent| sent.audio.as_mut());
        if let Some(audio) = audio.into_iter().find(|audio| audio.response == response && !audio.is_written) {
            audio.is_written = true;
        }
    }

    /// The rest of this reply is not to be heard any more.
    pub(crate) fn flush(&mut self, response: ResponseId) {
        self.messages.retain(|sent| sent.audio.is_none_or(|audio| audio.response != response));
        self.bytes = self.messages.iter().map(|sent| size(&sent.message)).sum();
    }

    /// Whether nothing that this client missed has been forgotten.
    pub(crate) fn covers(&self, left_off: LeftOff) -> bool {
        self.forgotten_to <= left_off.last_n
    }

    /// What the client missed: messages after its last one, speech that it has not played, and speech that no socket took.
    /// If it is told afresh how things stand (`words` is false), only the speech.
    pub(crate) fn since(&self, left_off: LeftOff, words: bool) -> impl Iterator<Item = Parcel> + '_ {
        let is_unheard = move |audio: Audio| {
            !audio.is_written
                || left_off.reply.is_some_and(|(reply, played)| {
                    audio.response > reply || (audio.response == reply && audio.end > played)
                })
        };
        let is_missed = move |sent: &&Sent| match (sent.audio, sent.number) {
            (Some(audio), _) => is_unheard(audio),
            (None, number) => words && number.is_some_and(|number| number > left_off.last_n),
        };
        self.messages.iter().filter(is_missed).map(|sent| Parcel {
            outgoing: Outgoing::Message(sent.message.clone()),
            // Credit is given once.
            audio: sent.audio.filter(|audio| !audio.is_written).map(|audio| (audio.response, audio.duration)),
        })
    }
}

fn size(message: &Message) -> usize {
    match message {
        Message::Text(text) => text.len(),
        Message::Binary(bytes) => bytes.len(),
    }
}

/// About forty seconds of a reply with its speech.
const MESSAGES_MAX: usize = 2_048;

/// Twenty seconds of PCM at 24 kHz.
const BYTES_MAX: usize = 1024 * 1024;
