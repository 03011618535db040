//! Downloads that cannot succeed: each says why, keeps what may be of use and nothing else, and ends.

use std::{fs, path::Path, time::Duration};

use floe::models::{
    Error, Shelf,
    fetch::{Fetched, Patience},
    progress::Silent,
};

use super::{
    entries, fetcher, impatient, patience, payload,
    server::{Answer, Server},
    shelf,
};

const BYTES: usize = 100_000;

async fn failing(shelf: &Shelf) -> Error {
    let model = shelf.manifest().find("tiny.en").unwrap();
    fetcher().fetch(shelf, model, &Silent).await.expect_err("this cannot succeed")
}

/// What comes of a server with this script, how often it was asked, and what is in the folder then.
async fn outcome(answers: Vec<Answer>) -> (Error, usize, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(answers).await;
    let error = failing(&shelf(&server.base, folder.path(), &payload(1, BYTES))).await;
    let left = entries(folder.path()).into_iter().filter(|name| !name.ends_with(".lock"));
    (error, server.requests().len(), left.collect())
}

#[tokio::test]
async fn wrong_bytes_are_not_kept() {
    let (error, requests, left) = outcome(vec![Answer::good(&payload(2, BYTES))]).await;
    assert!(matches!(error, Error::WrongHash { .. }), "{error}");
    assert_eq!((requests, left), (1, vec![]));
}

#[tokio::test]
async fn a_missing_file_is_asked_for_once() {
    for status in [404, 403, 401, 410] {
        let (error, requests, left) = outcome(vec![Answer::status(status)]).await;
        assert!(matches!(error, Error::Refused { status: it, .. } if it == status), "{error}");
        assert!(error.to_string().contains("FLOE_MODELS_URL"), "{error}");
        assert_eq!((requests, left), (1, vec![]));
    }
}

#[tokio::test]
async fn a_login_page_is_not_taken_for_the_file() {
    let (error, requests, _) = outcome(vec![Answer::good(b"<!doctype html>please log in")]).await;
    assert!(matches!(error, Error::WrongSize { found_bytes: 28, .. }), "{error}");
    assert_eq!(requests, 1);
}

#[tokio::test]
async fn a_body_without_end_is_not_followed() {
    let (error, ..) = outcome(vec![Answer::good(&payload(1, 3 * BYTES)).without_length()]).await;
    assert!(matches!(error, Error::WrongSize { .. }), "{error}");
}

#[tokio::test]
async fn endless_cuts_end_and_the_next_run_goes_on() {
    let (folder, content) = (tempfile::tempdir().unwrap(), payload(3, BYTES));
    let good = Answer::good(&content);
    let dead = good.clone().cut_after(0);
    let server = Server::start([vec![good.clone().cut_after(40_000)], vec![dead; 5], vec![good]].concat()).await;
    let shelf = shelf(&server.base, folder.path(), &content);
    let error = failing(&shelf).await;
    assert!(matches!(error, Error::Cut { kept_bytes: 40_000, .. }), "{error}");
    assert_eq!(server.requests().len(), 6, "one that brought something and five that did not");
    let model = shelf.manifest().find("tiny.en").unwrap();
    assert_eq!(fetcher().fetch(&shelf, model, &Silent).await.unwrap(), Fetched::New);
    assert_eq!(server.requests().last().unwrap().range.as_deref(), Some("bytes=40000-"));
    assert_eq!(fs::read(folder.path().join("tiny.bin")).unwrap(), content);
}

#[tokio::test]
async fn a_server_that_drips_is_left_after_so_many_tries() {
    let (folder, content) = (tempfile::tempdir().unwrap(), payload(4, BYTES));
    let server = Server::start([Answer::good(&content).cut_after(1)]).await;
    let shelf = shelf(&server.base, folder.path(), &content);
    let fetcher = impatient(Patience { tries: 8, ..patience() });
    let model = shelf.manifest().find("tiny.en").unwrap();
    let error = fetcher.fetch(&shelf, model, &Silent).await.unwrap_err();
    assert!(matches!(error, Error::Cut { tries: 8, kept_bytes: 8, .. }), "{error}");
}

#[tokio::test]
async fn without_a_network_it_is_said_soon() {
    let folder = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = failing(&shelf(&format!("http://127.0.0.1:{port}"), folder.path(), b"content")).await;
    assert!(matches!(&error, Error::NoNetwork { host, .. } if host == "127.0.0.1"), "{error}");
    assert!(error.to_string().contains("--from"), "{error}");
}

#[tokio::test]
async fn a_server_that_takes_the_connection_and_says_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let deaf = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let shelf = shelf(&format!("http://{}", deaf.local_addr().unwrap()), folder.path(), b"content");
    let short = Duration::from_millis(100);
    let fetcher = impatient(Patience { connect: short, stall: short, ..patience() });
    let model = shelf.manifest().find("tiny.en").unwrap();
    let error = fetcher.fetch(&shelf, model, &Silent).await.unwrap_err();
    assert!(matches!(error, Error::NoNetwork { .. }), "{error}");
}

#[tokio::test]
async fn a_full_disk_is_noticed_before_anything_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start([Answer::status(500)]).await;
    let text = format!(
        "version = 1\n[[model]]\nname = \"tiny.en\"\nfamily = \"whisper\"\nlanguage = \"en\"\nlicence = \"\"\nmemory_bytes = 1\n\
         good_for = \"\"\n[[model.file]]\nname = \"huge.bin\"\nbytes = {}\nsha256 = \"{}\"\nurl = \"{}/huge.bin\"\n",
        1_u64 << 60,
        "0".repeat(64),
        server.base
    );
    let error = failing(&Shelf::new(floe::models::Manifest::parse(&text).unwrap(), folder.path())).await;
    assert!(matches!(error, Error::NoSpace { needed_bytes, .. } if needed_bytes > 1 << 60), "{error}");
    assert_eq!(server.requests(), []);
}

#[tokio::test]
async fn a_folder_that_cannot_be_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = failing(&shelf("http://127.0.0.1:9", &file.path().join("below"), b"content")).await;
    assert!(matches!(&error, Error::Folder { folder, .. } if folder.ends_with("below")), "{error}");
    assert!(error.to_string().contains("FLOE_MODELS_FOLDER"), "{error}");
}

#[test]
fn what_the_system_says_of_folders_becomes_our_words() {
    use std::io::{Error as Io, ErrorKind as Kind};
    for kind in [Kind::PermissionDenied, Kind::ReadOnlyFilesystem] {
        assert!(matches!(Error::writing("models", Io::from(kind)), Error::Folder { reason, .. } if reason == kind));
    }
    assert!(
        matches!(Error::writing("models", Io::from(Kind::StorageFull)), Error::Full(folder) if folder == Path::new("models"))
    );
    assert!(matches!(Error::writing("models", Io::from(Kind::BrokenPipe)), Error::File { .. }));
}

#[tokio::test]
async fn a_fetch_that_another_process_holds_up_for_good_is_left() {
    let (folder, content) = (tempfile::tempdir().unwrap(), payload(5, BYTES));
    let held = fs::File::create(folder.path().join(".tiny.bin.lock")).unwrap();
    held.lock().unwrap();
    let shelf = shelf("http://127.0.0.1:9", folder.path(), &content);
    let fetcher = impatient(Patience { others: Duration::from_millis(50), ..patience() });
    let error = fetcher.fetch(&shelf, shelf.manifest().find("tiny.en").unwrap(), &Silent).await.unwrap_err();
    assert!(matches!(error, Error::Locked(_)), "{error}");
}
