//! `floe doctor` and `floe check-config`: what is here, what is missing, how to get it, and what is set.

use std::{
    io::{self, Write as _},
    path::Path,
    process::{Command, ExitCode, Stdio},
};

use serde::Serialize;

use crate::{
    config::{self, Config, Loaded},
    models::{Shelf, choose, speed},
    store::{self, shared},
    tts::{self, Engine},
};

/// One thing looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub name: &'static str,
    /// Whether Floe can work with it as it is.
    pub ok: bool,
    /// What was found.
    pub found: String,
    /// What to do, if it is not.
    pub fix: String,
}

/// Looks at everything the configured engines need.
pub async fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = vec![processor(), model(config)];
    if matches!(config.tts.engine, Engine::Auto | Engine::Espeak | Engine::Piper) {
        findings.push(program("espeak-ng", "--version", "apt install espeak-ng"));
    }
    if matches!(config.tts.engine, Engine::Auto | Engine::Piper) {
        match config.voice() {
            Ok(tts) => findings.extend([neural_voice(&tts), neural_runtime(&tts)]),
            Err(error) => findings.push(Finding {
                name: "neural voice",
                ok: false,
                found: error.to_string(),
                fix: GET_A_VOICE.into(),
            }),
        }
    }
    findings.push(address(&config.server.listen));
    findings.push(database(&config.store).await);
    if config.redis.is_shared() {
        findings.push(redis(&config.redis).await);
    }
    findings
}

/// Looks and leaves no trace: neither a file nor a table is made.
async fn database(config: &store::Config) -> Finding {
    let engine = config.chosen();
    let (ok, found) = match engine {
        store::Engine::None => (true, "none: conversations are not kept".to_owned()),
        store::Engine::Sqlite | store::Engine::Auto => {
            let file = config.file();
            match std::fs::metadata(&file) {
                Ok(found) => (true, format!("{} ({} kB)", file.display(), found.len() / 1_000)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    (true, format!("{} will be made when Floe first serves", file.display()))
                }
                Err(error) => (false, format!("{}: {error}", file.display())),
            }
        }
        store::Engine::Postgres => match store::look(config).await {
            Ok(found) => (true, found),
            Err(error) => (false, error.to_string()),
        },
    };
    let fix = match engine {
        store::Engine::Postgres => {
            "Check store.url (DATABASE_URL) and that the server runs; until then turns wait in the spool."
        }
        _ => "Set store.dir (FLOE_STORE_DIR) to a directory that this user may write.",
    };
    Finding { name: "store", ok, found, fix: fix.into() }
}

async fn redis(config: &shared::Config) -> Finding {
    let found = shared::look(config).await;
    Finding {
        name: "redis",
        ok: found.is_ok(),
        found: found.unwrap_or_else(|error| error),
        fix: "Check redis.url (REDIS_URL) and that the server runs; without it Floe works, and shares nothing.".into(),
    }
}

fn processor() -> Finding {
    #[cfg(target_arch = "x86_64")]
    let missing: Vec<&str> = [
        ("avx2", std::arch::is_x86_feature_detected!("avx2")),
        ("fma", std::arch::is_x86_feature_detected!("fma")),
        ("f16c", std::arch::is_x86_feature_detected!("f16c")),
        ("bmi2", std::arch::is_x86_feature_detected!("bmi2")),
    ]
    .into_iter()
    .filter_map(|(name, here)| (!here).then_some(name))
    .collect();
    #[cfg(not(target_arch = "x86_64"))]
    let missing: Vec<&str> = Vec::new();
    Finding {
        name: "processor",
        ok: missing.is_empty(),
        found: if missing.is_empty() {
            "has what speech recognition needs".into()
        } else {
            format!("lacks {}", missing.join(", "))
        },
        fix: "Use a processor of 2013 or later, or build Floe on this machine with GGML_NATIVE=ON.".into(),
    }
}

