//! Downloads that go well in the end: whole, resumed, restarted, from a mirror, by two at a time.

use std::{fs, time::Duration};

use floe::models::{
    fetch::{Fetched, Fetcher, Patience},
    progress::Silent,
};

use super::{
    Entry, entries, fetcher, impatient, manifest, patience, payload,
    server::{Answer, Server},
    shelf,
};

const BYTES: usize = 200_000;

/// Fetches `tiny.en` from a server with this script; returns what was asked of it. The file must be right in the end.
async fn fetched(content: &[u8], answers: Vec<Answer>) -> Vec<super::server::Request> {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(answers).await;
    let shelf = shelf(&server.base, folder.path(), content);
    let model = shelf.manifest().find("tiny.en").unwrap();
    assert_eq!(fetcher().fetch(&shelf, model, &Silent).await.unwrap(), Fetched::New);
    assert_eq!(fs::read(folder.path().join("tiny.bin")).unwrap(), content);
    assert_eq!(entries(folder.path()), ["tiny.bin"], "nothing may be left over");
    server.requests()
}

fn ranges(requests: &[super::server::Request]) -> Vec<Option<&str>> {
    requests.iter().map(|it| it.range.as_deref()).collect()
}

#[tokio::test]
async fn a_file_is_fetched_once() {
    let (folder, content) = (tempfile::tempdir().unwrap(), payload(1, BYTES));
    let server = Server::start([Answer::good(&content)]).await;
    let shelf = shelf(&server.base, &folder.path().join("made/on/the/way"), &content);
    let model = shelf.manifest().find("tiny.en").unwrap();
    assert!(!shelf.has(model));
    assert_eq!(fetcher().fetch(&shelf, model, &Silent).await.unwrap(), Fetched::New);
    assert!(shelf.has(model));
    assert_eq!(fetcher().fetch(&shelf, model, &Silent).await.unwrap(), Fetched::AlreadyHere);
    assert_eq!(server.requests().len(), 1);
    assert_eq!(server.requests()[0].path, "/tiny.bin");
}

#[tokio::test]
async fn a_cut_download_goes_on_where_it_stopped() {
    let content = payload(2, BYTES);
    let good = Answer::good(&content);
    let requests = fetched(&content, vec![good.clone().cut_after(70_000), good.clone().cut_after(50_000), good]).await;
    assert_eq!(ranges(&requests), [None, Some("bytes=70000-"), Some("bytes=120000-")]);
    assert!(requests[1..].iter().all(|it| it.if_range.as_deref() == Some("\"v1\"")), "{requests:?}");
}

#[tokio::test]
async fn a_download_that_ends_early_without_a_length_goes_on_too() {
    let content = payload(3, BYTES);
    let good = Answer::good(&content).without_length();
    let requests = fetched(&content, vec![good.clone().cut_after(1_000), good]).await;
    assert_eq!(ranges(&requests), [None, Some("bytes=1000-")]);
}

#[tokio::test]
async fn a_stalled_download_is_asked_for_again() {
    let (folder, content) = (tempfile::tempdir().unwrap(), payload(4, BYTES));
    let good = Answer::good(&content);
    let server = Server::start([good.clone().stall_after(30_000), good]).await;
    let shelf = shelf(&server.base, folder.path(), &content);
    let model = shelf.manifest().find("tiny.en").unwrap();
    let fetcher = impatient(Patience { stall: Duration::from_millis(300), ..patience() });
    assert_eq!(fetcher.fetch(&shelf, model, &Silent).await.unwrap(), Fetched::New);
    assert_eq!(fs::read(folder.path().join("tiny.bin")).unwrap(), content);
    assert_eq!(server.requests()[1].range.as_deref(), Some("bytes=30000-"));
}

#[tokio::test]
async fn a_server_that_ignores_ranges_is_heard_from_the_beginning() {
    let content = payload(5, BYTES);
    let good = Answer::good(&content).without_ranges();
    let requests = fetched(&content, vec![good.clone().cut_after(60_000), good]).await;
    assert_eq!(ranges(&requests), [None, Some("bytes=60000-")]);
}

#[tokio::test]
async fn another_version_is_not_glued_to_the_first() {
    let (content, other) = (payload(6, BYTES), payload(7, BYTES));
    let first = Answer::good(&other).etag(Some("\"old\"")).cut_after(60_000);
    let requests = fetched(&content, vec![first.clone(), Answer::good(&content)]).await;
    assert_eq!(requests[1].if_range.as_deref(), Some("\"old\""));
    assert_eq!(requests.len(), 2, "the whole new version comes at once");
    // A server that sends the rest of the new version although the old one was asked for.
    let requests = fetched(&content, vec![first, Answer::good(&content).ignoring_if_range()]).await;
    assert_eq!(ranges(&requests), [None, Some("bytes=60000-"), None]);
}

#[tokio::test]
async fn what_is_left_of_something_else_is_thrown_away() {
    let (folder, content) = (tempfile::tempdir().unwrap(), payload(8, BYTES));
    let server = Server::start([Answer::good(&content).etag(None)]).await;
    let shelf = shelf(&server.base, folder.path(), &content);
    let model = shelf.manifest().find("tiny.en").unwrap();
    for left in [payload(9, 50_000), payload(9, BYTES), payload(9, BYTES + 1), content[..90_000].to_vec()] {
        fs::write(folder.path().join("tiny.bin.part"), &left).unwrap();
        assert_eq!(fetcher().fetch(&shelf, model, &Silent).await.unwrap(), Fetched::New, "{} bytes", left.len());
        assert_eq!(fs::read(folder.path().join("tiny.bin")).unwrap(), content);
        fs::remove_file(folder.path().join("tiny.bin")).unwrap();
    }
    assert_eq!(server.requests().last().unwrap().range.as_deref(), Some("bytes=90000-"));
}

