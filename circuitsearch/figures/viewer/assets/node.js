// One node: what it is, what it is worth, what it writes, its edges, and where a head looks.

/** @import { Page, Said, Scene, Strand } from "./types" */
import { attentionOf } from "./attention.js";
import { kindOf, signOf } from "./circuit.js";
import { byId, facts, link, make, number, share, shortened, signed, thousands, tokenBox } from "./text.js";

const STRONGEST = 8;

/**
 * @param {Page} page
 * @param {Scene} scene
 * @param {(index: number) => boolean} shown
 * @param {number | null} node
 * @param {(node: number) => void} select
 * @param {number} prompt
 * @param {(prompt: number) => void} choose
 */
export function fillNode(page, scene, shown, node, select, prompt, choose) {
  const place = byId("node-panel");
  if (node === null) {
    place.replaceChildren(make("p", { class: "quiet" }, "No node is selected. Click one in the drawing, or search for it above."));
    return;
  }
  const name = page.nodes[node][0];
  const mine = scene.strands.filter((strand, index) => shown(index) && (strand.from === node || strand.to === node));
  const [into, out] = [mine.filter((strand) => strand.to === node), mine.filter((strand) => strand.from === node)];
  place.replaceChildren(
    make("h2", { dir: "auto" }, name),
    make("p", { class: "quiet" }, kindOf(page, node)),
    roles(page, name),
    worth(page, name),
    neighbours(page, "Strongest edges in", into, "from", select),
    neighbours(page, "Strongest edges out", out, "to", select),
    wordsOf(page, name, prompt),
    attentionOf(page, name, prompt, choose),
  );
}

/**
 * @param {Page} page
 * @param {string} name
 * @returns {HTMLElement}
 */
function roles(page, name) {
  const list = make("ul", { class: "roles" });
  for (const role of page.roles[name] ?? []) list.append(make("li", {}, shortened(role, 80)));
  return list.children.length ? list : make("div");
}

/**
 * @param {Page} page
 * @param {string} name
 * @returns {HTMLElement}
 */
function worth(page, name) {
  const [left, whole] = [page.without[name], page.about.faithfulness?.[0]];
  const lost = left === undefined ? null : `faithfulness ${share(left)}${whole === undefined ? "" : ` (${signed(left - whole)})`}`;
  const direct = page.direct[name];
  return facts([
    ["Circuit without it", lost],
    ["Direct effect", direct === undefined ? null : number(direct)],
  ]);
}

/**
 * @param {Page} page
 * @param {string} title
 * @param {Strand[]} strands
 * @param {"from" | "to"} side
 * @param {(node: number) => void} select
 * @returns {HTMLElement}
 */
function neighbours(page, title, strands, side, select) {
  const sorted = [...strands].sort((a, b) => Math.abs(b.score ?? 0) - Math.abs(a.score ?? 0));
  const most = Math.abs(sorted[0]?.score ?? 0) || 1;
  const list = make("ul", { class: "edges" });
  for (const strand of sorted.slice(0, STRONGEST)) {
    const name = page.nodes[strand[side]][0];
    const port = side === "from" ? strand.port : portName(page, strand);
    const button = link(name, () => select(strand[side]));
    const bar = make("span", { class: `bar ${signOf(strand) === "opposes" ? "opposes" : "supports"}`, "aria-hidden": "true" });
    bar.style.width = `${(100 * Math.abs(strand.score ?? 0)) / most}%`;
    list.append(make("li", {}, button, make("span", { class: "port" }, portWord(port)), make("span", { class: "track" }, bar), number(strand.score)));
  }
  const more = sorted.length > STRONGEST ? make("p", { class: "quiet" }, `and ${thousands(sorted.length - STRONGEST)} more`) : "";
  return make("section", {}, make("h3", {}, title), sorted.length ? list : make("p", { class: "quiet" }, "none in view"), more);
}

/**
 * @param {Page} page
 * @param {Strand} strand
 * @returns {string}
 */
function portName(page, strand) {
  return page.readers[page.edges.reader[strand.edge]][1];
}

/**
 * @param {string} port
 * @returns {string}
 */
function portWord(port) {
  return port === "in" || port === "logits" ? "" : `into ${port}`;
}

/**
 * What the node adds to the logits in words: the tokens that it raises and lowers most, over all prompts and on the one that is chosen.
 * @param {Page} page
 * @param {string} name
 * @param {number} prompt
 * @returns {HTMLElement}
 */
function wordsOf(page, name, prompt) {
  const words = page.words[name];
  if (!words) return make("div");
  const here = page.raised[name]?.[prompt];
  return make(
    "section",
    {},
    make("h3", {}, "Writes into the logits"),
    facts([
      ["Raises", said(words[0])],
      ["Lowers", said(words[1])],
      [`Raises on prompt ${prompt + 1}`, here && said(here)],
    ]),
  );
}

/**
 * @param {Said} tokens with the logits that are added to each
 * @returns {HTMLElement}
 */
function said(tokens) {
  const line = make("span", { class: "tokens" });
  for (const [token, logits] of tokens) line.append(make("span", { class: "nowrap" }, tokenBox(token), make("span", { class: "number quiet" }, signed(logits))), " ");
  return line;
}
