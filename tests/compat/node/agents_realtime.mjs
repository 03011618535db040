// npm `@openai/agents-realtime` over WebSocket: a `RealtimeSession` that talks, uses a tool, is interrupted, and hands over.

import { RealtimeAgent, RealtimeSession, tool } from '@openai/agents-realtime';
import { z } from 'zod';
import {
  KEY, Microphone, Recording, SENTENCES, SPEECH_BYTES_MIN, URL_BASE,
  asked, check, checkHeard, main, sleep, step, until, words,
} from './client.mjs';

const MARKER = 'js-agents';
const calls = [];

const getWeather = tool({
  name: 'get_weather',
  description: 'Tells the weather.',
  parameters: z.object({ city: z.string() }),
  async execute({ city }) {
    calls.push(city);
    return { sky: 'sunny' };
  },
});

/** The transcripts of a role's items, as the session's own history has them. */
function texts(session, role) {
  return session.history
    .filter((item) => item.type === 'message' && item.role === role)
    .flatMap((item) => item.content.map((part) => words(part.transcript ?? part.text ?? '')));
}

async function conversation() {
  const recording = new Recording('agents_realtime');
  const expert = new RealtimeAgent({ name: 'expert', instructions: `${MARKER}-expert`, handoffDescription: 'Knows distances.' });
  const host = new RealtimeAgent({ name: 'host', instructions: `${MARKER} slowly`, tools: [getWeather], handoffs: [expert] });
  const session = new RealtimeSession(host, {
    transport: 'websocket',
    model: 'gpt-realtime',
    config: { audio: { input: { turnDetection: { type: 'semantic_vad', eagerness: 'high', interruptResponse: true } } } },
    tracingDisabled: true,
  });
  const seen = {};
  const errors = [];
  let audio = 0;
  let interruptions = 0;
  session.transport.on('*', (event) => {
    recording.add(event);
    seen[event.type] = (seen[event.type] ?? 0) + 1;
  });
  session.on('audio', ({ data }) => (audio += data.byteLength));
  session.on('audio_interrupted', () => (interruptions += 1));
  session.on('error', (error) => errors.push(error));
  const count = (type, number) => until(() => (seen[type] ?? 0) >= number, `${number} × ${type}`);
  const said = (role, text) =>
    until(() => texts(session, role).some((one) => one.includes(text)), `${role}: '${text}'; ${JSON.stringify(session.history)}`);

  await session.connect({ apiKey: KEY, url: `${URL_BASE.replace('http', 'ws')}/realtime?model=gpt-realtime` });
  await count('session.updated', 2);
  step('connected; both session updates confirmed');
  const microphone = new Microphone((chunk) => session.sendAudio(chunk.buffer.slice(chunk.byteOffset, chunk.byteOffset + chunk.byteLength)));

  await microphone.say('weather');
  await count('response.done', 2);
  await said('user', SENTENCES.weather.text);
  await said('assistant', 'the weather is sunny');
  check(calls.length === 1 && calls[0] === 'boston', `the tool was called ${JSON.stringify(calls)}`);
  check(audio > SPEECH_BYTES_MIN, 'no speech');
  step('spoke, was transcribed, tool called once and its result spoken');
  await sleep(1500);

  const before = audio;
  await microphone.say('family');
  await until(() => audio > before + SPEECH_BYTES_MIN, 'the story');
  await sleep(2500);
  await microphone.say('thanks');
  await count('conversation.item.truncated', 1);
  check(interruptions > 0, 'the session was not interrupted');
  await said('assistant', 'you are welcome');
  step(`interrupted while speaking; the model is told '${await checkHeard(MARKER)}'`);
  await sleep(1500);

  await microphone.say('distance');
  await said('assistant', 'you are with the expert now');
  check(session.currentAgent.name === 'expert', 'the session did not hand over');
  check((await asked(`${MARKER}-expert`)).length > 0, "the model was not given the other agent's instructions");
  step('handed over to another agent, whose instructions are in force');
  session.sendMessage('Are you there?');
  await said('assistant', 'you said are you there');
  check(errors.length === 0, `errors: ${JSON.stringify(errors)}`);
  microphone.close();
  session.close();
  step('a typed message answered; closed');
}

main(conversation);
