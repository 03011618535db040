//! A voice's graph: what goes in, what comes out, and that both are as Piper's are, whoever computes it.

use std::{fs::File, io::BufReader, path::Path};

#[cfg(feature = "onnxruntime")]
use super::on_onnxruntime;
use super::{
    envelope, on_rten,
    runtime::{Chosen, Stop},
};

/// What goes in besides the phonemes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scales {
    /// How much the sound varies.
    pub(super) noise: f32,
    /// How long phonemes last; 2 = twice as long.
    pub(super) length: f32,
    /// How much their lengths vary.
    pub(super) noise_w: f32,
}

/// A loaded graph, and who computes it.
pub(super) enum Graph {
    Rten(Box<on_rten::Graph>),
    #[cfg(feature = "onnxruntime")]
    OnnxRuntime(on_onnxruntime::Graph),
}

impl Graph {
    /// Loads and checks. Errors are in words and do not name the file. Blocks.
    pub(super) fn load(path: &Path, several_speakers: bool, runtime: &Chosen) -> Result<Self, String> {
        let file = File::open(path).map_err(|error| error.to_string())?;
        let bytes = file.metadata().map_err(|error| error.to_string())?.len();
        envelope::check(BufReader::new(file), bytes)?;
        Ok(match runtime {
            Chosen::Rten(threads) => Self::Rten(Box::new(on_rten::Graph::load(path, several_speakers, threads)?)),
            #[cfg(feature = "onnxruntime")]
            Chosen::OnnxRuntime(loaded) => {
                Self::OnnxRuntime(on_onnxruntime::Graph::load(path, several_speakers, loaded)?)
            }
        })
    }

    /// Speaks: ids to samples. Blocks. ONNX Runtime ends between two operators once `stop` says so, and fails then; rten
    /// runs a graph to its end.
    #[cfg_attr(not(feature = "onnxruntime"), expect(unused_variables, reason = "rten cannot be stopped"))]
    pub(super) fn run(&self, ids: &[i32], scales: Scales, speaker: i32, stop: &Stop) -> Result<Vec<f32>, String> {
        match self {
            Self::Rten(graph) => graph.run(ids, scales, speaker),
            #[cfg(feature = "onnxruntime")]
            Self::OnnxRuntime(graph) => graph.run(ids, scales, speaker, stop),
        }
    }
}

/// What an input holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Integers,
    Floats,
    Others,
}

/// What Piper's voices take. The last is only there with several speakers.
pub(super) const INPUTS: &[(&str, Kind); 4] =
    &[("input", Kind::Integers), ("input_lengths", Kind::Integers), ("scales", Kind::Floats), ("sid", Kind::Integers)];

/// Whether a graph with these inputs (the kind is `None` where the file does not say it) is one of Piper's; if it is, where
/// in `inputs` each of [`INPUTS`] is.
pub(super) fn ends(inputs: &[(String, Option<Kind>)], several_speakers: bool) -> Result<[Option<usize>; 4], String> {
    let mut ends = [None; 4];
    for (index, (name, kind)) in inputs.iter().enumerate() {
        let Some(at) = INPUTS.iter().position(|(known, _)| known == name) else {
            return Err(format!("it wants {name:?}, which Piper's voices do not; is it one of Piper's?"));
        };
        if kind.is_some_and(|kind| kind != INPUTS[at].1) {
            return Err(format!("its input {name:?} is of another type than that of Piper's voices"));
        }
        ends[at] = Some(index);
    }
    if let Some((name, _)) = INPUTS.iter().zip(ends).take(3).find(|(_, end)| end.is_none()).map(|(input, _)| input) {
        return Err(format!("it has no input {name:?}, which all of Piper's voices have"));
    }
    if several_speakers && ends[3].is_none() {
        return Err("its json has several speakers, but the graph takes none (no input \"sid\")".into());
    }
    Ok(ends)
}

/// Whether samples of this shape are one run's: [1, 1, samples] or [1, 1, 1, samples].
pub(super) fn check_shape<N: Copy + PartialEq + From<bool> + std::fmt::Debug>(shape: &[N]) -> Result<(), String> {
    match shape {
        [before @ .., _] if before.iter().all(|size| *size == N::from(true)) => Ok(()),
        shape => Err(format!("what comes out of it has the shape {shape:?}, not [1, 1, 1, samples]")),
    }
}
