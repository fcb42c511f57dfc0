// The edges in view as a table.

/** @import { Page, Scene } from "./types" */
import { roleText } from "./circuit.js";
import { byId, counted, make, number, share, thousands } from "./text.js";

const ROWS = 200; // more are no use to read

/**
 * @param {Page} page
 * @param {Scene} scene
 * @param {boolean} effects whether the strands have effects in the circuit, not scores
 * @param {(index: number) => boolean} shown
 * @param {(node: number) => void} select
 */
export function fillEdges(page, scene, effects, shown, select) {
  const seen = new Map(scene.strands.filter((_, index) => shown(index)).map(({ edge, score }) => [edge, score]));
  const { writer, reader, without } = page.edges;
  const roles = new Map(scene.strands.filter(({ role }) => role).map((strand) => [strand.edge, strand]));
  const edges = [...seen.keys()].sort((a, b) => Math.abs(seen.get(b) ?? 0) - Math.abs(seen.get(a) ?? 0));
  const body = make("tbody");
  for (const edge of edges.slice(0, ROWS)) {
    const button = make("button", { type: "button", class: "link" }, page.nodes[writer[edge]][0]);
    button.addEventListener("click", () => select(writer[edge]));
    const cells = [make("td", {}, button), make("td", {}, page.readers[reader[edge]][0]), make("td", { class: "right" }, number(seen.get(edge)))];
    if (without.length) cells.push(make("td", { class: "right number" }, without[edge] === null ? "\u2013" : share(without[edge])));
    if (roles.size) cells.push(make("td", {}, roleText(page, roles.get(edge))));
    body.append(make("tr", {}, ...cells));
  }
  const heads = ["from", "to", effects ? "effect" : "score", ...(without.length ? ["without it"] : []), ...(roles.size ? ["role"] : [])];
  const head = make("thead", {}, make("tr", {}, ...heads.map((text, place) => make("th", { scope: "col", class: place > 1 && text !== "role" ? "right" : null }, text))));
  const count = edges.length > ROWS ? `The ${ROWS} strongest of ${thousands(edges.length)} edges in view` : `${counted(edges.length, "edge")} in view`;
  byId("edges-panel").replaceChildren(make("table", {}, make("caption", {}, count), head, body));
}

