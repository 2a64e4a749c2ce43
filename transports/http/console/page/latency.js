/**
 * How long each stage of a turn took, from the end of what was said. Pure: times are arguments, in milliseconds.
 *
 *   end of speech ─► turn decided ─► committed ─► response ─► first words ─► sound leaves ─► heard
 *                                         └─► transcript, whenever it comes
 *
 * The end of speech is not an event: the service says `speech_stopped` once the silence it waits for has passed.
 */

export const STAGES = [
  ["stopped", "turn decided"],
  ["committed", "committed"],
  ["transcript", "transcript"],
  ["created", "response"],
  ["words", "first words"],
  ["sound", "sound leaves"],
  ["heard", "heard"],
];

const EARLY_MS = 150;
const LATE_MS = 1500;

export class Turns {
  list = [];
  #silenceMs = 200;
  #number = 0;

  /** Take an event that came at `now`. Returns the turn that it changed, if any. */
  receive(event, now) {
    switch (event.type) {
      case "session.created":
      case "session.updated":
        this.#silenceMs = event.session.audio?.input?.turn_detection?.silence_duration_ms ?? 200;
        return null;
      case "input_audio_buffer.speech_stopped":
        return this.#mark(this.#begin("spoken", now - this.#silenceMs, event.item_id), "stopped", now);
      case "input_audio_buffer.committed":
        return this.#mark(this.#of(event.item_id) ?? this.#begin("spoken", now, event.item_id), "committed", now);
      case "conversation.item.input_audio_transcription.completed":
        return this.#mark(this.#of(event.item_id), "transcript", now, event.transcript);
      case "response.created":
        return this.#created(event.response, now);
      case "response.output_audio_transcript.delta":
      case "response.output_text.delta":
        return this.#mark(this.#answering(event.response_id), "words", now);
      case "output_audio_buffer.started":
        return this.#mark(this.#answering(event.response_id), "sound", now);
      case "output_audio_buffer.cleared":
        return this.#interrupted(event.response_id);
      case "response.done":
        return event.response.status === "cancelled" ? this.#interrupted(event.response.id) : null;
      default:
        return null;
    }
  }

  /** A message was typed. */
  typed(text, now) {
    return Object.assign(this.#begin("typed", now), { label: text });
  }

  /** The agent is heard since `since`, by the meter on what this page plays. */
  heard(since) {
    const turn = this.list.find(({ startedMs, marks }) => {
      if (marks.sound === undefined || marks.heard !== undefined) return false;
      // Sound and event travel apart, so that the sound may be a little earlier; much later, it is another's.
      const behindMs = since - startedMs - marks.sound;
      return behindMs >= -EARLY_MS && behindMs < LATE_MS;
    });
    return this.#mark(turn, "heard", since);
  }

  #begin(kind, startedMs, itemId = null) {
    const turn = { number: ++this.#number, kind, startedMs, itemId, responseId: null, label: "", marks: {}, interrupted: false };
    this.list.push(turn);
    if (this.list.length > 50) this.list.shift();
    return turn;
  }

  #created(response, now) {
    if (response.conversation_id === null) return null;  // out of band: nobody's turn
    let turn = this.list.findLast((each) => !each.responseId);
    turn ??= this.#begin("unasked", now);  // a greeting, or the answer that follows a tool
    turn.responseId = response.id;
    return this.#mark(turn, "created", now);
  }

  #interrupted(responseId) {
    const turn = this.#answering(responseId);
    if (turn) turn.interrupted = true;
    return turn;
  }

  #of(itemId) {
    return this.list.findLast((turn) => turn.itemId === itemId);
  }

  #answering(responseId) {
    return this.list.findLast((turn) => turn.responseId === responseId);
  }

  #mark(turn, stage, now, label) {
    if (!turn || turn.marks[stage] !== undefined) return null;
    turn.marks[stage] = Math.max(0, now - turn.startedMs);
    if (label) turn.label = label.trim();
    return turn;
  }
}

/** What a caller waited for, in milliseconds: until the sound was heard, or left, or the first words came. */
export const waited = ({ marks }) => marks.heard ?? marks.sound ?? marks.words ?? null;

/** The bars of one turn: where each stage begins and ends, in the order in which they came. */
export function waterfall(turn) {
  const reached = STAGES.filter(([stage]) => turn.marks[stage] !== undefined);
  const inOrder = reached
    .map(([stage, name]) => ({ stage, name, endMs: turn.marks[stage] }))
    .sort((one, other) => one.endMs - other.endMs);
  let fromMs = 0;
  return inOrder.map((bar) => {
    // The transcript is beside the way, not on it: its bar begins where the turn was committed.
    const beside = bar.stage === "transcript";
    const startMs = beside ? Math.min(turn.marks.committed ?? 0, bar.endMs) : fromMs;
    if (!beside) fromMs = bar.endMs;
    return { ...bar, startMs };
  });
}
