// The search field: a node by any of its names, or the heads of a role.

/** @import { Page, Scene, State } from "./types" */
import { findNode, firstSizeWith, kindOf } from "./circuit.js";
import { headsByRole } from "./filters.js";
import { byId, counted, inputById, link, make, shortened } from "./text.js";

const NAMED_HEADS = 12; // of a role

export class Search {
  /**
   * @param {Page} page
   * @param {() => Scene} scene
   * @param {(node: number) => void} select
   * @param {(changes: Partial<State>) => void} change
   */
  constructor(page, scene, select, change) {
    this.page = page;
    this.scene = scene;
    this.select = select;
    this.change = change;
    const roles = [...headsByRole(page)].map(([role, heads]) => make("option", { value: shortened(role, 60) }, counted(heads.length, "head")));
    byId("names").append(...page.nodes.map(([name], node) => make("option", { value: name }, kindOf(page, node))), ...roles);
    byId("search").addEventListener("submit", (event) => this.search(event));
    document.addEventListener("keydown", (event) => onSlash(event));
  }

  /** @param {Event} event */
  search(event) {
    event.preventDefault();
    const typed = inputById("query").value.trim();
    const node = typed ? findNode(this.page, typed) : null;
    if (node !== null) return this.found(node);
    const role = typed && [...headsByRole(this.page)].find(([name]) => name.toLowerCase().includes(typed.toLowerCase()));
    if (role) return this.foundRole(...role);
    return say(typed ? `There is no node and no role \u201c${shortened(typed, 30)}\u201d.` : "");
  }

  /** @param {number} node */
  found(node) {
    const name = this.page.nodes[node][0];
    if (this.scene().nodes.includes(node)) {
      say("");
      return this.select(node);
    }
    const size = firstSizeWith(this.page, node);
    if (size === null) return say(`${name} is in none of this page\u2019s circuits.`);
    const show = () => {
      this.change({ size, hidden: [] });
      this.select(node);
      say("");
    };
    return say(`${name} is not in this circuit; it comes in with ${this.page.stops[size]} edges. `, link("Show it", show));
  }

  /**
   * Its heads, to choose one, and its edges alone.
   * @param {string} role
   * @param {string[]} heads
   */
  foundRole(role, heads) {
    this.change({ role });
    const links = heads.slice(0, NAMED_HEADS).flatMap((head) => [" ", link(head, () => this.found(findNode(this.page, head) ?? 0))]);
    say(`${shortened(role, 40)}: ${counted(heads.length, "head")}`, ...links, heads.length > NAMED_HEADS ? " \u2026" : "");
  }
}

/** @param {KeyboardEvent} event */
function onSlash(event) {
  const typing = event.target instanceof HTMLElement && event.target.matches("input[type=search]");
  if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  byId("query").focus();
}

/** @param {...(string | Node)} words */
export function say(...words) {
  byId("answer").replaceChildren(...words);
}
