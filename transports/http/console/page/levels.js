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
    this.#sides[side] = { source, analyser, quietSince: 0, isAudible: false };
  }

  /** Measure both sides at `now`. `began` is true for the first measure of a stretch of sound. */
  measure(side, now) {
    const watched = this.#sides[side];
    if (!watched) return { level: 0, began: false };
    watched.analyser.getFloatTimeDomainData(this.#samples);
    const rms = Math.sqrt(this.#samples.reduce((sum, sample) => sum + sample * sample, 0) / this.#samples.length);
    const began = rms > AUDIBLE && !watched.isAudible;
    if (rms > AUDIBLE) Object.assign(watched, { isAudible: true, quietSince: now });
    else if (now - watched.quietSince > QUIET_MS) watched.isAudible = false;
    // 60 dB on the meter's length.
    return { level: Math.max(0, Math.min(1, 1 + Math.log10(rms + 1e-6) / 3)), began };
  }
}
