// The panel's four pages: the evidence, one node, the edges as a table, and the prompts.

/** @import { Ends, Page, Prompt, Scene, Strand } from "./types" */
import { kindOf, roleText, signOf } from "./circuit.js";
import { byId, counted, make, share, shortened, signed, thousands, tokenBox } from "./text.js";

const STRONGEST = 8;
const ROWS = 200; // of the table of edges; more are no use to read

/**
 * @param {number | null | undefined} score
 * @returns {HTMLElement}
 */
function number(score) {
  const sign = !score ? "" : score > 0 ? "supports" : "opposes";
  return make("span", { class: `number ${sign}` }, signed(score));
}

/**
 * A table of names and what is said of them; rows without a word are left out.
 * @param {[string, string | Node | null | undefined][]} rows
 * @returns {HTMLElement}
 */
function facts(rows) {
  const list = make("dl", { class: "facts" });
  for (const [name, fact] of rows) if (fact) list.append(make("dt", {}, name), make("dd", {}, fact));
  return list;
}

// ---- the evidence

/** @param {Page} page */
export function fillAbout(page) {
  const { about } = page;
  /** @param {Ends} ends */
  const within = (ends) => ends[1] === null ? "no interval" : `${Math.round(100 * (about.confidence ?? 0))}% interval ${share(ends[1])} to ${share(ends[2])}`;
  /** @param {Ends | undefined} ends */
  const interval = (ends) => ends && `${share(ends[0])}, ${within(ends)}`;
  /** @type {[string, string][]} */
  const generalises = (about.by_factor ?? []).map(([label, n, ratio, each]) => [capital(shortened(label, 80)), `${interval(ratio)} (per prompt ${share(each[0])}, ${counted(n, "prompt")})`]);
  /** @type {[string, string][]} */
  const others = (about.others ?? []).map(([name, found]) => [capital(shortened(name, 80)), shortened(found, 400)]);
  const controls = about.controls?.length ? `${counted(about.controls.length, "circuit")} of its size: ${share(mean(about.controls))} on average` : null;
  const accuracy = about.accuracy && about.accuracy.map((value) => `${(100 * value).toFixed(1)}%`);
  byId("hollow").hidden = !page.edges.role.length;
  byId("evidence").replaceChildren(
    facts([
      ["Edges", `${thousands(about.n_edges)} of ${thousands(about.total)}`],
      ["Faithfulness", interval(about.faithfulness)],
      ["Per prompt", interval(about.per_prompt)],
      ["Caution", about.cautions?.join("; ")],
      ...generalises,
      ["Random", controls],
      ["Accuracy", accuracy && `model ${accuracy[0]}, circuit ${accuracy[1]}`],
      ...others,
      ["Metric", about.metric && `${about.metric}: model ${signed(about.clean)}, circuit ${signed(about.kept)}, all edges ablated ${signed(about.ablated)}`],
      ["Prompts", about.prompts],
      ["Scores", about.method && shortened(about.method, 200)],
      ["Ablated edges", about.ablation && `carry ${shortened(about.ablation, 200)}`],
    ]),
  );
}

