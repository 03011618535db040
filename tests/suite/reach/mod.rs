//! Addresses that others name lead into no private network, however they are written and whatever a resolver says.

use std::{
    collections::BTreeMap,
    io,
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Router, http::header, routing::any};
use bytes::Bytes;
use floe::reach::{Client, Config, Error, Kind, Names};
use futures_util::{FutureExt as _, future::BoxFuture};
use tokio::{net::TcpListener, task::JoinSet};

/// A resolver that says what the test wants: for each name one answer after the other, the last again and again.
#[derive(Default)]
struct Book {
    pages: Mutex<BTreeMap<String, Vec<Vec<IpAddr>>>>,
    asked: AtomicUsize,
}

impl Book {
    fn of(pages: &[(&str, &[&[&str]])]) -> Arc<Self> {
        let parse = |answer: &&[&str]| answer.iter().map(|address| address.parse().unwrap()).collect();
        let page = |(name, answers): &(&str, &[&[&str]])| ((*name).to_owned(), answers.iter().map(parse).collect());
        Arc::new(Self { pages: Mutex::new(pages.iter().map(page).collect()), asked: AtomicUsize::new(0) })
    }
}

impl Names for Book {
    fn look_up(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let mut pages = self.pages.lock().unwrap();
        let answer = match pages.get_mut(&name) {
            Some(answers) if answers.len() > 1 => Ok(answers.remove(0)),
            Some(answers) => Ok(answers[0].clone()),
            None => Err(io::Error::other("no such name")),
        };
        async move { answer }.boxed()
    }
}

/// A server on loopback that counts who came, and sends everybody elsewhere who asks for that.
struct Inside {
    port: u16,
    came: Arc<AtomicUsize>,
    _task: JoinSet<()>,
}

impl Inside {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let came = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&came);
        let router = Router::new()
            .route(
                "/away",
                any(move || async move {
                    (axum::http::StatusCode::FOUND, [(header::LOCATION, format!("http://127.0.0.1:{port}/secret"))])
                }),
            )
            .fallback(any(move || {
                count.fetch_add(1, Ordering::Relaxed);
                async { "secret" }
            }));
        let mut task = JoinSet::new();
        task.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { port, came, _task: task }
    }
}

fn reach(config: Config, book: Arc<Book>) -> Client {
    let _installed = rustls::crypto::ring::default_provider().install_default();
    Client::with_names(&config, book).unwrap()
}

fn plain() -> Config {
    Config { plain: true, connect_timeout_ms: 500, timeout_ms: 1_000, ..Config::default() }
}

