// The same page with @openai/agents-realtime: the SDK brings tools that run in the browser, history and interruption.

import { OpenAIRealtimeWebRTC, RealtimeAgent, RealtimeSession, tool } from "@openai/agents-realtime";
import { z } from "zod";

const $ = (id) => document.getElementById(id);

const getWeather = tool({
  name: "get_weather",
  description: "Get the weather of a city.",
  parameters: z.object({ city: z.string() }),
  execute: async ({ city }) => `sunny, 21 degrees (${city})`,
});
const agent = new RealtimeAgent({ name: "weather", instructions: "Be brief.", tools: [getWeather] });

$("talk").onclick = async () => {
  $("talk").disabled = true;
  const { secret, model, url } = await (await fetch("/secret", { method: "POST" })).json();
  const transport = new OpenAIRealtimeWebRTC({ baseUrl: `${url}/v1/realtime/calls`, audioElement: $("voice") });
  const session = new RealtimeSession(agent, { transport, model });
  session.on("history_updated", (items) => $("history").replaceChildren(...items.map(line)));
  session.on("error", ({ error }) => { $("status").textContent = String(error?.message ?? JSON.stringify(error)); });
  await session.connect({ apiKey: secret });
  $("status").textContent = "Speak";
  $("stop").onclick = () => session.interrupt();
};

function line(item) {
  const made = document.createElement("li");
  made.className = item.role ?? item.type;
  const words = (item.content ?? []).map((part) => part.transcript ?? part.text ?? "").join("");
  made.textContent = item.type === "message" ? words : `${item.name}: ${item.output ?? "…"}`;
  return made;
}
