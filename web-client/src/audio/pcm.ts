// Samples and bytes. Pure.

/** Samples in -1…1 as 16-bit little-endian. */
export function toPcm16(samples: Float32Array): Uint8Array {
  const bytes = new Uint8Array(2 * samples.length);
  const view = new DataView(bytes.buffer);
  samples.forEach((sample, at) => {
    const clipped = Math.max(-1, Math.min(1, sample));
    view.setInt16(2 * at, Math.round(clipped < 0 ? clipped * 32768 : clipped * 32767), true);
  });
  return bytes;
}

/** 16-bit little-endian samples; half a sample at the end is ignored. */
export function fromPcm16(view: DataView): Float32Array<ArrayBuffer> {
  const samples = new Float32Array(view.byteLength >> 1);
  for (let at = 0; at < samples.length; at += 1) samples[at] = view.getInt16(2 * at, true) / 32768;
  return samples;
}

/** Loudness and highest sample. */
export function measure(samples: Float32Array): { rms: number; peak: number } {
  let [sum, peak] = [0, 0];
  for (const sample of samples) {
    sum += sample * sample;
    peak = Math.max(peak, Math.abs(sample));
  }
  return { rms: Math.sqrt(sum / Math.max(1, samples.length)), peak };
}
