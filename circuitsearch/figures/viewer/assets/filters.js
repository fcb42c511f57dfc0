// Which edges are in view: the filters, what was cut or hidden, and the paths between two nodes.

/** @import { Page, Scene, State, Strand } from "./types" */
import { signOf } from "./circuit.js";

/**
 * Which of the scene's strands are in view.
 * @param {Page} page
 * @param {State} state
 * @param {Scene} scene
 * @returns {boolean[]}
 */
export function seenOf(page, state, scene) {
  const cut = new Set(state.cut);
  const pass = filterOf(page, state, scene.strongest);
  const seen = scene.strands.map((strand) => !cut.has(strand.edge) && pass(strand));
  return state.trace ? onPaths(scene.strands, seen, state.trace) : seen;
}

/**
 * Whether the filters let a strand through, cut or not.
 * @param {Page} page
 * @param {State} state
 * @param {number} strongest
 * @returns {(strand: Strand) => boolean}
 */
export function filterOf(page, state, strongest) {
  const least = leastScore(state, strongest);
  const { sign, ports, role, does } = state;
  const here = page.nodes.map((_, node) => inLayers(page, state, node) && ofKinds(page, state, node));
  const has = page.nodes.map(([name]) => role === null || (page.roles[name] ?? []).includes(role));
  return (strand) => {
    const score = strand.score ?? 0;
    if (sign !== "both" && (!score || signOf(strand) !== sign)) return false;
    if (ports && !ports.includes(strand.port)) return false;
    if (Math.abs(score) < least || (does !== null && strand.role !== does)) return false;
    return here[strand.from] && here[strand.to] && (has[strand.from] || has[strand.to]);
  };
}

/**
 * The strength below which edges are hidden: the filter's steps are tenths of a decade below the strongest.
 * @param {State} state
 * @param {number} strongest
 * @returns {number}
 */
export function leastScore(state, strongest) {
  return state.least > 0 ? strongest * 10 ** ((state.least - 40) / 10) : 0;
}

/**
 * The ends, which belong to no layer, pass.
 * @param {Page} page
 * @param {State} state
 * @param {number} node
 * @returns {boolean}
 */
function inLayers(page, state, node) {
  const layer = page.nodes[node][2];
  return layer === null || (layer >= (state.from ?? 0) && layer <= (state.to ?? Infinity));
}

/**
 * The ends pass.
 * @param {Page} page
 * @param {State} state
 * @param {number} node
 * @returns {boolean}
 */
function ofKinds(page, state, node) {
  const [, kind, layer] = page.nodes[node];
  return layer === null || !state.kinds || state.kinds.includes(kind);
}

/**
 * Those strands in view that lie on a path between two nodes, the earlier of which comes first in the page's order.
 * @param {Strand[]} strands
 * @param {boolean[]} seen
 * @param {[number, number]} ends
 * @returns {boolean[]}
 */
function onPaths(strands, seen, ends) {
  const view = strands.filter((_, index) => seen[index]);
  const after = reached(view, Math.min(...ends), "from", "to");
  const before = reached(view, Math.max(...ends), "to", "from");
  return strands.map(({ from, to }, index) => seen[index] && after.has(from) && before.has(to));
}

/**
 * The nodes that can be reached from one, and itself.
 * @param {Strand[]} strands
 * @param {number} start
 * @param {"from" | "to"} near the end of a strand at which it is entered
 * @param {"from" | "to"} far
 * @returns {Set<number>}
 */
function reached(strands, start, near, far) {
  /** @type {Map<number, number[]>} */
  const next = new Map();
  for (const strand of strands) {
    const ends = next.get(strand[near]);
    if (ends) ends.push(strand[far]);
    else next.set(strand[near], [strand[far]]);
  }
  const found = new Set([start]);
  for (const node of found) for (const end of next.get(node) ?? []) found.add(end);
  return found;
}

/**
 * Every kind of node that belongs to a layer, in the model's order.
 * @param {Page} page
 * @returns {string[]}
 */
export function kindsOf(page) {
  return [...new Set(page.nodes.filter(([, , layer]) => layer !== null).map(([, kind]) => kind))];
}

/**
 * The roles of heads, and the heads that have each.
 * @param {Page} page
 * @returns {Map<string, string[]>}
 */
export function headsByRole(page) {
  /** @type {Map<string, string[]>} */
  const heads = new Map();
  for (const [head, roles] of Object.entries(page.roles)) for (const role of roles) heads.set(role, [...(heads.get(role) ?? []), head]);
  return new Map([...heads].sort());
}
