//! The assistant's half of the driver: one reply's agent, tools and voice, in one scope.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use tokio::{sync::mpsc, task::JoinSet, time};
use tracing::{Instrument as _, Span};

use super::{voice, wording};
use crate::{
    agent::{
        ChatModel, Delta, Stop,
        tools::{Context, Effect, Registry},
    },
    audio::Format,
    conversation::{AgentStop, Input, ReplyRequest, Usage},
    ids::{CallId, ResponseId, SegmentId},
    tts::{Segment, TextToSpeech},
};

/// Runs what replies need. Dropping a reply's scope cancels all of it at its next await.
pub(crate) struct Speaking {
    agent: Arc<dyn ChatModel>,
    tools: Arc<Registry>,
    tts: Arc<dyn TextToSpeech>,
    output: Format,
    facts: mpsc::Sender<Input>,
    /// At most one audible reply and its predecessor on the way out.
    replies: HashMap<ResponseId, Reply>,
}

/// The scope of one reply.
struct Reply {
    /// Bounded by [`SEGMENTS_MAX`]; the conversation asks for no more than two unspoken segments at a time.
    segments: mpsc::Sender<(SegmentId, Format, Segment)>,
    scope: JoinSet<()>,
    /// What everything done for this reply logs under.
    span: Span,
}

impl Speaking {
    /// A driver without a reply.
    pub(crate) fn new(
        agent: Arc<dyn ChatModel>,
        tools: Arc<Registry>,
        tts: Arc<dyn TextToSpeech>,
        output: Format,
        facts: mpsc::Sender<Input>,
    ) -> Self {
        Self { agent, tools, tts, output, facts, replies: HashMap::new() }
    }

    /// Asks the agent for one round of a reply.
    pub(crate) fn generate(&mut self, response: ResponseId, request: &ReplyRequest) {
        let request = wording::request(request);
        let deltas = self.agent.generate(request);
        let facts = self.facts.clone();
        self.reply(response).run(agent(response, deltas, facts));
    }

    /// Runs a tool of the server.
    pub(crate) fn run_tool(
        &mut self,
        response: ResponseId,
        call: CallId,
        name: &str,
        arguments: &str,
        context: Context,
    ) {
        let work = self.tools.call(name, arguments, context);
        let facts = self.facts.clone();
        self.reply(response).run(async move {
            let (output, effects, failed) = match work.await {
                Ok(output) => (output.text, output.effects, false),
                Err(error) => (error.to_string(), Vec::new(), true),
            };
            for effect in effects {
                let fact = match effect {
                    Effect::Announce { after, text } => Input::AnnouncementSet { after, text: text.into() },
                    Effect::CancelAnnouncements => Input::AnnouncementsCancelled,
                };
                let _gone = facts.send(fact).await;
            }
            let _gone = facts.send(Input::ToolFinished { call, output: output.into(), failed }).await;
        });
    }

    /// Speaks a segment after those before it. In the format that comes back, if it is the reply's first.
    pub(crate) fn speak(
        &mut self,
        response: ResponseId,
        segment: SegmentId,
        format: Option<Format>,
        what: Segment,
    ) -> Format {
        let format = format.unwrap_or(self.output);
        // Room is certain: the conversation holds back segments until earlier ones are spoken.
        if self.reply(response).segments.try_send((segment, format, what)).is_err() {
            tracing::error!(%response, %segment, "a segment found no room");
        }
        format
    }

    /// Replies that begin to speak from here on do so in this format.
    pub(crate) fn set_format(&mut self, output: Format) {
        self.output = output;
    }

    /// Ends everything that works for a reply.
    pub(crate) fn drop_reply(&mut self, response: ResponseId) {
        self.replies.remove(&response);
    }

    /// The scope of a reply, opened when it is first needed.
    fn reply(&mut self, response: ResponseId) -> &mut Reply {
        let (tts, facts) = (&self.tts, &self.facts);
        self.replies.entry(response).or_insert_with(|| {
            let (segments, queue) = mpsc::channel(SEGMENTS_MAX);
            let span = tracing::info_span!("reply", %response);
            let mut reply = Reply { segments, scope: JoinSet::new(), span };
            reply.run(voice::run(response, Arc::clone(tts), queue, facts.clone()));
            reply
        })
    }
}

impl Reply {
    fn run(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        self.scope.spawn(work.instrument(self.span.clone()));
    }
}

/// Carries one round of the agent to the loop. The conversation's own timers end it if it stalls.
async fn agent(
    response: ResponseId,
    mut deltas: futures_util::stream::BoxStream<'static, Result<Delta, crate::engine::Error>>,
    facts: mpsc::Sender<Input>,
) {
    loop {
        let fact = match time::timeout(ROUND_MAX, deltas.next()).await {
            Ok(Some(Ok(Delta::Text(delta)))) => Input::ReplyText { response, delta },
            Ok(Some(Ok(Delta::ToolCall { name, arguments }))) => Input::ToolCalled { response, name, arguments },
            Ok(Some(Ok(Delta::Finished { input_tokens, output_tokens, stop }))) => {
                let usage = Usage { input_tokens, output_tokens };
                let stop = match stop {
                    Stop::Finished => AgentStop::Finished,
                    Stop::TokensMax => AgentStop::TokensMax,
                    Stop::Filtered => AgentStop::Filtered,
                };
                let _gone = facts.send(Input::ReplyFinished { response, usage, stop }).await;
                return;
            }
            Ok(Some(Err(error))) => {
                tracing::warn!(%response, kind = %error.kind, error = %error.message, "the agent failed");
                let _gone = facts.send(Input::ReplyFailed { response, reason: error.kind.as_str() }).await;
                return;
            }
            Ok(None) => {
                let _gone = facts.send(Input::ReplyFailed { response, reason: "broken" }).await;
                return;
            }
            Err(_elapsed) => {
                let _gone = facts.send(Input::ReplyFailed { response, reason: "unavailable" }).await;
                return;
            }
        };
        if facts.send(fact).await.is_err() {
            return;
        }
    }
}

/// Segments handed to a reply's voice and not yet begun.
const SEGMENTS_MAX: usize = 8;

/// A stalled agent is ended by the conversation's timers long before; this only keeps a task from waiting for ever.
const ROUND_MAX: Duration = Duration::from_secs(600);
