/** The page: what its buttons do, and what it shows of a call. */

import { Call, CallProblem, agents } from "./call.js";
import { Captions } from "./captions.js";
import { Devices } from "./devices.js";
import { Inspector } from "./inspector.js";
import { Key } from "./key.js";
import { Turns } from "./latency.js";
import { Levels } from "./levels.js";
import { Notice } from "./notice.js";
import { Resumption } from "./resume.js";
import { mayPass, retries } from "./retries.js";
import { drawCaptions, drawTurns } from "./view.js";
import { STATUS, callProblem, lossProblem, microphoneProblem } from "./words.js";

const GREETING_MS = 1000;
const $ = (id) => document.getElementById(id);

const levels = new Levels();
const devices = new Devices({ microphone: $("microphone"), speaker: $("speaker"), speakerLabel: $("speaker-label"), sound: $("voice") });
const inspector = new Inspector({ list: $("events"), filter: $("filter"), pause: $("pause"), copy: $("copy"), count: $("event-count") });

const notice = new Notice({ box: $("notice"), text: $("notice-text"), action: $("notice-action"), close: $("notice-close") });
const key = new Key({ dialog: $("key-dialog"), form: $("key-form"), input: $("key"), problem: $("key-problem"), cancel: $("key-cancel") });
const tell = (...words) => notice.tell(...words);

const page = {
  call: null,
  attempt: 0,  // counts what the caller has begun: whatever belongs to an earlier one is over
  coming: null,  // the call that is being made
  resumption: new Resumption(),
  captions: new Captions(),
  turns: new Turns(),
  microphone: null,
  muted: false,
  mending: false,
  responses: new Set(),
  playing: new Set(),
  createWhenDone: false,
};

// --- what is shown --------------------------------------------------------------------------------------------

function setState(state) {
  document.body.dataset.state = state;
  $("status").textContent = STATUS[state];
  const isIdle = state === "idle" || state === "ended";
  const label = isIdle ? "Start talking" : "Hang up";
  $("talk").setAttribute("aria-label", label);
  $("talk").title = label;
  $("mute").disabled = isIdle || !page.microphone;
  $("interrupt").disabled = !(page.responses.size || page.playing.size);
  $("agent").disabled = !isIdle;
}

function showActivity() {
  if (!page.call?.isOpen || page.mending) return;
  const hears = page.captions.lines.some(({ state }) => state === "listening");
  if (hears) setState("hearing");
  else if (page.playing.size) setState("speaking");
  else if (page.responses.size) setState("thinking");
  else if (!page.microphone) setState("typing");
  else setState(page.muted ? "muted" : "listening");
}

// --- a call ---------------------------------------------------------------------------------------------------

/** Remember what is under way until it is done, so that a typed message can wait for it. */
function coming(work) {
  page.coming = work;
  return work.finally(() => page.coming === work && (page.coming = null));
}

const start = (options) => coming(begin(options));

async function begin({ typing = false } = {}) {
  const attempt = ++page.attempt;
  notice.hide();
  setState("connecting");
  await levels.start();
  if (!typing && !(await takeMicrophone(attempt))) return;
  if (attempt !== page.attempt) return;
  Object.assign(page, { captions: new Captions(), turns: new Turns() });
  $("captions").replaceChildren();
  try {
    await connect(attempt, []);
  } catch (error) {
    if (attempt === page.attempt) failed(error);
  }
}

async function takeMicrophone(attempt) {
  let microphone;
  try {
    microphone = await devices.open();
  } catch (error) {
    if (attempt !== page.attempt) return false;
    setState("idle");
    tell(microphoneProblem(error), () => start({ typing: true }), "Type instead");
    return false;
  }
  if (attempt !== page.attempt) stop(microphone);  // hung up while the browser asked for leave
  else use(microphone);
  return attempt === page.attempt;
}

function use(microphone) {
  page.microphone = microphone;
  levels.watch("in", microphone);
  for (const track of microphone.getAudioTracks()) {
    track.enabled = !page.muted;
    track.onended = () => page.call && tell("The microphone was disconnected. Choose another under Devices.");
  }
}

const stop = (stream) => stream?.getTracks().forEach((track) => track.stop());

