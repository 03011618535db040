//! A voice's graph on ONNX Runtime: several times quicker than rten, from a library that the user installs.

use std::{
    ops::{Deref, DerefMut},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use ort::{
    session::{RunOptions, Session, SessionInputValue},
    value::{Tensor, TensorElementType, ValueType},
};

use super::{
    graph::{self, INPUTS, Kind, Scales},
    library::Loaded,
    runtime::Stop,
};

/// A graph in as many copies as are computed at a time: ONNX Runtime's own `Run` is not safe on two threads at once (which
/// is why `ort` wants `&mut`), and a lock would let one clause hold up another. Copies are made when they are needed, so
/// at most one per worker, each with its own weights: 63 MB for a medium voice.
pub(super) struct Graph {
    path: PathBuf,
    library: &'static Loaded,
    several_speakers: bool,
    /// Whether it takes a speaker.
    speaker: bool,
    /// Copies that nobody computes.
    idle: Mutex<Vec<Session>>,
}

impl Graph {
    /// Loads and checks. Errors are in words and do not name the file. Blocks.
    pub(super) fn load(path: &Path, several_speakers: bool, library: &'static Loaded) -> Result<Self, String> {
        let (session, speaker) = open(path, several_speakers, library)?;
        Ok(Self { path: path.to_owned(), library, several_speakers, speaker, idle: Mutex::new(vec![session]) })
    }

    /// Speaks: ids to samples. Blocks on this thread and those of the library's pool, until `stop` says so at most.
    pub(super) fn run(&self, ids: &[i32], scales: Scales, speaker: i32, stop: &Stop) -> Result<Vec<f32>, String> {
        let length = i64::try_from(ids.len()).map_err(|_| "too many phonemes")?;
        let ids: Vec<i64> = ids.iter().copied().map(i64::from).collect();
        let scales = vec![scales.noise, scales.length, scales.noise_w];
        let mut inputs: Vec<(&str, SessionInputValue<'_>)> = vec![
            (INPUTS[0].0, Tensor::from_array(([1, length], ids)).map_err(broke)?.into()),
            (INPUTS[1].0, Tensor::from_array(([1_i64], vec![length])).map_err(broke)?.into()),
            (INPUTS[2].0, Tensor::from_array(([3_i64], scales)).map_err(broke)?.into()),
        ];
        if self.speaker {
            let speaker = Tensor::from_array(([1_i64], vec![i64::from(speaker)])).map_err(broke)?;
            inputs.push((INPUTS[3].0, speaker.into()));
        }
        let unstoppable;
        let options = match stop.options() {
            Some(options) => options,
            None => {
                unstoppable = RunOptions::new().map_err(broke)?;
                &unstoppable
            }
        };
        let mut session = self.borrow()?;
        let outputs = session.run_with_options(inputs, options).map_err(broke)?;
        let output = outputs.values().next().ok_or("nothing comes out of it")?;
        let (shape, samples) =
            output.try_extract_tensor::<f32>().map_err(|_| "what comes out of it are no samples".to_owned())?;
        graph::check_shape::<i64>(shape)?;
        Ok(samples.to_vec())
    }

    /// A copy that nobody else computes, which comes back when it is dropped.
    fn borrow(&self) -> Result<Borrowed<'_>, String> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let session = match idle {
            Some(session) => session,
            None => open(&self.path, self.several_speakers, self.library)?.0,
        };
        Ok(Borrowed { graph: self, session: Some(session) })
    }
}

/// A session out of [`Graph::idle`].
struct Borrowed<'a> {
    graph: &'a Graph,
    /// There until it is dropped.
    session: Option<Session>,
}

impl Deref for Borrowed<'_> {
    type Target = Session;

    #[expect(clippy::expect_used, reason = "taken only by drop")]
    fn deref(&self) -> &Session {
        self.session.as_ref().expect("a session")
    }
}

impl DerefMut for Borrowed<'_> {
    #[expect(clippy::expect_used, reason = "taken only by drop")]
    fn deref_mut(&mut self) -> &mut Session {
        self.session.as_mut().expect("a session")
    }
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        self.graph.idle.lock().unwrap_or_else(PoisonError::into_inner).extend(self.session.take());
    }
}

/// A session, and whether it takes a speaker.
fn open(path: &Path, several_speakers: bool, library: &Loaded) -> Result<(Session, bool), String> {
    let words =
        |error: &dyn std::fmt::Display| format!("it cannot be loaded (damaged, incomplete, or no ONNX file?): {error}");
    let mut builder = Session::builder(&library.environment).map_err(|error| words(&error))?;
    let session = builder.commit_from_file(path).map_err(|error| words(&error))?;
    let described = |input: &ort::value::Outlet| (input.name().to_owned(), Some(kind(input.dtype())));
    let inputs: Vec<(String, Option<Kind>)> = session.inputs().iter().map(described).collect();
    let ends = graph::ends(&inputs, several_speakers)?;
    if session.outputs().is_empty() {
        return Err("it has no output".into());
    }
    Ok((session, ends[3].is_some()))
}

fn kind(value: &ValueType) -> Kind {
    match value.tensor_type() {
        Some(TensorElementType::Int64) => Kind::Integers,
        Some(TensorElementType::Float32) => Kind::Floats,
        _ => Kind::Others,
    }
}

fn broke(error: ort::Error) -> String {
    format!("it broke: {error}")
}
