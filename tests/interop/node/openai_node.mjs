// A conversation through openai-node: a spoken turn, a tool call, a barge-in.
//
// node openai_node.mjs URL MODEL KEY FOLDER: FOLDER holds what is said (24 kHz PCM); every frame goes to stdout.

import OpenAI from "openai";
import { OpenAIRealtimeWS } from "openai/realtime/ws";

import { Microphone, recordings } from "./speech.mjs";

const [url, model, apiKey, folder] = process.argv.slice(2);
const speech = recordings(folder);
const baseURL = url.replace(/^ws/, "http").replace(/\/realtime$/, "");
const realtime = new OpenAIRealtimeWS({ model }, new OpenAI({ apiKey, baseURL }));

const tools = [
  {
    type: "function",
    name: "get_weather",
    description: "Get the weather of a city.",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
];
const input = {
  transcription: { model: "gpt-4o-mini-transcribe" },
  turn_detection: { type: "server_vad", silence_duration_ms: 500 },
};

let microphone;
let answers = 0;
let deltas = 0;
let playing = null;

realtime.on("event", (event) => process.stdout.write(`${JSON.stringify(event)}\n`));

realtime.on("session.created", () =>
  realtime.send({ type: "session.update", session: { type: "realtime", tools, audio: { input } } }),
);

realtime.on("session.updated", () => {
  microphone = new Microphone((chunk) =>
    realtime.send({ type: "input_audio_buffer.append", audio: chunk.toString("base64") }),
  );
  microphone.say(speech.greeting);
});

realtime.on("response.output_audio.delta", (event) => {
  deltas += 1;
  playing = event.item_id;
  if (answers === 3 && deltas === 10) microphone.say(speech.stop);
});

realtime.on("input_audio_buffer.speech_started", () => {
  if (answers === 3 && playing)
    realtime.send({ type: "conversation.item.truncate", item_id: playing, content_index: 0, audio_end_ms: 500 });
});

realtime.on("response.done", ({ response }) => {
  answers += 1;
  deltas = 0;
  for (const call of response.output.filter((item) => item.type === "function_call")) {
    const output = `sunny, 21 degrees (${JSON.parse(call.arguments).city})`;
    const item = { type: "function_call_output", call_id: call.call_id, output };
    realtime.send({ type: "conversation.item.create", item });
    realtime.send({ type: "response.create" });
  }
  if (answers === 1 || answers === 3) {
    playing = null;
    microphone.say(answers === 1 ? speech.weather : speech.story);
  }
  if (answers === 5) {
    microphone.off();
    realtime.close();
  }
});

realtime.on("error", (error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
