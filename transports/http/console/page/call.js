/**
 * One call over WebRTC: a secret, an offer, an answer, and events both ways on the channel `oai-events`.
 *
 *   connecting ──► open ⇄ mending ──► lost    the way could not be mended, or the service is gone: call again
 *       │            └─────┴────────► ended   the service hung up, or `close` was called
 *       └► CallProblem
 *
 * Mending is an ICE restart: the same call, over other addresses. A phone that leaves its wireless network keeps its
 * conversation. The service gives up a caller of whom it hears nothing for ten seconds.
 */

import { isWorthAnother } from "./retries.js";

const CONNECT_MS = 15_000;
const NO_NETWORK_MS = 3_000;
const GAP_MS = 700;
const MEND_MS = 8_000;
const GOODBYE_MS = 250;

/** Why a call did not come about. `kind`: key, service, busy, network, offline (the service is out of reach), no-network
 * (it is on this machine, and the browser calls nobody while no network is up). */
export class CallProblem extends Error {
  constructor(kind, message) {
    super(message);
    this.kind = kind;
  }
}

export class Call {
  #peer = null;
  #channel = null;
  #path = "";
  #state = "connecting";
  #gap = null;
  #lastError = null;
  #openedMs = 0;

  /** `onEvent(event, direction)`; `onSound(stream)`; `onMending(is)` when the way is being mended and when it is mended;
   * `onEnd("ended" | "lost", reason)`, once, unless `close` was called; `reason` in words, where the service gave one. */
  constructor({ onEvent, onEnd, onSound, onMending = () => {} }) {
    Object.assign(this, { onEvent, onEnd, onSound, onMending });
  }

  get isOpen() {
    return this.#state === "open" || this.#state === "mending";
  }

  /** Call an agent. `microphone` is a MediaStream, or null to listen and type only. Throws CallProblem. */
  async open({ agent, key, microphone }) {
    Object.assign(this, { agent, key });
    try {
      const { value: secret, ice_servers: iceServers = [] } = await mint(agent, key);
      const peer = this.#prepare(iceServers, microphone);
      const opened = this.#openChannel(peer);
      await peer.setLocalDescription();
      const answer = await exchange("POST", "/v1/realtime/calls", peer, secret);
      this.#path = answer.path;
      await peer.setRemoteDescription({ type: "answer", sdp: answer.sdp });
      const words = "No connection came about: is UDP blocked on the way?";
      await within(Promise.race([opened, noNetwork(peer)]), CONNECT_MS, words);
    } catch (error) {
      this.close();
      throw error instanceof CallProblem ? error : new CallProblem("network", String(error.message ?? error));
    }
    this.#state = "open";
    this.#openedMs = performance.now();
  }

