//! A voice's graph on rten: what goes in, what comes out, and that both are as Piper's are.

use std::{fs::File, io::BufReader, path::Path, sync::Arc};

use rten::{DataType, Model, ModelOptions, NodeId, RunOptions, ThreadPool, Value, ValueType};
use rten_tensor::{NdTensor, prelude::*};

use super::envelope;

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

/// A loaded graph and its ends.
pub(super) struct Graph {
    model: Model,
    input: NodeId,
    input_lengths: NodeId,
    scales: NodeId,
    speaker: Option<NodeId>,
    output: NodeId,
}

impl Graph {
    /// Loads and checks. Errors are in words and do not name the file. Blocks.
    pub(super) fn load(path: &Path, several_speakers: bool) -> Result<Self, String> {
        let file = File::open(path).map_err(|error| error.to_string())?;
        let bytes = file.metadata().map_err(|error| error.to_string())?.len();
        envelope::check(BufReader::new(file), bytes)?;
        let model = ModelOptions::with_all_ops()
            .load_file(path)
            .map_err(|error| format!("it cannot be loaded (damaged, incomplete, or no ONNX file?): {error}"))?;
        let mut ends = [None; 4];
        for id in model.input_ids() {
            let name = model.node_info(*id).and_then(|node| node.name().map(str::to_owned)).unwrap_or_default();
            match INPUTS.iter().position(|(known, _)| *known == name) {
                Some(at) => ends[at] = Some(*id),
                None => return Err(format!("it wants {name:?}, which Piper's voices do not; is it one of Piper's?")),
            }
        }
        for (id, (name, kind)) in ends.iter().zip(INPUTS) {
            let found = id.and_then(|id| model.node_info(id)).and_then(|node| node.dtype());
            if found.is_some_and(|found| found != ValueType::Tensor(*kind)) {
                return Err(format!("its input {name:?} is of another type than that of Piper's voices"));
            }
        }
        let [Some(input), Some(input_lengths), Some(scales), speaker] = ends else {
            let missing = INPUTS.iter().zip(ends).find(|(_, id)| id.is_none()).map_or("", |((name, _), _)| *name);
            return Err(format!("it has no input {missing:?}, which all of Piper's voices have"));
        };
        if several_speakers && speaker.is_none() {
            return Err("its json has several speakers, but the graph takes none (no input \"sid\")".into());
        }
        let output = *model.output_ids().first().ok_or("it has no output")?;
        Ok(Self { model, input, input_lengths, scales, speaker, output })
    }

    /// Speaks: ids to samples. Cannot be stopped on the way: rten runs a graph to its end. Blocks on the threads of `pool`.
    pub(super) fn run(
        &self,
        ids: &[i32],
        scales: Scales,
        speaker: i32,
        pool: &Arc<ThreadPool>,
    ) -> Result<Vec<f32>, String> {
        let length = i32::try_from(ids.len()).map_err(|_| "too many phonemes")?;
        let ids = NdTensor::from_data([1, ids.len()], ids.to_vec());
        let scales = NdTensor::from([scales.noise, scales.length, scales.noise_w]);
        let mut inputs = vec![
            (self.input, ids.into()),
            (self.input_lengths, NdTensor::from([length]).into()),
            (self.scales, scales.into()),
        ];
        if let Some(id) = self.speaker {
            inputs.push((id, NdTensor::from([speaker]).into()));
        }
        let options = RunOptions::default().with_thread_pool(Some(Arc::clone(pool)));
        let [output] =
            self.model.run_n(inputs, [self.output], Some(options)).map_err(|error| format!("it broke: {error}"))?;
        let Value::FloatTensor(speech) = output else {
            return Err("what comes out of it are no samples".into());
        };
        // [1, 1, samples] or [1, 1, 1, samples]
        let shape = speech.shape();
        match shape {
            [before @ .., _] if before.iter().all(|size| *size == 1) => Ok(speech.to_vec()),
            shape => Err(format!("what comes out of it has the shape {shape:?}, not [1, 1, 1, samples]")),
        }
    }
}

/// What Piper's voices take. rten keeps 64-bit integers as 32-bit ones. The last is only there with several speakers.
const INPUTS: &[(&str, DataType); 4] = &[
    ("input", DataType::Int32),
    ("input_lengths", DataType::Int32),
    ("scales", DataType::Float),
    ("sid", DataType::Int32),
];
