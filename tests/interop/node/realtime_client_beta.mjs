// A conversation through a RealtimeClient of the beta (openai-realtime-api): a spoken turn, a tool call, a barge-in.
//
// node realtime_client_beta.mjs URL MODEL KEY FOLDER: FOLDER holds what is said (24 kHz PCM); every frame goes to stdout.

import { strict as assert } from "node:assert";

import { RealtimeClient } from "openai-realtime-api";

import { Microphone, recordings } from "./speech.mjs";

const [url, model, apiKey, folder] = process.argv.slice(2);
const speech = recordings(folder);
const turn_detection = { type: "server_vad", silence_duration_ms: 500 };
const client = new RealtimeClient({ url, model, apiKey, sessionConfig: { turn_detection } });

const definition = {
  name: "get_weather",
  description: "Get the weather of a city.",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};
client.addTool(definition, ({ city }) => `sunny, 21 degrees (${city})`);

let microphone;
let answers = 0;
let heard = 0;
let playing = null;

client.on("realtime.event", ({ source, event }) => {
  if (source === "server") process.stdout.write(`${JSON.stringify(event)}\n`);
});

client.realtime.on("server.session.updated", ({ session }) => {
  assert.equal(session.input_audio_format, "pcm16");
  microphone ??= new Microphone((chunk) => client.appendInputAudio(new Int16Array(new Uint8Array(chunk).buffer)));
  if (!answers) microphone.say(speech.greeting);
});

client.on("conversation.updated", ({ item, delta }) => {
  if (!delta?.audio) return;
  heard += 1;
  playing = item;
  if (answers === 3 && heard === 10) microphone.say(speech.stop);
});

client.on("conversation.interrupted", () => {
  if (answers !== 3 || !playing) return;
  const content_index = playing.content.findIndex((part) => part.type === "audio");
  client.realtime.send("conversation.item.truncate", { item_id: playing.id, content_index, audio_end_ms: 500 });
});

client.realtime.on("server.response.done", ({ response }) => {
  answers += 1;
  heard = 0;
  if (response.status === "completed" && playing) {
    assert.ok(playing.formatted.audio.length > 0);
    assert.equal(playing.formatted.transcript, response.output[0].content[0].transcript);
  }
  playing = null;
  if (answers === 1 || answers === 3) microphone.say(answers === 1 ? speech.weather : speech.story);
  if (answers === 5) {
    microphone.off();
    client.disconnect();
  }
});

client.realtime.on("server.error", ({ error }) => {
  process.stderr.write(`${JSON.stringify(error)}\n`);
  process.exit(1);
});

await client.connect();
