//! A voice with the inputs and outputs of Piper's, whose speech says what it was given.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value as Json, json};

use super::onnx::{self, FLOAT, INT64, Node, Value, float, integers, node, value};

/// Samples per value that the voice speaks, and its rate.
pub(crate) const HOLD: usize = 256;
pub(crate) const RATE_HZ: u32 = 16_000;

/// Phonemes and their ids: some of those that Piper's English voices have.
pub(crate) const IDS: &[(&str, i32)] = &[
    ("_", 0),
    ("^", 1),
    ("$", 2),
    (" ", 3),
    ("!", 4),
    (",", 8),
    (".", 10),
    (":", 11),
    (";", 12),
    ("?", 13),
    ("a", 14),
    ("b", 15),
    ("c", 16),
    ("d", 17),
    ("e", 18),
    ("f", 19),
    ("h", 20),
    ("i", 21),
    ("j", 22),
    ("k", 23),
    ("l", 24),
    ("m", 25),
    ("n", 26),
    ("o", 27),
    ("p", 28),
    ("s", 31),
    ("t", 32),
    ("u", 33),
    ("v", 34),
    ("w", 35),
    ("z", 38),
    ("æ", 39),
    ("ð", 41),
    ("ŋ", 44),
    ("ɐ", 50),
    ("ɑ", 51),
    ("ɔ", 54),
    ("ə", 59),
    ("ɚ", 60),
    ("ɛ", 61),
    ("ɜ", 62),
    ("ɡ", 66),
    ("ɪ", 74),
    ("ɹ", 88),
    ("ʊ", 100),
    ("ʌ", 102),
    ("ʒ", 108),
    ("ˈ", 120),
    ("ˌ", 121),
    ("ː", 122),
    ("θ", 126),
    ("\u{327}", 140),
];

/// What one run of the graph was given.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Heard {
    pub(crate) noise: f32,
    pub(crate) length: f32,
    pub(crate) noise_w: f32,
    /// −1 where the graph takes no speaker.
    pub(crate) speaker: i32,
    pub(crate) ids: Vec<i32>,
}

/// What the graph was given, run by run, from its speech. The samples must be whole.
pub(crate) fn heard(samples: &[f32]) -> Vec<Heard> {
    assert_eq!(samples.len() % HOLD, 0, "{} samples", samples.len());
    let values: Vec<f32> = samples.chunks(HOLD).map(|held| held[0]).collect();
    assert!(samples.chunks(HOLD).all(|held| held.iter().all(|sample| *sample == held[0])));
    let mut runs = Vec::new();
    let mut rest = values.as_slice();
    while let [length, noise, scale, noise_w, speaker, after @ ..] = rest {
        let (ids, after) = after.split_at((length * 1024.0).round() as usize);
        runs.push(Heard {
            noise: noise * 64.0 - 1.0,
            length: scale * 64.0 - 1.0,
            noise_w: noise_w * 64.0 - 1.0,
            speaker: (speaker * 64.0).round() as i32 - 2,
            ids: ids.iter().map(|id| (id * 256.0).round() as i32 - 8).collect(),
        });
        rest = after;
    }
    assert!(rest.is_empty());
    runs
}

/// A graph like Piper's. It speaks [length / 1024, (scales + 1) / 64, (speaker + 2) / 64, (ids + 8) / 256], each for
/// [`HOLD`] samples, in the shape [1, 1, 1, samples].
pub(crate) fn graph(speakers: bool) -> Vec<u8> {
    let (nodes, mut inputs) = parts(speakers);
    if speakers {
        inputs.push(value("sid", INT64, &["1"]));
    }
    file(nodes, inputs)
}

/// The nodes of [`graph`] and its inputs without the speaker.
pub(crate) fn parts(speakers: bool) -> (Vec<Node>, Vec<Value>) {
    let to_float = [("to", i64::from(FLOAT))];
    let speaker = if speakers { "sid" } else { "nobody" };
    let nodes = vec![
        node("Cast", &["input"], "ids", &to_float),
        node("Add", &["ids", "eight"], "ids_up", &[]),
        node("Div", &["ids_up", "of_ids"], "ids_small", &[]),
        node("Cast", &["input_lengths"], "length", &to_float),
        node("Div", &["length", "of_length"], "length_small", &[]),
        node("Add", &["scales", "one"], "scales_up", &[]),
        node("Div", &["scales_up", "of_scales"], "scales_small", &[]),
        node("Cast", &[speaker], "speaker", &to_float),
        node("Add", &["speaker", "two"], "speaker_up", &[]),
        node("Div", &["speaker_up", "of_scales"], "speaker_small", &[]),
        node("Concat", &["length_small", "scales_small", "speaker_small"], "head", &[("axis", 0)]),
        node("Unsqueeze", &["head", "first_axis"], "head_row", &[]),
        node("Concat", &["head_row", "ids_small"], "row", &[("axis", 1)]),
        node("Unsqueeze", &["row", "last_axis"], "column", &[]),
        node("Tile", &["column", "hold"], "held", &[]),
        node("Reshape", &["held", "shape"], "output", &[]),
    ];
    let inputs = vec![
        value("input", INT64, &["batch_size", "phonemes"]),
        value("input_lengths", INT64, &["batch_size"]),
        value("scales", FLOAT, &["3"]),
    ];
    (nodes, inputs)
}

