//! The tensors that a Whisper of given dimensions consists of: names, shapes, and which are matrices in half precision.

/// The dimensions of a Whisper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dims {
    /// Tokens.
    pub vocabulary: usize,
    /// Positions of the encoder.
    pub audio_context: usize,
    /// Width of the residual stream, the same in encoder and decoder.
    pub width: usize,
    /// Attention heads, the same in encoder and decoder.
    pub heads: usize,
    /// Layers of the encoder.
    pub audio_layers: usize,
    /// Positions of the decoder.
    pub text_context: usize,
    /// Layers of the decoder.
    pub text_layers: usize,
    /// Bands of the spectrogram.
    pub mels: usize,
}

const fn english(width: usize, layers: usize) -> Dims {
    Dims {
        vocabulary: 51_864,
        audio_context: 1_500,
        width,
        heads: width / 64,
        audio_layers: layers,
        text_context: 448,
        text_layers: layers,
        mels: 80,
    }
}

/// The published English models by name.
pub const SIZES: &[(&str, Dims)] =
    &[("tiny.en", english(384, 4)), ("base.en", english(512, 6)), ("small.en", english(768, 12))];

/// A tensor without its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Its name.
    pub name: String,
    /// Its dimensions, the fastest first.
    pub shape: Vec<usize>,
    /// Whether its values are 16-bit floats in an f16 file (all others are 32-bit floats).
    pub half: bool,
}

impl Dims {
    /// All tensors, in the order of the published files' loader.
    pub fn tensors(&self) -> Vec<Spec> {
        let mut list = List(Vec::new());
        let width = self.width;
        list.floats("encoder.positional_embedding", &[width, self.audio_context]);
        list.halves("encoder.conv1.weight", &[3, self.mels, width]);
        list.floats("encoder.conv1.bias", &[1, width]);
        list.halves("encoder.conv2.weight", &[3, width, width]);
        list.floats("encoder.conv2.bias", &[1, width]);
        for layer in 0..self.audio_layers {
            list.attention(&format!("encoder.blocks.{layer}.attn"), width);
            list.perceptron(&format!("encoder.blocks.{layer}"), width);
        }
        list.norm("encoder.ln_post", width);
        list.floats("decoder.positional_embedding", &[width, self.text_context]);
        list.halves("decoder.token_embedding.weight", &[width, self.vocabulary]);
        for layer in 0..self.text_layers {
            list.attention(&format!("decoder.blocks.{layer}.attn"), width);
            list.attention(&format!("decoder.blocks.{layer}.cross_attn"), width);
            list.perceptron(&format!("decoder.blocks.{layer}"), width);
        }
        list.norm("decoder.ln", width);
        list.0
    }

    /// Multiplications for three seconds of speech as Floe runs them: 256 positions in the encoder, 15 tokens.
    pub fn work(&self) -> f64 {
        let (width, positions, tokens) = (self.width as f64, 256.0, 15.0);
        let convolutions = 3.0 * width * positions * (2.0 * self.mels as f64 + width);
        let encoder =
            self.audio_layers as f64 * (12.0 * width * width * positions + 2.0 * positions * positions * width);
        let crossing = self.text_layers as f64 * 2.0 * width * width * positions;
        let decoder = tokens * (self.text_layers as f64 * 14.0 * width * width + width * self.vocabulary as f64);
        convolutions + encoder + crossing + decoder
    }
}

struct List(Vec<Spec>);

impl List {
    fn floats(&mut self, name: &str, shape: &[usize]) {
        self.0.push(Spec { name: name.to_owned(), shape: shape.to_vec(), half: false });
    }

    fn halves(&mut self, name: &str, shape: &[usize]) {
        self.0.push(Spec { name: name.to_owned(), shape: shape.to_vec(), half: true });
    }

    fn norm(&mut self, name: &str, width: usize) {
        self.floats(&format!("{name}.weight"), &[width]);
        self.floats(&format!("{name}.bias"), &[width]);
    }

    /// An attention `name` and the norm before it, `name_ln`. Keys have no bias.
    fn attention(&mut self, name: &str, width: usize) {
        self.norm(&format!("{name}_ln"), width);
        for part in ["query", "key", "value", "out"] {
            self.halves(&format!("{name}.{part}.weight"), &[width, width]);
            if part != "key" {
                self.floats(&format!("{name}.{part}.bias"), &[width]);
            }
        }
    }

    fn perceptron(&mut self, block: &str, width: usize) {
        self.norm(&format!("{block}.mlp_ln"), width);
        self.halves(&format!("{block}.mlp.0.weight"), &[width, 4 * width]);
        self.floats(&format!("{block}.mlp.0.bias"), &[4 * width]);
        self.halves(&format!("{block}.mlp.2.weight"), &[4 * width, width]);
        self.floats(&format!("{block}.mlp.2.bias"), &[width]);
    }
}