/** Make a call and tell it what was said before, `history`. Throws CallProblem. */
async function connect(attempt, history) {
  page.call?.close();
  page.resumption = new Resumption(history);
  page.responses.clear();
  page.playing.clear();
  page.mending = false;
  $("voice").muted = page.resumption.isHushed;
  const call = (page.call = new Call({
    onEvent: receive,
    onEnd: (how, reason) => attempt === page.attempt && ended(how, reason, attempt),
    onMending: (is) => showMending(is),
    onSound: play,
  }));
  await call.open({ agent: $("agent").value, key: key.value, microphone: page.microphone });
  if (attempt !== page.attempt) return call.close();
  for (const event of page.resumption.opening()) send(event);
  setTimeout(() => page.call === call && ask(), GREETING_MS);
  $("welcome").hidden = true;
  showActivity();
}

/** From here on every response is one that the caller wants to hear. */
function ask() {
  page.resumption.asked();
  $("voice").muted = page.resumption.isHushed;
}

function showMending(is) {
  page.mending = is;
  if (is) setState("reconnecting");
  else showActivity();
}

function failed(error) {
  const problem = error instanceof CallProblem ? error : new CallProblem("service", String(error));
  release();
  setState("idle");
  if (problem.kind === "key") return key.ask(problem.message, async () => (await listAgents()) && start());
  tell(callProblem(problem), () => start(), "Try again");
}

function ended(how, reason, attempt) {
  if (how === "lost") return void coming(reconnect(reason, attempt));
  release();
  setState("ended");
  tell(reason?.message ?? "The service ended the call.");
}

/** Call again until it works, and tell the new session what was said in the old one. */
async function reconnect(reason, attempt) {
  drawCaptions($("captions"), page.captions, page.captions.cut());
  const history = page.captions.history();
  setState("reconnecting");
  tell(`${lossProblem(reason)} Calling again…`);
  for (const delayMs of retries()) {
    await pause(delayMs);
    if (attempt !== page.attempt) return;
    try {
      await connect(attempt, history);
      return notice.hide();
    } catch (error) {
      if (attempt !== page.attempt) return;
      if (!mayPass(error)) return failed(error);
    }
  }
  release();
  setState("ended");
  tell("The connection was lost and did not come back.", () => start(), "Try again");
}

/** Wait, or shorter: until the network is back. */
const pause = (ms) =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
    window.addEventListener("online", resolve, { once: true });
  });

function hangUp() {
  page.attempt++;
  release();
  setState("ended");
  notice.hide();
}

function release() {
  page.call?.close();
  page.call = null;
  stop(page.microphone);
  Object.assign(page, { microphone: null, muted: false, mending: false });
  $("mute").setAttribute("aria-pressed", "false");
  page.responses.clear();
  page.playing.clear();
  levels.watch("in", null);
  levels.watch("out", null);
  $("voice").srcObject = null;
}

function play(stream) {
  $("voice").srcObject = stream;
  $("voice").play().catch(() => tell("The browser holds the sound back.", () => $("voice").play(), "Play it"));
  levels.watch("out", stream);
}

// --- events ---------------------------------------------------------------------------------------------------

const send = (event) => page.call?.send(event) ?? false;

function receive(event, direction) {
  const now = performance.now();
  inspector.add(event, direction, now);
  if (direction === "sent") return;
  const { shown, replies } = page.resumption.receive(event);
  $("voice").muted = page.resumption.isHushed;
  replies.forEach(send);
  if (!shown) return;
  follow(event);
  const changed = page.captions.receive(event);
  if (changed.length) drawCaptions($("captions"), page.captions, changed);
  if (page.turns.receive(event, now)) drawTurns($("turns"), page.turns.list, $("latency-note"));
  showActivity();
}

function follow(event) {
  switch (event.type) {
    case "session.created":
      return configure(event.session);
    case "response.created":
      notice.pass();
      return void page.responses.add(event.response.id);
    case "response.done":
      page.responses.delete(event.response.id);
      if (event.response.status === "failed") tellOf(event.response.status_details?.error, "The answer failed.");
      if (page.createWhenDone && !page.responses.size) {
        page.createWhenDone = false;
        send({ type: "response.create" });
      }
      return;
    case "output_audio_buffer.started":
      return void page.playing.add(event.response_id);
    case "output_audio_buffer.stopped":
    case "output_audio_buffer.cleared":
      return void page.playing.delete(event.response_id);
    case "error":
      return followError(event.error);
  }
}

