//! Downloads: resumed where they stopped, checked before they get their name, never blocking for good.

use std::{
    fs::{File as Lock, TryLockError},
    path::Path,
    time::Duration,
};

use futures_util::StreamExt as _;
use reqwest::{
    Client, Response, StatusCode,
    header::{ACCEPT_ENCODING, CONTENT_RANGE, ETAG, HeaderMap, IF_RANGE, RANGE, RETRY_AFTER},
};
use tokio::time::{sleep, timeout};

use super::{
    Error, Shelf,
    manifest::{File, Model},
    part::Part,
    progress::Progress,
    shelf::State,
};

/// How patient a download is.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Longest wait for a connection.
    pub connect: Duration,
    /// Longest silence, before the answer and in the middle of it.
    pub stall: Duration,
    /// Tries in a row that bring nothing new.
    pub idle_tries: u32,
    /// Tries in a row while nobody has answered at all: without a network it should be said soon.
    pub unanswered_tries: u32,
    /// Tries in all.
    pub tries: u32,
    /// Pause before the second try; it doubles with each that brings nothing new, up to 64 times.
    pub pause: Duration,
    /// Longest pause that a server may ask for.
    pub longest_pause: Duration,
    /// Longest wait for another process that fetches the same file.
    pub others: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            stall: Duration::from_secs(30),
            idle_tries: 5,
            unanswered_tries: 2,
            tries: 50,
            pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(60),
            others: Duration::from_secs(600),
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetched {
    /// It was here, and is what it should be.
    AlreadyHere,
    /// It is here now.
    New,
}

/// Fetches files of the manifest.
#[derive(Debug, Clone)]
pub struct Fetcher {
    http: Client,
    /// Without a slash at the end; empty = the files' own servers.
    mirror: String,
    patience: Patience,
}

/// What became of one try.
enum Trouble {
    /// The next one may succeed. How long the server asks us to wait, if it does.
    Passing { what: String, wait: Option<Duration> },
    /// It will not.
    Lasting(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Lasting(error)
    }
}

fn passing(what: impl Into<String>) -> Trouble {
    Trouble::Passing { what: what.into(), wait: None }
}

