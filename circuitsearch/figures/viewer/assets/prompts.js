// The prompts: one as tokens, with what the model predicts after it, and all of them in a table.

/** @import { Page, Prompt } from "./types" */
import { byId, counted, facts, make, number, thousands, tokenBox } from "./text.js";

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
    predictions(prompt),
  );
}

/**
 * The model's likeliest tokens after the clean prompt; right and wrong answers are marked.
 * @param {Prompt} prompt
 * @returns {HTMLElement}
 */
function predictions({ likeliest, answers, wrong }) {
  if (!likeliest.length) return make("div");
  const body = make("tbody");
  for (const [token, probability] of likeliest) {
    const bar = make("span", { class: "bar", "aria-hidden": "true" });
    bar.style.width = `${100 * probability}%`;
    const kind = answers.includes(token) ? "right" : wrong.includes(token) ? "wrong" : "";
    const cells = [make("td", {}, tokenBox(token, kind === "right")), make("td", { class: "right number" }, `${(100 * probability).toFixed(1)}%`), make("td", { class: "wide" }, bar), make("td", {}, kind)];
    body.append(make("tr", {}, ...cells));
  }
  return make("table", { class: "likeliest" }, make("caption", {}, "The model\u2019s likeliest next tokens"), body);
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
