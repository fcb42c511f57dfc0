// Words, numbers and elements. Whatever comes from a model, a task or a tokenizer is set as text, never as markup.

/** Characters that steer a terminal or the order of a line, or cannot be seen. */
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/gu;

const LONGEST = 48;
const GROUPED = new Intl.NumberFormat("en-US");

/**
 * A token as it can be seen: spaces are kept, what has no shape is spelt out.
 * @param {string} text
 * @returns {string}
 */
export function visible(text) {
  return text.replace(UNSEEN, (char) => {
    if (char === "\n") return "\u21b5";
    if (char === "\t") return "\u21e5";
    return `\\u${(char.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}`;
  });
}

/**
 * The same, shortened to fit a line.
 * @param {string} text
 * @param {number} [longest]
 * @returns {string}
 */
export function shortened(text, longest = LONGEST) {
  const chars = Array.from(visible(text));
  return chars.length > longest ? `${chars.slice(0, longest - 1).join("")}\u2026` : chars.join("");
}

/**
 * A number with its sign; three figures are as many as anyone compares.
 * @param {number | null | undefined} value
 * @returns {string}
 */
export function signed(value) {
  if (value === null || value === undefined) return "\u2013";
  const size = Math.abs(value);
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : size >= 0.01 || size === 0 ? 3 : 4;
  return `${value < 0 ? "\u2212" : "+"}${size.toFixed(digits)}`;
}

/**
 * @param {number | null} value
 * @returns {string}
 */
export function share(value) {
  if (value === null) return "not defined";
  return value.toFixed(3).replace("-", "\u2212");
}

/**
 * @param {number} count
 * @returns {string}
 */
export function thousands(count) {
  return GROUPED.format(count);
}

/**
 * @param {number} count
 * @param {string} one
 * @returns {string}
 */
export function counted(count, one) {
  return `${thousands(count)} ${one}${count === 1 ? "" : "s"}`;
}

/**
 * Make an element. Texts become text nodes; attributes that are false or null are left out.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string | number | boolean | null>} [attributes]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false && value !== null) element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children);
  return element;
}

/**
 * The element of an id that the page is known to have.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no element #${id}`);
  return element;
}

/**
 * @param {string} id
 * @returns {HTMLInputElement}
 */
export function inputById(id) {
  return /** @type {HTMLInputElement} */ (byId(id));
}

/**
 * A token in a box of its own, so that no script's direction reaches its neighbours.
 * @param {string} text
 * @param {boolean} [differs]
 * @returns {HTMLElement}
 */
export function tokenBox(text, differs = false) {
  const box = make(differs ? "mark" : "span", { class: "token", dir: "auto" }, shortened(text));
  if (Array.from(text).length > LONGEST) box.title = shortened(text, 400);
  return box;
}

/**
 * @param {number | null | undefined} score
 * @returns {HTMLElement}
 */
export function number(score) {
  const sign = !score ? "" : score > 0 ? "supports" : "opposes";
  return make("span", { class: `number ${sign}` }, signed(score));
}

/**
 * A table of names and what is said of them; rows without a word are left out.
 * @param {[string, string | Node | null | undefined][]} rows
 * @returns {HTMLElement}
 */
export function facts(rows) {
  const list = make("dl", { class: "facts" });
  for (const [name, fact] of rows) if (fact) list.append(make("dt", {}, name), make("dd", {}, fact));
  return list;
}

/**
 * @param {string} text
 * @param {() => void} press
 * @param {Record<string, string | number | boolean | null>} [attributes]
 * @returns {HTMLButtonElement}
 */
export function link(text, press, attributes = {}) {
  const button = make("button", { type: "button", class: "link", ...attributes }, text);
  button.addEventListener("click", press);
  return button;
}
