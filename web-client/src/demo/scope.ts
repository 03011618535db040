// Ten seconds of loudness; what the server takes for speech is shaded.

const SAMPLES = 500;

export class Scope {
  readonly #levels = new Float32Array(SAMPLES);
  readonly #speech = new Uint8Array(SAMPLES);
  #at = 0;
  #isSpeech = false;
  #isDue = false;

  constructor(private readonly canvas: HTMLCanvasElement, private readonly isSeen: () => boolean) {}

  level(level: number): void {
    this.#levels[this.#at] = level;
    this.#speech[this.#at] = this.#isSpeech ? 1 : 0;
    this.#at = (this.#at + 1) % SAMPLES;
    if (this.#isDue || !this.isSeen()) return;
    this.#isDue = true;
    requestAnimationFrame(() => this.#draw());
  }

  speech(isSpeech: boolean): void {
    this.#isSpeech = isSpeech;
  }

  #draw(): void {
    this.#isDue = false;
    const { canvas } = this;
    const pen = canvas.getContext('2d');
    if (!pen) return;
    const { width, height } = canvas;
    const step = width / SAMPLES;
    pen.clearRect(0, 0, width, height);
    pen.fillStyle = getComputedStyle(canvas).color;
    for (let i = 0; i < SAMPLES; i += 1) {
      const at = (this.#at + i) % SAMPLES;
      pen.globalAlpha = 0.16;
      const [left, right] = [Math.round(i * step), Math.round((i + 1) * step)];
      if (this.#speech[at]) pen.fillRect(left, 0, right - left, height);
      pen.globalAlpha = 1;
      const tall = Math.max(1, (this.#levels[at] as number) * height);
      pen.fillRect(i * step, (height - tall) / 2, Math.max(1, step - 0.6), tall);
    }
  }
}
