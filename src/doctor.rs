//! `floe doctor` and `floe check-config`: what is here, what is missing, how to get it, and what is set.

use std::{
    io::{self, Write as _},
    path::Path,
    process::{Command, ExitCode, Stdio},
};

use serde::Serialize;

use crate::{
    config::{self, Config, Loaded},
    store::{self, Engine},
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
    let mut findings = vec![processor(), model(&config.stt.model, &config.stt.engine)];
    if config.tts.engine == crate::tts::Engine::Espeak {
        findings.push(program("espeak-ng", "--version", "apt install espeak-ng"));
    }
    findings.push(address(&config.server.listen));
    findings.push(database(&config.store).await);
    findings
}

/// Looks and leaves no trace: neither a file nor a table is made.
async fn database(config: &store::Config) -> Finding {
    let engine = config.chosen();
    let (ok, found) = match engine {
        Engine::None => (true, "none: conversations are not kept".to_owned()),
        Engine::Sqlite | Engine::Auto => {
            let file = config.file();
            match std::fs::metadata(&file) {
                Ok(found) => (true, format!("{} ({} kB)", file.display(), found.len() / 1_000)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    (true, format!("{} will be made when Floe first serves", file.display()))
                }
                Err(error) => (false, format!("{}: {error}", file.display())),
            }
        }
        Engine::Postgres => match store::look(config).await {
            Ok(found) => (true, found),
            Err(error) => (false, error.to_string()),
        },
    };
    let fix = match engine {
        Engine::Postgres => {
            "Check store.url (DATABASE_URL) and that the server runs; until then turns wait in the spool."
        }
        _ => "Set store.dir (FLOE_STORE_DIR) to a directory that this user may write.",
    };
    Finding { name: "store", ok, found, fix: fix.into() }
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

fn model(path: &Path, engine: &str) -> Finding {
    if engine != "whisper" {
        return Finding {
            name: "speech model",
            ok: true,
            found: format!("not needed by stt.engine = {engine:?}"),
            fix: String::new(),
        };
    }
    let size = std::fs::metadata(path).map(|file| file.len());
    Finding {
        name: "speech model",
        ok: size.as_ref().is_ok_and(|&bytes| bytes > 0),
        found: match size {
            Ok(bytes) => format!("{} ({} MB)", path.display(), bytes / 1_000_000),
            Err(error) => format!("{}: {error}", path.display()),
        },
        fix: "Set stt.model (FLOE_STT_MODEL) to a whisper.cpp model file; models/floe-demo.en.bin comes with Floe."
            .into(),
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
