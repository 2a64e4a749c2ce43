/**
 * One call over WebRTC: a secret, an offer, an answer, and events both ways on the channel `oai-events`.
 *
 *   connecting ──► open ──► ended   the service hung up, or `close` was called
 *       │            └────► lost    the network, or the service, is gone: worth another try
 *       └► CallProblem
 */

const CONNECT_MS = 15_000;
const DISCONNECTED_MS = 2_500;

/** Why a call did not come about. `kind`: key, service, busy, network, offline. */
export class CallProblem extends Error {
  constructor(kind, message) {
    super(message);
    this.kind = kind;
  }
}

export class Call {
  #peer = null;
  #channel = null;
  #state = "connecting";
  #waiting = null;

  /** `onEvent(event, direction)`; `onEnd("ended" | "lost")`, once, unless `close` was called; `onSound(stream)`. */
  constructor({ onEvent, onEnd, onSound }) {
    Object.assign(this, { onEvent, onEnd, onSound });
  }

  get isOpen() {
    return this.#state === "open";
  }

  /** Call an agent. `microphone` is a MediaStream, or null to listen and type only. Throws CallProblem. */
  async open({ agent, key, microphone }) {
    const { value: secret, ice_servers: iceServers = [] } = await mint(agent, key);
    const peer = (this.#peer = new RTCPeerConnection({ iceServers }));
    peer.ontrack = ({ streams, track }) => this.onSound(streams[0] ?? new MediaStream([track]));
    peer.onconnectionstatechange = () => this.#watch();
    if (microphone) peer.addTrack(microphone.getAudioTracks()[0], microphone);
    else peer.addTransceiver("audio", { direction: "recvonly" });
    const opened = this.#openChannel(peer);
    try {
      await peer.setLocalDescription(await peer.createOffer());
      const answer = await post("/v1/realtime/calls", peer.localDescription.sdp, "application/sdp", secret);
      await peer.setRemoteDescription({ type: "answer", sdp: await answer.text() });
      await within(opened, CONNECT_MS);
    } catch (error) {
      this.close();
      throw error instanceof CallProblem ? error : new CallProblem("network", String(error.message ?? error));
    }
    this.#state = "open";
  }

  #openChannel(peer) {
    const channel = (this.#channel = peer.createDataChannel("oai-events"));
    channel.onmessage = ({ data }) => this.onEvent(JSON.parse(data), "received");
    return new Promise((resolve, reject) => {
      channel.onopen = resolve;
      channel.onclose = () => {
        reject(new CallProblem("network", "The connection closed while it was being made."));
        // The peer's own state tells a little later whether it was a goodbye or a loss.
        setTimeout(() => this.#finish(peer.connectionState === "failed" ? "lost" : "ended"), 250);
      };
    });
  }

  #watch() {
    clearTimeout(this.#waiting);
    const state = this.#peer?.connectionState;
    if (state === "failed") this.#finish("lost");
    // ICE recovers from short gaps by itself.
    if (state === "disconnected") this.#waiting = setTimeout(() => this.#finish("lost"), DISCONNECTED_MS);
  }

  #finish(how) {
    if (this.#state !== "open") return;
    this.close();
    this.onEnd(how);
  }

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
    clearTimeout(this.#waiting);
    this.#peer?.close();
  }
}

/** Who may be called. Throws CallProblem. */
export async function agents(key) {
  const answer = await ask("/v1/models", { headers: bearer(key) });
  return (await answer.json()).data.map(({ id }) => id);
}

async function mint(model, key) {
  const answer = await post("/console/client_secret", JSON.stringify({ model }), "application/json", key);
  return answer.json();
}

const bearer = (key) => (key ? { Authorization: `Bearer ${key}` } : {});

const post = (path, body, type, key) =>
  ask(path, { method: "POST", body, headers: { "Content-Type": type, ...bearer(key) } });

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
  throw new CallProblem({ 401: "key", 429: "busy", 503: "busy" }[answer.status] ?? "service", message);
}

function within(promise, ms) {
  const late = new Promise((_, reject) => {
    setTimeout(() => reject(new CallProblem("network", "No connection came about: is UDP blocked on the way?")), ms);
  });
  return Promise.race([promise, late]);
}
