//! The wire: messages of a client become facts, events become messages. The only place where JSON meets the conversation.

use bytes::Bytes;

use crate::{
    audio::Format,
    conversation::{CloseReason, Event, Input, Item, Place, Record, Settings},
    ids::ItemId,
};

pub mod error;
pub mod native;
pub mod openai;
pub mod recorded;

pub use error::ProtocolError;

/// One WebSocket message, without the WebSocket library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Bytes),
}

/// What a client's message means.
#[derive(Debug, Clone, PartialEq)]
pub enum Incoming {
    /// Microphone audio in the negotiated format.
    Audio(AudioPacket),
    /// A fact for the conversation.
    Input(Input),
    /// An item of speech recorded before, in the microphone's format: for the conversation's history.
    Recording {
        /// Its id.
        item: ItemId,
        /// Where it is to stand.
        place: Place,
        /// All of it.
        audio: Bytes,
    },
    /// From here on, the microphone's audio comes and speech is wanted in these formats.
    Formats {
        /// Of the microphone.
        input: Format,
        /// Of speech, from the next reply on.
        output: Format,
    },
    /// A message to be sent back at once, without asking the conversation (a pong).
    Answer(Message),
    /// The message was understood as wrong, but harmless: tell the client and go on.
    Refused(ProtocolError),
}

/// One frame of microphone audio as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioPacket {
    /// Encoded audio; empty for discontinuous transmission.
    pub payload: Bytes,
    /// First sample's timestamp in the format's clock; `None` where the framing has none.
    pub timestamp: Option<u32>,
    /// The client says that it lost or dropped audio before this, or that a new spurt begins.
    pub gap: bool,
}

/// What a client that is back is told.
#[derive(Debug, Clone, Copy)]
pub struct Back<'a> {
    /// The last message that it has, if everything after that is sent again.
    pub resumed_after: Option<u64>,
    /// Otherwise: how the conversation stands.
    pub items: &'a [Item],
    /// What governs the conversation now.
    pub settings: &'a Settings,
    /// For coming back once more.
    pub token: &'a str,
}

/// Translates one session's messages in both directions.
pub trait Codec: Send {
    /// What this message means. An error closes the connection if it says so ([`ProtocolError::close`]).
    fn decode(&mut self, message: Message) -> Result<Vec<Incoming>, ProtocolError>;

    /// Writes one event as messages, numbered as the dialect demands.
    fn encode(&mut self, event: &Event, out: &mut Vec<Message>);

    /// Writes what is to be kept as messages, for a client that wants to know more than the events tell. Most do not.
    fn encode_record(&mut self, _: &Record, _: &mut Vec<Message>) {}

    /// Writes a problem as a message.
    fn encode_error(&mut self, error: &ProtocolError, out: &mut Vec<Message>);

    /// The close frame of each way in which a conversation ends: code and reason.
    fn farewell(&self, reason: CloseReason) -> (u16, String);

    /// The number of the last message that its client can miss and be sent again. `None`: nobody can come back to a session
    /// of this dialect, or this client does not want to.
    fn number(&self) -> Option<u64> {
        None
    }

    /// Greets a client that is back. After this message come those that it missed, or none at all if it is told how things
    /// stand.
    fn welcome_back(&mut self, back: Back<'_>) -> Option<Message> {
        let _ = back;
        None
    }

    /// The format of the microphone's audio.
    fn input_format(&self) -> Format;

    /// The format in which the client wants speech.
    fn output_format(&self) -> Format;
}
