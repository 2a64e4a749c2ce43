/**
 * What both sides said, in order: events of a session in, a list of lines out. Pure: no clock, no page.
 *
 *   caller: listening ─► transcribing ─► done            agent: speaking ─► done
 *                              └─► failed                          └─► interrupted (cut at what was heard)
 *   tool:   running ─► done | failed
 */

export class Captions {
  #lines = new Map();
  #order = [];

  /** The lines in the order of the conversation. */
  get lines() {
    return this.#order.map((id) => this.#lines.get(id));
  }

  /** Take an event of the service. Returns the ids of the lines that it changed. */
  receive(event) {
    const handle = HANDLERS[event.type];
    return (handle && handle(this, event)) || [];
  }

  find(id) {
    return this.#lines.get(id);
  }

  /** Put a line behind the one named, at the end without one; a line that is there keeps its text. */
  place(id, previous, line) {
    const known = this.#lines.get(id);
    if (known) {
      Object.assign(known, { ...line, text: known.text || line.text || "" });
    } else {
      this.#lines.set(id, { id, text: "", state: "done", ...line });
    }
    const at = previous ? this.#order.indexOf(previous) : -1;
    if (!known) this.#order.splice(at < 0 ? this.#order.length : at + 1, 0, id);
    return [id];
  }

  change(id, change) {
    const line = this.#lines.get(id);
    if (!line) return [];
    Object.assign(line, typeof change === "function" ? change(line) : change);
    return [id];
  }

  remove(id) {
    this.#order = this.#order.filter((other) => other !== id);
    return this.#lines.delete(id) ? [id] : [];
  }

  /** The call is lost: whatever was under way is over. Returns the ids of the lines that it changed. */
  cut() {
    const open = this.lines.filter(({ state }) => ["listening", "transcribing", "speaking", "running"].includes(state));
    return open.flatMap(({ id, who, text }) => {
      if (who === "caller" && !text) return this.remove(id);
      return this.change(id, { state: { caller: "done", agent: "interrupted", tool: "failed" }[who] });
    });
  }

  /** What a new session has to be told to go on from here: items of the contract, in order, under the ids of the lines,
   * so that they are the same lines when the session tells of them. */
  history() {
    return this.lines
      .filter((line) => line.text && (line.who === "caller" || line.who === "agent"))
      .map(({ id, who, text }) => ({
        id,
        type: "message",
        role: who === "caller" ? "user" : "assistant",
        content: [{ type: who === "caller" ? "input_text" : "output_text", text }],
      }));
  }
}

const textOf = (item) => (item.content || []).map((part) => part.text ?? part.transcript ?? "").join("");

function added(captions, { item, previous_item_id: previous }) {
  if (item.type === "message" && item.role !== "system") {
    const who = item.role === "user" ? "caller" : "agent";
    const spoken = (item.content || []).some((part) => part.type === "input_audio");
    const state = item.status === "in_progress" ? "speaking" : spoken ? "transcribing" : "done";
    const known = captions.find(item.id);
    if (known?.state === "done") return [];  // its transcript came first
    return captions.place(item.id, previous, { who, text: textOf(item), state });
  }
  if (item.type === "function_call" || item.type === "mcp_call") {
    const { name, arguments: given = "", call_id: callId, server_label: server } = item;
    return captions.place(item.id, previous, { who: "tool", name, arguments: given, callId, server, state: "running" });
  }
  if (item.type === "function_call_output") return output(captions, item);
  return [];
}

function output(captions, item) {
  const call = captions.lines.find((line) => line.who === "tool" && line.callId === item.call_id);
  return call ? captions.change(call.id, { output: item.output, state: "done" }) : [];
}

function finished(captions, { item }) {
  if (item.type === "mcp_call") {
    const failed = Boolean(item.error);
    const said = failed ? item.error.message ?? JSON.stringify(item.error) : item.output;
    const state = failed ? "failed" : said == null ? "running" : "done";
    return captions.change(item.id, { arguments: item.arguments, output: said, state });
  }
  if (item.type === "function_call") return captions.change(item.id, { arguments: item.arguments });
  if (item.type !== "message" || item.role !== "assistant") return [];
  return captions.change(item.id, (line) => ({
    text: textOf(item) || line.text,
    state: item.status === "incomplete" || line.state === "interrupted" ? "interrupted" : "done",
  }));
}

const grow = (captions, { item_id: id, delta }) =>
  captions.change(id, (line) => ({ text: line.text + (delta ?? ""), state: line.who === "agent" ? "speaking" : line.state }));

const HANDLERS = {
  "input_audio_buffer.speech_started": (captions, { item_id: id }) =>
    captions.place(id, null, { who: "caller", state: "listening" }),
  "input_audio_buffer.speech_stopped": (captions, { item_id: id }) => captions.change(id, { state: "transcribing" }),
  "input_audio_buffer.committed": (captions, { item_id: id, previous_item_id: previous }) =>
    captions.place(id, previous, { who: "caller", state: "transcribing" }),
  "conversation.item.added": added,
  "conversation.item.done": finished,
  "conversation.item.deleted": (captions, { item_id: id }) => captions.remove(id),
  "conversation.item.truncated": (captions, { item_id: id, audio_end_ms: heardMs }) =>
    captions.change(id, { state: "interrupted", heardMs }),
  "conversation.item.input_audio_transcription.delta": grow,
  "conversation.item.input_audio_transcription.completed": (captions, { item_id: id, transcript }) =>
    captions.change(id, { text: transcript.trim(), state: transcript.trim() ? "done" : "failed" }),
  "conversation.item.input_audio_transcription.failed": (captions, { item_id: id }) =>
    captions.change(id, { state: "failed" }),
  "response.output_audio_transcript.delta": grow,
  "response.output_text.delta": grow,
};
