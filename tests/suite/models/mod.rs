//! Tests of `models`, with small stand-ins for files of hundreds of megabytes and real servers on loopback.

use std::{path::Path, time::Duration};

use floe::models::{
    Manifest, Shelf,
    fetch::{Fetcher, Patience},
    hash::Hasher,
};

mod choose;
mod command;
mod fetch;
mod import;
mod manifest;
mod server;
mod trouble;
#[cfg(feature = "whisper")]
mod widen;

/// Bytes that differ from file to file, and from place to place.
fn payload(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

fn sha256(bytes: &[u8]) -> String {
    let mut hasher = Hasher::default();
    hasher.update(bytes);
    hasher.hex()
}

/// One entry of a manifest.
struct Entry<'a> {
    name: &'a str,
    family: &'a str,
    language: &'a str,
    bundled: bool,
    /// Names and contents.
    files: &'a [(&'a str, &'a [u8])],
}

/// A manifest whose files are below `base`.
fn manifest(base: &str, entries: &[Entry<'_>]) -> Manifest {
    let mut text = "version = 1\n".to_owned();
    for entry in entries {
        text += &format!(
            "[[model]]\nname = {:?}\nfamily = {:?}\nbundled = {}\nlanguage = {:?}\nlicence = \"MIT\"\nmemory_bytes = 1\n\
             good_for = \"tests\"\n",
            entry.name, entry.family, entry.bundled, entry.language
        );
        for (name, content) in entry.files {
            let url = if entry.bundled { String::new() } else { format!("{base}/{name}") };
            let (bytes, sha256) = (content.len(), sha256(content));
            text += &format!("[[model.file]]\nname = {name:?}\nbytes = {bytes}\nsha256 = {sha256:?}\nurl = {url:?}\n");
        }
    }
    Manifest::parse(&text).unwrap()
}

/// A shelf with one model, `tiny.en`, of one file, `tiny.bin`.
fn shelf(base: &str, folder: &Path, content: &[u8]) -> Shelf {
    let files = [("tiny.bin", content)];
    let entry = Entry { name: "tiny.en", family: "whisper", language: "en", bundled: false, files: &files };
    Shelf::new(manifest(base, &[entry]), folder)
}

/// Quick to try again, and quick to give up.
fn patience() -> Patience {
    Patience {
        connect: Duration::from_secs(5),
        stall: Duration::from_secs(5),
        pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(5),
        ..Patience::default()
    }
}

fn fetcher() -> Fetcher {
    impatient(patience())
}

fn impatient(patience: Patience) -> Fetcher {
    // Fails if another test of this process was first.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    Fetcher::new("", patience).unwrap()
}

/// Everything in a folder that is not one of Floe's own notes.
fn entries(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| !name.contains("floe-models.json")).collect();
    names.sort();
    names
}