/// A graph like [`graph`] that takes years where the length scale is above 3: a quarter of the normal speed.
#[cfg(feature = "onnxruntime")]
pub(crate) fn endless_graph() -> Vec<u8> {
    let (mut nodes, inputs) = parts(false);
    let at = nodes.iter().position(|node| node.outputs == ["length_small"]).unwrap();
    nodes[at].outputs = vec!["length_first".into()];
    nodes[at].name = "length_first".into();
    let around = |body: Vec<Node>| onnx::Graph {
        nodes: body,
        name: "body".into(),
        constants: Vec::new(),
        inputs: vec![value("round", INT64, &[]), value("go_on", onnx::BOOL, &[]), value("before", FLOAT, &["1"])],
        outputs: vec![value("go_on_then", onnx::BOOL, &[]), value("after", FLOAT, &["1"])],
    };
    let body = around(vec![node("Identity", &["go_on"], "go_on_then", &[]), node("Abs", &["before"], "after", &[])]);
    let rounds = [
        node("Gather", &["scales", "second"], "length_scale", &[]),
        node("Sub", &["length_scale", "three"], "too_long", &[]),
        node("Relu", &["too_long"], "excess", &[]),
        node("Mul", &["excess", "of_rounds"], "rounds_float", &[]),
        node("Cast", &["rounds_float"], "rounds_row", &[("to", i64::from(INT64))]),
        node("Reshape", &["rounds_row", "shape_of_one"], "rounds", &[]),
        onnx::repeated(body, "rounds", "length_first", "length_small"),
    ];
    nodes.splice(at + 1..at + 1, rounds);
    file(nodes, inputs)
}

/// The file of a graph with these nodes and inputs.
pub(crate) fn file(nodes: Vec<Node>, inputs: Vec<Value>) -> Vec<u8> {
    let constants = vec![
        float("one", 1.0),
        float("two", 2.0),
        float("eight", 8.0),
        float("of_ids", 256.0),
        float("of_length", 1024.0),
        float("of_scales", 64.0),
        float("three", 3.0),
        float("of_rounds", 1e15),
        integers("second", &[1]),
        integers("shape_of_one", &[1]),
        integers("nobody", &[-1]),
        integers("first_axis", &[0]),
        integers("last_axis", &[2]),
        integers("hold", &[1, 1, HOLD as i64]),
        integers("shape", &[1, 1, 1, -1]),
    ];
    onnx::file(nodes, constants, inputs, vec![value("output", FLOAT, &["batch_size", "1", "1", "time"])])
}

/// What goes beside it.
pub(crate) fn description(language: &str, speakers: i32) -> Json {
    let ids: serde_json::Map<String, Json> =
        IDS.iter().map(|(phoneme, id)| ((*phoneme).to_owned(), json!([id]))).collect();
    let names: serde_json::Map<String, Json> =
        (0..speakers).filter(|_| speakers > 1).map(|number| (format!("p{number}"), json!(number))).collect();
    json!({
        "audio": { "sample_rate": RATE_HZ, "quality": "test" },
        "espeak": { "voice": language.to_lowercase().replace('_', "-") },
        "inference": { "noise_scale": 0.625, "length_scale": 1.25, "noise_w": 0.75 },
        "phoneme_type": "espeak",
        "language": { "code": language, "family": language.split('_').next() },
        "num_symbols": 256,
        "num_speakers": speakers,
        "speaker_id_map": names,
        "phoneme_id_map": ids,
        "piper_version": "1.0.0",
    })
}

/// Puts a voice into `folder` and gives its path.
pub(crate) fn install(folder: &Path, name: &str, graph: &[u8], description: &Json) -> PathBuf {
    let path = folder.join(format!("{name}.onnx"));
    fs::write(&path, graph).unwrap();
    fs::write(folder.join(format!("{name}.onnx.json")), description.to_string()).unwrap();
    path
}
