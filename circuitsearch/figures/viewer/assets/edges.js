// The edges in view as a table: sorted by any of its columns, narrowed by words, each to be cut and brought back.

/** @import { Page, Scene, State, Strand } from "./types" */
import { byEffect, edgeName, findNode, roleText } from "./circuit.js";
import { filterOf } from "./filters.js";
import { byId, counted, inputById, link, make, number, share } from "./text.js";

const ROWS = 200; // more are no use to read

/**
 * @typedef {object} Column
 * @property {string} title
 * @property {(strand: Strand) => number | string} key by which rows are sorted
 * @property {(strand: Strand) => Node | string} cell
 * @property {string} [style]
 * @property {boolean} [largest] whether the first press puts the largest on top
 */

/**
 * @param {Page} page
 * @param {Scene} scene
 * @param {(index: number) => boolean} shown
 * @param {State} state
 * @param {(node: number) => void} select
 * @param {(changes: Partial<State>) => void} change
 */
export function fillEdges(page, scene, shown, state, select, change) {
  const words = inputById("edge-words");
  if (words.value !== state.words) words.value = state.words;
  const columns = columnsOf(page, scene, state, select);
  const by = columns[state.sort.by] ? state.sort.by : "strength";
  const { key } = columns[by];
  const rows = matching(page, state, inView(page, scene, shown, state)).sort((a, b) => compared(key(a), key(b)) * (state.sort.down ? -1 : 1));
  const count = rows.length > ROWS ? `The first ${ROWS} of ${counted(rows.length, "edge")} in view` : `${counted(rows.length, "edge")} in view`;
  const head = make("tr", {}, ...Object.entries(columns).map(([name, column]) => heading(name, column, by, state.sort.down, change)), make("td"));
  const body = rows.slice(0, ROWS).map((strand) => row(page, strand, Object.values(columns), state.cut, change));
  byId("edge-table").replaceChildren(make("table", {}, make("caption", {}, count), make("thead", {}, head), make("tbody", {}, ...body)));
}

/**
 * One strand for each edge that is in view or was cut.
 * @param {Page} page
 * @param {Scene} scene
 * @param {(index: number) => boolean} shown
 * @param {State} state
 * @returns {Strand[]}
 */
function inView(page, scene, shown, state) {
  const pass = filterOf(page, state, scene.strongest);
  const seen = scene.strands.filter((strand, index) => shown(index) || (state.cut.includes(strand.edge) && pass(strand)));
  return [...new Map(seen.map((strand) => [strand.edge, strand])).values()];
}

/**
 * Those in whose names, ends or roles every word occurs; a node's name in any spelling stands for the node.
 * @param {Page} page
 * @param {State} state
 * @param {Strand[]} strands
 * @returns {Strand[]}
 */
function matching(page, state, strands) {
  const words = state.words.toLowerCase().split(/\s+/).filter(Boolean);
  const nodes = words.map((word) => findNode(page, word));
  return strands.filter((strand) => {
    const text = `${edgeName(page, strand.edge)} ${strand.role}`.toLowerCase();
    const ends = [strand.from, ...page.readers[page.edges.reader[strand.edge]][2]];
    return words.every((word, at) => text.includes(word) || ends.some((end) => end === nodes[at]));
  });
}

/**
 * @param {Page} page
 * @param {Scene} scene
 * @param {State} state
 * @param {(node: number) => void} select
 * @returns {Record<string, Column>}
 */
function columnsOf(page, scene, state, select) {
  const { reader, without } = page.edges;
  const name = (/** @type {number} */ node) => page.nodes[node][0];
  /** @type {Record<string, Column>} */
  const columns = {
    from: { title: "from", key: ({ from }) => from, cell: ({ from }) => link(name(from), () => select(from)) },
    to: { title: "to", key: ({ to, edge }) => to + reader[edge] / page.readers.length, cell: ({ edge }) => page.readers[reader[edge]][0] },
    strength: { title: byEffect(page, state.size) ? "effect" : "score", key: ({ score }) => Math.abs(score ?? 0), cell: ({ score }) => number(score), style: "right", largest: true },
  };
  if (without.length && state.size === "circuit") columns.without = { title: "without it", key: ({ edge }) => without[edge] ?? Infinity, cell: ({ edge }) => (without[edge] === null ? "\u2013" : share(without[edge])), style: "right number" };
  if (scene.strands.some(({ role }) => role)) columns.role = { title: "role", key: ({ role }) => role, cell: (strand) => roleText(page, strand) };
  return columns;
}

/**
 * @param {number | string} a
 * @param {number | string} b
 * @returns {number}
 */
function compared(a, b) {
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * A column's head, which sorts by it, and the other way round if it does already.
 * @param {string} name
 * @param {Column} column
 * @param {string} by
 * @param {boolean} down
 * @param {(changes: Partial<State>) => void} change
 * @returns {HTMLElement}
 */
function heading(name, { title, style = "", largest = false }, by, down, change) {
  const sorted = name === by;
  const sort = { by: name, down: sorted ? !down : largest };
  const button = link(title, () => change({ sort }), { "data-key": `sort ${name}` });
  button.append(make("span", { "aria-hidden": "true" }, sorted ? (down ? " \u2193" : " \u2191") : ""));
  return make("th", { scope: "col", class: style.split(" ")[0] || null, "aria-sort": sorted ? (down ? "descending" : "ascending") : null }, button);
}

/**
 * @param {Page} page
 * @param {Strand} strand
 * @param {Column[]} columns
 * @param {number[]} cut
 * @param {(changes: Partial<State>) => void} change
 * @returns {HTMLElement}
 */
function row(page, strand, columns, cut, change) {
  const cells = columns.map(({ cell, style = null }) => make("td", { class: style }, cell(strand)));
  const gone = cut.includes(strand.edge);
  return make("tr", { class: gone ? "cut" : null }, ...cells, make("td", { class: "right" }, cutButton(page, strand.edge, cut, change)));
}

/**
 * @param {Page} page
 * @param {number} edge
 * @param {number[]} cut
 * @param {(changes: Partial<State>) => void} change
 * @returns {HTMLElement}
 */
export function cutButton(page, edge, cut, change) {
  const gone = cut.includes(edge);
  const word = gone ? "restore" : "cut";
  const left = gone ? cut.filter((each) => each !== edge) : [...cut, edge];
  return link(word, () => change({ cut: left }), { "aria-label": `${word} ${edgeName(page, edge)}`, "data-key": `cut ${edge}` });
}
