//! `floe keys …` and `FLOE_AUTH`, as an operator meets them: the program itself.

use std::{
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

fn floe(dir: &Path, arguments: &[&str], more: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_floe"))
        .args(arguments)
        .env_clear()
        .env("FLOE_STORE_DIR", dir)
        .envs(more.iter().copied())
        .output()
        .unwrap()
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn keys_are_made_listed_and_revoked() {
    let dir = tempfile::tempdir().unwrap();
    let made = floe(dir.path(), &["keys", "create", "web"], &[]);
    let key = String::from_utf8(made.stdout).unwrap();
    assert!(key.starts_with("floe_") && key.ends_with('\n') && key.lines().count() == 1, "{key:?}");
    let member = ["keys", "create", "app", "--role", "member", "--user", "ann", "--scopes", "talk,read", "--json"];
    let made = json(&floe(dir.path(), &member, &[]));
    assert_eq!((made["role"].as_str(), made["scopes"][1].as_str()), (Some("member"), Some("read")));
    let list = json(&floe(dir.path(), &["keys", "list", "--json"], &[]));
    let names: Vec<&str> = list.as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["app", "web"]);
    assert!(!list.to_string().contains(key.trim()) && list[0]["key"].is_null(), "{list}");
    let id = list[1]["id"].as_str().unwrap();
    assert_eq!(json(&floe(dir.path(), &["keys", "revoke", id, "--json"], &[]))["revoked"], true);
    assert!(!floe(dir.path(), &["keys", "revoke", id], &[]).status.success(), "once is enough");
    assert_eq!(json(&floe(dir.path(), &["keys", "list", "--json"], &[]))[1]["state"], "revoked");
    let people = String::from_utf8(floe(dir.path(), &["keys", "list"], &[]).stdout).unwrap();
    assert!(people.contains("revoked") && people.contains("member of ann"), "{people}");
    for (arguments, complaint) in [
        (&["keys", "create", "x", "--role", "member"][..], "which user"),
        (&["keys", "create", "x", "--scopes", "fly"], "scope is one of"),
        (&["keys", "create", "x", "--role", "king"], "role is one of"),
        (&["keys", "revoke", "key_1"], "no id of a key"),
    ] {
        let refused = floe(dir.path(), arguments, &[]);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains(complaint), "{arguments:?}: {said}");
    }
    let nowhere = floe(dir.path(), &["keys", "list"], &[("FLOE_STORE_ENGINE", "none")]);
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("server.keys"));
    let other = [("FLOE_AUTH_SECRET", "not the one in the directory, but as long")];
    let other = floe(dir.path(), &["keys", "create", "y"], &other);
    assert!(String::from_utf8_lossy(&other.stderr).contains("FLOE_AUTH_SECRET"), "{other:?}");
}

#[test]
fn a_server_that_would_be_open_to_others_does_not_start() {
    let dir = tempfile::tempdir().unwrap();
    let open = [
        ("FLOE_AUTH", "none"),
        ("FLOE_STT_ENGINE", "openai"),
        ("FLOE_TTS_ENGINE", "scripted"),
        ("FLOE_AGENT_ENGINE", "scripted"),
    ];
    let refused = floe(dir.path(), &["serve", "--listen", "0.0.0.0:0"], &open);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success(), "{said}");
    for part in ["auth.mode is none", "FLOE_AUTH=keys", "floe keys create", "127.0.0.1"] {
        assert!(said.contains(part), "{part:?} is not in {said:?}");
    }
}