fn model(config: &Config) -> Finding {
    const NAME: &str = "speech model";
    if config.stt.engine != "whisper" {
        let found = format!("not needed by stt.engine = {:?}", config.stt.engine);
        return Finding { name: NAME, ok: true, found, fix: String::new() };
    }
    let language = config.speech_language();
    let choice = Shelf::configured(&config.models)
        .and_then(|shelf| choose::choose(&shelf, &config.stt.model, language, config.stt.trust_model, &speed::measure));
    let size = |path: &Path| std::fs::metadata(path).map(|file| file.len());
    let (ok, found) = match choice {
        Err(error) => (false, error.to_string()),
        Ok(choice) => match size(&choice.path) {
            Err(error) => (false, format!("{}: {error}", choice.path.display())),
            Ok(bytes) => {
                let why = choice.why.map(|why| format!("; auto: {why}")).unwrap_or_default();
                let hint =
                    if choice.bundled { "; knows few words, for real speech: floe models fetch base.en" } else { "" };
                let path = choice.path.display();
                (bytes > 0, format!("{}, {path} ({} MB){why}{hint}", choice.name, bytes / 1_000_000))
            }
        },
    };
    let fix = "Get a model with `floe models fetch base.en` (`floe models list` shows all), or set stt.model (FLOE_STT_MODEL).";
    Finding { name: NAME, ok, found, fix: fix.into() }
}

const GET_A_VOICE: &str = "Get a voice with `floe models fetch en_US-ljspeech-high`, or set tts.engine = \"espeak\".";

fn neural_voice(config: &tts::Config) -> Finding {
    let voice = tts::neural_voice(config);
    let needed = config.engine == Engine::Piper;
    Finding {
        name: "neural voice",
        ok: matches!(&voice, Ok(found) if found.is_some() || !needed),
        found: match voice {
            Ok(Some(voice)) => format!("{voice} loads and speaks"),
            Ok(None) => format!("none for {:?} in {}; espeak-ng speaks", config.language, config.piper.folder),
            Err(error) => error.message,
        },
        fix: GET_A_VOICE.into(),
    }
}

fn neural_runtime(config: &tts::Config) -> Finding {
    let runtime = tts::neural_runtime(config);
    Finding {
        name: "voice runtime",
        ok: runtime.is_ok(),
        found: runtime.unwrap_or_else(|error| error.message),
        fix: "Get the library again (see Voices in docs/operations.md), or set tts.piper.runtime = \"rten\".".into(),
    }
}

fn program(name: &'static str, argument: &str, install: &str) -> Finding {
    let output = Command::new(name).arg(argument).stdin(Stdio::null()).output();
    let (ok, found) = match output {
        Ok(output) if output.status.success() => {
            (true, String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().trim().to_owned())
        }
        Ok(output) => (false, format!("ends with {}", output.status)),
        Err(error) => (false, error.to_string()),
    };
    Finding { name, ok, found, fix: install.into() }
}

fn address(listen: &str) -> Finding {
    let bound = std::net::TcpListener::bind(listen);
    Finding {
        name: "address",
        ok: bound.is_ok(),
        found: match bound {
            Ok(_) => format!("{listen} is free"),
            Err(error) => format!("{listen}: {error}"),
        },
        fix: "Stop what listens there (another Floe?), or choose another address with --listen.".into(),
    }
}

/// Prints what [`examine`] found; fails if something is missing.
pub async fn print(config: &Config, json: bool) -> anyhow::Result<ExitCode> {
    let findings = examine(config).await;
    let ok = findings.iter().all(|finding| finding.ok);
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::json!({ "ok": ok, "findings": findings }))?;
    } else {
        for finding in &findings {
            writeln!(out, "{} {:14} {}", if finding.ok { "ok     " } else { "MISSING" }, finding.name, finding.found)?;
            if !finding.ok {
                writeln!(out, "{:22} → {}", "", finding.fix)?;
            }
        }
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints every key, its value and where that came from.
pub fn print_config(loaded: &Loaded, json: bool) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    let mut object = serde_json::Map::new();
    for key in config::keys() {
        let (value, place) = match loaded.set.get(&key.name) {
            Some((value, place)) => (value.clone(), *place),
            None => (key.default.clone(), "default"),
        };
        if json {
            let entry =
                serde_json::json!({ "value": value, "from": place, "variable": key.variable(), "doc": key.doc });
            object.insert(key.name, entry);
        } else {
            writeln!(out, "{:36} = {value:24} # {place}; {}", key.name, key.doc)?;
        }
    }
    if json {
        writeln!(out, "{}", serde_json::Value::Object(object))?;
    }
    Ok(ExitCode::SUCCESS)
}
