//! The same function at the size of a bigger model, so that speed at real sizes can be measured with real words coming out.
//!
//! The wide residual stream carries k copies of the small one. A norm of k copies is k copies of the norm, so gains and biases
//! are repeated; what reads the stream reads the first copy and ignores the others (zeros); what writes it writes all copies.
//! Heads, hidden units and layers beyond the small model's are zero, and a layer whose output projection is zero changes
//! nothing. The decoder's last norm is divided by k, because the output projection, which is the embedding, adds k copies up.
//! The logits are the same up to the rounding to 16-bit floats.

use std::{
    fs,
    io::{self, BufWriter, Write},
    path::Path,
};

use half::f16;

use super::{
    Error, Shelf,
    ggml::{
        F16, F32, MAGIC,
        read::{Model, Tensor},
        shape::{Dims, SIZES, Spec},
    },
    shelf::sync_folder,
};

/// A larger file is no small model.
const SOURCE_MAX_BYTES: u64 = 1 << 30;

/// Writes `output`: the model in `input` with the tensors of the published model `like`. The result is trusted if the input
/// is (or `trust` says so). Blocks; holds the input in memory.
pub fn widen(shelf: &Shelf, like: &str, input: &Path, output: &Path, trust: bool) -> Result<(), Error> {
    if output.exists() {
        return Err(Error::Exists(output.to_owned()));
    }
    let source = shelf.hash(input)?;
    if !trust && shelf.knows(&source).is_none() {
        return Err(Error::Untrusted { file: input.to_owned(), sha256: source });
    }
    write_like(like, input, output)?;
    shelf.trust(&shelf.hash(output)?, &format!("floe models widen --like {like}, of {source}"))
}

/// The same without any question of trust: all of the file, or none.
pub(super) fn write_like(like: &str, input: &Path, output: &Path) -> Result<(), Error> {
    let Some((_, dims)) = SIZES.iter().find(|(name, _)| *name == like) else {
        let known: Vec<&str> = SIZES.iter().map(|(name, _)| *name).collect();
        return Err(Error::Usage(format!("--like {like}: there are {}", known.join(", "))));
    };
    let reading = |error| Error::file(input, error);
    if fs::metadata(input).map_err(reading)?.len() > SOURCE_MAX_BYTES {
        return Err(Error::Format { path: input.to_owned(), what: "it is too big to be widened".into() });
    }
    let bytes = fs::read(input).map_err(reading)?;
    let format = |what: String| Error::Format { path: input.to_owned(), what };
    let model = Model::read(&bytes).map_err(|broken| format(broken.to_string()))?;
    check(&model, dims).map_err(format)?;
    let mut name = output.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let fresh = output.with_file_name(name);
    let written = write_file(&model, dims, &fresh).and_then(|()| fs::rename(&fresh, output));
    if let Err(error) = written {
        let _gone = fs::remove_file(&fresh);
        return Err(Error::writing(output.parent().unwrap_or(output), error));
    }
    sync_folder(output)
}

