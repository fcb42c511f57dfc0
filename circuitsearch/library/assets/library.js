// Filters and the search of a library's page. Whatever comes from a model, a task or a person is set as text, never as markup.

const LISTED = 12; // edges of a node that are written, in or out
const NODES = 3; // nodes of a circuit that are told about

/** @typedef {{ text: string, model: string, task: string, size: number, faithfulness: number | null, nodes: [string, string][], edges: [string, number | null][], feeds: Record<string, string[]> }} Circuit */

const found = document.getElementById("data");
/** @type {Circuit[]} */
const circuits = JSON.parse(found?.textContent ?? "[]");
const rows = /** @type {HTMLTableRowElement[]} */ ([...document.querySelectorAll("tr.circuit")]);
const form = /** @type {HTMLFormElement} */ (document.getElementById("filters"));
const count = /** @type {HTMLElement} */ (document.getElementById("count"));

/**
 * A node's name from the spellings that people use: 9.9, L9H9, MLP 3.
 * @param {string} term
 */
function canonical(term) {
  return term
    .replace(/^(?:a|l)?(\d+)\.?h(\d+)/, "a$1.h$2")
    .replace(/^(\d+)\.(\d+)(?=$|<)/, "a$1.h$2")
    .replace(/^mlp ?(\d+)/, "m$1");
}

/**
 * Whether a term is the name of a node, so that a1.h1 does not find a1.h10.
 * @param {string} term
 */
function isNode(term) {
  return /^(embed|logits|[ams]\d+(\.[hne]\d+|\.shared|\.router)?)$/.test(term);
}

/**
 * @param {Circuit} circuit
 * @param {string} term
 */
function fits(circuit, term) {
  const name = term.split("->").map(canonical).join("->");
  if (isNode(name)) return circuit.nodes.some(([node]) => node.split("@")[0] === name);
  if (name.includes("->")) return circuit.edges.some(([edge]) => edge.toLowerCase().startsWith(name));
  return circuit.text.includes(term) || circuit.edges.some(([edge]) => edge.toLowerCase().includes(name));
}

/** @param {string} id */
function value(id) {
  const control = /** @type {HTMLInputElement | HTMLSelectElement} */ (document.getElementById(id));
  return control.value.trim();
}

/**
 * @param {Circuit} circuit
 * @param {string[]} terms
 */
function wanted(circuit, terms) {
  if (value("model") && circuit.model !== value("model")) return false;
  if (value("task") && circuit.task !== value("task")) return false;
  if (value("size") && circuit.size > Number(value("size"))) return false;
  if (value("faithfulness") && !((circuit.faithfulness ?? -Infinity) >= Number(value("faithfulness")))) return false;
  return terms.every((term) => fits(circuit, term));
}

/**
 * Edges with what they do, none of them broken across lines.
 * @param {string} label
 * @param {[string, number | null][]} edges
 */
function listed(label, edges) {
  const parts = edges.slice(0, LISTED).flatMap(([name, strength]) => {
    const edge = document.createElement("span");
    edge.className = "edge";
    edge.textContent = strength === null ? name : `${name} ${signed(strength)}`;
    return [edge, ", "];
  });
  const more = edges.length > LISTED ? `and ${edges.length - LISTED} more` : "";
  return [label, ...(edges.length ? (more ? parts : parts.slice(0, -1)) : ["none"]), more];
}

/** @param {number} strength */
function signed(strength) {
  return `${strength < 0 ? "\u2212" : "+"}${Math.abs(strength).toPrecision(3)}`;
}

/**
 * What a circuit does with a node: its role, the edges into it and out of it.
 * @param {Circuit} circuit
 * @param {string} node
 * @param {string} role
 */
function use(circuit, node, role) {
  const item = document.createElement("li");
  const name = document.createElement("b");
  name.textContent = role ? `${node} (${role})` : node;
  const readers = new Set(Object.keys(circuit.feeds).filter((reader) => circuit.feeds[reader].includes(node)));
  const into = circuit.edges.filter(([edge]) => readers.has(edge.split("->")[1]));
  const out = circuit.edges.filter(([edge]) => edge.split("->")[0] === node);
  item.append(name, ...listed(" in: ", into), ...listed("; out: ", out));
  return item;
}

/**
 * The row below a circuit that tells about the nodes that were searched for, by name or by role.
 * @param {Circuit} circuit
 * @param {string[]} terms
 */
function uses(circuit, terms) {
  const names = new Set(terms.map(canonical).filter(isNode));
  const roles = terms.filter((term) => !isNode(canonical(term)));
  const asked = circuit.nodes.filter(([node, role]) =>
    names.size ? names.has(node.split("@")[0]) : role && roles.length > 0 && roles.every((term) => role.toLowerCase().includes(term)));
  if (!asked.length) return null;
  const row = document.createElement("tr");
  row.className = "use";
  const cell = row.insertCell();
  cell.colSpan = 7;
  const list = document.createElement("ul");
  list.className = "uses";
  list.append(...asked.slice(0, NODES).map(([node, role]) => use(circuit, node, role)));
  cell.append(list);
  return row;
}

function show() {
  for (const old of document.querySelectorAll("tr.use")) old.remove();
  const terms = value("query").toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  rows.forEach((row, place) => {
    row.hidden = !wanted(circuits[place], terms);
    if (row.hidden) return;
    shown += 1;
    const below = uses(circuits[place], terms);
    if (below) row.after(below);
  });
  count.textContent = `${shown} of ${circuits.length} circuits`;
}

form.hidden = false;
form.addEventListener("input", show);
form.addEventListener("reset", () => requestAnimationFrame(show));
form.addEventListener("submit", (event) => event.preventDefault());
show();
