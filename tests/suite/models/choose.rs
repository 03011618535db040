//! Which model is taken: the best that keeps up, the named one, or a refusal.

use std::{
    cell::RefCell,
    fs,
    path::{Path, PathBuf},
};

use floe::models::{
    Error, Manifest, Shelf,
    choose::{Choice, choose},
    speed::{self, Source},
};

use super::{Entry, manifest, payload};

/// A shelf with these models on it; of a known set, from the worst to the best.
fn shelf(folder: &Path, here: &[&str]) -> Shelf {
    let names = ["bundled", "tiny.en", "base", "base.en", "small.en"];
    let contents: Vec<Vec<u8>> = (1..=names.len()).map(|seed| payload(seed as u64, 1_000)).collect();
    let files: Vec<[(&str, &[u8]); 1]> = names.iter().zip(&contents).map(|(name, it)| [(*name, &it[..])]).collect();
    let entries: Vec<Entry<'_>> = names
        .iter()
        .zip(&files)
        .map(|(name, files)| Entry {
            name,
            family: "whisper",
            language: if *name == "base" { "multilingual" } else { "en" },
            bundled: *name == "bundled",
            files,
        })
        .collect();
    for (name, content) in names.iter().zip(&contents).filter(|(name, _)| here.contains(name)) {
        fs::write(folder.join(name), content).unwrap();
    }
    Shelf::new(manifest("http://127.0.0.1:9", &entries), folder)
}

/// A machine on which these models take so long, and a record of what was measured.
struct Machine {
    slow: &'static [&'static str],
    measured: RefCell<Vec<PathBuf>>,
}

impl Machine {
    fn new(slow: &'static [&'static str]) -> Self {
        Self { slow, measured: RefCell::default() }
    }

    fn auto(&self, shelf: &Shelf, language: &str) -> Result<Choice, Error> {
        self.choose(shelf, "auto", language, false)
    }

    fn choose(&self, shelf: &Shelf, wanted: &str, language: &str, trust: bool) -> Result<Choice, Error> {
        choose(shelf, Path::new(wanted), language, trust, &|path| {
            self.measured.borrow_mut().push(path.to_owned());
            Ok(if self.slow.iter().any(|name| path.ends_with(name)) { 1.5 } else { 0.25 })
        })
    }
}

#[test]
fn auto_takes_the_best_that_keeps_up_and_measures_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = shelf(folder.path(), &["bundled", "tiny.en", "base.en", "small.en"]);
    let machine = Machine::new(&["small.en"]);
    for _ in 0..3 {
        let choice = machine.auto(&shelf, "en").unwrap();
        assert_eq!((choice.name.as_str(), choice.path.clone()), ("base.en", folder.path().join("base.en")));
        let why = choice.why.unwrap();
        assert!(why.contains("4.0 times as fast") && why.contains("small.en is too slow"), "{why}");
    }
    let measured = machine.measured.into_inner();
    assert_eq!(measured, [folder.path().join("small.en"), folder.path().join("base.en")]);
}

#[test]
fn auto_is_the_bundled_model_where_nothing_else_is_or_keeps_up() {
    let folder = tempfile::tempdir().unwrap();
    let alone = shelf(folder.path(), &["bundled"]);
    let machine = Machine::new(&["tiny.en"]);
    let choice = machine.auto(&alone, "en").unwrap();
    assert!(choice.bundled && choice.name == "bundled", "{choice:?}");
    assert_eq!(*machine.measured.borrow(), Vec::<PathBuf>::new(), "there is nothing to choose between");
    let slow = shelf(folder.path(), &["bundled", "tiny.en"]);
    assert!(machine.auto(&slow, "en").unwrap().bundled);
}

#[test]
fn auto_wants_a_model_that_knows_the_language() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = shelf(folder.path(), &["bundled", "base", "small.en"]);
    let machine = Machine::new(&[]);
    for (language, name) in [("en-GB", "small.en"), ("de", "base"), ("pt-BR", "base"), ("", "small.en")] {
        assert_eq!(machine.auto(&shelf, language).unwrap().name, name, "{language:?}");
    }
}

#[test]
fn auto_does_not_load_a_damaged_file() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = shelf(folder.path(), &["bundled", "tiny.en"]);
    fs::write(folder.path().join("tiny.en"), payload(99, 1_000)).unwrap();
    let machine = Machine::new(&[]);
    let choice = machine.auto(&shelf, "en").unwrap();
    assert!(choice.bundled && choice.why.unwrap().contains("tiny.en is damaged"));
    fs::write(folder.path().join("bundled"), payload(99, 1_000)).unwrap();
    assert!(matches!(machine.auto(&shelf, "en"), Err(Error::WrongHash { .. })));
    fs::remove_file(folder.path().join("bundled")).unwrap();
    let error = machine.auto(&shelf, "en").unwrap_err();
    assert!(matches!(error, Error::NoModel(_)) && error.to_string().contains("floe models fetch base.en"), "{error}");
}

