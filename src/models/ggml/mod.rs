//! whisper.cpp's model files: a header, the filter bank, the vocabulary, then tensors one after the other.
//!
//! Numbers are little-endian. Header: the magic, then eleven 32-bit integers. A tensor: how many dimensions, the length of its
//! name, its kind, each dimension (the fastest first), its name, its values.

pub mod read;
pub mod shape;

/// The first four bytes.
pub const MAGIC: u32 = 0x6767_6d6c;
/// Kind of a tensor: 32-bit floats.
pub const F32: u32 = 0;
/// Kind of a tensor: 16-bit floats. The same number in the header says that a file's matrices are that.
pub const F16: u32 = 1;
/// Kind of a tensor: blocks of 32 values, each a 16-bit float and 32 signed bytes.
pub const Q8_0: u32 = 8;
/// Values of a Q8_0 block.
pub const BLOCK: usize = 32;
/// Bytes of a Q8_0 block.
pub const BLOCK_BYTES: usize = 2 + BLOCK;
