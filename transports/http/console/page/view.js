/** Draws captions and waterfalls. What came from a conversation is set as text, never as markup. */

import { waited, waterfall } from "./latency.js";

const NAMES = { caller: "You", agent: "Agent", tool: "Tool" };

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** Keep the list of captions like `captions.lines`, touching only the lines whose ids are given. */
export function drawCaptions(list, captions, changed) {
  const scroller = list.parentElement;
  const isAtEnd = scroller.scrollTop + scroller.clientHeight >= scroller.scrollHeight - 80;
  const shown = new Map([...list.children].map((child) => [child.dataset.id, child]));
  for (const id of changed) {
    const line = captions.find(id);
    const old = shown.get(id);
    if (!line) {
      old?.remove();
      continue;
    }
    const drawn = line.who === "tool" ? drawTool(line, old) : drawLine(line, old);
    if (!old) {
      const at = captions.lines.indexOf(line);
      list.insertBefore(drawn, list.children[at] ?? null);
    }
  }
  if (isAtEnd) scroller.scrollTop = scroller.scrollHeight;
}

function drawLine(line, old) {
  const row = old ?? element("li");
  if (!old) row.append(element("span", "who", NAMES[line.who]), element("p"), element("span", "hint"));
  row.dataset.id = line.id;
  row.className = `line ${line.who} ${line.state}`;
  const [, text, hint] = row.children;
  text.textContent = line.text;
  text.classList.toggle("waiting", !line.text && ["listening", "transcribing", "speaking"].includes(line.state));
  if (line.state === "interrupted") {
    hint.textContent = line.heardMs === undefined ? "interrupted" : `interrupted · ${(line.heardMs / 1000).toFixed(1)} s heard`;
  } else if (line.state === "failed") hint.textContent = "not understood";
  else hint.textContent = "";
  return row;
}

function drawTool(line, old) {
  const row = old ?? element("li");
  const wasOpen = row.querySelector("details")?.open ?? false;
  row.dataset.id = line.id;
  row.className = `line tool ${line.state}`;
  const details = element("details");
  details.open = wasOpen;
  const summary = element("summary");
  const state = { running: "running…", done: "done", failed: "failed" }[line.state];
  summary.append(element("span", "gear", "⚙"), element("code", "", line.name), element("span", "hint", state));
  details.append(summary, element("pre", "", pretty(line.arguments)));
  if (line.output != null) details.append(element("pre", "output", pretty(line.output)));
  row.replaceChildren(details);
  return row;
}

function pretty(json) {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return String(json ?? "");
  }
}

const ms = (value) => `${Math.round(value).toLocaleString("en")} ms`;

/** Draw the last turns, newest first. */
export function drawTurns(box, turns, note) {
  const last = turns.slice(-6).reverse();
  if (last.length) box.replaceChildren(...last.map(drawTurn));
  const times = turns.filter(({ kind }) => kind === "spoken").map(waited).filter((each) => each !== null);
  times.sort((one, other) => one - other);
  note.textContent = times.length ? `median ${ms(times[Math.floor((times.length - 1) / 2)])}` : "";
}

function drawTurn(turn) {
  const box = element("section", "turn");
  const head = element("header");
  const label = turn.label || { spoken: "Spoken", typed: "Typed", unasked: "The agent, unasked" }[turn.kind];
  const total = waited(turn);
  head.append(element("h3", "", label), element("strong", "", total === null ? "…" : ms(total)));
  box.append(head);
  const bars = waterfall(turn);
  const spanMs = Math.max(300, ...bars.map(({ endMs }) => endMs));
  const table = element("table");
  const caption = element("caption", "visually-hidden", `Stages of the turn “${label}”`);
  table.append(caption);
  for (const { stage, name, startMs, endMs } of bars) {
    const row = table.insertRow();
    const heading = element("th", "", name);
    heading.scope = "row";
    const track = element("td", "track");
    const bar = element("i", stage);
    bar.style.setProperty("--from", `${(100 * startMs) / spanMs}%`);
    bar.style.setProperty("--width", `${Math.max(0.8, (100 * (endMs - startMs)) / spanMs)}%`);
    track.append(bar);
    row.append(heading, track, element("td", "ms", ms(endMs)));
  }
  box.append(table);
  if (turn.interrupted) box.append(element("p", "hint", "interrupted"));
  return box;
}
