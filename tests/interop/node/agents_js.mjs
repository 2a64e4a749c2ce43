// A conversation through @openai/agents-realtime: a spoken turn, a tool call, a barge-in, as the SDK does them by itself.
//
// node agents_js.mjs URL MODEL KEY FOLDER: FOLDER holds what is said (24 kHz PCM); every frame goes to stdout.

import { OpenAIRealtimeWebSocket, RealtimeAgent, RealtimeSession, tool } from "@openai/agents-realtime";
import { z } from "zod";

import { Microphone, recordings } from "./speech.mjs";

const [url, model, apiKey, folder] = process.argv.slice(2);
const speech = recordings(folder);

const getWeather = tool({
  name: "get_weather",
  description: "Get the weather of a city.",
  parameters: z.object({ city: z.string() }),
  execute: async ({ city }) => `sunny, 21 degrees (${city})`,
});
const agent = new RealtimeAgent({ name: "host", instructions: "Be brief.", tools: [getWeather] });
const session = new RealtimeSession(agent, {
  transport: new OpenAIRealtimeWebSocket({ url: `${url}?model=${model}` }),
  model,
});

let microphone;
let answers = 0;
let deltas = 0;

session.transport.on("*", (event) => {
  process.stdout.write(`${JSON.stringify(event)}\n`);
  if (event.type === "response.output_audio.delta") {
    deltas += 1;
    if (answers === 3 && deltas === 10) microphone.say(speech.stop);
  } else if (event.type === "response.done") {
    answers += 1;
    deltas = 0;
    if (answers === 1) microphone.say(speech.weather);
    if (answers === 3) microphone.say(speech.story);
    if (answers === 5) {
      microphone.off();
      session.close();
    }
  }
});

session.on("error", ({ error }) => {
  process.stderr.write(`${error?.stack ?? JSON.stringify(error)}\n`);
  process.exit(1);
});

await session.connect({ apiKey });
microphone = new Microphone((chunk) => session.sendAudio(new Uint8Array(chunk).buffer));
microphone.say(speech.greeting);