#[tokio::test]
async fn every_way_to_write_a_private_address_is_refused_before_anybody_is_asked() {
    let inside = Inside::start().await;
    let book = Book::of(&[]);
    let reach = reach(plain(), Arc::clone(&book));
    for host in [
        "127.0.0.1",
        "127.1",
        "0177.0.0.1",
        "0x7f.1",
        "0x7f000001",
        "2130706433",
        "017700000001",
        "127.0.0.1.",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "foo.localhost",
        "printer.local",
        "vault.internal",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "0.0.0.0",
        "0",
        "[::]",
        "169.254.169.254",
        "0xa9fea9fe",
        "2852039166",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "１２７.0.0.1",
        "①②⑦.⓪.⓪.①",
    ] {
        let address = format!("http://{host}:{}/", inside.port);
        assert!(matches!(reach.check(&address), Err(Error::Forbidden(_))), "{address}: {:?}", reach.check(&address));
        assert!(matches!(reach.get(&address, &[]).await, Err(Error::Forbidden(_))), "{address}");
    }
    for address in [
        "ftp://example.org/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:70/",
        "http://user:secret@example.org/",
        "http://",
        "nonsense",
        "javascript:alert(1)",
        "http://[::1",
        "unix:/run/redis.sock",
    ] {
        assert_eq!(reach.get(address, &[]).await, Err(Error::NoAddress), "{address}");
    }
    let careful = Client::with_names(&Config::default(), Arc::<Book>::clone(&book)).unwrap();
    assert_eq!(careful.check("http://example.org/"), Err(Error::NoAddress), "TLS unless it is allowed without");
    assert_eq!(careful.check("https://example.org/"), Ok(()));
    assert_eq!(book.asked.load(Ordering::Relaxed), 0);
    assert_eq!(inside.came.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn names_are_checked_where_the_connection_is_made() {
    let inside = Inside::start().await;
    let book = Book::of(&[
        ("inside.test", &[&["127.0.0.1"]]),
        ("both.test", &[&["1.1.1.1", "127.0.0.1"]]),
        ("six.test", &[&["2606:4700::1111", "::ffff:10.0.0.1"]]),
        ("meta.test", &[&["169.254.169.254"]]),
        // Public when it is first asked, private afterwards: who asks twice is led inside.
        ("rebind.test", &[&["192.0.2.1"], &["127.0.0.1"]]),
        ("none.test", &[&[]]),
    ]);
    let reach = reach(plain(), Arc::clone(&book));
    let get = async |name: &str| reach.get(&format!("http://{name}:{}/", inside.port), &[]).await;
    assert_eq!(get("inside.test").await, Err(Error::Forbidden(Kind::Loopback)));
    assert_eq!(get("both.test").await, Err(Error::Forbidden(Kind::Loopback)), "one bad address spoils all");
    assert_eq!(get("six.test").await, Err(Error::Forbidden(Kind::Private)));
    assert_eq!(get("meta.test").await, Err(Error::Forbidden(Kind::LinkLocal)));
    assert_eq!(get("rebind.test").await, Err(Error::Forbidden(Kind::Reserved)));
    assert_eq!(get("rebind.test").await, Err(Error::Forbidden(Kind::Loopback)), "asked anew, checked anew");
    assert!(matches!(get("none.test").await, Err(Error::Unreachable(_))));
    assert!(matches!(get("unknown.test").await, Err(Error::Unreachable(_))));
    assert_eq!(inside.came.load(Ordering::Relaxed), 0, "nobody came in");
}

#[tokio::test]
async fn what_is_allowed_is_reached_and_redirects_are_not_followed() {
    let inside = Inside::start().await;
    let book = Book::of(&[("hooks.test", &[&["127.0.0.1"]])]);
    let allow = format!("127.0.0.1:{0} hooks.test:{0}", inside.port);
    let reach = reach(Config { allow, answer_bytes_max: 6, ..Config::default() }, book);
    let answer =
        reach.post(&format!("http://127.0.0.1:{}/", inside.port), &[], Bytes::from_static(b"{}")).await.unwrap();
    assert_eq!((answer.status, &answer.body[..]), (200, &b"secret"[..]));
    let answer = reach.get(&format!("http://HOOKS.test:{}/", inside.port), &[]).await.unwrap();
    assert_eq!(answer.status, 200);
    let before = inside.came.load(Ordering::Relaxed);
    let answer = reach.get(&format!("http://127.0.0.1:{}/away", inside.port), &[]).await.unwrap();
    assert_eq!(answer.status, 302, "told, not followed");
    assert_eq!(inside.came.load(Ordering::Relaxed), before);
    for other in ["http://127.0.0.1:1/", "http://127.0.0.2:{port}/", "http://localhost:{port}/", "http://[::1]:{port}/"]
    {
        let address = other.replace("{port}", &inside.port.to_string());
        let refused = reach.get(&address, &[]).await;
        assert!(matches!(refused, Err(Error::NoAddress | Error::Forbidden(_))), "{address}: {refused:?}");
    }
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let inside = Inside::start().await;
    let allow = format!("127.0.0.1:{}", inside.port);
    let reach = reach(Config { allow, answer_bytes_max: 5, ..Config::default() }, Book::of(&[]));
    assert_eq!(reach.get(&format!("http://127.0.0.1:{}/", inside.port), &[]).await, Err(Error::TooLong));
}
