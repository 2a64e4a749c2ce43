// Tells what the parser of @openai/agents-realtime makes of frames, as its sessions do with each that they receive.
//
// Reads lines, each a JSON array of frames; answers each with a JSON array of those that its schema models by their type
// and yet takes as generic, which switches features off in silence.

import { createInterface } from "node:readline";

// Not among the package's exports: by its file.
import {
  parseRealtimeEvent,
  realtimeServerEventSchema,
} from "./node_modules/@openai/agents-realtime/dist/openaiRealtimeEvents.mjs";

/** An item with an image: the schema of items knows no such content, whoever sends it (contract 7.3). */
const showsImage = (frame) => frame.item?.content?.some((part) => part.type === "input_image");

const modelled = new Set(realtimeServerEventSchema.options.map((option) => option.shape.type.value));

for await (const line of createInterface({ input: process.stdin })) {
  const untyped = JSON.parse(line).filter(
    (frame) => parseRealtimeEvent({ data: JSON.stringify(frame) }).isGeneric && modelled.has(frame.type) && !showsImage(frame),
  );
  process.stdout.write(`${JSON.stringify(untyped)}\n`);
}
