//! `floe models …` as a user runs it.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::server::{Answer, Server};

fn floe(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_floe"));
    command.env_clear().env("FLOE_MODELS_FOLDER", folder).args(["models"]).args(arguments);
    command
}

/// Standard output, standard error, and whether it went well.
fn ran(command: &mut Command) -> (String, String, bool) {
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().unwrap();
    (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap(), status.success())
}

#[test]
fn a_path_that_is_not_there_is_a_sentence_and_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let (out, err, ok) = ran(&mut floe(folder.path(), &["path", "base.en"]));
    assert!(!ok && out.is_empty() && err.contains("floe models fetch base.en"), "{out}{err}");
    let (_, err, ok) = ran(&mut floe(folder.path(), &["fetch", "bas.en"]));
    assert!(!ok && err.contains("did you mean base.en?"), "{err}");
}

#[test]
fn nothing_here_still_lists_what_could_be() {
    let folder = tempfile::tempdir().unwrap();
    let (out, err, ok) = ran(&mut floe(folder.path(), &["list"]));
    assert!(ok, "{err}");
    for word in
        ["base.en", "English", "148 MB", "99 languages", "de_DE-thorsten-medium", "German", "floe models fetch NAME"]
    {
        assert!(out.contains(word), "no {word:?} in:\n{out}");
    }
    assert!(!out.contains("base.en-q5_1") && out.contains("--all"), "{out}");
    assert!(out.lines().all(|line| line.chars().count() <= 160), "{out}");
    let (all, ..) = ran(&mut floe(folder.path(), &["list", "--all"]));
    assert!(all.contains("base.en-q5_1"), "{all}");
}

#[cfg(feature = "whisper")]
#[test]
fn a_fresh_machine_lists_the_bundled_model_as_in_use_and_measured() {
    let folder = tempfile::tempdir().unwrap();
    let name = crate::support::bundled_model();
    std::fs::copy(&name, folder.path().join(name.file_name().unwrap())).unwrap();
    let (out, err, ok) = ran(&mut floe(folder.path(), &["list"]));
    assert!(ok, "{err}");
    let line = out.lines().find(|line| line.contains("floe-demo.en")).unwrap();
    assert!(line.starts_with('*') && line.contains("yes (bundled)") && line.contains("times as fast"), "{out}");
    // The second time everything is known, and says the same.
    assert_eq!(ran(&mut floe(folder.path(), &["list"])).0, out);
    let (json, ..) = ran(&mut floe(folder.path(), &["list", "--json"]));
    let rows: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
    let bundled = rows.iter().find(|row| row["name"] == "floe-demo.en").unwrap();
    let told = [&bundled["here"], &bundled["in_use"], &bundled["speed_source"]];
    assert_eq!(told, [&true.into(), &true.into(), &serde_json::Value::from("measured")]);
    let other = rows.iter().find(|row| row["name"] == "small.en").unwrap();
    assert_eq!((&other["here"], &other["speed_source"]), (&false.into(), &"estimate".into()), "never called measured");
    let (out, _, ok) = ran(&mut floe(folder.path(), &["verify"]));
    assert!(ok && out.contains("right"), "{out}");
    let (out, _, ok) = ran(&mut floe(folder.path(), &["path", "floe-demo.en"]));
    assert!(ok && Path::new(out.trim_end()).is_file(), "{out}");
}

#[cfg(feature = "whisper")]
#[test]
fn a_server_takes_what_is_here_and_refuses_what_nobody_vouches_for() {
    let folder = tempfile::tempdir().unwrap();
    let bundled = crate::support::bundled_model();
    std::fs::copy(&bundled, folder.path().join(bundled.file_name().unwrap())).unwrap();
    let mut config = floe::config::Config::default();
    config.models.folder = folder.path().to_owned();
    config.stt.whisper.workers = 1;
    assert_eq!(config.stt.model, Path::new("auto"));
    floe::app::engines(&config).unwrap();
    // A working model with one number changed.
    let mut bytes = std::fs::read(&bundled).unwrap();
    bytes[60] ^= 1;
    config.stt.model = folder.path().join("own.bin");
    std::fs::write(&config.stt.model, bytes).unwrap();
    let error = floe::app::engines(&config).map(drop).unwrap_err();
    assert!(format!("{error:#}").contains("--trust"), "{error:#}");
    config.stt.trust_model = true;
    floe::app::engines(&config).unwrap();
}

