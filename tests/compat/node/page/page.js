// What a page does that talks with Floe: the `@openai/agents-realtime` of the registry, a microphone, a loudspeaker. Its
// button begins; `browser.mjs` looks at `talk`, and speaks through it.

import { RealtimeAgent, RealtimeSession, tool } from '@openai/agents-realtime';
import { z } from 'zod';

const RATE = 24_000;

const getWeather = tool({
  name: 'get_weather',
  description: 'Tells the weather.',
  parameters: z.object({ city: z.string() }),
  async execute({ city }) {
    talk.calls.push(city);
    return { sky: 'sunny' };
  },
});

/** What was heard, said and done so far. */
const talk = { calls: [], errors: [], seen: {}, audioBytes: 0, loudest: 0, interruptions: 0, session: null };
globalThis.talk = talk;

/** Plays what comes, one piece after the other. */
class Loudspeaker {
  #context;
  #meter;
  #playing = new Set();
  #due = 0;

  constructor(context) {
    this.#context = context;
    this.#meter = new AnalyserNode(context);
    this.#meter.connect(context.destination);
    const level = new Float32Array(this.#meter.fftSize);
    setInterval(() => {
      this.#meter.getFloatTimeDomainData(level);
      talk.loudest = level.reduce((most, sample) => Math.max(most, Math.abs(sample)), talk.loudest);
    }, 30);
  }

  play(pcm) {
    const samples = Float32Array.from(new Int16Array(pcm), (sample) => sample / 32768);
    const buffer = new AudioBuffer({ length: samples.length, sampleRate: RATE });
    buffer.copyToChannel(samples, 0);
    const source = new AudioBufferSourceNode(this.#context, { buffer });
    source.connect(this.#meter);
    this.#due = Math.max(this.#due, this.#context.currentTime);
    source.start(this.#due);
    this.#due += buffer.duration;
    this.#playing.add(source);
    source.onended = () => this.#playing.delete(source);
  }

  stop() {
    for (const source of this.#playing) source.stop();
    this.#due = 0;
  }
}

/** Connects with a client secret, as a page must that shall not know its server's key. */
talk.connect = async (url, apiKey, instructions) => {
  const context = new AudioContext({ sampleRate: RATE });
  await context.resume();
  await context.audioWorklet.addModule('microphone.js');
  const microphone = new AudioWorkletNode(context, 'microphone', { outputChannelCount: [1] });
  microphone.connect(context.destination);
  const loudspeaker = new Loudspeaker(context);

  const agent = new RealtimeAgent({ name: 'host', instructions, tools: [getWeather] });
  const session = new RealtimeSession(agent, { transport: 'websocket', model: 'gpt-realtime', tracingDisabled: true });
  session.transport.on('*', (event) => {
    talk.seen[event.type] = (talk.seen[event.type] ?? 0) + 1;
    globalThis.record(event);
  });
  session.on('audio', ({ data }) => {
    talk.audioBytes += data.byteLength;
    loudspeaker.play(data);
  });
  session.on('audio_interrupted', () => {
    talk.interruptions += 1;
    loudspeaker.stop();
  });
  session.on('error', (error) => talk.errors.push(JSON.stringify(error)));
  await session.connect({ url, apiKey });
  microphone.port.onmessage = ({ data }) => session.sendAudio(data);
  Object.assign(talk, { session, context, microphone });
};

/** Speaks into the microphone, and returns when the last word is out. */
talk.say = async (sentence) => {
  const pcm = await (await fetch(`${sentence}.pcm`)).arrayBuffer();
  const samples = Float32Array.from(new Int16Array(pcm), (sample) => sample / 32768);
  const buffer = new AudioBuffer({ length: samples.length, sampleRate: RATE });
  buffer.copyToChannel(samples, 0);
  const source = new AudioBufferSourceNode(talk.context, { buffer });
  source.connect(talk.microphone);
  await new Promise((resolve) => {
    source.onended = resolve;
    source.start();
  });
};

/** The texts of a role's items, as the session's own history has them. */
talk.texts = (role) =>
  talk.session.history
    .filter((item) => item.type === 'message' && item.role === role)
    .flatMap((item) => item.content.map((part) => part.transcript ?? part.text ?? ''));

document.querySelector('button').addEventListener('click', () => {
  talk.connect(...globalThis.wanted).catch((error) => talk.errors.push(String(error)));
});
