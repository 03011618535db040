// npm `openai`, the package that the argument names: REST, and its Realtime client, which insists on TLS.

import { createReadStream } from 'node:fs';
import {
  KEY, Microphone, Recording, SENTENCES, SPEECH_BYTES_MIN, URL_BASE,
  check, checkHeard, checkWords, main, sleep, step, until, words,
} from './client.mjs';

const PACKAGE = process.argv[2];
const MARKER = `js-${PACKAGE}`;
const { default: OpenAI, toFile } = await import(PACKAGE);
const { OpenAIRealtimeWS } = await import(`${PACKAGE}/realtime/ws`);
const api = new OpenAI({ baseURL: URL_BASE, apiKey: KEY, maxRetries: 0 });

async function rest() {
  const models = [];
  for await (const model of api.models.list()) models.push(model.id);
  check(models.length > 0, 'no models');
  const file = () => createReadStream(SENTENCES.weather.wav);
  const create = (more) => api.audio.transcriptions.create({ model: 'whisper-1', file: file(), ...more });
  checkWords((await create({})).text, 'weather');
  checkWords(await create({ response_format: 'text' }), 'weather');
  check((await create({ response_format: 'srt' })).includes('-->'), 'srt');
  const verbose = await create({ response_format: 'verbose_json' });
  check(verbose.duration > 1 && verbose.segments.length > 0, `verbose: ${JSON.stringify(verbose)}`);
  let done;
  for await (const event of await create({ stream: true })) if (event.type === 'transcript.text.done') done = event.text;
  checkWords(done, 'weather');
  const speech = (format) =>
    api.audio.speech.create({ model: 'tts-1', voice: 'alloy', input: 'what time is it', response_format: format });
  for (const format of ['wav', 'opus']) {
    const bytes = Buffer.from(await (await speech(format)).arrayBuffer());
    const back = await api.audio.transcriptions.create({ model: 'whisper-1', file: await toFile(bytes, `speech.${format}`) });
    check(words(back.text) === 'what time is it', `${format} speech was understood as '${back.text}'`);
  }
  let bytes = 0;
  for await (const piece of (await speech('pcm')).body) bytes += piece.length;
  check(bytes > 2 * SPEECH_BYTES_MIN, `${bytes} bytes of PCM`);
  step(`REST: models, transcriptions (json, text, srt, verbose_json, streamed), speech (wav, opus, pcm streamed)`);
}

/** A connection, and what came through it. */
function listen(realtime, recording) {
  const seen = { events: [], heard: [], audio: {}, errors: [], calls: [], item: undefined };
  realtime.on('event', (event) => {
    recording.add(event);
    seen.events.push(event);
  });
  realtime.on('error', (error) => seen.errors.push(error));
  realtime.on('conversation.item.input_audio_transcription.completed', ({ transcript }) => seen.heard.push(transcript));
  realtime.on('response.output_audio.delta', ({ item_id: id, delta }) => {
    seen.item = id;
    seen.audio[id] = (seen.audio[id] ?? 0) + Buffer.from(delta, 'base64').length;
  });
  seen.of = (type) => seen.events.filter((event) => event.type === type);
  seen.event = async (type, number = 1) => {
    await until(() => seen.of(type).length >= number, `${number} × ${type}; errors: ${seen.errors}`);
    return seen.of(type)[number - 1];
  };
  return seen;
}

/** The words of a response. */
const said = ({ response }) =>
  words(response.output.flatMap((item) => item.content ?? []).map((part) => part.transcript ?? part.text).join(' '));

