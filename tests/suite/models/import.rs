//! Files that were brought along, trust, and what `verify` finds.

use std::fs;

use floe::models::{
    Error,
    import::import,
    shelf::{Known, State},
    verify::verify,
};

use super::{payload, sha256, shelf};

#[test]
fn a_known_file_gets_its_name_whatever_it_was_called() {
    let (folder, elsewhere, content) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), payload(1, 50_000));
    let shelf = shelf("http://127.0.0.1:9", &folder.path().join("models"), &content);
    let stick = elsewhere.path().join("download (3)");
    fs::write(&stick, &content).unwrap();
    let model = shelf.manifest().find("tiny.en").unwrap();
    for wanted in [None, Some(model)] {
        let imported = import(&shelf, &stick, wanted, false).unwrap();
        assert_eq!(imported.model.as_deref(), Some("tiny.en"));
        assert_eq!(fs::read(imported.path).unwrap(), content);
    }
    assert!(shelf.has(model));
    assert_eq!(super::entries(shelf.folder()), ["tiny.bin"]);
    assert!(stick.exists(), "the user's file stays");
}

#[test]
fn an_unknown_file_needs_the_users_word() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let shelf = shelf("http://127.0.0.1:9", folder.path(), &payload(1, 50_000));
    let own = elsewhere.path().join("own.bin");
    fs::write(&own, payload(2, 1_000)).unwrap();
    let hash = sha256(&payload(2, 1_000));
    let error = import(&shelf, &own, None, false).unwrap_err();
    assert!(matches!(&error, Error::Untrusted { sha256, .. } if *sha256 == hash), "{error}");
    assert!(error.to_string().contains("--trust"), "{error}");
    assert_eq!(shelf.knows(&hash), None);
    let imported = import(&shelf, &own, None, true).unwrap();
    assert_eq!((imported.model, imported.path), (None, folder.path().join("own.bin")));
    assert!(matches!(shelf.knows(&hash), Some(Known::Trusted(_))));
    // Once said, it need not be said again; and a file can be vouched for where it lies.
    import(&shelf, &own, None, false).unwrap();
    let inside = folder.path().join("inside.bin");
    fs::write(&inside, payload(3, 1_000)).unwrap();
    assert_eq!(import(&shelf, &inside, None, true).unwrap().path, inside);
    // It does not take the place of another one.
    let other = elsewhere.path().join("inside.bin");
    fs::write(&other, payload(4, 1_000)).unwrap();
    assert!(matches!(import(&shelf, &other, None, true), Err(Error::Exists(path)) if path == inside));
}

#[test]
fn a_file_that_is_not_what_was_named_is_refused_even_with_trust() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let shelf = shelf("http://127.0.0.1:9", folder.path(), &payload(1, 50_000));
    let model = shelf.manifest().find("tiny.en").unwrap();
    let cut = elsewhere.path().join("tiny.bin");
    fs::write(&cut, &payload(1, 50_000)[..40_000]).unwrap();
    assert!(matches!(import(&shelf, &cut, Some(model), true), Err(Error::WrongHash { .. })));
    assert!(matches!(import(&shelf, &cut, None, true), Err(Error::Usage(_))), "it would take the other's name");
    assert!(matches!(import(&shelf, &elsewhere.path().join("nothing"), None, true), Err(Error::File { .. })));
    assert!(!folder.path().join("tiny.bin").exists());
}

#[test]
fn verify_finds_damage_and_strangers() {
    let (folder, content) = (tempfile::tempdir().unwrap(), payload(1, 50_000));
    let shelf = shelf("http://127.0.0.1:9", folder.path(), &content);
    assert_eq!(verify(&shelf).unwrap(), []);
    fs::write(folder.path().join("tiny.bin"), &content).unwrap();
    let right = verify(&shelf).unwrap();
    assert!(right.len() == 1 && right[0].ok && right[0].model.as_deref() == Some("tiny.en"), "{right:?}");
    let mut damaged = content;
    damaged[30_000] ^= 1;
    fs::write(folder.path().join("tiny.bin"), &damaged).unwrap();
    fs::write(folder.path().join("stranger.bin"), b"?").unwrap();
    let wrong = verify(&shelf).unwrap();
    assert!(wrong.iter().all(|it| !it.ok), "{wrong:?}");
    assert_eq!(wrong.iter().map(|it| it.file.as_str()).collect::<Vec<_>>(), ["tiny.bin", "stranger.bin"]);
}

#[test]
fn a_big_file_is_read_once_and_again_when_it_changed() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = shelf("http://127.0.0.1:9", folder.path(), b"x");
    let path = folder.path().join("big.bin");
    let mut content = vec![7; 33 << 20];
    fs::write(&path, &content).unwrap();
    let first = shelf.hash(&path).unwrap();
    assert_eq!(first, sha256(&content));
    let notes = fs::read_to_string(folder.path().join("floe-models.json")).unwrap();
    assert!(notes.contains(&first), "{notes}");
    // What is remembered is believed...
    let other = "ab".repeat(32);
    fs::write(folder.path().join("floe-models.json"), notes.replace(&first, &other)).unwrap();
    assert_eq!(shelf.hash(&path).unwrap(), other);
    // ...until the file changes, even by one byte in the middle with the same size and the same time of change.
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    content[20 << 20] ^= 1;
    fs::write(&path, &content).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
    assert_eq!(shelf.hash(&path).unwrap(), sha256(&content));
    // Notes that are no notes are as good as none.
    fs::write(folder.path().join("floe-models.json"), b"{ not json").unwrap();
    assert_eq!(shelf.hash(&path).unwrap(), sha256(&content));
}

#[test]
fn a_file_of_the_manifest_is_missing_wrong_or_right() {
    let (folder, content) = (tempfile::tempdir().unwrap(), payload(1, 1_000));
    let shelf = shelf("http://127.0.0.1:9", folder.path(), &content);
    let file = shelf.manifest().find("tiny.en").unwrap().main_file();
    assert_eq!(shelf.look(file).unwrap(), State::Missing);
    fs::write(shelf.path(file), &content[1..]).unwrap();
    assert_eq!(shelf.look(file).unwrap(), State::Wrong(None));
    fs::write(shelf.path(file), payload(2, 1_000)).unwrap();
    assert_eq!(shelf.look(file).unwrap(), State::Wrong(Some(sha256(&payload(2, 1_000)))));
    fs::write(shelf.path(file), &content).unwrap();
    assert_eq!(shelf.look(file).unwrap(), State::Right);
}
