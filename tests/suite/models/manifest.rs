//! The manifest that is compiled in, and manifests that must not be.

use floe::models::{
    Error, Manifest,
    ggml::shape::SIZES,
    manifest::{Family, MULTILINGUAL},
};

#[test]
fn the_manifest_has_what_it_promises() {
    let manifest = Manifest::embedded().unwrap();
    for base in ["tiny", "base", "small"] {
        for language in ["", ".en"] {
            for variant in ["-q5_1", "-q8_0", ""] {
                let model = manifest.find(&format!("{base}{language}{variant}")).unwrap();
                assert_eq!((model.family, model.licence.as_str()), (Family::Whisper, "MIT"));
                assert_eq!(model.language, if language.is_empty() { MULTILINGUAL } else { "en" });
                assert_eq!(model.main_file().name, format!("ggml-{}.bin", model.name));
                assert!(model.memory_bytes > model.bytes(), "{} needs more memory than its file", model.name);
            }
        }
    }
    for language in ["en", "de", "fr", "es", "it", "pt", "zh", "ru", "pl"] {
        let mut voices = manifest.models().iter().filter(|it| it.family == Family::Piper);
        let voice = voices.find(|it| it.language == language).unwrap_or_else(|| panic!("no voice for {language}"));
        let names: Vec<&str> = voice.files.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, [format!("{}.onnx", voice.name), format!("{}.onnx.json", voice.name)]);
    }
}

#[test]
fn every_address_is_pinned_to_a_revision_and_every_hash_stands_once() {
    let manifest = Manifest::embedded().unwrap();
    let mut hashes = std::collections::BTreeSet::new();
    for file in manifest.models().iter().flat_map(|model| &model.files) {
        assert!(hashes.insert(&file.sha256), "{} has the hash of another file", file.name);
        if !file.url.is_empty() {
            let revision = file.url.split('/').find(|it| it.len() == 40 && it.bytes().all(|it| it.is_ascii_hexdigit()));
            assert!(file.url.starts_with("https://") && revision.is_some(), "{}", file.url);
            assert!(file.url.ends_with(&format!("/{}", file.name)), "{}", file.url);
        }
    }
}

#[test]
fn later_recognisers_are_bigger_or_know_one_language_better() {
    let manifest = Manifest::embedded().unwrap();
    let sizes: Vec<u64> = SIZES.iter().map(|(name, _)| manifest.find(name).unwrap().bytes()).collect();
    assert!(sizes.is_sorted());
    let place = |name: &str| manifest.models().iter().position(|it| it.name == name).unwrap();
    for (worse, better) in
        [("tiny.en", "base-q5_1"), ("base", "base.en"), ("base.en", "small-q5_1"), ("small-q8_0", "small")]
    {
        assert!(place(worse) < place(better), "{worse} stands behind {better}");
    }
}

#[cfg(feature = "whisper")]
#[test]
fn the_bundled_model_is_what_the_manifest_says() {
    let manifest = Manifest::embedded().unwrap();
    let entry = manifest.bundled().unwrap().main_file();
    let bytes = std::fs::read(crate::support::bundled_model()).unwrap();
    assert_eq!(
        (entry.bytes, entry.sha256.clone()),
        (bytes.len() as u64, super::sha256(&bytes)),
        "models/manifest.toml (left) is not up to date with the bundled model (right)"
    );
    assert!(crate::support::bundled_model().ends_with(&entry.name));
}

#[test]
fn a_name_that_is_nearly_right_is_suggested() {
    let manifest = Manifest::embedded().unwrap();
    let near = |name: &str| match manifest.find(name) {
        Err(Error::Unknown { near, .. }) => near,
        other => panic!("{other:?}"),
    };
    assert_eq!(near("base-en").as_deref(), Some("base.en"));
    assert_eq!(near("smal.en").as_deref(), Some("small.en"));
    assert_eq!(near("de_DE-thorsten").as_deref(), Some("de_DE-thorsten-medium"));
    assert_eq!(near("xyzzy"), None);
}

#[test]
fn manifests_that_could_do_harm_are_refused() {
    let entry = |file: &str, sha256: &str, url: &str| {
        format!(
            "version = 1\n[[model]]\nname = \"a\"\nfamily = \"whisper\"\nlanguage = \"en\"\nlicence = \"x\"\nmemory_bytes = 1\n\
             good_for = \"x\"\n[[model.file]]\nname = {file:?}\nbytes = 1\nsha256 = {sha256:?}\nurl = {url:?}\n"
        )
    };
    let hash = "0".repeat(64);
    let whole = entry("a.bin", &hash, "https://example.org/a.bin");
    assert!(Manifest::parse(&whole).is_ok());
    for wrong in [
        entry("../a.bin", &hash, "https://example.org"),
        entry(".hidden", &hash, "https://example.org"),
        entry("", &hash, "https://example.org"),
        entry("a.bin", &"0".repeat(63), "https://example.org"),
        entry("a.bin", &"Z".repeat(64), "https://example.org"),
        entry("a.bin", &hash, ""),
        whole.replace("version = 1", "version = 2"),
        whole.replace("good_for", "goodfor"),
        format!("{whole}{}", whole.replace("version = 1\n", "")),
        "version = 1\n[[model]]\nname = \"a\"\n".into(),
    ] {
        assert!(matches!(Manifest::parse(&wrong), Err(Error::Manifest(_))), "{wrong}");
    }
}