async function conversation() {
  const secret = await api.realtime.clientSecrets.create({ session: { type: 'realtime', model: 'gpt-realtime' } });
  check(secret.value.startsWith('ek_'), 'the secret is not an ephemeral key');
  const visitor = new OpenAI({ baseURL: URL_BASE, apiKey: secret.value });
  const realtime = new OpenAIRealtimeWS({ model: 'gpt-realtime' }, visitor);
  check(`${realtime.url}`.startsWith('wss:'), `connects to ${realtime.url}`);
  const seen = listen(realtime, new Recording(PACKAGE.replace(/\W/g, '_')));
  await seen.event('session.created');
  const tool = { type: 'function', name: 'get_weather', description: 'Tells the weather.',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] } };
  realtime.send({ type: 'session.update', session: { type: 'realtime', instructions: MARKER, tools: [tool],
    audio: { input: { transcription: { model: 'whisper-1' }, turn_detection: { type: 'server_vad', silence_duration_ms: 400 } } } } });
  await seen.event('session.updated');
  step('connected over TLS with an ephemeral key; the session is configured');

  realtime.on('response.function_call_arguments.done', (call) => seen.calls.push(call));
  const microphone = new Microphone((chunk) => realtime.send({ type: 'input_audio_buffer.append', audio: chunk.toString('base64') }));
  await microphone.say('weather');
  await seen.event('response.done');
  check(seen.calls.length === 1 && JSON.parse(seen.calls[0].arguments).city === 'boston', `calls ${JSON.stringify(seen.calls)}`);
  realtime.send({ type: 'conversation.item.create',
    item: { type: 'function_call_output', call_id: seen.calls[0].call_id, output: '{"sky": "sunny"}' } });
  realtime.send({ type: 'response.create' });
  const answer = await seen.event('response.done', 2);
  check(said(answer) === 'the weather is sunny', `unexpected answer '${said(answer)}'`);
  checkWords(seen.heard[0], 'weather');
  check(seen.audio[seen.item] > SPEECH_BYTES_MIN, 'no speech');
  step('spoke, was transcribed, tool called and its result spoken');

  await microphone.say('family');
  await seen.event('response.done', 3); // Long done: only the loudspeaker would still play.
  const story = seen.item;
  await sleep(1000);
  const started = seen.of('input_audio_buffer.speech_started').length;
  const thanks = microphone.say('thanks');
  await seen.event('input_audio_buffer.speech_started', started + 1);
  realtime.send({ type: 'conversation.item.truncate', item_id: story, content_index: 0, audio_end_ms: 2500 });
  await thanks;
  const next = await seen.event('response.done', 4);
  check(said(next) === 'you are welcome', `unexpected answer '${said(next)}'`);
  check((await seen.event('conversation.item.truncated')).audio_end_ms === 2500, 'truncated elsewhere');
  step(`talked over the playback; the model is told '${await checkHeard(MARKER)}'`);

  await microphone.say('date');
  check(said(await seen.event('response.done', 5)) === 'today is sunday', 'unexpected answer');
  check(seen.errors.length === 0, `errors: ${seen.errors}`);
  microphone.close();
  const closed = new Promise((resolve) => realtime.socket.addEventListener('close', resolve));
  realtime.close();
  await closed;
  step('went on, and closed');
}

/** The class for browsers: the key comes as a subprotocol, and one must be selected. */
async function browser() {
  const { OpenAIRealtimeWebSocket } = await import(`${PACKAGE}/realtime/websocket`);
  const secret = await api.realtime.clientSecrets.create({
    session: { type: 'realtime', model: 'gpt-realtime', instructions: MARKER, output_modalities: ['text'] } });
  const visitor = new OpenAI({ baseURL: URL_BASE, apiKey: secret.value, dangerouslyAllowBrowser: true });
  const realtime = new OpenAIRealtimeWebSocket({ model: 'gpt-realtime', dangerouslyAllowBrowser: true }, visitor);
  const seen = listen(realtime, new Recording(`${PACKAGE.replace(/\W/g, '_')}_browser`));
  const { session } = await seen.event('session.created');
  check(session.instructions === MARKER, "the secret's session is not in force");
  check(realtime.socket.protocol === 'realtime', `the subprotocol is '${realtime.socket.protocol}'`);
  realtime.send({ type: 'conversation.item.create',
    item: { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'Say hello!' }] } });
  realtime.send({ type: 'response.create' });
  const done = await seen.event('response.done');
  check(said(done) === 'you said say hello' && seen.errors.length === 0, `unexpected answer '${said(done)}', ${seen.errors}`);
  realtime.close();
  step("the browser's class: an ephemeral key as a subprotocol");
}

/** The beta dialect, where the package still has its client. */
async function beta() {
  let client;
  try {
    client = await import(`${PACKAGE}/beta/realtime/ws`);
  } catch (error) {
    if (error.code !== 'ERR_MODULE_NOT_FOUND' && error.code !== 'ERR_PACKAGE_PATH_NOT_EXPORTED') throw error;
    return step('no beta client in this release');
  }
  const realtime = new client.OpenAIRealtimeWS({ model: 'gpt-4o-realtime-preview' }, api);
  const events = [];
  realtime.on('event', (event) => events.push(event));
  realtime.on('error', (error) => events.push({ type: 'error', error }));
  const event = (type) => until(() => events.find((one) => one.type === type), `${type}; ${events.map((one) => one.type)}`);
  const { session } = await event('session.created');
  check(session.input_audio_format === 'pcm16' && session.modalities.includes('audio'), `session ${JSON.stringify(session)}`);
  realtime.send({ type: 'session.update', session: { modalities: ['text'], instructions: MARKER } });
  realtime.send({ type: 'conversation.item.create',
    item: { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'Say hello!' }] } });
  realtime.send({ type: 'response.create' });
  check(words((await event('response.text.done')).text) === 'you said say hello', 'unexpected answer');
  const { response } = await event('response.done');
  check(response.output[0].content[0].type === 'text', `output ${JSON.stringify(response.output)}`);
  check(events.some(({ type }) => type === 'conversation.item.created'), 'no conversation.item.created');
  const modern = events.filter(({ type }) => type.includes('output_text') || type === 'conversation.item.added' || type === 'error');
  check(modern.length === 0, `not of the beta: ${JSON.stringify(modern)}`);
  realtime.close();
  step('beta dialect: old names both ways, flat session');
}

main(async () => {
  await rest();
  await conversation();
  await browser();
  await beta();
});
