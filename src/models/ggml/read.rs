//! Reads a model file, and believes nothing that it says of itself.

use std::collections::BTreeMap;

use half::f16;

use super::{BLOCK, BLOCK_BYTES, F16, F32, MAGIC, Q8_0, shape::Dims};

/// Longest name of a tensor.
const NAME_MAX: usize = 256;
/// Dimensions of a tensor at most.
const DIMENSIONS_MAX: usize = 4;

/// A model in memory; its tensors borrow from the file's bytes.
#[derive(Debug)]
pub struct Model<'a> {
    /// What the header says.
    pub dims: Dims,
    /// Filter bank and vocabulary, as they stand in the file.
    pub tables: &'a [u8],
    /// The tensors by name.
    pub tensors: BTreeMap<&'a str, Tensor<'a>>,
}

/// One tensor.
#[derive(Debug)]
pub struct Tensor<'a> {
    /// Its dimensions, the fastest first.
    pub shape: Vec<usize>,
    kind: u32,
    data: &'a [u8],
}

/// What is wrong with the bytes.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Broken {
    /// Another format.
    #[error("it is not in whisper.cpp's format")]
    Magic,
    /// The file ends in the middle of something.
    #[error("it ends too early, in the {0}")]
    Short(&'static str),
    /// A number that cannot be.
    #[error("{0} makes no sense")]
    Senseless(&'static str),
    /// A tensor of a kind that is not read here.
    #[error("tensor {name} is of kind {kind}; f32, f16 and q8_0 can be read")]
    Kind {
        /// Which tensor.
        name: String,
        /// Its kind's number.
        kind: u32,
    },
}

struct Cursor<'a> {
    rest: &'a [u8],
    place: &'static str,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, bytes: usize) -> Result<&'a [u8], Broken> {
        let (taken, rest) = self.rest.split_at_checked(bytes).ok_or(Broken::Short(self.place))?;
        self.rest = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u32, Broken> {
        let (taken, rest) = self.rest.split_first_chunk::<4>().ok_or(Broken::Short(self.place))?;
        self.rest = rest;
        Ok(u32::from_le_bytes(*taken))
    }

    fn size(&mut self) -> Result<usize, Broken> {
        usize::try_from(self.number()?).map_err(|_| Broken::Senseless(self.place))
    }
}

impl<'a> Model<'a> {
    /// Reads a whole file.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Broken> {
        let mut cursor = Cursor { rest: bytes, place: "header" };
        if cursor.number()? != MAGIC {
            return Err(Broken::Magic);
        }
        let mut header = [0; 11];
        for number in &mut header {
            *number = cursor.size()?;
        }
        let [
            vocabulary,
            audio_context,
            width,
            heads,
            audio_layers,
            text_context,
            text_width,
            text_heads,
            text_layers,
            mels,
            _,
        ] = header;
        if width != text_width || heads != text_heads || header[..10].contains(&0) {
            return Err(Broken::Senseless("header"));
        }
        let dims = Dims { vocabulary, audio_context, width, heads, audio_layers, text_context, text_layers, mels };
        let start = cursor.rest;
        tables(&mut cursor)?;
        let tables = &start[..start.len() - cursor.rest.len()];
        let mut tensors = BTreeMap::new();
        cursor.place = "tensors";
        while !cursor.rest.is_empty() {
            let (name, tensor) = tensor(&mut cursor)?;
            tensors.insert(name, tensor);
        }
        Ok(Self { dims, tables, tensors })
    }
}

/// Skips filter bank and vocabulary.
fn tables(cursor: &mut Cursor<'_>) -> Result<(), Broken> {
    cursor.place = "filter bank";
    let (bands, bins) = (cursor.size()?, cursor.size()?);
    let bytes = bands.checked_mul(bins).and_then(|count| count.checked_mul(4));
    cursor.take(bytes.ok_or(Broken::Senseless("filter bank"))?)?;
    cursor.place = "vocabulary";
    for _ in 0..cursor.size()? {
        let length = cursor.size()?;
        cursor.take(length)?;
    }
    Ok(())
}

fn tensor<'a>(cursor: &mut Cursor<'a>) -> Result<(&'a str, Tensor<'a>), Broken> {
    let (dimensions, length, kind) = (cursor.size()?, cursor.size()?, cursor.number()?);
    if dimensions == 0 || dimensions > DIMENSIONS_MAX || length > NAME_MAX {
        return Err(Broken::Senseless("a tensor's head"));
    }
    let shape = (0..dimensions).map(|_| cursor.size()).collect::<Result<Vec<usize>, Broken>>()?;
    let name = std::str::from_utf8(cursor.take(length)?).map_err(|_| Broken::Senseless("a tensor's name"))?;
    let count = shape.iter().try_fold(1_usize, |count, size| count.checked_mul(*size));
    let count = count.filter(|count| *count > 0).ok_or(Broken::Senseless("a tensor's shape"))?;
    let bytes = match kind {
        F32 => count.checked_mul(4),
        F16 => count.checked_mul(2),
        Q8_0 if shape[0].is_multiple_of(BLOCK) => (count / BLOCK).checked_mul(BLOCK_BYTES),
        Q8_0 => return Err(Broken::Senseless("a tensor's shape")),
        kind => return Err(Broken::Kind { name: name.to_owned(), kind }),
    };
    let data = cursor.take(bytes.ok_or(Broken::Senseless("a tensor's shape"))?)?;
    Ok((name, Tensor { shape, kind, data }))
}

impl Tensor<'_> {
    /// Its values as 32-bit floats, which hold those of every kind exactly.
    pub fn values(&self) -> Vec<f32> {
        match self.kind {
            F32 => self.data.chunks_exact(4).map(|it| f32::from_le_bytes([it[0], it[1], it[2], it[3]])).collect(),
            F16 => self.data.chunks_exact(2).map(|it| f16::from_le_bytes([it[0], it[1]]).to_f32()).collect(),
            _ => {
                let mut values = Vec::with_capacity(self.data.len() / BLOCK_BYTES * BLOCK);
                for block in self.data.chunks_exact(BLOCK_BYTES) {
                    let scale = f16::from_le_bytes([block[0], block[1]]).to_f32();
                    values.extend(block[2..].iter().map(|it| scale * f32::from(it.cast_signed())));
                }
                values
            }
        }
    }
}
