/** How loud the two sides are, and when the agent begins to be heard. */

const AUDIBLE = 0.004;
const QUIET_MS = 250;

export class Levels {
  #context = null;
  #sides = {};
  #samples = new Float32Array(512);

  /** Call it in a click: a browser lets no page make sound before. */
  async start() {
    this.#context ??= new AudioContext();
    if (this.#context.state === "suspended") await this.#context.resume().catch(() => {});
  }

  /** Watch a stream as `side` ("in" or "out"); null watches nothing. */
  watch(side, stream) {
    this.#sides[side]?.source.disconnect();
    delete this.#sides[side];
    if (!stream || !this.#context) return;
    const source = this.#context.createMediaStreamSource(stream);
    const analyser = new AnalyserNode(this.#context, { fftSize: this.#samples.length });
    source.connect(analyser);
    this.#sides[side] = { source, analyser, quietSince: 0, since: null };
  }

  /** Measure a side at `now`. `since` is when the sound that is there began; null while there is none. */
  measure(side, now) {
    const watched = this.#sides[side];
    if (!watched) return { level: 0, since: null };
    watched.analyser.getFloatTimeDomainData(this.#samples);
    const rms = Math.sqrt(this.#samples.reduce((sum, sample) => sum + sample * sample, 0) / this.#samples.length);
    if (rms > AUDIBLE) Object.assign(watched, { since: watched.since ?? now, quietSince: now });
    else if (now - watched.quietSince > QUIET_MS) watched.since = null;
    // 60 dB on the meter's length.
    return { level: Math.max(0, Math.min(1, 1 + Math.log10(rms + 1e-6) / 3)), since: watched.since };
  }
}