#[tokio::test]
async fn a_complete_part_needs_no_request() {
    let (folder, content) = (tempfile::tempdir().unwrap(), payload(10, BYTES));
    let server = Server::start([Answer::status(500)]).await;
    let shelf = shelf(&server.base, folder.path(), &content);
    fs::write(folder.path().join("tiny.bin.part"), &content).unwrap();
    let model = shelf.manifest().find("tiny.en").unwrap();
    assert_eq!(fetcher().fetch(&shelf, model, &Silent).await.unwrap(), Fetched::New);
    assert_eq!(server.requests(), []);
}

#[tokio::test]
async fn busy_servers_and_ranges_that_do_not_fit_are_tried_again() {
    let content = payload(11, BYTES);
    let good = Answer::good(&content);
    let busy = [Answer::status(503), Answer::status(429).retry_after(1), Answer::status(408)];
    let requests = fetched(&content, busy.into_iter().chain([good.clone()]).collect()).await;
    assert_eq!(requests.len(), 4);
    for odd in [Answer::status(416), good.clone().shifted(10), Answer::status(206)] {
        let requests = fetched(&content, vec![good.clone().cut_after(5_000), odd, good.clone()]).await;
        assert_eq!(ranges(&requests), [None, Some("bytes=5000-"), None]);
    }
}

#[tokio::test]
async fn a_damaged_file_is_replaced() {
    let (folder, content) = (tempfile::tempdir().unwrap(), payload(12, BYTES));
    let server = Server::start([Answer::good(&content)]).await;
    let shelf = shelf(&server.base, folder.path(), &content);
    let model = shelf.manifest().find("tiny.en").unwrap();
    fs::write(folder.path().join("tiny.bin"), payload(13, BYTES)).unwrap();
    assert_eq!(fetcher().fetch(&shelf, model, &Silent).await.unwrap(), Fetched::New);
    assert_eq!(fs::read(folder.path().join("tiny.bin")).unwrap(), content);
}

#[tokio::test]
async fn a_voice_is_both_its_files_and_a_mirror_has_them_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let (graph, settings) = (payload(14, BYTES), payload(15, 4_000));
    let files = [("voice.onnx", &graph[..]), ("voice.onnx.json", &settings[..])];
    let voice = Entry { name: "voice", family: "piper", language: "en", bundled: false, files: &files };
    let server = Server::start([Answer::good(&graph), Answer::good(&settings)]).await;
    // The manifest's own address has nobody behind it.
    let shelf = floe::models::Shelf::new(manifest("http://127.0.0.1:9", &[voice]), folder.path());
    let _client = fetcher();
    let mirrored = Fetcher::new(&format!("{}/deep/down/", server.base), patience()).unwrap();
    let model = shelf.manifest().find("voice").unwrap();
    assert_eq!(mirrored.fetch(&shelf, model, &Silent).await.unwrap(), Fetched::New);
    assert!(shelf.has(model));
    let paths: Vec<String> = server.requests().into_iter().map(|it| it.path).collect();
    assert_eq!(paths, ["/deep/down/voice.onnx", "/deep/down/voice.onnx.json"]);
}

#[tokio::test]
async fn two_that_fetch_the_same_share_one_download() {
    let (folder, content) = (tempfile::tempdir().unwrap(), payload(16, BYTES));
    let good = Answer::good(&content);
    let server = Server::start([good.clone().cut_after(10), good]).await;
    let shelf = shelf(&server.base, folder.path(), &content);
    let model = shelf.manifest().find("tiny.en").unwrap();
    let (one, other) = (fetcher(), fetcher());
    let (one, other) = tokio::join!(one.fetch(&shelf, model, &Silent), other.fetch(&shelf, model, &Silent));
    let mut both = [one.unwrap(), other.unwrap()];
    both.sort_by_key(|it| *it == Fetched::New);
    assert_eq!(both, [Fetched::AlreadyHere, Fetched::New]);
    assert_eq!(server.requests().len(), 2, "the cut one and the rest");
    assert_eq!(entries(folder.path()), ["tiny.bin"]);
}

#[tokio::test]
async fn a_fetch_that_is_dropped_leaves_what_came() {
    let (folder, content) = (tempfile::tempdir().unwrap(), payload(17, BYTES));
    let good = Answer::good(&content);
    let server = Server::start([good.clone().stall_after(80_000), good]).await;
    let shelf = shelf(&server.base, folder.path(), &content);
    let model = shelf.manifest().find("tiny.en").unwrap();
    let part = folder.path().join("tiny.bin.part");
    let first = fetcher();
    let come = async {
        while fs::metadata(&part).map_or(0, |it| it.len()) < 80_000 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        ended = first.fetch(&shelf, model, &Silent) => panic!("it cannot end: {ended:?}"),
        () = come => {}
    }
    assert_eq!(fetcher().fetch(&shelf, model, &Silent).await.unwrap(), Fetched::New);
    assert_eq!(server.requests()[1].range.as_deref(), Some("bytes=80000-"));
    assert_eq!(fs::read(folder.path().join("tiny.bin")).unwrap(), content);
}
