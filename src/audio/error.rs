//! What can be wrong with a client's audio: one code word each, and a sentence for whoever writes the client.

use super::Codec;

/// A fault in audio. The stream it came from stays usable unless the variant says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The codec does not have this rate.
    #[error("{codec} cannot have a rate of {rate_hz} Hz; it has {:?}", codec.rates_hz())]
    RateUnsupported {
        /// The codec.
        codec: Codec,
        /// The rate asked for, in Hz.
        rate_hz: u32,
    },
    /// The codec does not have outgoing frames of this length.
    #[error("{codec} cannot be sent in frames of {frame_ms} ms; choose one of {:?}", codec.frames_ms())]
    FrameUnsupported {
        /// The codec.
        codec: Codec,
        /// The length asked for, in milliseconds.
        frame_ms: u32,
    },
    /// A container was asked for as output.
    #[error("{codec} is accepted as input only; for output choose pcm_s16le, opus, pcmu or pcma")]
    InputOnly {
        /// The codec.
        codec: Codec,
    },
    /// A rate outside of what any file or voice has.
    #[error("a sample rate of {rate_hz} Hz is outside of 8000 to 192000 Hz")]
    RateOutOfRange {
        /// The rate found, in Hz.
        rate_hz: u32,
    },
    /// A PCM payload that ends in the middle of a sample.
    #[error("a pcm_s16le payload has {len_bytes} bytes, which is not a whole number of 2-byte samples")]
    Misaligned {
        /// Length of the payload.
        len_bytes: usize,
    },
    /// One message with more audio than a message may hold.
    #[error("a {codec} payload has {len_bytes} bytes; at most {max_bytes} are accepted in one message")]
    TooLong {
        /// The codec.
        codec: Codec,
        /// Length of the payload.
        len_bytes: usize,
        /// The most that is accepted.
        max_bytes: usize,
    },
    /// The bytes are not one Opus packet.
    #[error("the payload is not one Opus packet: {reason}")]
    NotOpus {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A raw Opus packet with two channels.
    #[error("the Opus packet holds two channels; encode the microphone as mono")]
    NotMono,
    /// A continuous stream came faster than it can be decoded. Nothing of the piece was taken: offer it again later.
    #[error("audio comes in faster than it can be decoded; wait before sending more")]
    InputLagging,
    /// The container cannot be read (any further). A continuous stream is over.
    #[error("the audio container cannot be read: {reason}")]
    ContainerUnreadable {
        /// What is wrong with it.
        reason: String,
    },
    /// The container holds no audio.
    #[error("the container holds no audio track")]
    NoTrack,
    /// The container holds audio in a codec that is not built in.
    #[error("the container's audio cannot be decoded: {reason}")]
    CodecUnsupported {
        /// What is wrong with it.
        reason: String,
    },
    /// Bytes for a continuous stream that has already ended.
    #[error("the audio stream has already ended")]
    StreamEnded,
    /// A file with more audio than allowed.
    #[error("the file holds more than {max_ms} ms of audio")]
    FileTooLong {
        /// The most that is accepted.
        max_ms: u64,
    },
    /// Not the client's fault: a codec, the resampler or the operating system failed.
    #[error("audio processing failed: {what}")]
    Broken {
        /// What failed.
        what: String,
    },
}

impl Error {
    /// The word for clients and metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::RateUnsupported { .. } | Self::RateOutOfRange { .. } => "audio_rate_unsupported",
            Self::FrameUnsupported { .. } => "audio_frame_unsupported",
            Self::InputOnly { .. } => "audio_input_only",
            Self::Misaligned { .. } => "audio_misaligned",
            Self::TooLong { .. } => "audio_too_long",
            Self::NotOpus { .. } => "audio_not_opus",
            Self::NotMono => "audio_not_mono",
            Self::InputLagging => "input_lagging",
            Self::ContainerUnreadable { .. } => "audio_container_unreadable",
            Self::NoTrack => "audio_no_track",
            Self::CodecUnsupported { .. } => "audio_codec_unsupported",
            Self::StreamEnded => "audio_stream_ended",
            Self::FileTooLong { .. } => "audio_file_too_long",
            Self::Broken { .. } => "audio_broken",
        }
    }

    /// Whether the stream it came from can go on with its next message.
    pub const fn is_recoverable(&self) -> bool {
        matches!(
            self,
            Self::Misaligned { .. } | Self::TooLong { .. } | Self::NotOpus { .. } | Self::NotMono | Self::InputLagging
        )
    }

    pub(crate) fn broken(what: impl std::fmt::Display) -> Self {
        Self::Broken { what: what.to_string() }
    }
}
