// What was cut, hidden and traced, each with a button that takes it back.

/** @import { Page, State } from "./types" */
import { edgeName } from "./circuit.js";
import { byId, counted, make } from "./text.js";

const NAMED_MARKS = 4; // of one sort; more are counted

/**
 * @param {Page} page
 * @param {State} state
 * @param {(changes: Partial<State>) => void} change
 */
export function showMarks(page, state, change) {
  const { cut, hidden, trace } = state;
  const name = (/** @type {number} */ node) => page.nodes[node][0];
  const marks = [
    ...several("cut", cut, (edge) => edgeName(page, edge), "edge", (left) => change({ cut: left })),
    ...several("hidden", hidden, name, "node", (left) => change({ hidden: left })),
  ];
  if (trace) marks.push(mark(`paths ${name(Math.min(...trace))} \u2192 ${name(Math.max(...trace))}`, "Show all edges again", () => change({ trace: null })));
  byId("marks").replaceChildren(...marks);
  byId("marks").hidden = !marks.length;
}

/**
 * @param {string} word
 * @param {number[]} items
 * @param {(item: number) => string} name
 * @param {string} one
 * @param {(left: number[]) => void} keep
 * @returns {HTMLElement[]}
 */
function several(word, items, name, one, keep) {
  const named = items.slice(0, NAMED_MARKS).map((item) => mark(`${word} ${name(item)}`, `Bring back ${name(item)}`, () => keep(items.filter((each) => each !== item))));
  const all = items.length > 1 ? [mark(`all ${counted(items.length, one)} ${word}`, `Bring back all ${word}`, () => keep([]))] : [];
  return [...named, ...all];
}

/**
 * @param {string} text
 * @param {string} label
 * @param {() => void} undo
 * @returns {HTMLElement}
 */
function mark(text, label, undo) {
  const button = make("button", { type: "button", class: "mark", title: label, "data-key": text }, text, make("span", { "aria-hidden": "true" }, " \u00d7"), make("span", { class: "hidden" }, `. ${label}`));
  button.addEventListener("click", undo);
  return button;
}
