//! The house rules that a compiler cannot check: who may import whom, how long a file may be, what it may be called.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// What each module may import of ours. Arrows only go down this list.
const IMPORTS: &[(&str, &[&str])] = &[
    ("ids", &[]),
    ("audio", &[]),
    ("conversation", &["ids", "audio"]),
    ("engine", &[]),
    ("compute", &["ids", "audio", "engine"]),
    ("vad", &["audio", "ids", "compute", "engine"]),
    ("stt", &["audio", "ids", "compute", "engine"]),
    ("agent", &["audio", "ids", "compute", "engine"]),
    ("tts", &["audio", "ids", "compute", "engine"]),
    ("models", &["stt"]),
    ("protocol", &["conversation", "audio", "ids"]),
    ("telemetry", &["conversation"]),
    ("store", &["ids", "telemetry"]),
    ("auth", &["ids", "store", "telemetry"]),
    ("tape", &["audio", "ids", "store", "telemetry"]),
    (
        "session",
        &[
            "conversation",
            "protocol",
            "audio",
            "ids",
            "engine",
            "vad",
            "stt",
            "agent",
            "tts",
            "store",
            "tape",
            "telemetry",
        ],
    ),
    ("reach", &[]),
    ("jobs", &["ids", "agent", "engine", "store", "reach", "telemetry"]),
    ("recite", &["session", "conversation", "audio", "ids", "tts"]),
    ("transcribe", &["session", "conversation", "audio", "engine", "vad"]),
    ("converse", &["session", "transcribe", "protocol", "conversation", "audio", "ids", "store"]),
    (
        "http",
        &[
            "auth",
            "session",
            "protocol",
            "conversation",
            "audio",
            "ids",
            "store",
            "tape",
            "telemetry",
            "jobs",
            "reach",
            "recite",
            "transcribe",
            "converse",
        ],
    ),
    ("caller", &["protocol", "audio", "ids"]),
    ("replay", &["caller", "protocol", "audio", "ids"]),
    ("shutdown", &[]),
    (
        "config",
        &["auth", "http", "session", "vad", "models", "stt", "agent", "tts", "store", "telemetry", "jobs", "reach"],
    ),
    ("doctor", &["config", "models", "store", "tts"]),
];

/// Crates that only these places may name.
const EXCLUSIVE: &[(&str, &[&str])] = &[
    ("axum", &["http"]),
    ("hyper", &["http"]),
    ("hyper_util", &["http"]),
    ("whisper_rs", &["stt"]),
    ("async_openai", &["agent"]),
    ("symphonia", &["audio"]),
    ("ogg", &["audio"]),
    ("tokio_rustls", &["http"]),
    ("rcgen", &["http"]),
    ("moka", &["auth", "store", "tts"]),
    ("utoipa", &["http", "protocol", "store"]),
    ("utoipa_axum", &["http"]),
    ("utoipa_swagger_ui", &["http"]),
    ("rubato", &["audio"]),
    ("opus", &["audio"]),
    ("earshot", &["vad"]),
    ("rten", &["tts"]),
    ("rten_tensor", &["tts"]),
    ("ort", &["tts"]),
    ("libloading", &["tts"]),
    ("icu_normalizer", &["tts"]),
    ("http_range_header", &["http"]),
    ("figment", &["config"]),
    ("jsonwebtoken", &["auth"]),
    ("oauth2", &["auth"]),
    ("cookie", &["http"]),
    ("sqlx", &["store"]),
    ("redis", &["store"]),
    ("clap", &["auth", "main", "models", "jobs", "replay", "caller", "bin"]),
    ("anyhow", &["main", "app", "doctor", "bin"]),
    ("fs4", &["models"]),
    ("half", &["models"]),
    ("indicatif", &["models", "bin"]),
    ("metrics_exporter_prometheus", &["telemetry"]),
    ("tracing_subscriber", &["telemetry"]),
];

