// The browser's sound: one audio context for microphone and voice, so that the echo canceller knows what is played.

export class Sound {
  /** `on` has `frame(buffer, level)` for the microphone, `played(report)` for the voice and `ended()` for a lost device. */
  constructor(on) {
    this.on = on;
    this.context = null;
    this.stream = null;
    this.player = null;
    this.microphone = null;
  }

  /** Prepares the voice. Must be called inside a click or key press: browsers allow sound only then. */
  async open() {
    if (!this.context) {
      if (navigator.audioSession) navigator.audioSession.type = "play-and-record";
      this.context = new AudioContext({ latencyHint: "interactive" });
      this.loading = this.#load();
    }
    // Not awaited: a phone call can keep the context interrupted for as long as it likes.
    this.context.resume().catch(() => {});
    await this.loading;
  }

  async #load() {
    await this.context.audioWorklet.addModule(new URL("./playback.worklet.js", import.meta.url));
    await this.context.audioWorklet.addModule(new URL("./capture.worklet.js", import.meta.url));
    const options = { numberOfInputs: 0, numberOfOutputs: 1, outputChannelCount: [1] };
    this.player = new AudioWorkletNode(this.context, "floe-playback", options);
    this.player.port.onmessage = ({ data }) => this.on.played(this.#heard(data));
    this.player.connect(this.context.destination);
  }

  /** What was played has been heard only after the device's own delay. */
  #heard(report) {
    if (report.state === "drained") return report;
    const delayMs = Math.round((this.context.outputLatency ?? 0) * 1000);
    return { ...report, playedMs: Math.max(0, report.playedMs - delayMs) };
  }

  /** Opens the microphone. Throws an error whose `name` says what is wrong. */
  async listen() {
    if (!navigator.mediaDevices?.getUserMedia) throw Object.assign(new Error("insecure"), { name: "Insecure" });
    const ideal = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 };
    const stream = await navigator.mediaDevices.getUserMedia({ audio: ideal });
    this.deafen();
    this.stream = stream;
    stream.getAudioTracks()[0].onended = () => this.on.ended();
    const source = this.context.createMediaStreamSource(stream);
    const capture = new AudioWorkletNode(this.context, "floe-capture", { numberOfInputs: 1, numberOfOutputs: 0 });
    capture.port.onmessage = ({ data }) => this.on.frame(data.buffer, data.level);
    source.connect(capture);
    this.microphone = { source, capture };
  }

  /** Closes the microphone. */
  deafen() {
    if (!this.microphone) return;
    this.microphone.capture.port.onmessage = null;
    this.microphone.source.disconnect();
    for (const track of this.stream.getTracks()) {
      track.onended = null;
      track.stop();
    }
    this.microphone = null;
    this.stream = null;
  }

  /** Samples of a reply. */
  play(reply, samples, rateHz) {
    this.player?.port.postMessage({ type: "samples", reply, samples, rateHz }, [samples.buffer]);
  }

  /** No more samples of a reply will come. */
  end(reply) {
    this.player?.port.postMessage({ type: "end", reply });
  }

  /** Silence, now. */
  flush() {
    this.player?.port.postMessage({ type: "flush" });
  }
}
