//! What is said, kept as sound: one Ogg/Opus file of what the user said and one of what was said to them, for each session.
//!
//! Both files of a part share one time axis, the media time of the user's audio, in which the transcript has its times: what an
//! item says lies in its track from `start_ms` to `end_ms` (less where the part begins). Where nothing is said there is silence,
//! which costs next to nothing. Two files of one channel rather than one of two: each can be played, searched and thrown away by
//! itself, and a user who never hears anything costs no second channel.
//!
//! A session hands its audio to its [`Tape`], which never waits. A few threads encode and write: the disk holds up nobody but
//! them. When they fall behind ([`JOBS_MAX`]) audio is dropped; silence takes its place, so that times stay true, and the file
//! is marked as not complete. Whole pages reach the file as they fill, twice a second: that is what a killed server leaves.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    time::Duration,
};

use tokio::{sync::oneshot, task::JoinSet, time};
use tokio_util::sync::CancellationToken;

use crate::{
    audio::{AudioChunk, AudioPos, Format},
    ids::{ConversationId, ResponseId},
    store::{Config, Store},
};

mod erasing;
mod reels;
mod track;
mod writer;

pub use reels::{Taped, Written};
pub use track::length_ms;

use writer::{Job, Writer};

/// One side of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// What the user said.
    User,
    /// What was said to them.
    Assistant,
}

impl Side {
    /// Its word, in rows, names and addresses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }

    /// The side of this word.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::User, Self::Assistant].into_iter().find(|side| side.as_str() == name)
    }
}

/// Where tapes are made and found. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Deck {
    dir: Arc<Path>,
    /// The threads' queues; none if nothing is recorded here. Each holds [`JOBS_MAX`] jobs; when it is full, audio is dropped.
    writers: Arc<[mpsc::SyncSender<Job>]>,
    tapes: Arc<AtomicU64>,
}

/// The threads of a deck, and the task that erases what was deleted.
#[derive(Debug)]
pub struct Running {
    deck: Deck,
    ended: Vec<oneshot::Receiver<()>>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

/// What the threads and a session know of one tape.
#[derive(Debug, Default)]
struct Fate {
    /// Something was dropped on the way.
    is_torn: AtomicBool,
    /// Nobody will say more.
    is_over: AtomicBool,
}

impl Deck {
    /// The deck of this configuration. It finds and erases what was recorded before even if nothing is recorded now.
    pub fn start(config: &Config, store: Store, node: &str) -> io::Result<(Self, Running)> {
        let dir: Arc<Path> = config.sound().into();
        let (mut writers, mut ended) = (Vec::new(), Vec::new());
        if config.audio {
            let threads = std::thread::available_parallelism().map_or(1, usize::from).min(WRITERS_MAX);
            let trouble = Arc::new(AtomicBool::new(false));
            for _ in 0..threads {
                let (jobs, queue) = mpsc::sync_channel(JOBS_MAX);
                ended.push(Writer::new(Arc::clone(&dir), queue, Arc::clone(&trouble)).start()?);
                writers.push(jobs);
            }
        }
        let deck = Self { dir, writers: writers.into(), tapes: Arc::default() };
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        let erasing = erasing::run(deck.clone(), store, node.to_owned());
        let stopped = stop.clone();
        tasks.spawn(async move {
            let _stopped = stopped.run_until_cancelled(erasing).await;
        });
        Ok((deck.clone(), Running { deck, ended, stop, tasks }))
    }

    /// A tape for this part of a conversation; `None` if nothing is recorded here. Files appear when there is something to be
    /// heard.
    pub fn tape(&self, conversation: ConversationId, part: i64) -> Option<Tape> {
        let id = self.tapes.fetch_add(1, Ordering::Relaxed);
        let writer = self.writers.get(usize::try_from(id).unwrap_or(0) % self.writers.len().max(1))?.clone();
        Some(Tape { id, writer, conversation, part, fate: Arc::default(), has_begun: false })
    }

    /// The directory of a conversation.
    pub fn folder(&self, conversation: ConversationId) -> PathBuf {
        folder(&self.dir, conversation)
    }

    /// The file of a track. Made of ids alone: it lies nowhere else.
    pub fn file(&self, conversation: ConversationId, part: i64, side: Side) -> PathBuf {
        self.folder(conversation).join(file_name(part, side))
    }

