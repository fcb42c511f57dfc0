// The bar of filters: what it offers on this page, what it says of the state, and what it changes.

/** @import { Page, State } from "./types" */
import { headsByRole, kindsOf, leastScore } from "./filters.js";
import { startingState } from "./state.js";
import { byId, counted, inputById, make, shortened, signed } from "./text.js";

const SIGNS = /** @type {const} */ (["both", "supports", "opposes"]);
const PORT_WORDS = { q: "queries", k: "keys", v: "values", in: "MLPs", logits: "logits" };
const KIND_WORDS = { head: "heads", mlp: "MLPs", neuron: "neurons", expert: "experts", mixer: "mixers" };

export class FilterBar {
  /**
   * @param {Page} page
   * @param {(changes: Partial<State>) => void} change
   */
  constructor(page, change) {
    this.page = page;
    this.change = change;
    this.build();
    this.listen();
  }

  build() {
    const { page } = this;
    const ports = new Set(page.readers.map(([, port]) => port));
    chips("ports", Object.keys(PORT_WORDS).filter((port) => ports.has(port)), PORT_WORDS);
    chips("kinds", kindsOf(page), KIND_WORDS);
    const layers = [...new Set(page.nodes.map(([, , layer]) => layer))].filter((layer) => layer !== null);
    byId("layers").hidden = layers.length < 2;
    for (const id of ["from", "to"]) byId(id).append(...layers.map((layer) => make("option", { value: layer }, String(layer))));
    const heads = [...headsByRole(page)].map(([role, names]) => make("option", { value: role }, `${shortened(role, 30)} (${counted(names.length, "head")})`));
    const does = [...new Set(page.edges.role.filter(Boolean))].sort().map((role) => make("option", { value: role }, role));
    for (const [id, options] of /** @type {const} */ ([["role", heads], ["does", does]])) {
      byId(id).append(...options);
      byId(id).hidden = !options.length;
    }
  }

  listen() {
    for (const sign of SIGNS) byId(`sign-${sign}`).addEventListener("change", () => this.change({ sign }));
    for (const id of /** @type {const} */ (["ports", "kinds"])) byId(id).addEventListener("change", () => this.change({ [id]: ticked(id) }));
    for (const id of ["from", "to"]) byId(id).addEventListener("change", () => this.change({ [id]: inputById(id).value === "" ? null : Number(inputById(id).value) }));
    for (const id of ["role", "does"]) byId(id).addEventListener("change", () => this.change({ [id]: inputById(id).value || null }));
    byId("least").addEventListener("input", () => this.change({ least: Number(inputById("least").value) }));
    byId("reset").addEventListener("click", () => this.reset());
    byId("more").addEventListener("click", () => turn(byId("more")));
  }

  /**
   * @param {State} state
   * @param {number} strongest
   */
  show(state, strongest) {
    for (const sign of SIGNS) inputById(`sign-${sign}`).checked = state.sign === sign;
    for (const id of /** @type {const} */ (["ports", "kinds"])) for (const box of boxes(id)) box.checked = !state[id] || state[id].includes(box.value);
    for (const id of /** @type {const} */ (["from", "to", "role", "does"])) inputById(id).value = String(state[id] ?? "");
    inputById("least").value = String(state.least);
    const least = leastScore(state, strongest);
    const text = least ? `|score| \u2265 ${signed(least).slice(1)}` : "any strength";
    byId("least-reading").textContent = text;
    inputById("least").setAttribute("aria-valuetext", text);
    const start = filtersOf(startingState());
    byId("reset").hidden = JSON.stringify(filtersOf(state)) === JSON.stringify(start);
  }

  reset() {
    this.change(filtersOf(startingState()));
    byId("graph").focus();
  }
}

/**
 * @param {State} state
 * @returns {Partial<State>}
 */
function filtersOf({ sign, ports, kinds, from, to, role, does, least }) {
  return { sign, ports, kinds, from, to, role, does, least };
}

/**
 * A box to tick for each choice; one choice is none.
 * @param {string} id
 * @param {string[]} choices
 * @param {Record<string, string>} words
 */
function chips(id, choices, words) {
  for (const choice of choices) {
    const box = make("input", { type: "checkbox", value: choice, id: `${id.slice(0, -1)}-${choice}` });
    byId(id).append(make("label", { class: "chip" }, box, words[choice] ?? choice));
  }
  byId(id).hidden = choices.length < 2;
}

/**
 * @param {string} id
 * @returns {HTMLInputElement[]}
 */
function boxes(id) {
  return [.../** @type {NodeListOf<HTMLInputElement>} */ (byId(id).querySelectorAll("input"))];
}

/**
 * @param {string} id
 * @returns {string[] | null} null if all are ticked
 */
function ticked(id) {
  const all = boxes(id);
  const chosen = all.filter((box) => box.checked).map((box) => box.value);
  return chosen.length === all.length ? null : chosen;
}

/** @param {HTMLElement} button of something that opens and closes */
function turn(button) {
  button.setAttribute("aria-expanded", String(button.getAttribute("aria-expanded") !== "true"));
}
