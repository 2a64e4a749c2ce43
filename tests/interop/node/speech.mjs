// What a client says, at the pace of speech; silence in between.

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

const CHUNK_BYTES = 960;
const CHUNK_MS = 20;

/** The recordings of a folder (24 kHz PCM), by name. */
export function recordings(folder) {
  const names = readdirSync(folder).filter((name) => name.endsWith(".pcm"));
  return Object.fromEntries(names.map((name) => [name.slice(0, -4), readFileSync(join(folder, name))]));
}

/** Gives each 20 ms of audio to `send` when it is due. */
export class Microphone {
  #send;
  #pending = Buffer.alloc(0);
  #due = performance.now();
  #timer;

  constructor(send) {
    this.#send = send;
    this.#tick();
  }

  say(recording) {
    this.#pending = recording;
  }

  off() {
    clearTimeout(this.#timer);
  }

  #tick() {
    const chunk = Buffer.alloc(CHUNK_BYTES);
    this.#pending.copy(chunk, 0, 0, CHUNK_BYTES);
    this.#pending = this.#pending.subarray(CHUNK_BYTES);
    this.#send(chunk);
    this.#due += CHUNK_MS;
    this.#timer = setTimeout(() => this.#tick(), Math.max(this.#due - performance.now(), 0));
  }
}
