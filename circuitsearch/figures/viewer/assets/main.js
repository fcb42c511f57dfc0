// The page: one state, what changes it, and what shows it.

/** @import { Page, Scene, State } from "./types" */
import { byEffect, edgesOf, findNode, firstSizeWith, kindOf, leastScore, nodesOf, passes, readPage, roleText, strandsOf } from "./circuit.js";
import { coloursOf, GraphView } from "./graph.js";
import { layOut, placementOf } from "./layout.js";
import { fillAbout } from "./evidence.js";
import { fillEdges } from "./edges.js";
import { fillNode } from "./node.js";
import { fillPrompts } from "./prompts.js";
import { SizeControl, sizeText } from "./size.js";
import { fragmentOf, startingState, stateOf } from "./state.js";
import { drawing, pngOf, save, svgText } from "./svg.js";
import { byId, counted, inputById, make, shortened, signed } from "./text.js";

const TABS = /** @type {const} */ (["about", "node", "edges", "prompts"]);
const SIGNS = /** @type {const} */ (["both", "supports", "opposes"]);
const PORTS = ["q", "k", "v", "in", "logits"];
const PORT_WORDS = { q: "queries", k: "keys", v: "values", in: "MLPs", logits: "logits" };
const AWHILE = 250; // milliseconds; browsers take it ill when the address changes at every step of a slider

class Viewer {
  /** @param {Page} page */
  constructor(page) {
    this.page = page;
    this.state = stateOf(page, location.hash);
    /** @type {Scene} */
    this.scene = this.sceneOf(this.state.size);
    this.shown = (/** @type {number} */ _index) => true;
    this.writing = 0;
    this.graph = new GraphView(page, byId("graph"), {
      select: (node) => this.select(node),
      hover: (strand, x, y) => this.hover(strand, x, y),
      resize: (step) => this.resize(step),
      move: (node, right, down) => this.move(node, right, down),
      fold: (role) => this.fold(role),
      named: (role) => this.named(role),
      rename: (role, name) => this.rename(role, name),
    });
    this.sizes = new SizeControl(page, (size) => this.change({ size }));
    this.build();
    this.listen();
    this.refresh();
  }

  /**
   * @param {State["size"]} size
   * @returns {Scene}
   */
  sceneOf(size) {
    const edges = edgesOf(this.page, size);
    const strands = strandsOf(this.page, size);
    const nodes = nodesOf(strands);
    const strongest = strands.reduce((most, { score }) => Math.max(most, Math.abs(score ?? 0)), 0);
    const { looks } = this.page;
    const layout = layOut(this.page, placementOf(this.page, size), strands, nodes, this.state.moved, new Set(this.state.folded));
    return { edges, strands, nodes, strongest, looks, layout };
  }

  // ---- changes

  /** @param {Partial<State>} changes */
  change(changes) {
    const { size, moved, folded, renamed } = this.state;
    this.state = { ...this.state, ...changes };
    const { state } = this;
    if (state.size !== size || state.moved !== moved || state.folded !== folded || state.renamed !== renamed) this.scene = this.sceneOf(state.size);
    this.refresh();
    clearTimeout(this.writing);
    this.writing = setTimeout(() => this.writeAddress(), AWHILE);
  }

