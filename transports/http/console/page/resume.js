/**
 * A conversation that goes on in another call: the new session is told what was said, and does not greet again.
 * Pure: events in, events to send out.
 *
 *   call lost ─► new session ─► its history told ─┬─► it greets by itself: cancelled, taken back, neither shown nor heard
 *                                                 └─► the caller speaks or types: as ever
 */

export class Resumption {
  #mayGreet;
  #responses = new Set();  // that nobody wants
  #items = new Set();
  #playing = new Set();

  /** `history` is what was said: items of the contract; without any the session begins like every other. */
  constructor(history = []) {
    this.history = history;
    this.#mayGreet = history.length > 0;
  }

  /** Whether what is played may be a greeting that was heard before. */
  get isHushed() {
    return this.#mayGreet || this.#responses.size + this.#playing.size > 0;
  }

  /** The caller wants something, or it is too late for a greeting: responses are answers from here on. */
  asked() {
    this.#mayGreet = false;
  }

  /** Return what a new session is told first. */
  opening() {
    return this.history.map((item) => ({ type: "conversation.item.create", item }));
  }

  /** Take an event of the service. Returns whether it is to be shown, and what to send. */
  receive(event) {
    if (event.type === "input_audio_buffer.speech_started") this.asked();
    if (event.type === "response.created" && this.#mayGreet && event.response.conversation_id !== null) {
      this.asked();  // there is one greeting
      const id = event.response.id;
      this.#responses.add(id);
      return { shown: false, replies: [{ type: "response.cancel", response_id: id }, { type: "output_audio_buffer.clear" }] };
    }
    const responseId = event.response_id ?? event.response?.id;
    const itemId = event.item_id ?? event.item?.id;
    const isOf = this.#responses.has(responseId) || this.#playing.has(responseId) || this.#items.has(itemId);
    if (!isOf) return { shown: true, replies: [] };
    if (itemId) this.#items.add(itemId);
    return { shown: false, replies: this.#follow(event, responseId) };
  }

  #follow({ type, response }, id) {
    if (type === "output_audio_buffer.started") this.#playing.add(id);
    if (type === "output_audio_buffer.cleared" || type === "output_audio_buffer.stopped") this.#playing.delete(id);
    if (type !== "response.done") return [];
    this.#responses.delete(id);
    return response.output.map((item) => ({ type: "conversation.item.delete", item_id: item.id }));
  }
}
