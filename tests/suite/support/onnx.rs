//! ONNX files made on the spot: the few messages of the format that a small graph needs.

use prost::Message;

/// Element types, as ONNX numbers them.
pub(crate) const FLOAT: i32 = 1;
pub(crate) const INT64: i32 = 7;
#[cfg(feature = "onnxruntime")]
pub(crate) const BOOL: i32 = 9;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Model {
    #[prost(int64, tag = "1")]
    pub(crate) ir_version: i64,
    #[prost(message, optional, tag = "7")]
    pub(crate) graph: Option<Graph>,
    #[prost(message, repeated, tag = "8")]
    pub(crate) opset: Vec<Opset>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Opset {
    #[prost(string, tag = "1")]
    pub(crate) domain: String,
    #[prost(int64, tag = "2")]
    pub(crate) version: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Graph {
    #[prost(message, repeated, tag = "1")]
    pub(crate) nodes: Vec<Node>,
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    #[prost(message, repeated, tag = "5")]
    pub(crate) constants: Vec<Tensor>,
    #[prost(message, repeated, tag = "11")]
    pub(crate) inputs: Vec<Value>,
    #[prost(message, repeated, tag = "12")]
    pub(crate) outputs: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Node {
    #[prost(string, repeated, tag = "1")]
    pub(crate) inputs: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(crate) outputs: Vec<String>,
    #[prost(string, tag = "3")]
    pub(crate) name: String,
    #[prost(string, tag = "4")]
    pub(crate) operator: String,
    #[prost(message, repeated, tag = "5")]
    pub(crate) attributes: Vec<Attribute>,
}

/// An attribute with one whole number or a graph.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Attribute {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(int64, tag = "3")]
    pub(crate) number: i64,
    #[prost(message, optional, tag = "6")]
    pub(crate) graph: Option<Graph>,
    #[prost(int32, tag = "20")]
    pub(crate) kind: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Tensor {
    #[prost(int64, repeated, packed = "false", tag = "1")]
    pub(crate) shape: Vec<i64>,
    #[prost(int32, tag = "2")]
    pub(crate) element: i32,
    #[prost(float, repeated, tag = "4")]
    pub(crate) floats: Vec<f32>,
    #[prost(int64, repeated, tag = "7")]
    pub(crate) integers: Vec<i64>,
    #[prost(string, tag = "8")]
    pub(crate) name: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Value {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) kind: Option<Kind>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Kind {
    #[prost(message, optional, tag = "1")]
    pub(crate) tensor: Option<TensorKind>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TensorKind {
    #[prost(int32, tag = "1")]
    pub(crate) element: i32,
    #[prost(message, optional, tag = "2")]
    pub(crate) shape: Option<Shape>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Shape {
    #[prost(message, repeated, tag = "1")]
    pub(crate) dimensions: Vec<Dimension>,
}

/// A size, or a name for one that is known only when the graph runs.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Dimension {
    #[prost(int64, optional, tag = "1")]
    pub(crate) size: Option<i64>,
    #[prost(string, optional, tag = "2")]
    pub(crate) name: Option<String>,
}

/// A tensor that goes in or comes out; dimensions that are no numbers are names.
pub(crate) fn value(name: &str, element: i32, dimensions: &[&str]) -> Value {
    let dimension = |it: &&str| match it.parse() {
        Ok(size) => Dimension { size: Some(size), name: None },
        Err(_) => Dimension { size: None, name: Some((*it).to_owned()) },
    };
    let shape = Shape { dimensions: dimensions.iter().map(dimension).collect() };
    let tensor = TensorKind { element, shape: Some(shape) };
    Value { name: name.into(), kind: Some(Kind { tensor: Some(tensor) }) }
}

/// An operator, its inputs, its output.
pub(crate) fn node(operator: &str, inputs: &[&str], output: &str, attributes: &[(&str, i64)]) -> Node {
    let inputs = inputs.iter().map(|name| (*name).to_owned()).collect();
    let attribute =
        |(name, number): &(&str, i64)| Attribute { name: (*name).to_owned(), number: *number, graph: None, kind: 2 };
    Node {
        inputs,
        outputs: vec![output.into()],
        name: output.into(),
        operator: operator.into(),
        attributes: attributes.iter().map(attribute).collect(),
    }
}

/// Repeats `body` (inputs: round, go on, value; outputs: go on, value) `rounds` times, beginning with `value`.
#[cfg(feature = "onnxruntime")]
pub(crate) fn repeated(body: Graph, rounds: &str, value: &str, output: &str) -> Node {
    // No second input: the first one alone says when it ends.
    let mut node = node("Loop", &[rounds, "", value], output, &[]);
    node.attributes = vec![Attribute { name: "body".into(), number: 0, graph: Some(body), kind: 5 }];
    node
}

/// One float.
pub(crate) fn float(name: &str, value: f32) -> Tensor {
    Tensor { element: FLOAT, floats: vec![value], shape: vec![1], name: name.into(), ..Tensor::default() }
}

/// A list of whole numbers.
pub(crate) fn integers(name: &str, values: &[i64]) -> Tensor {
    let shape = vec![values.len() as i64];
    Tensor { element: INT64, integers: values.to_vec(), shape, name: name.into(), ..Tensor::default() }
}

/// The file, with the operators of opset 15, which Piper exports with.
pub(crate) fn file(nodes: Vec<Node>, constants: Vec<Tensor>, inputs: Vec<Value>, outputs: Vec<Value>) -> Vec<u8> {
    let graph = Graph { nodes, name: "graph".into(), constants, inputs, outputs };
    let opset = vec![Opset { domain: String::new(), version: 15 }];
    Model { ir_version: 8, graph: Some(graph), opset }.encode_to_vec()
}
