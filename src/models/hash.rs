//! SHA-256 of files, piece by piece.

use std::{fs, io::Read as _, path::Path};

use sha2::{Digest as _, Sha256};

use super::Error;

/// Bytes read at a time.
const PIECE_BYTES: usize = 1 << 20;

/// A hash that grows.
#[derive(Debug, Clone, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of all bytes so far, in lower-case hexadecimal.
    pub fn hex(&self) -> String {
        use std::fmt::Write as _;
        self.0.clone().finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
            // Writing into a text cannot fail.
            let _always = write!(text, "{byte:02x}");
            text
        })
    }
}

/// The hash of a file. Reads all of it: about a second per gigabyte; blocks.
pub fn of_file(path: &Path) -> Result<String, Error> {
    let failed = |error| Error::file(path, error);
    let mut file = fs::File::open(path).map_err(failed)?;
    let mut hasher = Hasher::default();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match file.read(&mut piece).map_err(failed)? {
            0 => return Ok(hasher.hex()),
            bytes => hasher.update(&piece[..bytes]),
        }
    }
}
