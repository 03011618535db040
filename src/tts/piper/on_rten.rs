//! A voice's graph on rten: pure Rust, always there.

use std::{path::Path, sync::Arc};

use rten::{DataType, Model, ModelOptions, NodeId, RunOptions, ThreadPool, Value, ValueType};
use rten_tensor::{NdTensor, prelude::*};

use super::graph::{self, Kind, Scales};

/// A loaded graph and its ends.
pub(super) struct Graph {
    model: Model,
    threads: Arc<ThreadPool>,
    input: NodeId,
    input_lengths: NodeId,
    scales: NodeId,
    speaker: Option<NodeId>,
    output: NodeId,
}

impl Graph {
    /// Loads and checks; it will be computed on `threads`. Errors are in words and do not name the file. Blocks.
    pub(super) fn load(path: &Path, several_speakers: bool, threads: &Arc<ThreadPool>) -> Result<Self, String> {
        let model = ModelOptions::with_all_ops()
            .load_file(path)
            .map_err(|error| format!("it cannot be loaded (damaged, incomplete, or no ONNX file?): {error}"))?;
        let described = |id: &NodeId| {
            let node = model.node_info(*id);
            let name = node.as_ref().and_then(|node| node.name().map(str::to_owned)).unwrap_or_default();
            (name, node.and_then(|node| node.dtype()).map(kind))
        };
        let inputs: Vec<(String, Option<Kind>)> = model.input_ids().iter().map(described).collect();
        let ends = graph::ends(&inputs, several_speakers)?.map(|end| end.map(|index| model.input_ids()[index]));
        let [Some(input), Some(input_lengths), Some(scales), speaker] = ends else {
            return Err("it lacks an input that all of Piper's voices have".into());
        };
        let output = *model.output_ids().first().ok_or("it has no output")?;
        Ok(Self { threads: Arc::clone(threads), model, input, input_lengths, scales, speaker, output })
    }

    /// Speaks: ids to samples. Cannot be stopped on the way. Blocks on the threads of the pool.
    pub(super) fn run(&self, ids: &[i32], scales: Scales, speaker: i32) -> Result<Vec<f32>, String> {
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
        let options = RunOptions::default().with_thread_pool(Some(Arc::clone(&self.threads)));
        let [output] =
            self.model.run_n(inputs, [self.output], Some(options)).map_err(|error| format!("it broke: {error}"))?;
        let Value::FloatTensor(speech) = output else {
            return Err("what comes out of it are no samples".into());
        };
        let shape: Vec<u64> = speech.shape().iter().map(|size| *size as u64).collect();
        graph::check_shape(&shape)?;
        Ok(speech.to_vec())
    }
}

/// rten keeps 64-bit integers as 32-bit ones.
fn kind(value: ValueType) -> Kind {
    match value {
        ValueType::Tensor(DataType::Int32) => Kind::Integers,
        ValueType::Tensor(DataType::Float) => Kind::Floats,
        _ => Kind::Others,
    }
}
