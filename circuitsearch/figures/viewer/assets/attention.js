// Where a head looks on one prompt: a square with its tokens on both axes, read by pointing or with the arrow keys.

/** @import { Page } from "./types" */
import { shape } from "./svg.js";
import { make, shortened, tokenBox } from "./text.js";

const SIDE = 248; // of the square, in pixels
const BESIDE = 76; // for the queries' tokens
const BELOW = 74; // for the keys'
const LINE = 12; // pixels that a label needs
const LONGEST_LABEL = 11; // characters
const MOST_LOOKED_AT = 5;

/**
 * @param {Page} page
 * @param {string} name of the head
 * @param {number} index of the prompt
 * @param {(prompt: number) => void} choose
 * @returns {HTMLElement}
 */
export function attentionOf(page, name, index, choose) {
  const patterns = page.attention[name];
  if (!patterns?.length) return make("div");
  const choice = make("select", { "aria-label": "Prompt of the attention pattern", "data-key": "attention" });
  page.prompts.forEach((prompt, at) => choice.append(make("option", { value: at, selected: at === index }, `prompt ${at + 1}: ${shortened(prompt.answers.join(" or "), 24)}`)));
  choice.addEventListener("change", () => choose(Number(choice.value)));
  const none = `This page has no pattern of this prompt: to stay small it holds those of the first ${patterns.length} alone.`;
  const shown = patterns[index] ? plot(name, index, page.prompts[index]?.clean ?? [], patterns[index]) : [make("p", { class: "quiet" }, none)];
  return make("section", { class: "attention" }, make("div", { class: "turn" }, make("h3", {}, "Attention"), choice), ...shown);
}

/**
 * The percent of each query and key, row by row; a row ends with the query's own token.
 * @param {string} packed
 * @returns {Uint8Array}
 */
function unpacked(packed) {
  return Uint8Array.from(atob(packed), (char) => char.charCodeAt(0));
}

/**
 * @param {number} query
 * @param {number} key
 * @returns {number} the place of a cell in what was unpacked
 */
function cellAt(query, key) {
  return (query * (query + 1)) / 2 + key;
}

/**
 * The square, what is pointed at in words, and what that token looks at most.
 * @param {string} name
 * @param {number} index
 * @param {string[]} words
 * @param {string} packed
 * @returns {HTMLElement[]}
 */
function plot(name, index, words, packed) {
  const cells = unpacked(packed);
  const count = Math.round((Math.sqrt(8 * cells.length + 1) - 1) / 2);
  const cell = SIDE / count;
  const word = (/** @type {number} */ at) => words[at] ?? `token ${at}`;
  const axes = shape("svg", { width: BESIDE + SIDE, height: SIDE + BELOW, "aria-hidden": "true" });
  const here = shape("rect", { width: Math.max(cell, 3), height: Math.max(cell, 3), class: "here" });
  axes.append(...labels(count, cell, word), here);
  const label = `Attention of ${name} on prompt ${index + 1}: ${count} queries by ${count} keys; arrow keys move over it`;
  const square = make("div", { class: "pattern", tabindex: 0, role: "application", "aria-label": label, "data-key": "pattern" }, painted(cells, count), axes);
  const [said, list] = [make("p", { class: "said", role: "status" }), make("div")];
  let [query, key] = [-1, -1];
  const point = (/** @type {number} */ row, /** @type {number} */ column) => {
    const turned = row !== query;
    query = Math.min(Math.max(row, 0), count - 1);
    key = Math.min(Math.max(column, 0), query);
    here.setAttribute("x", String(BESIDE + key * cell));
    here.setAttribute("y", String(query * cell));
    said.replaceChildren(tokenBox(word(query)), " \u2192 ", tokenBox(word(key)), `: ${cells[cellAt(query, key)]}%`);
    if (turned) list.replaceChildren(...mostLookedAt(cells, query, word));
  };
  square.addEventListener("pointermove", (event) => {
    const corner = square.getBoundingClientRect();
    const [x, y] = [event.clientX - corner.left - BESIDE, event.clientY - corner.top];
    if (x >= 0 && y >= 0 && x < SIDE && y < SIDE) point(Math.floor(y / cell), Math.floor(x / cell));
  });
  square.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!step) return;
    event.preventDefault();
    point(query + step[0], key + step[1]);
  });
  point(count - 1, strongestKeys(cells, count - 1)[0]);
  return [square, said, list];
}

/**
 * @param {Uint8Array} cells
 * @param {number} query
 * @returns {number[]} its keys, the most looked at first
 */
function strongestKeys(cells, query) {
  const percent = (/** @type {number} */ key) => cells[cellAt(query, key)];
  return Array.from({ length: query + 1 }, (_, key) => key).sort((a, b) => percent(b) - percent(a) || a - b);
}

/**
 * @param {Uint8Array} cells
 * @param {number} query
 * @param {(at: number) => string} word
 * @returns {HTMLElement[]}
 */
function mostLookedAt(cells, query, word) {
  const list = make("ul", { class: "looks" });
  for (const key of strongestKeys(cells, query).slice(0, MOST_LOOKED_AT)) {
    list.append(make("li", {}, tokenBox(word(key)), ` ${cells[cellAt(query, key)]}%`));
  }
  return [make("p", { class: "quiet" }, "Token ", tokenBox(word(query)), ` (${query + 1}) looks most at`), list];
}

/**
 * The tokens along both axes, as many as there is room for, the last always, and what the axes are.
 * @param {number} count
 * @param {number} cell
 * @param {(at: number) => string} word
 * @returns {SVGElement[]}
 */
function labels(count, cell, word) {
  const step = Math.ceil(LINE / cell);
  const shown = Array.from({ length: count }, (_, at) => at).filter((at) => (count - 1 - at) % step === 0);
  const text = (/** @type {number} */ at) => shortened(word(at), LONGEST_LABEL);
  const rows = shown.map((at) => shape("text", { x: BESIDE - 5, y: (at + 0.5) * cell + 3.5, class: "end" }, text(at)));
  const turned = (/** @type {number} */ at) => `translate(${BESIDE + (at + 0.5) * cell + 3.5},${SIDE + 5}) rotate(-90)`;
  const columns = shown.map((at) => shape("text", { transform: turned(at), class: "end" }, text(at)));
  const titles = [shape("text", { x: 0, y: SIDE + 16, class: "title" }, "\u2191 query"), shape("text", { x: 0, y: SIDE + 32, class: "title" }, "key \u2192")];
  return [...rows, ...columns, ...titles];
}

/**
 * The cells, a pixel each, which the style sheet makes as large as the square.
 * @param {Uint8Array} cells
 * @param {number} count
 * @returns {HTMLCanvasElement}
 */
function painted(cells, count) {
  const canvas = make("canvas", { width: count, height: count, "aria-hidden": "true" });
  const context = canvas.getContext("2d");
  if (!context) return canvas;
  context.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--supports").trim();
  for (let query = 0; query < count; query += 1) {
    for (let key = 0; key <= query; key += 1) {
      context.globalAlpha = cells[cellAt(query, key)] / 100;
      context.fillRect(key, query, 1, 1);
    }
  }
  return canvas;
}
