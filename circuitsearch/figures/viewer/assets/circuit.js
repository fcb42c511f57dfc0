// A circuit on the page: the edges of each size, the nodes that an edge joins, and the spellings of names.

/** @import { Page, State, Strand } from "./types" */
import { placementOf } from "./layout.js";

const NAMED = 4; // edges in one text

/**
 * @param {Document} document
 * @returns {Page}
 */
export function readPage(document) {
  const holder = document.getElementById("data");
  return JSON.parse(holder?.textContent ?? "null");
}

/**
 * The edges of a size: the circuit's own, or the first so many of the nested order.
 * @param {Page} page
 * @param {State["size"]} size
 * @returns {number[]}
 */
export function edgesOf(page, size) {
  if (size === "circuit") return page.circuit;
  return Array.from({ length: page.stops[size] ?? 0 }, (_, edge) => edge);
}

/**
 * Whether edges are drawn by their effects in the circuit: they are known of the circuit itself, other sizes have only scores.
 * @param {Page} page
 * @param {State["size"]} size
 * @returns {boolean}
 */
export function byEffect(page, size) {
  return size === "circuit" && page.edges.effect.length > 0;
}

/**
 * Lines to draw. Where a port feeds several heads, those that write nothing here would be dead ends and are left out.
 * @param {Page} page
 * @param {State["size"]} size
 * @returns {Strand[]}
 */
export function strandsOf(page, size) {
  const { writer, reader } = page.edges;
  const edges = edgesOf(page, size);
  const strength = byEffect(page, size) ? page.edges.effect : page.edges.score;
  const roles = size === "circuit" ? page.edges.role : [];
  const writes = new Set(edges.map((edge) => writer[edge]));
  const placed = new Set(placementOf(page, size)?.nodes.map(([node]) => node));
  return edges.flatMap((edge) => {
    const [, port, fed] = page.readers[reader[edge]];
    const alive = fed.length > 1 ? fed.filter((node) => writes.has(node)) : fed;
    const ends = alive.length ? alive : fed.filter((node) => placed.has(node));
    return ends.map((to) => ({ edge, from: writer[edge], to, port, score: strength[edge], role: roles[edge] ?? "" }));
  });
}

/**
 * Whether an edge supports the behaviour: by what it does in a complete circuit, else by the sign of its score.
 * @param {{ score: number | null, role: string }} strand
 * @returns {"supports" | "opposes" | "unknown"}
 */
export function signOf({ score, role }) {
  if (role === "opposes") return "opposes";
  if (score === null) return "unknown";
  return score >= 0 ? "supports" : "opposes";
}

/**
 * What an edge does in a complete circuit, and which edges can take its place.
 * @param {Page} page
 * @param {Strand | undefined} strand
 * @returns {string}
 */
export function roleText(page, strand) {
  if (!strand?.role) return "";
  const instead = page.edges.instead[strand.edge];
  const others = instead.length > NAMED ? [...instead.slice(0, NAMED), `${instead.length - NAMED} more`] : instead;
  return others.length ? `${strand.role}, replaced by ${others.join(", ")}` : strand.role;
}

/**
 * @param {Strand[]} strands
 * @returns {number[]}
 */
export function nodesOf(strands) {
  return [...new Set(strands.flatMap((strand) => [strand.from, strand.to]))].sort((a, b) => a - b);
}

/**
 * @param {Page} page
 * @param {number} edge
 * @returns {string}
 */
export function edgeName(page, edge) {
  return `${page.nodes[page.edges.writer[edge]][0]}->${page.readers[page.edges.reader[edge]][0]}`;
}

/**
 * Faithfulness at a number of edges: measured, interpolated between two measured sizes, or none.
 * @param {Page} page
 * @param {number} edges
 * @returns {{ value: number, measured: boolean } | null}
 */
export function faithfulnessAt(page, edges) {
  const exact = page.curve.find(([size]) => size === edges);
  if (exact) return { value: exact[1], measured: true };
  const above = page.curve.findIndex(([size]) => size > edges);
  if (above < 1) return null;
  const [low, from] = page.curve[above - 1];
  const [high, to] = page.curve[above];
  const part = Math.log(edges / low) / Math.log(high / low);
  return { value: from + (to - from) * part, measured: false };
}

/**
 * The smallest of the slider's sizes that holds a node, if one does. An edge into a shared port does not bring in all of
 * its heads, but those that write.
 * @param {Page} page
 * @param {number} node
 * @returns {number | null}
 */
export function firstSizeWith(page, node) {
  const edge = page.edges.writer.findIndex((writer, index) => {
    const fed = page.readers[page.edges.reader[index]][2];
    return writer === node || (fed.length === 1 && fed[0] === node);
  });
  const stop = page.stops.findIndex((size) => size > edge);
  return edge < 0 || stop < 0 ? null : stop;
}

/** Other tools' spellings of a node, as circuitsearch/graph.py reads them. */
const SPELLINGS = [
  [/^(?:input|hook_embed|blocks\.0\.hook_resid_pre)$/, "embed"],
  [/^(?:output|resid_final|blocks\.\d+\.hook_resid_post)$/, "logits"],
  [/^(\d+)\.(\d+)$/, "a$1.h$2"],
  [/^[la](\d+)\.?h(\d+)$/, "a$1.h$2"],
  [/^mlp ?(\d+)$/, "m$1"],
  [/^blocks\.(\d+)\.hook_mlp_(?:out|in)$/, "m$1"],
  [/^blocks\.(\d+)\.attn\.hook_(?:z|result)\D*(\d+)\]?$/, "a$1.h$2"],
  [/^blocks\.(\d+)\.(?:attn\.)?hook_[qkv](?:_input)?\D*(\d+)\]?$/, "a$1.h$2"],
];

/**
 * The node that a person means, by any of its names; a port's name means its node.
 * @param {Page} page
 * @param {string} typed
 * @returns {number | null}
 */
export function findNode(page, typed) {
  const bare = typed.trim().toLowerCase().replace(/<[^>]*>$/, "");
  const spelling = SPELLINGS.find(([pattern]) => /** @type {RegExp} */ (pattern).test(bare));
  const name = spelling ? bare.replace(spelling[0], /** @type {string} */ (spelling[1])) : bare;
  const found = page.nodes.findIndex(([known]) => known.toLowerCase() === name);
  return found < 0 ? null : found;
}

/**
 * What a node is, in words.
 * @param {Page} page
 * @param {number} node
 * @returns {string}
 */
export function kindOf(page, node) {
  const [, kind, layer] = page.nodes[node];
  const words = { head: "attention head", mlp: "MLP", embed: "token and position embedding", logits: "the model's output" };
  const word = words[/** @type {keyof typeof words} */ (kind)] ?? kind;
  return layer === null ? word : `${word} in layer ${layer}`;
}
