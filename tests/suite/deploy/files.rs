//! What stands in the other files of a deployment is true of the program.

use std::{collections::BTreeSet, fs, path::Path};

use floe::config;

/// Words that begin like this and go on in capitals.
fn words(text: &str, prefix: &str) -> BTreeSet<String> {
    let is_part = |letter: char| letter.is_ascii_uppercase() || letter == '_';
    let parts = text.split(|letter| !is_part(letter));
    parts.filter(|word| word.starts_with(prefix) && !word.ends_with('_')).map(str::to_owned).collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[test]
fn every_setting_of_image_unit_and_compose_file_exists() {
    let known: BTreeSet<String> = config::keys().iter().map(config::Key::variable).collect();
    for file in ["Dockerfile", "deploy/compose.yaml", "deploy/floe@.service"] {
        let mut named = words(&read(file), "FLOE_");
        assert!(named.remove("FLOE_CONFIG") || file == "Dockerfile", "{file} names no file with the secrets");
        assert!(!named.is_empty(), "{file} sets nothing");
        // One that does not exist keeps Floe from starting.
        assert!(named.is_subset(&known), "{file}: {:?}", named.difference(&known));
    }
}

#[test]
fn the_compose_file_sets_only_what_the_caddyfile_reads() {
    let read_there = words(&read("Caddyfile"), "SITE");
    assert!(read_there.len() >= 8, "{read_there:?}");
    let set = words(&read("deploy/compose.yaml"), "SITE");
    assert!(set.is_subset(&read_there), "{:?}", set.difference(&read_there));
}

#[test]
fn whoever_stops_an_instance_waits_long_enough() {
    // The notice, the replies in progress and what comes after them, the last records.
    let server = floe::http::Config::default();
    let needed_s = 5 + server.drain_ms / 1_000 + 4 + 10;
    for (file, key) in [("deploy/compose.yaml", "stop_grace_period: "), ("deploy/floe@.service", "TimeoutStopSec=")] {
        let text = read(file);
        let said = text.split(key).nth(1).unwrap().split(|letter: char| !letter.is_ascii_digit()).next().unwrap();
        assert!(said.parse::<u64>().unwrap() >= needed_s, "{file}: {said} s of {needed_s}");
        assert!(
            text.contains("FLOE_SERVER_DRAIN_NOTICE_MS: \"5000\"") || text.contains("FLOE_SERVER_DRAIN_NOTICE_MS=5000")
        );
    }
}