function followError(error) {
  if (error.code === "conversation_already_has_active_response") {
    // What was typed has crossed with a response that began by itself, a greeting say.
    page.createWhenDone = true;
    interrupt();
  } else if (error.code !== "response_cancel_not_active") tellOf(error);  // else: pressed just as the answer ended
}

const tellOf = (error, otherwise) => tell(error?.message ?? otherwise, null, "", { passing: true });

/** Ask for captions of the caller where the session has none by itself. */
function configure(session) {
  if (session.type !== "realtime" || session.audio?.input?.transcription) return;
  send({ type: "session.update", session: { type: "realtime", audio: { input: { transcription: { model: "whisper-1" } } } } });
}

function interrupt() {
  if (page.responses.size) send({ type: "response.cancel" });
  if (page.playing.size || page.responses.size) send({ type: "output_audio_buffer.clear" });
}

async function type(text) {
  if (!page.call?.isOpen) await (page.coming ?? start({ typing: true }));
  if (!page.call?.isOpen) return false;
  ask();
  interrupt();
  page.turns.typed(text, performance.now());
  send({ type: "conversation.item.create", item: { type: "message", role: "user", content: [{ type: "input_text", text }] } });
  page.createWhenDone = page.responses.size > 0;
  if (!page.createWhenDone) send({ type: "response.create" });
  return true;
}

function setMuted(muted) {
  page.muted = muted;
  for (const track of page.microphone?.getAudioTracks() ?? []) track.enabled = !muted;
  $("mute").setAttribute("aria-pressed", String(muted));
  showActivity();
}

// --- agents and keys ------------------------------------------------------------------------------------------

async function listAgents() {
  try {
    const names = await agents(key.value);
    $("agent").replaceChildren(...names.map((name) => new Option(name, name)));
    const wanted = new URLSearchParams(location.search).get("agent") ?? localStorage.getItem("agent");
    if (names.includes(wanted)) $("agent").value = wanted;
    notice.hide();
    setState("idle");
    return true;
  } catch (error) {
    if (error.kind === "key") key.ask(error.message, listAgents);
    else tell(callProblem(error), listAgents, "Try again");
    return false;
  }
}

// --- the buttons ----------------------------------------------------------------------------------------------

$("talk").addEventListener("click", () => (["idle", "ended"].includes(document.body.dataset.state) ? start() : hangUp()));
$("mute").addEventListener("click", () => setMuted(!page.muted));
$("interrupt").addEventListener("click", interrupt);
$("agent").addEventListener("change", () => localStorage.setItem("agent", $("agent").value));
$("composer").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = $("message").value.trim();
  if (!text || $("message").readOnly) return;
  $("message").readOnly = true;  // until it is sent, which may be when the connection is back
  if (await type(text)) $("message").value = "";
  $("message").readOnly = false;
});
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || key.isAsked) return;
  if (event.key === "Escape") interrupt();
  if (event.key.toLowerCase() === "m" && !event.target.closest("input, select, textarea") && !$("mute").disabled) setMuted(!page.muted);
});
devices.onMicrophone = async () => {
  const { call, microphone: old } = page;
  if (!old || !call) return;
  try {
    const chosen = await devices.open();
    if (page.call !== call) return stop(chosen);
    use(chosen);
    await call.replaceMicrophone(chosen);
    stop(old);
    notice.hide();
  } catch (error) {
    tell(microphoneProblem(error));  // the one before is still heard
  }
};
window.addEventListener("pagehide", () => page.call && hangUp());  // the browser may show this very page again
window.addEventListener("online", () => page.call?.mend());
let network = navigator.connection?.type;  // where the browser tells: wifi, cellular
navigator.connection?.addEventListener("change", () => {
  const before = network;
  network = navigator.connection.type;
  if (network !== before && navigator.onLine) page.call?.mend();
});

function animate() {
  const now = performance.now();
  const { level } = levels.measure("in", now);
  const out = levels.measure("out", now);
  $("level-in").style.setProperty("--level", page.muted ? 0 : level.toFixed(3));
  $("level-out").style.setProperty("--level", out.level.toFixed(3));
  $("talk").style.setProperty("--level", Math.max(page.muted ? 0 : level, out.level).toFixed(3));
  if (out.since !== null && page.turns.heard(out.since)) drawTurns($("turns"), page.turns.list, $("latency-note"));
  requestAnimationFrame(animate);
}

if (matchMedia("(max-width: 60rem)").matches) for (const panel of document.querySelectorAll(".panel")) panel.open = false;
animate();
void listAgents();
