//! What a client does with the chunks that it is sent: payloads become samples to be played.

use super::{Codec, Error, Format, Law, g711, opus, pcm};

/// Decodes one server's replies: for `floe replay`, the load tester and tests.
#[derive(Debug)]
pub struct Playout {
    kind: Kind,
    rate_hz: u32,
}

#[derive(Debug)]
enum Kind {
    Pcm,
    G711(Law),
    Opus(opus::Decoder),
}

impl Playout {
    /// A decoder of an output format.
    pub fn new(format: Format) -> Result<Self, Error> {
        format.check_output()?;
        let rate_hz = format.clock_hz();
        let kind = match format.codec {
            Codec::PcmS16le => Kind::Pcm,
            Codec::Pcmu => Kind::G711(Law::Mu),
            Codec::Pcma => Kind::G711(Law::A),
            Codec::Opus => Kind::Opus(opus::Decoder::new(rate_hz)?),
            codec @ (Codec::WebmOpus | Codec::OggOpus | Codec::Wav) => return Err(Error::InputOnly { codec }),
        };
        Ok(Self { kind, rate_hz })
    }

    /// The rate of what comes out: the format's clock.
    pub const fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    /// Decodes one payload and appends its samples. At most 1 s.
    pub fn push(&mut self, payload: &[u8], out: &mut Vec<f32>) -> Result<(), Error> {
        let second = self.rate_hz as usize;
        match &mut self.kind {
            Kind::Pcm => pcm::decode(payload, second, out),
            Kind::G711(law) => g711::decode(*law, payload, second, out),
            Kind::Opus(decoder) => decoder.decode(payload, out),
        }
    }
}