impl Fetcher {
    /// A client that asks `mirror`, or the files' own servers if that is empty. Needs rustls' crypto provider to be installed.
    pub fn new(mirror: &str, patience: Patience) -> Result<Self, Error> {
        let http = Client::builder()
            .connect_timeout(patience.connect)
            .user_agent(concat!("floe/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Error::Usage(format!("no HTTPS here ({error}); are the ca-certificates installed?")))?;
        Ok(Self { http, mirror: mirror.trim_end_matches('/').to_owned(), patience })
    }

    /// Fetches what is missing of a model. Dropping the future stops it; what has come is kept for the next time.
    pub async fn fetch(&self, shelf: &Shelf, model: &Model, progress: &dyn Progress) -> Result<Fetched, Error> {
        let mut fetched = Fetched::AlreadyHere;
        for file in &model.files {
            if model.bundled {
                match shelf.look(file)? {
                    State::Right => continue,
                    _ => return Err(Error::Bundled(model.name.clone())),
                }
            }
            if self.file(shelf, file, progress).await? == Fetched::New {
                fetched = Fetched::New;
            }
        }
        Ok(fetched)
    }

    async fn file(&self, shelf: &Shelf, file: &File, progress: &dyn Progress) -> Result<Fetched, Error> {
        shelf.create()?;
        let target = shelf.path(file);
        let lock_path = shelf.folder().join(format!(".{}.lock", file.name));
        let lock = self.lock(shelf, &lock_path, file, progress).await?;
        match shelf.look(file)? {
            State::Right => return Ok(Fetched::AlreadyHere),
            State::Missing => {}
            State::Wrong(_) => progress.note(&format!("{} is here but damaged; it is fetched anew", file.name)),
        }
        let mut part = Part::open(&target, file.bytes).await?;
        shelf.make_sure_of_room(file.bytes - part.bytes())?;
        progress.begin(&file.name, file.bytes, part.bytes());
        let filled = self.fill(&mut part, file, progress).await;
        progress.end();
        if let Err(error) = filled {
            if part.bytes() == 0 {
                part.discard().await;
            }
            return Err(error);
        }
        let found = part.hash();
        if found != file.sha256 {
            part.discard().await;
            return Err(Error::WrongHash { file: file.name.clone(), expected: file.sha256.clone(), found });
        }
        part.finish().await?;
        shelf.remember(&target, &found);
        // Whoever waited for this lock finds the file complete, so the lock's name is of no more use.
        let _gone = std::fs::remove_file(&lock_path);
        drop(lock);
        Ok(Fetched::New)
    }

    /// One process at a time. The system takes the lock away from a process that ends, however it ends.
    async fn lock(&self, shelf: &Shelf, path: &Path, file: &File, progress: &dyn Progress) -> Result<Lock, Error> {
        let lock = Lock::create(path).map_err(|error| Error::writing(shelf.folder(), error))?;
        let mut said = false;
        let waiting = async {
            loop {
                match lock.try_lock() {
                    Ok(()) => return Ok(()),
                    Err(TryLockError::Error(error)) => return Err(Error::file(path, error)),
                    Err(TryLockError::WouldBlock) => {
                        if !said {
                            progress.note(&format!("another process is fetching {}; waiting for it", file.name));
                            said = true;
                        }
                        sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        };
        timeout(self.patience.others, waiting).await.map_err(|_| Error::Locked(file.name.clone()))??;
        Ok(lock)
    }

    /// Tries until the part has all bytes.
    async fn fill(&self, part: &mut Part, file: &File, progress: &dyn Progress) -> Result<(), Error> {
        let (mut tries, mut idle, mut most, mut answered) = (0, 0, part.bytes(), false);
        loop {
            if part.bytes() == file.bytes {
                if part.hash() == file.sha256 || !part.is_inherited() {
                    return Ok(());
                }
                progress.note("what was left of an earlier download does not fit; starting over");
                part.restart().await?;
                most = 0;
            }
            let outcome = self.attempt(part, file, &mut answered, progress).await;
            part.flush().await?;
            let (what, wait) = match outcome {
                Ok(()) => continue,
                Err(Trouble::Lasting(error)) => return Err(error),
                Err(Trouble::Passing { what, wait }) => (what, wait),
            };
            tries += 1;
            idle = if part.bytes() > most { 0 } else { idle + 1 };
            most = most.max(part.bytes());
            if !answered && idle >= self.patience.unanswered_tries {
                return Err(Error::NoNetwork { host: self.host(file), reason: what });
            }
            if idle >= self.patience.idle_tries || tries >= self.patience.tries {
                return Err(Error::Cut { file: file.name.clone(), reason: what, tries, kept_bytes: part.bytes() });
            }
            let pause = wait.unwrap_or(self.patience.pause * 2_u32.pow(idle.min(6)));
            let next = match part.bytes() {
                0 => "trying again".to_owned(),
                bytes => format!("going on from byte {bytes}"),
            };
            progress.note(&format!("{}: {what}; {next}", file.name));
            sleep(pause.min(self.patience.longest_pause)).await;
        }
    }

    /// One request, and as much of its answer as comes.
    async fn attempt(
        &self,
        part: &mut Part,
        file: &File,
        answered: &mut bool,
        progress: &dyn Progress,
    ) -> Result<(), Trouble> {
        let mut request = self.http.get(self.url(file)).header(ACCEPT_ENCODING, "identity");
        if part.bytes() > 0 {
            request = request.header(RANGE, format!("bytes={}-", part.bytes()));
            if let Some(etag) = part.etag() {
                request = request.header(IF_RANGE, etag);
            }
        }
        let response = match timeout(self.patience.connect + self.patience.stall, request.send()).await {
            Err(_) => return Err(passing("the server does not answer")),
            Ok(Err(error)) => return Err(passing(plainly(&error))),
            Ok(Ok(response)) => response,
        };
        *answered = true;
        self.begin(part, file, &response).await?;
        progress.at(part.bytes());
        let mut body = response.bytes_stream();
        loop {
            match timeout(self.patience.stall, body.next()).await {
                Err(_) => return Err(passing("nothing came for too long")),
                Ok(Some(Err(error))) => return Err(passing(plainly(&error))),
                Ok(Some(Ok(bytes))) => {
                    let found_bytes = part.bytes() + bytes.len() as u64;
                    if found_bytes > file.bytes {
                        part.restart().await?;
                        return Err(self.wrong_size(file, found_bytes).into());
                    }
                    part.append(&bytes).await?;
                    progress.at(part.bytes());
                }
                Ok(None) if part.bytes() < file.bytes => return Err(passing("the connection ended early")),
                Ok(None) => return Ok(()),
            }
        }
    }

    /// Makes the part fit the answer's head: it goes on, or it begins anew.
    async fn begin(&self, part: &mut Part, file: &File, response: &Response) -> Result<(), Trouble> {
        let headers = response.headers();
        let etag = headers.get(ETAG).and_then(|value| value.to_str().ok());
        match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                let Some((start, total)) = range(headers) else {
                    part.restart().await?;
                    return Err(passing("the server does not say which part it sends"));
                };
                if let Some(found_bytes) = total.filter(|total| *total != file.bytes) {
                    return Err(self.wrong_size(file, found_bytes).into());
                }
                let other = part.etag().is_some() && etag.is_some() && part.etag() != etag;
                if other || start != part.bytes() {
                    part.restart().await?;
                    return Err(passing("the server has another version of it, or sends another part"));
                }
            }
            StatusCode::OK => {
                if let Some(found_bytes) = response.content_length().filter(|bytes| *bytes != file.bytes) {
                    return Err(self.wrong_size(file, found_bytes).into());
                }
                part.restart().await?;
            }
            StatusCode::RANGE_NOT_SATISFIABLE if part.bytes() > 0 => {
                part.restart().await?;
                return Err(passing("the server cannot go on from there"));
            }
            status @ (StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS) => {
                return Err(busy(status, headers));
            }
            status if status.is_server_error() => return Err(busy(status, headers)),
            status => {
                let (host, file) = (self.host(file), file.name.clone());
                return Err(Error::Refused { host, status: status.as_u16(), file }.into());
            }
        }
        Ok(part.set_etag(etag).await?)
    }

    fn url(&self, file: &File) -> String {
        if self.mirror.is_empty() { file.url.clone() } else { format!("{}/{}", self.mirror, file.name) }
    }

    fn host(&self, file: &File) -> String {
        let url = self.url(file);
        reqwest::Url::parse(&url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or(url)
    }

    fn wrong_size(&self, file: &File, found_bytes: u64) -> Error {
        Error::WrongSize { host: self.host(file), file: file.name.clone(), expected_bytes: file.bytes, found_bytes }
    }
}

fn busy(status: StatusCode, headers: &HeaderMap) -> Trouble {
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    Trouble::Passing { what: format!("the server answers {}", status.as_u16()), wait: seconds.map(Duration::from_secs) }
}

/// Where a partial answer begins, and how long the whole is, if the server knows.
fn range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let (span, total) = headers.get(CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes ")?.split_once('/')?;
    Some((span.split_once('-')?.0.trim().parse().ok()?, total.trim().parse().ok()))
}

/// What happened to a connection, in words for somebody who waits for a file.
fn plainly(error: &reqwest::Error) -> String {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    match error {
        _ if error.is_timeout() => "no connection in time".into(),
        _ if error.is_connect() => format!("no connection: {deepest}"),
        _ => format!("the connection broke: {deepest}"),
    }
}
