//! Has Floe compiled anew when the page was built anew: its files become part of the binary.

use std::path::Path;

fn main() {
    // Cargo takes a folder that is not there for one that always changes; until it is, its parent is watched.
    let built = Path::new("web-client/dist");
    let watched = if built.is_dir() { built } else { Path::new("web-client") };
    println!("cargo::rerun-if-changed={}", watched.display());
}
