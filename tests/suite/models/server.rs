//! A web server that serves one file, as well or as badly as its script says.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// How one request is answered.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    status: Option<u16>,
    body: Vec<u8>,
    etag: Option<&'static str>,
    ranges: bool,
    heeds_if_range: bool,
    says_length: bool,
    cut_after: Option<usize>,
    stalls: bool,
    start_shift: usize,
    retry_after: Option<u32>,
}

impl Answer {
    /// As a good server answers: ranges, and the version.
    pub(super) fn good(body: &[u8]) -> Self {
        Self {
            status: None,
            body: body.to_vec(),
            etag: Some("\"v1\""),
            ranges: true,
            heeds_if_range: true,
            says_length: true,
            cut_after: None,
            stalls: false,
            start_shift: 0,
            retry_after: None,
        }
    }

    /// Nothing but a status.
    pub(super) fn status(status: u16) -> Self {
        Self { status: Some(status), ..Self::good(b"no") }
    }

    pub(super) fn etag(self, etag: Option<&'static str>) -> Self {
        Self { etag, ..self }
    }

    /// Always the whole file.
    pub(super) fn without_ranges(self) -> Self {
        Self { ranges: false, ..self }
    }

    /// The rest of the file, whatever version was asked for.
    pub(super) fn ignoring_if_range(self) -> Self {
        Self { heeds_if_range: false, ..self }
    }

    pub(super) fn without_length(self) -> Self {
        Self { says_length: false, ..self }
    }

    /// Closes the connection after so many bytes of the body.
    pub(super) fn cut_after(self, bytes: usize) -> Self {
        Self { cut_after: Some(bytes), ..self }
    }

    /// Says nothing more after so many bytes of the body, and keeps the connection.
    pub(super) fn stall_after(self, bytes: usize) -> Self {
        Self { cut_after: Some(bytes), stalls: true, ..self }
    }

    /// Sends another part than was asked for.
    pub(super) fn shifted(self, bytes: usize) -> Self {
        Self { start_shift: bytes, ..self }
    }

    pub(super) fn retry_after(self, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }
}

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) path: String,
    pub(super) range: Option<String>,
    pub(super) if_range: Option<String>,
}

/// The server. Ends when dropped.
pub(super) struct Server {
    pub(super) base: String,
    requests: Arc<Mutex<Vec<Request>>>,
    _scope: JoinSet<()>,
}

impl Server {
    /// Answers one request after the other as told; the last answer is repeated.
    pub(super) async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let script = Arc::new(Mutex::new(answers.into_iter().collect::<VecDeque<_>>()));
        let mut scope = JoinSet::new();
        let log = Arc::clone(&requests);
        scope.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(connection(stream, Arc::clone(&script), Arc::clone(&log)));
            }
        });
        Self { base, requests, _scope: scope }
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("no panic inside").clone()
    }
}

async fn connection(mut stream: TcpStream, script: Arc<Mutex<VecDeque<Answer>>>, log: Arc<Mutex<Vec<Request>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).expect("a head of text");
    let header = |name: &str| {
        let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned()).next()
    };
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let request = Request { path, range: header("range"), if_range: header("if-range") };
    log.lock().expect("no panic inside").push(request.clone());
    let answer = {
        let mut script = script.lock().expect("no panic inside");
        if script.len() > 1 { script.pop_front() } else { script.front().cloned() }
    };
    // The client may go away at any time.
    let _gone = reply(&mut stream, &request, answer.expect("an answer")).await;
}

async fn reply(stream: &mut TcpStream, request: &Request, answer: Answer) -> std::io::Result<()> {
    let whole = answer.body.len();
    let same = !answer.heeds_if_range || request.if_range.is_none() || request.if_range.as_deref() == answer.etag;
    let start = request.range.as_deref().and_then(|it| it.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    let start: Option<usize> = start.filter(|_| answer.ranges && same && answer.status.is_none());
    let (status, body) = match (answer.status, start) {
        (Some(status), _) => (status, &answer.body[..]),
        (None, Some(start)) if start >= whole => (416, &[][..]),
        (None, Some(start)) => (206, &answer.body[(start + answer.start_shift).min(whole)..]),
        (None, None) => (200, &answer.body[..]),
    };
    let mut head = format!("HTTP/1.1 {status} x\r\nconnection: close\r\n");
    if answer.says_length {
        head += &format!("content-length: {}\r\n", body.len());
    }
    if status == 206 && answer.status.is_none() {
        head += &format!("content-range: bytes {}-{}/{whole}\r\n", whole - body.len(), whole - 1);
    }
    head += &answer.etag.map(|etag| format!("etag: {etag}\r\n")).unwrap_or_default();
    head += &answer.retry_after.map(|seconds| format!("retry-after: {seconds}\r\n")).unwrap_or_default();
    stream.write_all(format!("{head}\r\n").as_bytes()).await?;
    stream.write_all(&body[..answer.cut_after.unwrap_or(body.len()).min(body.len())]).await?;
    stream.flush().await?;
    if answer.stalls {
        // Until the client gives up.
        let _closed = stream.read_u8().await;
    }
    stream.shutdown().await
}