    /// Erases a conversation's files that are here, whether they are still written or not. Waits for the disk.
    pub async fn erase(&self, conversation: ConversationId) -> io::Result<()> {
        for writer in self.writers.iter() {
            let (done, forgotten) = oneshot::channel();
            let asked = send(writer, Job::Forget { conversation, done }, FORGET_WAIT).await;
            // Whether the queue stays full or the disk hangs, it is tried again.
            let is_forgotten = asked && time::timeout(FORGET_WAIT, forgotten).await.is_ok_and(|done| done.is_ok());
            if !is_forgotten {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        match tokio::fs::remove_dir_all(self.folder(conversation)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl Running {
    /// Ends every tape, and the threads. Says whether that was done within `grace`.
    pub async fn stop(mut self, grace: Duration) -> bool {
        self.stop.cancel();
        let ending = async {
            while self.tasks.join_next().await.is_some() {}
            for writer in self.deck.writers.iter() {
                send(writer, Job::Stop, grace).await;
            }
            for ended in &mut self.ended {
                let _ended = ended.await;
            }
        };
        time::timeout(grace, ending).await.is_ok()
    }
}

/// Takes the audio of one session. Nothing here waits but [`finish`](Self::finish). Dropping it ends its files, without a word of
/// how they are.
#[derive(Debug)]
pub struct Tape {
    id: u64,
    writer: mpsc::SyncSender<Job>,
    conversation: ConversationId,
    part: i64,
    fate: Arc<Fate>,
    has_begun: bool,
}

impl Tape {
    /// The user was heard up to `end`; `None` if nobody listened (the user has muted). What is given lies just before `end`.
    pub fn heard(&mut self, end: AudioPos, samples: Option<Arc<[f32]>>) {
        let tape = self.id;
        self.put(Job::Heard { tape, end, samples });
    }

    /// A piece of a reply is to be heard from `at` on, in the user's media time.
    pub fn said(&mut self, at: AudioPos, chunk: AudioChunk, format: Format, response: ResponseId) {
        let tape = self.id;
        self.put(Job::Said { tape, at, chunk, format, response });
    }

    /// From `at` on nothing of what was said will be heard: it was talked over.
    pub fn cut(&mut self, at: AudioPos) {
        self.put(Job::Cut { tape: self.id, at });
    }

    /// Everything said so far has been heard.
    pub fn settle(&mut self) {
        self.put(Job::Settle { tape: self.id });
    }

    /// Ends the files, and tells how they are; `None` if the disk does not answer within [`FINISH_WAIT`].
    pub async fn finish(self) -> Option<Taped> {
        let (done, taped) = oneshot::channel();
        let is_asked = !self.has_begun || send(&self.writer, Job::Finish { tape: self.id, done }, FINISH_WAIT).await;
        if !self.has_begun {
            return Some(Taped::default());
        }
        if is_asked { time::timeout(FINISH_WAIT, taped).await.ok()?.ok() } else { None }
    }

    fn put(&mut self, job: Job) {
        if !self.has_begun {
            let fate = Arc::clone(&self.fate);
            let begin = Job::Begin { tape: self.id, conversation: self.conversation, part: self.part, fate };
            self.has_begun = self.writer.try_send(begin).is_ok();
        }
        if !self.has_begun || self.writer.try_send(job).is_err() {
            self.fate.is_torn.store(true, Ordering::Relaxed);
        }
    }
}

impl Drop for Tape {
    fn drop(&mut self) {
        self.fate.is_over.store(true, Ordering::Relaxed);
    }
}

/// Hands a job over, if there is room for it in time.
async fn send(writer: &mpsc::SyncSender<Job>, mut job: Job, wait: Duration) -> bool {
    let sending = async {
        loop {
            match writer.try_send(job) {
                Ok(()) => return true,
                Err(mpsc::TrySendError::Disconnected(_)) => return false,
                Err(mpsc::TrySendError::Full(back)) => job = back,
            }
            time::sleep(Duration::from_millis(10)).await;
        }
    };
    time::timeout(wait, sending).await.unwrap_or(false)
}

fn folder(dir: &Path, conversation: ConversationId) -> PathBuf {
    dir.join(conversation.to_string())
}

fn file_name(part: i64, side: Side) -> String {
    format!("{part}-{}.opus", side.as_str())
}

/// Threads that encode and write.
const WRITERS_MAX: usize = 4;

/// Pieces of audio (16 to 20 ms, up to 4 kB each) on their way to one thread: half a minute of four conversations, or a second of
/// a hundred. When so many wait, further ones are dropped.
const JOBS_MAX: usize = 16_384;

/// Longest wait of a session that ends for its files.
const FINISH_WAIT: Duration = Duration::from_secs(3);

/// Longest wait of somebody who erases for a thread.
const FORGET_WAIT: Duration = Duration::from_secs(2);
