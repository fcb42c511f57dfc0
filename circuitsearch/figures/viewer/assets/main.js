// The page: one state, what changes it, and what shows it.

/** @import { Page, Scene, State } from "./types" */
import { byEffect, edgesOf, nodesOf, readPage, roleText, strandsOf } from "./circuit.js";
import { FilterBar } from "./controls.js";
import { fillEdges } from "./edges.js";
import { fillAbout, fillShown } from "./evidence.js";
import { seenOf } from "./filters.js";
import { coloursOf, GraphView } from "./graph.js";
import { headline } from "./headline.js";
import { layOut, placementOf } from "./layout.js";
import { showMarks } from "./marks.js";
import { fillNode } from "./node.js";
import { fillPrompts } from "./prompts.js";
import { say, Search } from "./search.js";
import { SizeControl, sizeText } from "./size.js";
import { fragmentOf, stateOf } from "./state.js";
import { drawing, pngOf, save, svgText } from "./svg.js";
import { byId, counted, inputById, make, shortened, signed } from "./text.js";

const TABS = /** @type {const} */ (["about", "node", "edges", "prompts"]);
const LAID_OUT = /** @type {const} */ (["size", "hidden", "moved", "folded", "renamed"]); // what the drawing depends on
const AWHILE = 250; // milliseconds; browsers take it ill when the address changes at every step of a slider

class Viewer {
  /** @param {Page} page */
  constructor(page) {
    this.page = page;
    this.state = stateOf(page, location.hash);
    /** @type {Scene} */
    this.scene = this.sceneOf(this.state);
    this.shown = (/** @type {number} */ _index) => true;
    this.writing = 0;
    this.graph = new GraphView(page, byId("graph"), {
      select: (node) => this.select(node),
      trace: (node) => this.trace(node),
      hover: (strand, x, y) => this.hover(strand, x, y),
      resize: (step) => this.resize(step),
      move: (node, right, down) => this.move(node, right, down),
      fold: (role) => this.fold(role),
      named: (role) => this.named(role),
      rename: (role, name) => this.rename(role, name),
    });
    this.sizes = new SizeControl(page, (size) => this.change({ size }));
    this.found = byId("summary").textContent ?? "";
    const change = (/** @type {Partial<State>} */ changes) => this.change(changes);
    this.filters = new FilterBar(page, change);
    new Search(page, () => this.scene, (node) => this.select(node), change);
    fillAbout(page);
    this.listen();
    this.refresh();
  }

  /**
   * @param {State} state
   * @returns {Scene}
   */
  sceneOf({ size, hidden, moved, folded }) {
    const edges = edgesOf(this.page, size);
    const gone = new Set(hidden);
    const all = strandsOf(this.page, size);
    const strands = gone.size ? all.filter(({ from, to }) => !gone.has(from) && !gone.has(to)) : all;
    const nodes = nodesOf(all).filter((node) => !gone.has(node));
    const strongest = strands.reduce((most, { score }) => Math.max(most, Math.abs(score ?? 0)), 0);
    const { looks } = this.page;
    const layout = layOut(this.page, placementOf(this.page, size), strands, nodes, moved, new Set(folded));
    return { edges, strands, nodes, strongest, looks, layout };
  }

  // ---- changes

  /** @param {Partial<State>} changes */
  change(changes) {
    const before = this.state;
    this.state = { ...before, ...changes };
    if (LAID_OUT.some((name) => this.state[name] !== before[name])) this.scene = this.sceneOf(this.state);
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

  /**
   * Only paths between the selected node and another one.
   * @param {number} node
   */
  trace(node) {
    const { node: selected } = this.state;
    if (selected === null || selected === node) this.select(node);
    else this.change({ trace: [selected, node] });
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
    const seen = seenOf(page, state, scene);
    this.shown = (/** @type {number} */ index) => seen[index];
    document.documentElement.dataset.theme = state.theme;
    this.graph.show(scene, this.shown, state.node);
    byId("put-back").hidden = !Object.keys(state.moved).length;
    this.sizes.show(state);
    this.filters.show(state, scene.strongest);
    this.showTabs();
    this.showStatus();
    this.showWords();
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
    const change = (/** @type {Partial<State>} */ changes) => this.change(changes);
    if (state.tab === "node") fillNode(page, scene, this.shown, state, select, change);
    if (state.tab === "edges") fillEdges(page, scene, this.shown, state, select, change);
    if (state.tab === "prompts") fillPrompts(page, state.prompt, (prompt) => this.change({ prompt }));
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

  showWords() {
    const { page, state } = this;
    byId("summary").textContent = headline(page, state, this.found);
    fillShown(page, state.size);
    showMarks(page, state, (changes) => this.change(changes));
  }

  showStatus() {
    const { scene } = this;
    const visible = new Set(scene.strands.filter((_, index) => this.shown(index)).map((strand) => strand.edge)).size;
    byId("status").textContent = visible === scene.edges.length ? counted(visible, "edge") : `${visible} of ${counted(scene.edges.length, "edge")}`;
    const empty = byId("empty");
    empty.hidden = visible > 0;
    empty.textContent = this.state.trace
      ? "No path between these two nodes is in view."
      : scene.edges.length
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

  listen() {
    for (const tab of TABS) byId(`tab-${tab}`).addEventListener("click", () => this.change({ tab }));
    byId("tabs").addEventListener("keydown", (event) => this.turnTabs(event));
    byId("edge-words").addEventListener("input", () => this.change({ words: inputById("edge-words").value }));
    byId("put-back").addEventListener("click", () => this.change({ moved: {} }));
    byId("fit").addEventListener("click", () => this.graph.fit());
    byId("closer").addEventListener("click", () => this.graph.zoom(1.25));
    byId("further").addEventListener("click", () => this.graph.zoom(0.8));
    byId("theme").addEventListener("click", () => this.turnTheme());
    byId("as-svg").addEventListener("click", () => this.exportSvg());
    byId("as-png").addEventListener("click", () => this.exportPng());
    addEventListener("hashchange", () => this.change(stateOf(this.page, location.hash)));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.graph.draw());
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
      say(`The PNG could not be made (${error instanceof Error ? error.message : "unknown reason"}): take the SVG.`);
    }
  }
}

new Viewer(readPage(document));