/// Crates that these places may not name.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("ids", &["tokio", "serde", "serde_json"]),
    ("audio", &["tokio", "tokio_util", "futures_util"]),
    ("conversation", &["tokio", "tokio_util", "futures_util", "serde", "serde_json", "uuid", "rand", "schemars"]),
    ("protocol", &["tokio", "tokio_util", "futures_util"]),
    ("compute/scheduler.rs", &["tokio", "std::time::Instant"]),
    ("stt/agreement.rs", &["tokio", "std::time::Instant"]),
];

/// Names that say nothing.
const EMPTY_NAMES: &[&str] =
    &["utils", "util", "common", "helpers", "helper", "manager", "types", "prelude", "misc", "service"];

const LINES_MAX: usize = 500;
/// Lines of code, without comments, blank lines and unit tests.
const CONVERSATION_LINES_MAX: usize = 3_000;
const MEDIAN_LINES_MAX: usize = 200;

/// A file below `src`, its module, and its text.
struct Source {
    path: String,
    module: String,
    text: String,
}

impl Source {
    /// The code: no comments, and nothing from the unit tests at the end.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = self.text.find("\n#[cfg(test)]").unwrap_or(self.text.len());
        let lines = self.text.get(..end).unwrap_or_default().lines().enumerate();
        lines.map(|(index, line)| (index + 1, line)).filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&root, &mut files);
    assert!(files.len() > 50, "the walk found only {} files", files.len());
    let source = |file: PathBuf| {
        let path = file.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
        let module = path.split('/').next().unwrap().trim_end_matches(".rs").to_owned();
        Source { path, module, text: fs::read_to_string(file).unwrap() }
    };
    files.into_iter().map(source).collect()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Modules of ours that a line of code names: `crate::a::…` and `crate::{a::…, b}` over several lines.
fn imports(source: &Source) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut depth = 0;
    for (number, line) in source.code() {
        let mut rest = line;
        while let Some(at) = rest.find("crate::") {
            rest = &rest[at + "crate::".len()..];
            if rest.starts_with('{') {
                depth = 1;
                rest = &rest[1..];
                found.extend(group(rest, &mut depth).into_iter().map(|name| (number, name)));
            } else {
                found.push((number, first_word(rest)));
            }
        }
        if depth > 0 && !line.contains("crate::{") {
            found.extend(group(line, &mut depth).into_iter().map(|name| (number, name)));
        }
    }
    found.retain(|(_, name)| !name.is_empty());
    found
}

