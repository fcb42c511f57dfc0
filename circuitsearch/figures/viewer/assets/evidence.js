// The evidence: what was measured on the found circuit.

/** @import { Ends, Page, State } from "./types" */
import { faithfulnessText } from "./headline.js";
import { byId, counted, facts, make, share, shortened, signed, thousands } from "./text.js";

/**
 * The size that is shown, if it is not the found circuit's own.
 * @param {Page} page
 * @param {State["size"]} size
 */
export function fillShown(page, size) {
  const place = byId("shown");
  place.hidden = size === "circuit";
  if (size === "circuit") return;
  place.replaceChildren(
    make("h2", {}, "The size that is shown"),
    facts([
      ["Edges", `the ${thousands(page.stops[size])} strongest of ${thousands(page.about.total)}`],
      ["Faithfulness", capital(faithfulnessText(page, size).replace(/^faithfulness /, ""))],
    ]),
    make("p", { class: "quiet" }, "All below was measured on the found circuit, not on this size."),
  );
}

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

