// Runs in a page before its own scripts: records what its microphone gives and what it plays, on one clock, and every
// event of its call. `recorder.read()` returns 16-bit PCM of both, as base64, and the events with their time there.
"use strict";

globalThis.recorder = (() => {
  const RATE_HZ = 24000;
  const WORKLET = `registerProcessor("tape", class extends AudioWorkletProcessor {
    process(inputs) {
      const quiet = new Float32Array(128);
      this.port.postMessage([currentFrame, inputs[0][0]?.slice() ?? quiet, inputs[1][0]?.slice() ?? quiet]);
      return true;
    }
  });`;
  const tapes = { caller: [], agent: [] };
  const events = [];
  let context = null;
  let firstFrame = null;

  async function start(microphone) {
    if (context) return;
    context = new AudioContext({ sampleRate: RATE_HZ });
    await context.audioWorklet.addModule(URL.createObjectURL(new Blob([WORKLET], { type: "text/javascript" })));
    const tape = new AudioWorkletNode(context, "tape", { numberOfInputs: 2, numberOfOutputs: 0 });
    tape.port.onmessage = ({ data: [frame, caller, agent] }) => {
      firstFrame ??= frame;
      tapes.caller.push(caller);
      tapes.agent.push(agent);
    };
    if (microphone) context.createMediaStreamSource(microphone).connect(tape, 0, 0);
    let playing = null;
    let source = null;
    setInterval(() => {
      const stream = document.querySelector("audio")?.srcObject ?? null;
      if (stream === playing) return;
      source?.disconnect();
      playing = stream;
      source = stream && context.createMediaStreamSource(stream);
      source?.connect(tape, 0, 1);
    }, 5);
  }

  const nativeGetUserMedia = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (constraints) => {
    const stream = await nativeGetUserMedia(constraints);
    globalThis.recorder.microphone = stream;
    await start(stream);
    return stream;
  };

  const nativeCreate = RTCPeerConnection.prototype.createDataChannel;
  RTCPeerConnection.prototype.createDataChannel = function (...given) {
    const channel = nativeCreate.apply(this, given);
    channel.addEventListener("message", ({ data }) => {
      const frame = context ? Math.round(context.currentTime * RATE_HZ) - (firstFrame ?? 0) : 0;
      events.push({ at_s: frame / RATE_HZ, event: JSON.parse(data) });
    });
    return channel;
  };

  function base64(chunks) {
    const pcm = new Int16Array(chunks.length * 128);
    chunks.forEach((chunk, n) => chunk.forEach((value, k) => (pcm[n * 128 + k] = Math.max(-1, Math.min(1, value)) * 32767)));
    const bytes = new Uint8Array(pcm.buffer);
    let text = "";
    for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
    return btoa(text);
  }

  return {
    start,
    events,
    read: () => ({ rate_hz: RATE_HZ, caller: base64(tapes.caller), agent: base64(tapes.agent), events }),
  };
})();