/// The names at depth one of an open `crate::{` group.
fn group(text: &str, depth: &mut i32) -> Vec<String> {
    let mut names = Vec::new();
    let mut expect = *depth == 1;
    for (at, letter) in text.char_indices() {
        match letter {
            '{' => *depth += 1,
            '}' => *depth -= 1,
            ',' if *depth == 1 => expect = true,
            _ if *depth == 1 && expect && letter.is_alphabetic() => {
                names.push(first_word(&text[at..]));
                expect = false;
            }
            _ => {}
        }
        if *depth == 0 {
            break;
        }
    }
    names
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

#[test]
fn modules_import_only_what_the_table_allows() {
    let table: BTreeMap<&str, &[&str]> = IMPORTS.iter().copied().collect();
    let modules: Vec<String> = sources().into_iter().map(|source| source.module).collect();
    let mut wrong = Vec::new();
    for source in sources() {
        let Some(allowed) = table.get(source.module.as_str()) else { continue };
        for (line, name) in imports(&source) {
            if modules.contains(&name) && name != source.module && !allowed.contains(&name.as_str()) {
                wrong.push(format!("src/{}:{line} imports {name}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "imports against the table:\n{}", wrong.join("\n"));
}

#[test]
fn every_module_stands_in_the_table() {
    let free = ["app", "lib", "main", "bin"];
    for source in sources() {
        let known = free.contains(&source.module.as_str()) || IMPORTS.iter().any(|(name, _)| *name == source.module);
        assert!(known, "src/{}: its module is not in the import table", source.path);
    }
}

#[test]
fn crates_stay_where_they_belong() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (line, code) in source.code() {
            for (name, places) in EXCLUSIVE {
                if names(code, name) && !places.contains(&source.module.as_str()) {
                    wrong.push(format!("src/{}:{line} names {name}", source.path));
                }
            }
            for (place, names_of) in FORBIDDEN {
                let here = source.module == *place || source.path == *place;
                for name in names_of.iter().filter(|name| here && names(code, name)) {
                    wrong.push(format!("src/{}:{line} names {name}", source.path));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "crates out of place:\n{}", wrong.join("\n"));
}

/// Whether code uses a path that begins with this crate (`opus::`, `use opus;`), not merely the word.
fn names(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let begins = before.is_none_or(|letter| {
            !(letter.is_alphanumeric() || letter == '_' || letter == ':' || letter == '"' || letter == '.')
        });
        let leading = code[..at].trim_end();
        let in_path = leading.ends_with("crate::") || leading.ends_with("self::") || leading.ends_with("super::");
        begins && !in_path && code[at + name.len()..].starts_with("::")
    })
}

#[test]
fn files_are_short_introduced_and_well_named() {
    let sources = sources();
    let mut lengths: Vec<usize> = Vec::new();
    for source in &sources {
        let lines = source.text.lines().count();
        lengths.push(lines);
        assert!(lines <= LINES_MAX, "src/{} has {lines} lines, more than {LINES_MAX}", source.path);
        let introduced = source.text.starts_with("//!") || source.text.starts_with("#![doc = include_str!");
        assert!(introduced, "src/{} does not begin with a //! line", source.path);
        for part in source.path.trim_end_matches(".rs").split('/') {
            assert!(!EMPTY_NAMES.contains(&part), "src/{}: {part} says nothing", source.path);
        }
    }
    lengths.sort_unstable();
    let median = lengths[lengths.len() / 2];
    assert!(median <= MEDIAN_LINES_MAX, "the median file has {median} lines, more than {MEDIAN_LINES_MAX}");
    let core = sources.iter().filter(|source| source.module == "conversation");
    let core: usize = core.map(|source| source.code().filter(|(_, line)| !line.trim().is_empty()).count()).sum();
    assert!(core <= CONVERSATION_LINES_MAX, "conversation/ has {core} lines, more than {CONVERSATION_LINES_MAX}");
}

#[test]
fn every_metric_is_counted_and_explained() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap();
    let (code, notes) = (read("src/telemetry/metrics.rs"), read("docs/operations.md"));
    let quoted = code.split('"').skip(1).step_by(2).filter(|text| text.starts_with("voice_"));
    let names: BTreeMap<&str, usize> = quoted.fold(BTreeMap::new(), |mut names, name| {
        *names.entry(name).or_default() += 1;
        names
    });
    assert!(names.len() >= 15, "{names:?}");
    for (name, uses) in names {
        assert!(uses >= 2, "{name} is described and never counted, or the other way round");
        assert!(notes.contains(&format!("`{name}`")), "docs/operations.md does not explain {name}");
    }
}

#[test]
fn the_checks_can_fail() {
    let text = "use crate::{\n    audio::{A, B},\n    session::C,\n};\nlet x = crate::http::D;\n// crate::store::E\n";
    let source = Source { path: "conversation/x.rs".into(), module: "conversation".into(), text: text.into() };
    let found: Vec<String> = imports(&source).into_iter().map(|(_, name)| name).collect();
    assert_eq!(found, ["audio", "session", "http"]);
    assert!(names("use tokio::sync;", "tokio"));
    assert!(names("    ::opus::Decoder", "opus") || names(" opus::Decoder", "opus"));
    assert!(!names("crate::audio::opus::Decoder", "opus"));
    assert!(!names("\"opus\"", "opus"));
}
