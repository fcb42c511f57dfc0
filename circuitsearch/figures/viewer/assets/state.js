// What is looked at, and its place in the address: a fragment that anyone can keep, send or open again.

/** @import { Page, State } from "./types" */
import { edgeName, findNode } from "./circuit.js";
import { headsByRole } from "./filters.js";

export const LONGEST_NAME = 60; // letters of a role's new name
const FURTHEST = 20_000; // units that a node may be moved

/** @returns {State} */
export function startingState() {
  return {
    size: "circuit",
    node: null,
    sign: "both",
    ports: null,
    kinds: null,
    from: null,
    to: null,
    role: null,
    does: null,
    least: 0,
    cut: [],
    hidden: [],
    trace: null,
    sort: { by: "strength", down: true },
    words: "",
    tab: "about",
    prompt: 0,
    theme: "auto",
    moved: {},
    folded: [],
    renamed: {},
  };
}

/**
 * Only what differs from the start is written.
 * @param {Page} page
 * @param {State} state
 * @returns {string}
 */
export function fragmentOf(page, state) {
  const words = new URLSearchParams();
  if (state.size !== "circuit") words.set("size", String(page.stops[state.size]));
  if (state.node !== null) words.set("node", page.nodes[state.node][0]);
  if (state.sign !== "both") words.set("sign", state.sign);
  if (state.ports) words.set("ports", state.ports.join(","));
  if (state.kinds) words.set("kinds", state.kinds.join(","));
  if (state.from !== null) words.set("from", String(state.from));
  if (state.to !== null) words.set("to", String(state.to));
  if (state.role !== null) words.set("role", state.role);
  if (state.does !== null) words.set("does", state.does);
  if (state.least) words.set("least", String(state.least));
  for (const edge of state.cut) words.append("cut", edgeName(page, edge));
  for (const node of state.hidden) words.append("hide", page.nodes[node][0]);
  for (const node of state.trace ?? []) words.append("trace", page.nodes[node][0]);
  if (state.sort.by !== "strength" || !state.sort.down) words.set("sort", `${state.sort.down ? "-" : ""}${state.sort.by}`);
  if (state.words) words.set("words", state.words);
  if (state.tab !== "about") words.set("tab", state.tab);
  if (state.prompt) words.set("prompt", String(state.prompt));
  if (state.theme !== "auto") words.set("theme", state.theme);
  for (const [name, shift] of Object.entries(state.moved)) words.append("moved", `${name} ${shift.map(Math.round).join(" ")}`);
  for (const role of state.folded) words.append("fold", role);
  for (const [role, name] of Object.entries(state.renamed)) words.append("rename", `${role}=${name}`);
  return words.toString();
}

/**
 * Read a fragment; what makes no sense in this page is passed over.
 * @param {Page} page
 * @param {string} fragment
 * @returns {State}
 */
export function stateOf(page, fragment) {
  const words = new URLSearchParams(fragment.replace(/^#/, ""));
  const layers = page.nodes.map(([, , layer]) => layer ?? 0);
  const most = layers.reduce((a, b) => Math.max(a, b), 0);
  const state = startingState();
  state.size = sizeOf(page, words.get("size"));
  state.node = nodesNamed(page, words, "node")[0] ?? null;
  state.sign = oneOf(words.get("sign"), ["both", "supports", "opposes"]);
  state.ports = listed(words.get("ports"));
  state.kinds = listed(words.get("kinds"));
  state.role = [...headsByRole(page).keys()].find((role) => role === words.get("role")) ?? null;
  state.does = page.edges.role.find((role) => role && role === words.get("does")) ?? null;
  state.cut = edgesNamed(page, words.getAll("cut"));
  state.hidden = nodesNamed(page, words, "hide");
  const [first, second] = nodesNamed(page, words, "trace");
  state.trace = second === undefined ? null : [first, second];
  const sort = /^(-?)([a-z]+)$/.exec(words.get("sort") ?? "");
  if (sort) state.sort = { by: sort[2], down: sort[1] === "-" };
  state.words = words.get("words") ?? "";
  state.from = whole(words.get("from"), most);
  state.to = whole(words.get("to"), most);
  state.least = whole(words.get("least"), 40) ?? 0;
  state.tab = oneOf(words.get("tab"), ["about", "node", "edges", "prompts"]);
  state.prompt = whole(words.get("prompt"), Math.max(page.prompts.length - 1, 0)) ?? 0;
  state.theme = oneOf(words.get("theme"), ["auto", "light", "dark"]);
  state.moved = movedOf(page, words.getAll("moved"));
  const roles = page.places.found?.roles ?? [];
  state.folded = words.getAll("fold").filter((role) => roles.includes(role));
  state.renamed = Object.fromEntries(
    roles.flatMap((role) => words.getAll("rename").filter((each) => each.startsWith(`${role}=`)).map((each) => [role, each.slice(role.length + 1, role.length + 1 + LONGEST_NAME)])),
  );
  return state;
}

/**
 * @param {Page} page
 * @param {string[]} words each a node and how far it was moved
 * @returns {State["moved"]}
 */
function movedOf(page, words) {
  const names = new Set(page.nodes.map(([name]) => name));
  /** @type {State["moved"]} */
  const moved = {};
  for (const word of words) {
    const [name, right, down] = word.split(" ");
    const shift = /** @type {[number, number]} */ ([Number(right), Number(down)]);
    if (names.has(name) && shift.every((each) => Math.abs(each) <= FURTHEST)) moved[name] = shift;
  }
  return moved;
}

/**
 * @param {string | null} given
 * @returns {string[] | null}
 */
function listed(given) {
  return given === null ? null : given.split(",").filter(Boolean);
}

/**
 * The nodes of a word, each once.
 * @param {Page} page
 * @param {URLSearchParams} words
 * @param {string} word
 * @returns {number[]}
 */
function nodesNamed(page, words, word) {
  return [...new Set(words.getAll(word).map((name) => findNode(page, name)))].filter((node) => node !== null);
}

/**
 * @param {Page} page
 * @param {string[]} names
 * @returns {number[]}
 */
function edgesNamed(page, names) {
  if (!names.length) return [];
  const edges = new Map(page.edges.writer.map((_, edge) => [edgeName(page, edge), edge]));
  return [...new Set(names.map((name) => edges.get(name)))].filter((edge) => edge !== undefined);
}

/**
 * @template {string} Word
 * @param {string | null} given
 * @param {Word[]} known
 * @returns {Word}
 */
function oneOf(given, known) {
  return known.find((word) => word === given) ?? known[0];
}

/**
 * @param {string | null} given
 * @param {number} most
 * @returns {number | null}
 */
function whole(given, most) {
  const value = given === null ? NaN : Number(given);
  return Number.isInteger(value) && value >= 0 && value <= most ? value : null;
}

/**
 * @param {Page} page
 * @param {string | null} given
 * @returns {State["size"]}
 */
function sizeOf(page, given) {
  const asked = Number(given);
  if (given === null || !(asked > 0) || !page.stops.length) return "circuit";
  const above = page.stops.findIndex((size) => size >= asked);
  return above < 0 ? page.stops.length - 1 : above;
}