  writeAddress() {
    const fragment = fragmentOf(this.page, this.state);
    if (fragment !== location.hash.replace(/^#/, "")) history.replaceState(null, "", `#${fragment}`);
  }

  /** @param {number | null} node */
  select(node) {
    const tab = node === null ? (this.state.tab === "node" ? "about" : this.state.tab) : "node";
    this.change({ node, tab });
    if (node !== null) this.graph.reveal(node);
  }

  /**
   * Move a node by so much; it stays there at every size.
   * @param {number} node
   * @param {number} right
   * @param {number} down
   */
  move(node, right, down) {
    const [name] = this.page.nodes[node];
    const [x, y] = this.state.moved[name] ?? [0, 0];
    this.change({ moved: { ...this.state.moved, [name]: [x + right, y + down] } });
  }

  /** @param {string} role */
  fold(role) {
    const { folded } = this.state;
    this.change({ folded: folded.includes(role) ? folded.filter((each) => each !== role) : [...folded, role] });
  }

  /** @param {string} role */
  named(role) {
    return this.state.renamed[role] ?? role;
  }

  /**
   * Call a role by another name; without one, by its own again.
   * @param {string} role
   * @param {string} name
   */
  rename(role, name) {
    const { [role]: _, ...renamed } = this.state.renamed;
    this.change({ renamed: name && name !== role ? { ...renamed, [role]: name } : renamed });
  }

  /** @param {number} step */
  resize(step) {
    const { stops, about } = this.page;
    if (!stops.length) return;
    const { size } = this.state;
    const above = stops.findIndex((edges) => edges > about.n_edges);
    const from = size === "circuit" ? (above < 0 ? stops.length : above) - (step > 0 ? 1 : 0) : size;
    this.change({ size: Math.min(stops.length - 1, Math.max(0, from + step)) });
  }

  // ---- what is shown

  refresh() {
    const { page, state, scene } = this;
    const seen = scene.strands.map((strand) => passes(page, state, strand, scene.strongest));
    this.shown = (/** @type {number} */ index) => seen[index];
    document.documentElement.dataset.theme = state.theme;
    this.graph.show(scene, this.shown, state.node);
    byId("put-back").hidden = !Object.keys(state.moved).length;
    this.sizes.show(state);
    this.showTabs();
    this.showFilters();
    this.showStatus();
    this.hover(null, 0, 0);
  }

  showTabs() {
    const { page, state, scene } = this;
    for (const tab of TABS) {
      const chosen = tab === state.tab;
      const button = byId(`tab-${tab}`);
      button.setAttribute("aria-selected", String(chosen));
      button.tabIndex = chosen ? 0 : -1;
      byId(`${tab}-panel`).hidden = !chosen;
    }
    const key = document.activeElement?.getAttribute("data-key");
    const select = (/** @type {number} */ node) => this.select(node);
    const choose = (/** @type {number} */ prompt) => this.change({ prompt });
    if (state.tab === "node") fillNode(page, scene, this.shown, state.node, select, state.prompt, choose);
    if (state.tab === "edges") fillEdges(page, scene, byEffect(page, state.size), this.shown, select);
    if (state.tab === "prompts") fillPrompts(page, state.prompt, choose);
    if (key) this.refocus(key);
  }

  /**
   * Panels are filled anew; the button that was pressed keeps the focus.
   * @param {string} key
   */
  refocus(key) {
    const again = [...document.querySelectorAll("[data-key]")].find((each) => each.getAttribute("data-key") === key);
    if (again instanceof HTMLElement) again.focus({ preventScroll: true });
  }

  showFilters() {
    const { state } = this;
    for (const sign of SIGNS) inputById(`sign-${sign}`).checked = state.sign === sign;
    for (const box of this.portBoxes()) box.checked = !state.ports || state.ports.includes(box.value);
    inputById("from").value = state.from === null ? "" : String(state.from);
    inputById("to").value = state.to === null ? "" : String(state.to);
    inputById("least").value = String(state.least);
    const least = leastScore(state, this.scene.strongest);
    const text = least ? `|score| \u2265 ${signed(least).slice(1)}` : "any strength";
    byId("least-reading").textContent = text;
    inputById("least").setAttribute("aria-valuetext", text);
    const { sign, ports, from, to } = state;
    byId("reset").hidden = sign === "both" && !ports && from === null && to === null && !state.least;
  }

  showStatus() {
    const { scene } = this;
    const visible = new Set(scene.strands.filter((_, index) => this.shown(index)).map((strand) => strand.edge)).size;
    byId("status").textContent = visible === scene.edges.length ? counted(visible, "edge") : `${visible} of ${counted(scene.edges.length, "edge")}`;
    const empty = byId("empty");
    empty.hidden = visible > 0;
    empty.textContent = scene.edges.length
      ? "No edge passes the filters. Reset them, or choose a larger circuit."
      : "The circuit has no edges: with every edge ablated the target is already met, or the search found nothing to keep.";
  }

  /**
   * @param {number | null} index
   * @param {number} x
   * @param {number} y
   */
  hover(index, x, y) {
    const tip = byId("tip");
    tip.hidden = index === null;
    if (index === null) return;
    const { page } = this;
    const strand = this.scene.strands[index];
    const without = page.edges.without[strand.edge];
    const name = `${page.nodes[strand.from][0]} \u2192 ${page.readers[page.edges.reader[strand.edge]][0]}`;
    const lines = [make("b", {}, name), make("span", {}, `${byEffect(page, this.state.size) ? "effect in the circuit" : "score"} ${signed(strand.score)}`)];
    if (typeof without === "number") lines.push(make("span", {}, `circuit without it: ${without.toFixed(3)}`));
    if (strand.role) lines.push(make("span", {}, roleText(page, strand)));
    tip.replaceChildren(...lines);
    const { width, height } = this.graph.sides;
    tip.style.left = `${Math.min(x + 14, width - tip.offsetWidth - 8)}px`;
    tip.style.top = `${Math.min(y + 14, height - tip.offsetHeight - 8)}px`;
  }

  // ---- the controls

  build() {
    const { page } = this;
    fillAbout(page);
    const here = new Set(page.readers.map(([, port]) => port));
    for (const port of PORTS.filter((each) => here.has(each))) {
      const box = make("input", { type: "checkbox", value: port, id: `port-${port}` });
      byId("ports").append(make("label", { class: "chip" }, box, PORT_WORDS[/** @type {keyof typeof PORT_WORDS} */ (port)]));
    }
    byId("ports").hidden = here.size < 2;
    const layers = [...new Set(page.nodes.map(([, , layer]) => layer))].filter((layer) => layer !== null);
    byId("layers").hidden = layers.length < 2;
    for (const layer of layers) {
      inputById("from").append(make("option", { value: String(layer) }, `${layer}`));
      inputById("to").append(make("option", { value: String(layer) }, `${layer}`));
    }
    byId("names").append(...page.nodes.map(([name], node) => make("option", { value: name }, kindOf(page, node))));
  }

  /** @returns {HTMLInputElement[]} */
  portBoxes() {
    return [.../** @type {NodeListOf<HTMLInputElement>} */ (byId("ports").querySelectorAll("input"))];
  }

  listen() {
    for (const sign of SIGNS) byId(`sign-${sign}`).addEventListener("change", () => this.change({ sign }));
    byId("ports").addEventListener("change", () => this.changePorts());
    const layer = (/** @type {string} */ id) => (inputById(id).value === "" ? null : Number(inputById(id).value));
    for (const id of ["from", "to"]) byId(id).addEventListener("change", () => this.change({ [id]: layer(id) }));
    byId("least").addEventListener("input", () => this.change({ least: Number(inputById("least").value) }));
    byId("reset").addEventListener("click", () => this.reset());
    byId("search").addEventListener("submit", (event) => this.search(event));
    for (const tab of TABS) byId(`tab-${tab}`).addEventListener("click", () => this.change({ tab }));
    byId("tabs").addEventListener("keydown", (event) => this.turnTabs(event));
    byId("more").addEventListener("click", () => turn(byId("more")));
    byId("put-back").addEventListener("click", () => this.change({ moved: {} }));
    byId("fit").addEventListener("click", () => this.graph.fit());
    byId("closer").addEventListener("click", () => this.graph.zoom(1.25));
    byId("further").addEventListener("click", () => this.graph.zoom(0.8));
    byId("theme").addEventListener("click", () => this.turnTheme());
    byId("as-svg").addEventListener("click", () => this.exportSvg());
    byId("as-png").addEventListener("click", () => this.exportPng());
    document.addEventListener("keydown", (event) => this.onSlash(event));
    addEventListener("hashchange", () => this.change(stateOf(this.page, location.hash)));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.graph.draw());
  }

  changePorts() {
    const boxes = this.portBoxes();
    const ports = boxes.filter((box) => box.checked).map((box) => box.value);
    this.change({ ports: ports.length === boxes.length ? null : ports });
  }

  reset() {
    const { sign, ports, from, to, least } = startingState();
    this.change({ sign, ports, from, to, least });
    byId("graph").focus();
  }

  turnTheme() {
    const dark = getComputedStyle(document.documentElement).getPropertyValue("--dark").trim() === "1";
    this.change({ theme: dark ? "light" : "dark" });
  }

  /** @param {KeyboardEvent} event */
  turnTabs(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const tab = TABS[(TABS.indexOf(this.state.tab) + by + TABS.length) % TABS.length];
    this.change({ tab });
    byId(`tab-${tab}`).focus();
  }

  /** @param {KeyboardEvent} event */
  onSlash(event) {
    const typing = event.target instanceof HTMLElement && event.target.matches("input[type=search]");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    byId("query").focus();
  }

  // ---- search

  /** @param {Event} event */
  search(event) {
    event.preventDefault();
    const typed = inputById("query").value;
    const node = typed.trim() ? findNode(this.page, typed) : null;
    if (node === null) return this.say(typed.trim() ? `There is no node \u201c${shortened(typed, 30)}\u201d.` : "");
    const name = this.page.nodes[node][0];
    if (this.scene.nodes.includes(node)) {
      this.say("");
      this.select(node);
      return undefined;
    }
    const size = firstSizeWith(this.page, node);
    if (size === null) return this.say(`${name} is in none of this page\u2019s circuits.`);
    const button = make("button", { type: "button", class: "link" }, "Show it");
    button.addEventListener("click", () => {
      this.change({ size });
      this.select(node);
      this.say("");
    });
    return this.say(`${name} is not in this circuit; it comes in with ${this.page.stops[size]} edges. `, button);
  }

  /** @param {...(string | Node)} words */
  say(...words) {
    byId("answer").replaceChildren(...words);
  }

  // ---- files

  /** @returns {SVGElement} */
  picture() {
    const { about } = this.page;
    const subject = [about.task, about.model].filter(Boolean).join(" in ");
    const caption = shortened(`${subject ? `${subject}: ` : ""}${sizeText(this.page, this.state.size)}.`, 160);
    return drawing(this.page, this.scene, this.shown, coloursOf(document.documentElement), caption, (role) => this.named(role));
  }

  exportSvg() {
    save(new Blob([svgText(this.picture())], { type: "image/svg+xml" }), "circuit.svg");
  }

  async exportPng() {
    try {
      save(await pngOf(this.picture()), "circuit.png");
    } catch (error) {
      this.say(`The PNG could not be made (${error instanceof Error ? error.message : "unknown reason"}): take the SVG.`);
    }
  }
}

/** @param {HTMLElement} button of something that opens and closes */
function turn(button) {
  button.setAttribute("aria-expanded", String(button.getAttribute("aria-expanded") !== "true"));
}

new Viewer(readPage(document));
