/** The list of events, both ways: filter, pause, copy. Keeps the last thousand; a run of deltas is one row. */

const KEPT = 1000;
const SHOWN = 300;
const LONGEST_RUN = 100;

/** Whether an event's type passes a filter: every word must be in it, no word behind a "-" may. */
export function matches(filter, type) {
  return filter
    .toLowerCase()
    .split(/\s+/)
    .filter(Boolean)
    .every((word) => (word.startsWith("-") && word.length > 1 ? !type.includes(word.slice(1)) : type.includes(word)));
}

export class Inspector {
  #entries = [];
  #count = 0;
  #paused = false;
  #follows = true;
  #top = 0;
  #beganMs = null;

  constructor({ list, filter, pause, copy, count }) {
    Object.assign(this, { list, filter, pause, copy, count });
    filter.addEventListener("input", () => this.#showAll());
    pause.addEventListener("click", () => this.#setPaused(!this.#paused));
    copy.addEventListener("click", () => this.#copyAll());
    // The newest is in sight until somebody scrolls away from it, whatever becomes of the list's size.
    list.addEventListener("scroll", () => this.#scrolled());
    new ResizeObserver(() => this.#follows && toEnd(list)).observe(list);
  }

  add(event, direction, now) {
    this.#beganMs ??= now;
    const entry = { event, direction, atMs: now - this.#beganMs };
    this.#entries.push(entry);
    if (this.#entries.length > KEPT) this.#entries.shift();
    this.count.textContent = String(++this.#count);
    if (!this.#paused && matches(this.filter.value, event.type)) this.#append([entry]);
  }

  #scrolled() {
    const { scrollTop } = this.list;
    // A list that became shorter is not at its end either: only who scrolls back wants to look at something else.
    if (isAtEnd(this.list)) this.#follows = true;
    else if (scrollTop < this.#top) this.#follows = false;
    this.#top = scrollTop;
  }

  #setPaused(paused) {
    this.#paused = paused;
    this.pause.setAttribute("aria-pressed", String(paused));
    this.pause.textContent = paused ? "Resume" : "Pause";
    if (!paused) this.#showAll();
  }

  #wanted() {
    return this.#entries.filter(({ event }) => matches(this.filter.value, event.type));
  }

  #showAll() {
    this.list.replaceChildren();
    this.#append(this.#wanted().slice(-SHOWN));
  }

  #append(entries) {
    const list = this.list;
    for (const entry of entries) {
      if (!list.lastElementChild?.takes(entry)) list.append(row(entry));
    }
    while (list.childElementCount > SHOWN) list.firstElementChild.remove();
    if (this.#follows) toEnd(list);
  }

  async #copyAll() {
    const lines = this.#wanted().map(({ event, direction, atMs }) => JSON.stringify({ at_ms: Math.round(atMs), direction, event }));
    const label = this.copy.textContent;
    try {
      await navigator.clipboard.writeText(lines.join("\n"));
      this.copy.textContent = "Copied";
    } catch {
      this.copy.textContent = "Not allowed";
    }
    setTimeout(() => (this.copy.textContent = label), 1500);
  }
}

const isAtEnd = (list) => list.scrollTop + list.clientHeight >= list.scrollHeight - 40;
const toEnd = (list) => (list.scrollTop = list.scrollHeight);

function row(first) {
  const { event, direction, atMs } = first;
  const run = [first];
  const item = document.createElement("li");
  const details = document.createElement("details");
  const summary = document.createElement("summary");
  const arrow = document.createElement("span");
  const type = document.createElement("code");
  const count = document.createElement("span");
  const time = document.createElement("span");
  item.className = `${direction}${event.type === "error" ? " error" : ""}`;
  arrow.className = "arrow";
  arrow.textContent = direction === "sent" ? "↑" : "↓";
  arrow.title = direction;
  type.append(...event.type.split(/(?<=[._])/).flatMap((part) => [part, document.createElement("wbr")]));
  count.className = "count";
  time.className = "time";
  time.textContent = `${(atMs / 1000).toFixed(2)} s`;
  summary.append(arrow, type, count, time);
  details.append(summary);
  // Made when it is looked at: most never are.
  details.addEventListener("toggle", () => {
    if (details.childElementCount > 1) details.lastElementChild.remove();
    if (!details.open) return;
    const body = document.createElement("pre");
    body.textContent = run.map((entry) => JSON.stringify(entry.event, null, 2)).join("\n");
    details.append(body);
  });
  // Joins another event to the run, unless it is of another kind.
  item.takes = (entry) => {
    const isAlike = event.type.endsWith(".delta") && entry.event.type === event.type && entry.direction === direction;
    if (!isAlike || run.length >= LONGEST_RUN) return false;
    run.push(entry);
    count.textContent = `×${run.length}`;
    return true;
  };
  item.append(details);
  return item;
}
