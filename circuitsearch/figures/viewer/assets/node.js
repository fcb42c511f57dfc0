// One node: what it is, what it is worth, what it writes, its edges, and where a head looks.

/** @import { Page, Said, Scene, State, Strand } from "./types" */
import { attentionOf } from "./attention.js";
import { findNode, kindOf, signOf } from "./circuit.js";
import { cutButton } from "./edges.js";
import { say } from "./search.js";
import { byId, facts, link, make, number, share, shortened, signed, thousands, tokenBox } from "./text.js";

const STRONGEST = 8;

/**
 * @param {Page} page
 * @param {Scene} scene
 * @param {(index: number) => boolean} shown
 * @param {State} state
 * @param {(node: number) => void} select
 * @param {(changes: Partial<State>) => void} change
 */
export function fillNode(page, scene, shown, state, select, change) {
  const { node, prompt } = state;
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
    actions(page, state, node, change),
    neighbours(page, "Strongest edges in", into, "from", select, change, state.cut),
    neighbours(page, "Strongest edges out", out, "to", select, change, state.cut),
    wordsOf(page, name, prompt),
    attentionOf(page, name, prompt, (chosen) => change({ prompt: chosen })),
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
 * Hide the node, or show only the paths between it and another one.
 * @param {Page} page
 * @param {State} state
 * @param {number} node
 * @param {(changes: Partial<State>) => void} change
 * @returns {HTMLElement}
 */
function actions(page, state, node, change) {
  const other = make("input", { list: "names", placeholder: "Trace to \u2026", "aria-label": `Show only paths between ${page.nodes[node][0]} and`, autocomplete: "off", spellcheck: "false", "data-key": "trace" });
  const hide = make("button", { type: "button" }, "Hide");
  hide.addEventListener("click", () => change({ hidden: [...state.hidden, node], node: null }));
  const form = make("form", { class: "trace" }, other, make("button", { type: "submit" }, "Trace"), hide);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const end = findNode(page, other.value);
    if (end === null || end === node) say(`There is no other node \u201c${shortened(other.value, 30)}\u201d.`);
    else change({ trace: [node, end] });
  });
  return form;
}

/**
 * @param {Page} page
 * @param {string} title
 * @param {Strand[]} strands
 * @param {"from" | "to"} side
 * @param {(node: number) => void} select
 * @param {(changes: Partial<State>) => void} change
 * @param {number[]} cut
 * @returns {HTMLElement}
 */
function neighbours(page, title, strands, side, select, change, cut) {
  const sorted = [...strands].sort((a, b) => Math.abs(b.score ?? 0) - Math.abs(a.score ?? 0));
  const most = Math.abs(sorted[0]?.score ?? 0) || 1;
  const list = make("ul", { class: "edges" });
  for (const strand of sorted.slice(0, STRONGEST)) {
    const name = page.nodes[strand[side]][0];
    const button = link(name, () => select(strand[side]));
    const bar = make("span", { class: `bar ${signOf(strand) === "opposes" ? "opposes" : "supports"}`, "aria-hidden": "true" });
    bar.style.width = `${(100 * Math.abs(strand.score ?? 0)) / most}%`;
    list.append(make("li", {}, button, make("span", { class: "port" }, portWord(strand.port)), make("span", { class: "track" }, bar), number(strand.score), cutButton(page, strand.edge, cut, change)));
  }
  const more = sorted.length > STRONGEST ? make("p", { class: "quiet" }, `and ${thousands(sorted.length - STRONGEST)} more`) : "";
  return make("section", {}, make("h3", {}, title), sorted.length ? list : make("p", { class: "quiet" }, "none in view"), more);
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
