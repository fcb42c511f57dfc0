// What is shown, in a sentence: how many edges, how faithful, how that is known, and what of it belongs to the found circuit.

/** @import { Page, State } from "./types" */
import { edgeName, faithfulnessAt } from "./circuit.js";
import { counted, share, thousands } from "./text.js";

/**
 * @param {Page} page
 * @param {State} state
 * @param {string} found the sentence of the found circuit, as Python wrote it
 * @returns {string}
 */
export function headline(page, state, found) {
  const sentences = [state.size === "circuit" ? found : sizeSentence(page, state.size), cutSentence(page, state)];
  return sentences.filter(Boolean).join(" ");
}

/**
 * @param {Page} page
 * @param {number} size
 * @returns {string}
 */
function sizeSentence(page, size) {
  const { about, stops } = page;
  const part = Number(((100 * stops[size]) / about.total).toPrecision(2));
  return `The ${thousands(stops[size])} strongest of ${thousands(about.total)} edges (${part}%): ${faithfulnessText(page, size)}. The found circuit has ${counted(about.n_edges, "edge")}.`;
}

/**
 * Faithfulness at one of the slider's sizes, and how it is known.
 * @param {Page} page
 * @param {number} size
 * @returns {string}
 */
export function faithfulnessText(page, size) {
  const known = faithfulnessAt(page, page.stops[size]);
  if (!known) return "faithfulness not measured";
  return known.measured ? `faithfulness ${share(known.value)}` : `faithfulness about ${known.value.toFixed(2)} (between two measured sizes)`;
}

/**
 * What is known of the circuit without the edges that are cut: the search measured each alone, on its own prompts.
 * @param {Page} page
 * @param {State} state
 * @returns {string}
 */
function cutSentence(page, { cut, size }) {
  if (!cut.length) return "";
  if (cut.length > 1) return `${counted(cut.length, "edge")} are cut: the circuit without all of them was not measured.`;
  const name = edgeName(page, cut[0]);
  const without = page.edges.without[cut[0]];
  if (size !== "circuit" || typeof without !== "number") return `Without ${name}: not measured.`;
  const whole = page.about.found === undefined ? "" : `, ${share(page.about.found)} with it`;
  return `Without ${name}: faithfulness ${share(without)}${whole}, measured on the prompts of the search.`;
}
