//! Settings: where they come from, what wrong ones are told, and that the README knows them all.

use std::io::Write as _;

use floe::config::{self, Error};

fn none() -> Vec<(String, String)> {
    Vec::new()
}

fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[test]
fn the_default_needs_nothing() {
    let loaded = config::load(None, none(), &[]).unwrap();
    assert_eq!(loaded.config.server.listen, "127.0.0.1:8080");
    assert!(loaded.set.is_empty());
}

#[test]
fn flags_beat_the_environment_and_that_beats_the_file() {
    let file = file("[session]\nsilence_ms = 700\nmin_speech_ms = 50\npreroll_ms = 200\n");
    let environment = env(&[("FLOE_SESSION_SILENCE_MS", "800"), ("FLOE_SESSION_MIN_SPEECH_MS", "60")]);
    let loaded = config::load(Some(file.path()), environment, &["session.silence_ms=900".into()]).unwrap();
    let session = &loaded.config.session;
    assert_eq!((session.silence_ms, session.min_speech_ms, session.preroll_ms), (900, 60, 200));
    assert_eq!(loaded.set["session.silence_ms"].1, "flag");
    assert_eq!(loaded.set["session.preroll_ms"].1, "file");
}

#[test]
fn unknown_keys_suggest_the_right_one() {
    let wrong = file("[session]\nsilense_ms = 700\n");
    let error = config::load(Some(wrong.path()), none(), &[]).unwrap_err();
    assert!(error.to_string().contains("session.silence_ms"), "{error}");
    let error = config::load(None, env(&[("FLOE_STT_MODLE", "x")]), &[]).unwrap_err();
    assert!(error.to_string().contains("FLOE_STT_MODEL"), "{error}");
    let error = config::load(None, none(), &["server.lisen=x".into()]).unwrap_err();
    assert!(error.to_string().contains("server.listen"), "{error}");
    assert!(matches!(config::load(None, none(), &["server.listen".into()]), Err(Error::NoValue(_))));
}

#[test]
fn wrong_values_name_the_key() {
    let error = config::load(None, env(&[("FLOE_SESSION_SILENCE_MS", "soon")]), &[]).unwrap_err();
    assert!(error.to_string().contains("session.silence_ms"), "{error}");
    let error = config::load(Some(std::path::Path::new("/nowhere.toml")), none(), &[]).unwrap_err();
    assert!(error.to_string().contains("/nowhere.toml"), "{error}");
}

#[test]
fn keys_that_look_like_numbers_stay_texts_and_secrets_stay_secret() {
    let environment = env(&[("OPENAI_API_KEY", "12345"), ("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")]);
    let loaded = config::load(None, environment, &[]).unwrap();
    let hidden: Vec<_> = loaded.set.iter().filter(|(name, _)| name.ends_with("api_key")).collect();
    assert!(!hidden.is_empty());
    assert!(hidden.iter().all(|(_, (value, _))| !value.contains("12345")), "{hidden:?}");
    assert!(!format!("{loaded:?}").contains("12345"));
    assert!(loaded.set.keys().any(|name| name == "agent.openai.remote.base_url"), "{:?}", loaded.set.keys());
}

#[test]
fn every_key_has_a_sentence_and_a_unit_where_one_belongs() {
    let keys = config::keys();
    assert!(keys.len() > 40, "only {} keys", keys.len());
    for key in keys {
        assert!(key.doc.ends_with('.'), "{}: {:?} is no sentence", key.name, key.doc);
    }
}

/// The rows of the table between the settings marks of a document.
fn rows(document: &str) -> Vec<String> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
    let text = std::fs::read_to_string(path).unwrap();
    let table = text.split("<!-- settings -->\n").nth(1).and_then(|rest| rest.split("<!-- /settings -->").next());
    table.expect("a table between the marks").lines().skip(2).map(str::to_owned).collect()
}

fn true_rows() -> Vec<String> {
    let safe = |text: &str| text.replace('|', "\\|");
    config::keys()
        .iter()
        .map(|key| format!("| `{}` | `{}` | {} |", key.name, safe(&key.default), safe(&key.doc)))
        .collect()
}

#[test]
fn the_settings_page_is_true_and_whole() {
    let truth = true_rows();
    let shown = rows("docs/configuration.md");
    let missing: Vec<_> = truth.iter().filter(|row| !shown.contains(row)).collect();
    assert!(missing.is_empty(), "docs/configuration.md lacks:\n{}", truth.join("\n"));
    assert_eq!(shown, truth, "docs/configuration.md has rows that are no settings, or another order");
}

#[test]
fn the_readme_says_nothing_untrue_about_settings() {
    let truth = true_rows();
    let shown = rows("README.md");
    assert!(shown.len() >= 25, "only {} rows", shown.len());
    for row in shown {
        assert!(truth.contains(&row), "README.md has a row that is not true: {row}");
    }
}