#[test]
fn a_model_whose_speed_cannot_be_told_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = shelf(folder.path(), &["bundled", "tiny.en"]);
    let broken = |path: &Path| Err(Error::Measure { path: path.to_owned(), reason: "no reason".into() });
    let choice = choose(&shelf, Path::new("auto"), "en", false, &broken).unwrap();
    assert!(choice.bundled && choice.why.unwrap().contains("no reason"));
}

#[test]
fn a_named_model_is_taken_as_it_is_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = shelf(folder.path(), &["small.en"]);
    let machine = Machine::new(&["small.en"]);
    let choice = machine.choose(&shelf, "small.en", "en", false).unwrap();
    assert_eq!((choice.path, choice.why), (folder.path().join("small.en"), None));
    assert_eq!(*machine.measured.borrow(), Vec::<PathBuf>::new(), "who names one wants that one");
    let error = machine.choose(&shelf, "base.en", "en", false).unwrap_err();
    assert!(
        matches!(error, Error::NotHere { .. }) && error.to_string().contains("floe models fetch base.en"),
        "{error}"
    );
    fs::write(folder.path().join("small.en"), b"damaged").unwrap();
    assert!(matches!(machine.choose(&shelf, "small.en", "en", true), Err(Error::WrongHash { .. })));
}

#[test]
fn a_file_is_loaded_if_somebody_vouches_for_it() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let shelf = shelf(folder.path(), &["tiny.en"]);
    let machine = Machine::new(&[]);
    let copy = elsewhere.path().join("renamed.bin");
    fs::copy(folder.path().join("tiny.en"), &copy).unwrap();
    let known = machine.choose(&shelf, copy.to_str().unwrap(), "en", false).unwrap();
    assert_eq!((known.path, known.name.as_str()), (copy, "tiny.en"));
    let own = elsewhere.path().join("own.bin");
    fs::write(&own, payload(50, 1_000)).unwrap();
    let own = own.to_str().unwrap();
    let error = machine.choose(&shelf, own, "en", false).unwrap_err();
    assert!(matches!(error, Error::Untrusted { .. }) && error.to_string().contains("floe serve --trust"), "{error}");
    assert_eq!(machine.choose(&shelf, own, "en", true).unwrap().path, Path::new(own));
    shelf.trust(&super::sha256(&payload(50, 1_000)), "a test").unwrap();
    assert_eq!(machine.choose(&shelf, own, "en", false).unwrap().path, Path::new(own));
    // The engine says what is wrong with a file that is not there.
    let missing = elsewhere.path().join("missing.bin");
    assert_eq!(machine.choose(&shelf, missing.to_str().unwrap(), "en", false).unwrap().path, missing);
}

#[test]
fn a_voice_is_no_recogniser() {
    let embedded = Shelf::new(Manifest::embedded().unwrap(), "nowhere");
    let error = Machine::new(&[]).choose(&embedded, "en_GB-alba-medium", "en", false).unwrap_err();
    assert!(error.to_string().contains("cannot listen"), "{error}");
}

#[test]
fn an_estimate_says_that_it_is_one_and_grows_with_the_model() {
    let manifest = Manifest::embedded().unwrap();
    let find = |name: &str| manifest.find(name).unwrap();
    let tiny = [(speed::dims(find("tiny.en")).unwrap(), 0.1)];
    let reckoned = |name: &str| speed::estimate(find(name), &tiny);
    let (base, small) = (reckoned("base.en").unwrap(), reckoned("small-q5_1").unwrap());
    assert_eq!((base.source, small.source), (Source::Estimate, Source::Estimate));
    assert!(0.1 < base.factor && base.factor < small.factor, "{base:?} {small:?}");
    assert_eq!(reckoned("de_DE-thorsten-medium"), None);
    assert_eq!(speed::estimate(find("base.en"), &[]), None, "from nothing comes nothing");
}

#[cfg(feature = "whisper")]
#[test]
fn the_bundled_model_keeps_up_on_this_machine() {
    let factor = speed::measure(&crate::support::bundled_model()).unwrap();
    assert!(factor.is_finite() && factor > 0.0, "{factor}");
    let error = speed::measure(Path::new("nowhere.bin")).unwrap_err();
    assert!(matches!(error, Error::Measure { .. }), "{error}");
}

#[test]
fn a_voice_nobody_vouches_for_is_kept_out_unless_the_user_says_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let stranger = folder.path().join("stranger.onnx");
    std::fs::write(&stranger, b"who knows").unwrap();
    let mut config = floe::config::Config::default();
    config.models.folder = folder.path().to_owned();
    assert_eq!(config.voice().unwrap().piper.kept_out, std::slice::from_ref(&stranger));

    config.tts.piper.voice = stranger.display().to_string();
    let refused = config.voice().unwrap_err().to_string();
    assert!(refused.contains("floe serve --trust"), "{refused}");
    config.tts.piper.trust_voice = true;
    let trusted = config.voice().unwrap().piper;
    assert_eq!((trusted.kept_out.len(), trusted.folder), (0, folder.path().display().to_string()));

    config.tts.piper.trust_voice = false;
    let shelf = Shelf::configured(&config.models).unwrap();
    shelf.trust(&shelf.hash(&stranger).unwrap(), "the test").unwrap();
    assert!(config.voice().unwrap().piper.kept_out.is_empty());
}