  #prepare(iceServers, microphone) {
    if (this.#state === "closed") throw new CallProblem("network", "The call was given up.");
    const peer = (this.#peer = new RTCPeerConnection({ iceServers }));
    peer.ontrack = ({ streams, track }) => this.onSound(streams[0] ?? new MediaStream([track]));
    peer.onconnectionstatechange = () => this.#watch();
    if (microphone) peer.addTrack(microphone.getAudioTracks()[0], microphone);
    else peer.addTransceiver("audio", { direction: "recvonly" });
    return peer;
  }

  #openChannel(peer) {
    const channel = (this.#channel = peer.createDataChannel("oai-events"));
    channel.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    const opened = new Promise((resolve, reject) => {
      channel.onopen = resolve;
      channel.onclose = () => {
        reject(new CallProblem("network", this.#lastError?.message ?? "The connection closed while it was being made."));
        // The peer's own state tells a little later whether it was a goodbye or a loss.
        setTimeout(() => this.#hungUp(), GOODBYE_MS);
      };
    });
    opened.catch(() => {});  // whoever waits for it hears of it
    return opened;
  }

  #receive(event) {
    this.#lastError = event.type === "error" ? event.error : null;
    this.onEvent(event, "received");
  }

  // --- the way to the service ---------------------------------------------------------------------------------

  #watch() {
    clearTimeout(this.#gap);
    if (this.#state !== "open") return;
    const state = this.#peer.connectionState;
    if (state === "failed") void this.mend();
    // Many a gap closes by itself.
    if (state === "disconnected") this.#gap = setTimeout(() => this.mend(), GAP_MS);
  }

  /** Find another way to the service; call it when the network has changed. Does nothing where none is open. */
  async mend() {
    if (this.#state !== "open") return;
    this.#state = "mending";
    this.onMending(true);
    try {
      await within(this.#restart(), MEND_MS, "No other way was found.");
    } catch {
      return this.#finish("lost");
    }
    if (this.#state !== "mending") return;
    this.#state = "open";
    this.onMending(false);
  }

  async #restart() {
    const peer = this.#peer;
    const { value: secret, ice_servers: iceServers = [] } = await mint(this.agent, this.key);
    peer.setConfiguration?.({ iceServers });  // the credentials of the first ones may have expired
    await peer.setLocalDescription(await peer.createOffer({ iceRestart: true }));
    const answer = await exchange("PATCH", this.#path, peer, secret);
    await peer.setRemoteDescription({ type: "answer", sdp: answer.sdp });
    // Looked at, not listened to: where the old way stands after all, there is no event.
    while (this.#state === "mending" && !["connected", "completed"].includes(peer.iceConnectionState)) await wait(100);
  }

  #hungUp() {
    const is = (state) => this.#peer?.connectionState === state;
    const isLost = is("failed") || isWorthAnother(this.#lastError?.code, performance.now() - this.#openedMs);
    this.#finish(isLost ? "lost" : "ended");
  }

  #finish(how) {
    if (!this.isOpen) return;
    const reason = this.#lastError;
    this.close();
    this.onEnd(how, reason);
  }

  // --- what is said -------------------------------------------------------------------------------------------

  /** Send an event of the contract; false when there is nobody to hear it. */
  send(event) {
    if (this.#channel?.readyState !== "open") return false;
    this.#channel.send(JSON.stringify(event));
    this.onEvent(event, "sent");
    return true;
  }

  /** Speak through another microphone from now on. */
  async replaceMicrophone(stream) {
    const sender = this.#peer?.getSenders().find(({ track }) => track);
    await sender?.replaceTrack(stream.getAudioTracks()[0]);
  }

  /** Hang up. */
  close() {
    this.#state = "closed";
    clearTimeout(this.#gap);
    this.#peer?.close();
  }
}

// --- requests ---------------------------------------------------------------------------------------------------

/** Who may be called. Throws CallProblem. */
export async function agents(key) {
  const answer = await ask("/v1/models", { headers: bearer(key) });
  return (await answer.json()).data.map(({ id }) => id);
}

async function mint(model, key) {
  const headers = { "Content-Type": "application/json", ...bearer(key) };
  const answer = await ask("/console/client_secret", { method: "POST", body: JSON.stringify({ model }), headers });
  return answer.json();
}

async function exchange(method, path, peer, secret) {
  const headers = { "Content-Type": "application/sdp", ...bearer(secret) };
  const answer = await ask(path, { method, body: peer.localDescription.sdp, headers });
  return { sdp: await answer.text(), path: answer.headers.get("Location") ?? path };
}

const bearer = (key) => (key ? { Authorization: `Bearer ${key}` } : {});

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new CallProblem(navigator.onLine ? "network" : "offline", "The service cannot be reached.");
  }
  if (answer.ok) return answer;
  const { error } = await answer.json().catch(() => ({}));
  const message = error?.message ?? `The service answered ${answer.status}.`;
  const kind = { 401: "key", 429: "busy", 502: "busy", 503: "busy", 504: "busy" }[answer.status] ?? "service";
  throw new CallProblem(kind, message);
}

/** Reject where the browser finds no address of its own: without a network it has none to call from. */
function noNetwork(peer) {
  let hasAddress = false;
  peer.addEventListener("icecandidate", ({ candidate }) => (hasAddress ||= Boolean(candidate)));
  return new Promise((_, reject) => {
    const look = () => hasAddress || navigator.onLine || reject(new CallProblem("no-network", "No network is up."));
    setTimeout(look, NO_NETWORK_MS);
  });
}

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function within(promise, ms, words) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new CallProblem("network", words)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