#[cfg(feature = "whisper")]
#[test]
fn doctor_says_which_model_it_would_be() {
    let folder = tempfile::tempdir().unwrap();
    let doctor = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_floe"));
        command.env_clear().env("FLOE_MODELS_FOLDER", folder.path()).args(["doctor", "--json"]);
        let report: serde_json::Value = serde_json::from_str(&ran(&mut command).0).unwrap();
        let findings = report["findings"].as_array().unwrap().clone();
        findings.into_iter().find(|it| it["name"] == "speech model").unwrap()
    };
    let none = doctor();
    assert!(none["ok"] == false && none["found"].as_str().unwrap().contains("floe models fetch base.en"), "{none}");
    let bundled = crate::support::bundled_model();
    std::fs::copy(&bundled, folder.path().join(bundled.file_name().unwrap())).unwrap();
    let found = doctor();
    assert!(found["ok"] == true && found["found"].as_str().unwrap().contains("floe-demo.en"), "{found}");
}

#[cfg(feature = "whisper")]
#[test]
fn sizes_that_are_not_here_can_be_measured_with_a_stand_in() {
    let folder = tempfile::tempdir().unwrap();
    let name = crate::support::bundled_model();
    std::fs::copy(&name, folder.path().join(name.file_name().unwrap())).unwrap();
    let (out, err, ok) = ran(&mut floe(folder.path(), &["list", "--measure"]));
    assert!(ok, "{err}");
    for name in ["tiny.en", "base ", "small.en"] {
        let line = out.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
        assert!(line.contains("(stand-in)"), "{out}");
    }
    assert_eq!(super::entries(folder.path()), [name.file_name().unwrap().to_str().unwrap()], "stand-ins are removed");
    assert_eq!(ran(&mut floe(folder.path(), &["list"])).0, out, "and what they showed is remembered");
}

#[tokio::test]
async fn ctrl_c_ends_a_fetch_and_keeps_what_came() {
    let folder = tempfile::tempdir().unwrap();
    // Of the size that the manifest promises, so that its head is believed.
    let server = Server::start([Answer::good(&vec![0; 32_166_155]).stall_after(300_000)]).await;
    let mut command = floe(folder.path(), &["fetch", "tiny.en-q5_1"]);
    command.env("FLOE_MODELS_URL", &server.base).stdin(Stdio::null()).stderr(Stdio::piped());
    let mut child = tokio::process::Command::from(command).kill_on_drop(true).spawn().unwrap();
    let part = folder.path().join("ggml-tiny.en-q5_1.bin.part");
    let come = async {
        while std::fs::metadata(&part).map_or(0, |it| it.len()) < 300_000 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        }
    };
    tokio::time::timeout(Duration::from_secs(60), come).await.expect("it never came");
    let killed = Command::new("kill").args(["-INT", &child.id().unwrap().to_string()]).status().unwrap();
    assert!(killed.success());
    let output = tokio::time::timeout(Duration::from_secs(60), child.wait_with_output()).await.unwrap().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && err.contains("interrupted") && err.contains("same command"), "{err}");
    assert!(std::fs::metadata(&part).unwrap().len() >= 300_000);
    assert_eq!(server.requests()[0].path, "/ggml-tiny.en-q5_1.bin");
}

/// A server with a certificate of its own that answers 404 to everything; the certificate as PEM.
async fn over_tls() -> (String, String, tokio::task::JoinSet<()>) {
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into());
    let config = rustls::ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![own.cert.der().clone()], key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let mut scope = tokio::task::JoinSet::new();
    scope.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that does not like the certificate goes away.
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let _head = stream.read(&mut [0; 4096]).await;
                let _gone = stream.write_all(b"HTTP/1.1 404 no\r\ncontent-length: 0\r\n\r\n").await;
                let _gone = stream.shutdown().await;
            }
        }
    });
    (url, own.cert.pem(), scope)
}

#[tokio::test]
async fn https_is_spoken_and_certificates_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let (url, own, _scope) = over_tls().await;
    let (_, another, _) = over_tls().await;
    std::fs::write(folder.path().join("own.pem"), own).unwrap();
    std::fs::write(folder.path().join("another.pem"), another).unwrap();
    let fetch = |authority: &str| {
        let mut command = floe(folder.path(), &["fetch", "base.en"]);
        command.env("FLOE_MODELS_URL", &url).env("SSL_CERT_FILE", folder.path().join(authority)).stdin(Stdio::null());
        let output = tokio::process::Command::from(command).kill_on_drop(true).output();
        async move { String::from_utf8(output.await.unwrap().stderr).unwrap() }
    };
    let known = fetch("own.pem").await;
    assert!(known.contains("localhost answers 404"), "{known}");
    let unknown = fetch("another.pem").await;
    assert!(unknown.contains("cannot reach localhost") && unknown.to_lowercase().contains("certificate"), "{unknown}");
}

#[test]
fn without_a_network_a_fetch_fails_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = floe(folder.path(), &["fetch", "base.en"]);
    let (_, err, ok) = ran(command.env("FLOE_MODELS_URL", format!("http://127.0.0.1:{port}")));
    assert!(!ok && err.contains("cannot reach 127.0.0.1") && err.contains("--from FILE"), "{err}");
}
