//! What a browser, a program and a stranger find at the door.

use std::{fs, time::Duration};

use reqwest::multipart::{Form, Part};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time,
};

use super::site::{KEY, Site, plain, until};
use crate::support::fixture;

#[test]
fn the_caddyfile_is_valid_and_formatted() {
    let dir = tempfile::tempdir().unwrap();
    let root = env!("CARGO_MANIFEST_DIR");
    let run = |arguments: &[&str]| {
        let done = plain(dir.path()).current_dir(root).args(arguments).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        (done.status.success(), said)
    };
    let (is_valid, said) = run(&["validate", "--config", "Caddyfile"]);
    assert!(is_valid, "{said}");
    for file in ["Caddyfile", "deploy/caddy/streams-2.6.caddy", "deploy/caddy/streams-2.7.caddy"] {
        // Without --overwrite it prints the file as it should be.
        let (_, formatted) = run(&["fmt", file]);
        assert!(
            formatted.starts_with(&fs::read_to_string(format!("{root}/{file}")).unwrap()),
            "caddy fmt --overwrite {file}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn page_programs_and_uploads_come_through_and_nothing_private_does() {
    let site = Site::start(&[]).await;
    let client = site.client();

    let page = client.get(site.https("/")).send().await.unwrap();
    assert_eq!(page.status(), 200);
    let said = |name: &str| {
        let values: Vec<&str> = page.headers().get_all(name).iter().map(|value| value.to_str().unwrap()).collect();
        assert_eq!(values.len(), 1, "{name}: {values:?}");
        values[0].to_owned()
    };
    assert!(said("content-security-policy").contains("script-src 'self'"), "the page's own policy");
    assert!(said("strict-transport-security").starts_with("max-age="));
    assert!(said("permissions-policy").contains("microphone=(self)"));
    assert_eq!(said("x-content-type-options"), "nosniff");
    assert_eq!(said("referrer-policy"), "no-referrer");
    assert_eq!(said("cache-control"), "no-cache");
    assert!(page.headers().get("server").is_none());

    let models = client.get(site.https("/v1/models")).bearer_auth(KEY).send().await.unwrap();
    assert_eq!(models.status(), 200);
    assert_eq!(models.headers()["cache-control"], "no-store");
    assert_eq!(models.headers()["content-security-policy"], "default-src 'none'; frame-ancestors 'none'");
    assert!(models.text().await.unwrap().contains("floe-realtime"));
    assert_eq!(client.get(site.https("/v1/models")).send().await.unwrap().status(), 401);

    let speech = fs::read(fixture("audio/17-slt.wav")).unwrap();
    let told = upload(&site, speech).await;
    assert_eq!(told.0, 200, "{}", told.1);
    assert!(told.1.contains("what time is it"), "{}", told.1);

    for path in ["/metrics", "//metrics", "/%6Detrics", "/METRICS", "/metrics/", "/x/../metrics", "/readyz", "/livez"] {
        let answer = raw(&site, &format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
        assert!(!answer.contains("voice_") && !answer.contains("ready"), "{path}: {answer}");
    }

    let plain = format!("http://localhost:{}/v1/models?a=b", site.http_port);
    let sent_on = client.get(plain).send().await.unwrap();
    assert_eq!(sent_on.status(), 308);
    assert_eq!(sent_on.headers()["location"], site.https("/v1/models?a=b").as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_long_or_too_slow_is_cut_off_and_harms_nobody_else() {
    let site = Site::start(&[]).await;
    let client = site.client();

    let head =
        format!("GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nx-long: {}\r\n\r\n", "a".repeat(21_000));
    assert!(raw(&site, &head).await.starts_with("HTTP/1.1 431"));

    // Only announced: the answer does not race with a body.
    for (path, bytes) in [("/v1/audio/speech", 1_100_000), ("/v1/audio/transcriptions", 30_000_001)] {
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {bytes}\r\n\r\n");
        assert!(raw(&site, &head).await.starts_with("HTTP/1.1 413"), "{path}");
    }
    let pieces = futures_util::stream::iter((0..20).map(|_| Ok::<_, std::io::Error>(vec![b'a'; 100_000])));
    let unsaid =
        client.post(site.https("/v1/audio/speech")).bearer_auth(KEY).header("content-type", "application/json");
    let unsaid = unsaid.body(reqwest::Body::wrap_stream(pieces)).send().await;
    // Caddy answers in the middle of the body and hangs up; whether the answer is still read is a matter of luck.
    assert!(unsaid.is_err() || unsaid.is_ok_and(|answer| answer.status() == 413), "a body of unsaid length");

    // A little too much: all of it has left before Floe says so.
    let (status, words) = upload(&site, vec![0; (25 << 20) + 100]).await;
    assert_eq!((status, words.contains("file_too_large")), (413, true), "Floe says so itself: {words}");

    // Nobody else pays for that: both instances still count as healthy.
    let models = client.get(site.https("/v1/models")).bearer_auth(KEY).send().await.unwrap();
    assert_eq!(models.status(), 200);

    let answer = raw(&site, "GET / HTTP/1.1\r\nhost: localho").await;
    assert_eq!(answer, "", "a head that never ends is cut off");
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_hold_no_secret() {
    let mut site = Site::start(&[]).await;
    let client = site.client();
    let origin = site.https("");
    let ask = async |path: &str| {
        let request = client
            .get(format!("{origin}{path}?api_key=secret-in-query&x=secret-in-query"))
            .bearer_auth("secret-in-bearer")
            .header("api-key", "secret-in-header")
            .header("cookie", "session=secret-in-cookie")
            .header("x-forwarded-for", "192.0.2.77")
            .header("sec-websocket-protocol", "realtime, openai-insecure-api-key.secret-in-subprotocol");
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(ask("/v1/models/one").await, 401);
    // Errors of Caddy's own are logged with the whole request, too.
    for instance in &mut site.instances {
        instance.crash();
    }
    assert!([502, 503].contains(&ask("/v1/models/two").await));
    let log = until("both requests are logged", async || {
        let log = site.log();
        (log.contains("/v1/models/one?...") && log.contains("/v1/models/two?...")).then_some(log)
    })
    .await;
    assert!(!log.contains("secret-in-"), "{log}");
    assert!(!log.contains("192.0.2.77"), "{log}");
}

/// An upload, and what is said to it.
async fn upload(site: &Site, file: Vec<u8>) -> (u16, String) {
    let form = Form::new().part("file", Part::bytes(file).file_name("speech.wav")).text("model", "floe-transcribe");
    let url = site.https("/v1/audio/transcriptions");
    let answer = site.client().post(url).bearer_auth(KEY).multipart(form).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// Sends these bytes over TLS and reads until the other side hangs up.
async fn raw(site: &Site, bytes: &str) -> String {
    let stream = TcpStream::connect(("127.0.0.1", site.port)).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(site.trust.clone());
    let mut stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let reading = time::timeout(Duration::from_secs(30), stream.read_to_end(&mut answer));
    // Some hang up without TLS's goodbye.
    let _end = reading.await.expect("it hangs up");
    String::from_utf8_lossy(&answer).into_owned()
}
