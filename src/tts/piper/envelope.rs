//! Whether a file is a whole ONNX file, seen from its outermost lengths.
//!
//! rten 0.27 never returns from a file in which a number has no end (ten bytes with their top bit set), which is what a file
//! of something else may begin with. So the fields of the model and those of its graph are walked here first: a file that
//! breaks off, or is no ONNX file, ends here. Damage deeper inside is found by rten, or by the file's hash.

use std::io::{self, BufRead, Seek};

/// The field of a model that holds its graph.
const GRAPH: u64 = 7;

/// Walks a file of `length` bytes. Blocks; reads a few bytes per weight, not the weights.
pub(super) fn check(mut file: impl BufRead + Seek, length: u64) -> Result<(), String> {
    let mut at = 0;
    let mut graph = None;
    while at < length {
        let (field, kind) = tag(&mut file, &mut at)?;
        let body = extent(&mut file, &mut at, kind, length)?;
        if field == GRAPH && kind == 2 {
            fields(&mut file, &mut at, body)?;
            graph = Some(());
        }
        skip(&mut file, &mut at, body)?;
    }
    graph.ok_or_else(|| "it is no ONNX file: it has no graph".into())
}

/// Walks the fields of a message that ends at `end`.
fn fields(file: &mut (impl BufRead + Seek), at: &mut u64, end: u64) -> Result<(), String> {
    while *at < end {
        let (_, kind) = tag(file, at)?;
        let body = extent(file, at, kind, end)?;
        skip(file, at, body)?;
    }
    Ok(())
}

fn tag(file: &mut impl BufRead, at: &mut u64) -> Result<(u64, u64), String> {
    let tag = number(file, at)?;
    Ok((tag >> 3, tag & 7))
}

/// Where the value that begins at `at` ends, which is not after `end`.
fn extent(file: &mut impl BufRead, at: &mut u64, kind: u64, end: u64) -> Result<u64, String> {
    let length = match kind {
        0 => number(file, at).map(|_| 0)?,
        1 => 8,
        2 => number(file, at)?,
        5 => 4,
        _ => return Err("it is no ONNX file".into()),
    };
    at.checked_add(length).filter(|body| *body <= end).ok_or_else(|| "it breaks off".into())
}

fn skip(file: &mut impl Seek, at: &mut u64, to: u64) -> Result<(), String> {
    let over = i64::try_from(to - *at).map_err(|_| "it breaks off")?;
    *at = to;
    file.seek_relative(over).map_err(words)
}

/// A number of at most ten bytes.
fn number(file: &mut impl BufRead, at: &mut u64) -> Result<u64, String> {
    let mut value = 0;
    for index in 0..10 {
        let mut byte = [0];
        file.read_exact(&mut byte).map_err(words)?;
        *at += 1;
        value |= u64::from(byte[0] & 0x7f) << (7 * index);
        if byte[0] < 0x80 {
            return Ok(value);
        }
    }
    Err("it is no ONNX file".into())
}

fn words(error: io::Error) -> String {
    if error.kind() == io::ErrorKind::UnexpectedEof { "it breaks off".into() } else { error.to_string() }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn checked(bytes: &[u8]) -> Result<(), String> {
        check(Cursor::new(bytes), bytes.len() as u64)
    }

    #[test]
    fn whole_files_pass_and_others_do_not() {
        // ir_version 8; a graph of one field of three bytes.
        let whole = [0x08, 8, 0x3a, 5, 0x12, 3, b'a', b'b', b'c'];
        assert_eq!(checked(&whole), Ok(()));
        for length in 0..whole.len() {
            assert!(checked(&whole[..length]).is_err(), "{length} bytes");
        }
        for wrong in [
            &[0xa5; 40][..],
            b"<!DOCTYPE html>",
            &[0x08, 8],
            &[0x3a, 2, 0x12, 200],
            &[0x3a, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1],
        ] {
            assert!(checked(wrong).is_err(), "{wrong:?}");
        }
    }
}