/** @param {string} text */
function capital(text) {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

/** @param {number[]} values */
function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

// ---- one node

/**
 * @param {Page} page
 * @param {Scene} scene
 * @param {(index: number) => boolean} shown
 * @param {number | null} node
 * @param {(node: number) => void} select
 */
export function fillNode(page, scene, shown, node, select) {
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
    attention(page, name),
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
    const button = make("button", { type: "button", class: "link" }, name);
    button.addEventListener("click", () => select(strand[side]));
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
 * A head's pattern on the first prompts: rows are queries, columns keys.
 * @param {Page} page
 * @param {string} name
 * @returns {HTMLElement}
 */
function attention(page, name) {
  const patterns = page.attention[name];
  if (!patterns?.length) return make("div");
  const choice = make("select", { "aria-label": "Prompt of the attention pattern" });
  patterns.forEach((_, index) => choice.append(make("option", { value: index }, `prompt ${index + 1}`)));
  const place = make("div", { class: "pattern" });
  const show = () => place.replaceChildren(...pattern(page, patterns[Number(choice.value)], Number(choice.value)));
  choice.addEventListener("change", show);
  show();
  return make("section", {}, make("h3", {}, "Attention "), choice, place);
}

/**
 * The square, and beside it what the last token looks at, in words.
 * @param {Page} page
 * @param {number[][]} rows
 * @param {number} index
 * @returns {HTMLElement[]}
 */
function pattern(page, rows, index) {
  const words = page.prompts[index]?.clean ?? [];
  const last = rows.at(-1) ?? [];
  const order = last.map((_, key) => key).sort((a, b) => last[b] - last[a]).slice(0, 5);
  const list = make("ul", { class: "looks" });
  for (const key of order) list.append(make("li", {}, tokenBox(words[key] ?? `token ${key}`), ` ${last[key]}%`));
  const canvas = square(rows);
  canvas.setAttribute("aria-label", `Attention pattern on prompt ${index + 1}: ${rows.length} queries by ${rows.length} keys`);
  return [canvas, make("p", { class: "quiet" }, "The last token looks at"), list];
}

/**
 * @param {number[][]} rows
 * @returns {HTMLCanvasElement}
 */
function square(rows) {
  const cell = Math.max(2, Math.floor(264 / rows.length));
  const side = cell * rows.length;
  const canvas = make("canvas", { width: side, height: side, role: "img" });
  const context = canvas.getContext("2d");
  if (!context) return canvas;
  context.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--supports").trim();
  rows.forEach((row, query) =>
    row.forEach((percent, key) => {
      context.globalAlpha = percent / 100;
      context.fillRect(key * cell, query * cell, cell - (cell > 4 ? 1 : 0), cell - (cell > 4 ? 1 : 0));
    }),
  );
  return canvas;
}

// ---- the edges

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

// ---- the prompts

/**
 * @param {Page} page
 * @param {number} chosen
 * @param {(prompt: number) => void} choose
 */
export function fillPrompts(page, chosen, choose) {
  const place = byId("prompts-panel");
  if (!page.prompts.length) {
    place.replaceChildren(make("p", { class: "quiet" }, "This page has no prompts: circuitsearch find and cs.write_page write them."));
    return;
  }
  place.replaceChildren(onePrompt(page, page.prompts[chosen], chosen, choose), promptTable(page, chosen, choose));
}

/**
 * @param {Page} page
 * @param {Prompt} prompt
 * @param {number} index
 * @param {(prompt: number) => void} choose
 * @returns {HTMLElement}
 */
function onePrompt(page, prompt, index, choose) {
  const step = (/** @type {string} */ text, /** @type {string} */ label, /** @type {number} */ by) => {
    const button = make("button", { type: "button", "aria-label": label, "data-key": label, disabled: !page.prompts[index + by] }, text);
    button.addEventListener("click", () => choose(index + by));
    return button;
  };
  const title = make("h2", {}, `Prompt ${index + 1} of ${page.prompts.length}`);
  return make(
    "section",
    {},
    make("div", { class: "turn" }, title, step("\u2190", "Previous prompt", -1), step("\u2192", "Next prompt", 1)),
    make("h3", {}, "Clean"),
    tokens(prompt.clean, prompt.corrupt),
    make("h3", {}, "Corrupt"),
    tokens(prompt.corrupt, prompt.clean),
    facts([
      ["Right", tokens(prompt.answers, prompt.answers)],
      ["Wrong", tokens(prompt.wrong, prompt.wrong)],
      ["Model", number(prompt.model)],
      ["Circuit", number(prompt.circuit)],
      ["All edges ablated", number(prompt.ablated)],
    ]),
  );
}

/**
 * @param {string[]} texts
 * @param {string[]} others where a token differs from its counterpart, it is marked
 * @returns {HTMLElement}
 */
function tokens(texts, others) {
  const line = make("span", { class: "tokens" });
  texts.forEach((text, place) => line.append(tokenBox(text, text !== others[place])));
  return line;
}

/**
 * @param {Page} page
 * @param {number} chosen
 * @param {(prompt: number) => void} choose
 * @returns {HTMLElement}
 */
function promptTable(page, chosen, choose) {
  const body = make("tbody");
  page.prompts.forEach((prompt, index) => {
    const button = make("button", { type: "button", class: "link", "data-key": `prompt ${index}`, "aria-current": index === chosen ? "true" : null }, String(index + 1));
    button.addEventListener("click", () => choose(index));
    const row = make("tr", { class: index === chosen ? "chosen" : null }, make("td", {}, button), make("td", {}, tokens(prompt.answers, prompt.answers)));
    for (const value of [prompt.model, prompt.circuit]) row.append(make("td", { class: "right" }, number(value)));
    body.append(row);
  });
  const heads = ["", "right", "model", "circuit"].map((text, place) => make(text ? "th" : "td", { scope: text ? "col" : null, class: place > 1 ? "right" : null }, text));
  const more = page.n_prompts > page.prompts.length ? `The first ${page.prompts.length} of ${thousands(page.n_prompts)} prompts` : counted(page.prompts.length, "prompt");
  const caption = `${more}; ${page.about.metric ?? "metric"} of each`;
  return make("table", {}, make("caption", {}, caption), make("thead", {}, make("tr", {}, ...heads)), body);
}