fn write_file(model: &Model<'_>, dims: &Dims, path: &Path) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, fs::File::create(path)?);
    write(model, dims, &mut out)?;
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

/// Whether `model` fits into `wide`, and has all tensors that its header promises.
fn check(model: &Model<'_>, wide: &Dims) -> Result<(), String> {
    let small = &model.dims;
    if !wide.width.is_multiple_of(small.width) {
        return Err(format!("its width {} does not divide {}", small.width, wide.width));
    }
    if small.width != small.heads * (wide.width / wide.heads) {
        return Err(format!("its heads are not {} wide", wide.width / wide.heads));
    }
    if small.audio_layers > wide.audio_layers || small.text_layers > wide.text_layers {
        return Err("it has more layers than that".into());
    }
    let same = |dims: &Dims| (dims.vocabulary, dims.audio_context, dims.text_context, dims.mels);
    if same(small) != same(wide) {
        return Err("its vocabulary, contexts or spectrogram are not those of the English models".into());
    }
    for spec in small.tensors() {
        match model.tensors.get(spec.name.as_str()) {
            None => return Err(format!("it has no tensor {}", spec.name)),
            Some(tensor) if tensor.shape != spec.shape => {
                return Err(format!("tensor {} is {:?}, not {:?}", spec.name, tensor.shape, spec.shape));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Writes the wide model. `model` has passed [`check`].
fn write(model: &Model<'_>, wide: &Dims, out: &mut impl Write) -> io::Result<()> {
    let number = |it: usize| u32::try_from(it).map_err(io::Error::other).map(u32::to_le_bytes);
    out.write_all(&MAGIC.to_le_bytes())?;
    for it in [
        wide.vocabulary,
        wide.audio_context,
        wide.width,
        wide.heads,
        wide.audio_layers,
        wide.text_context,
        wide.width,
        wide.heads,
        wide.text_layers,
        wide.mels,
    ] {
        out.write_all(&number(it)?)?;
    }
    out.write_all(&F16.to_le_bytes())?;
    out.write_all(model.tables)?;
    for spec in wide.tensors() {
        out.write_all(&number(spec.shape.len())?)?;
        out.write_all(&number(spec.name.len())?)?;
        out.write_all(&if spec.half { F16 } else { F32 }.to_le_bytes())?;
        for size in &spec.shape {
            out.write_all(&number(*size)?)?;
        }
        out.write_all(spec.name.as_bytes())?;
        let copies = wide.width / model.dims.width;
        rows(&spec, model.tensors.get(spec.name.as_str()), copies, out)?;
    }
    Ok(())
}

/// How a tensor's rows (all dimensions but the last) and their number grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Growth {
    /// By copies.
    Copies,
    /// By zeros.
    Zeros,
}

/// Rows inwards, rows outwards.
fn growth(name: &str) -> (Growth, Growth) {
    let is = |part: &str| name.contains(part);
    if is("positional_embedding") || is("token_embedding") {
        // A row is a place of the stream; there are as many rows as before.
        return (Growth::Copies, Growth::Zeros);
    }
    // A row feeds one unit of the output: copies if that is the stream, else zeros for the units that are new.
    let into_stream = is("conv") || is("_ln.") || is(".ln") || is(".out.") || is(".mlp.2.");
    (Growth::Zeros, if into_stream { Growth::Copies } else { Growth::Zeros })
}

fn rows(spec: &Spec, source: Option<&Tensor<'_>>, copies: usize, out: &mut impl Write) -> io::Result<()> {
    let value_bytes = if spec.half { 2 } else { 4 };
    let count: usize = spec.shape.iter().product();
    let Some(source) = source else {
        // A layer that the small model does not have.
        return zeros(count * value_bytes, out);
    };
    let (inwards, outwards) = growth(&spec.name);
    let wide_rows = *spec.shape.last().unwrap_or(&1);
    let small_rows = *source.shape.last().unwrap_or(&1);
    let wide_row = count / wide_rows * value_bytes;
    let scale = if spec.name.starts_with("decoder.ln.") { 1.0 / copies as f32 } else { 1.0 };
    let values = source.values();
    let encoded: Vec<Vec<u8>> = values
        .chunks_exact(values.len() / small_rows)
        .map(|row| {
            let mut bytes = encode(row, scale, spec.half);
            match inwards {
                Growth::Copies => bytes = bytes.repeat(copies),
                Growth::Zeros => bytes.resize(wide_row, 0),
            }
            bytes
        })
        .collect();
    for row in 0..wide_rows {
        match outwards {
            Growth::Copies => out.write_all(&encoded[row % small_rows])?,
            Growth::Zeros if row < small_rows => out.write_all(&encoded[row])?,
            Growth::Zeros => return zeros((wide_rows - row) * wide_row, out),
        }
    }
    Ok(())
}

fn encode(values: &[f32], scale: f32, half: bool) -> Vec<u8> {
    if half {
        values.iter().flat_map(|value| f16::from_f32(value * scale).to_le_bytes()).collect()
    } else {
        values.iter().flat_map(|value| (value * scale).to_le_bytes()).collect()
    }
}

fn zeros(mut bytes: usize, out: &mut impl Write) -> io::Result<()> {
    const ZEROS: [u8; 4096] = [0; 4096];
    while bytes > 0 {
        let some = bytes.min(ZEROS.len());
        out.write_all(&ZEROS[..some])?;
        bytes -= some;
    }
    Ok(())
}
