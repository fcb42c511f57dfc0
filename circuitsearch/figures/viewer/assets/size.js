// The slider over sizes, and the curve of faithfulness that its mark moves along.

/** @import { Page, State } from "./types" */
import { faithfulnessAt } from "./circuit.js";
import { faithfulnessText } from "./headline.js";
import { shape } from "./svg.js";
import { byId, inputById, share, thousands } from "./text.js";

const HEIGHT = 92;
const FLOOR = 28; // for the sizes' labels and what they count
const THUMB = 8; // half of the slider's thumb, by which its track is shorter than the plot

export class SizeControl {
  /**
   * @param {Page} page
   * @param {(size: State["size"]) => void} choose
   */
  constructor(page, choose) {
    this.page = page;
    this.slider = inputById("size");
    this.whole = byId("whole");
    this.plot = byId("curve");
    this.mark = shape("circle", { r: 5, class: "here" });
    const { about, stops, curve } = page;
    const heights = [0, 1, ...curve.flatMap(([, ...values]) => values.map((value) => value ?? 0)), about.faithfulness?.[2] ?? 1];
    this.low = heights.reduce((a, b) => Math.min(a, b));
    this.high = heights.reduce((a, b) => Math.max(a, b)) + 0.06;
    this.most = Math.max(about.n_edges, curve.at(-1)?.[0] ?? 0, 2);
    this.last = Math.max(this.placeOf(this.most), stops.length - 1, 1);
    this.slider.max = String(Math.max(stops.length - 1, 0));
    this.slider.addEventListener("input", () => choose(Number(this.slider.value)));
    this.whole.addEventListener("click", () => choose("circuit"));
    byId("sizes").hidden = !stops.length;
    /** @type {State["size"]} */
    this.size = "circuit";
    this.width = 0;
    new ResizeObserver(() => this.draw()).observe(byId("sizes"));
  }

  /**
   * The position of a size among the stops, between two of them by its logarithm, and beyond the last as they grow.
   * @param {number} edges
   * @returns {number}
   */
  placeOf(edges) {
    const { stops } = this.page;
    const above = stops.findIndex((size) => size >= edges);
    if (above === 0) return 0;
    if (above < 0) return stops.length - 1 + Math.log(edges / (stops.at(-1) ?? 1)) / Math.log(1.12);
    const [low, high] = [stops[above - 1], stops[above]];
    return above - 1 + Math.log(edges / low) / Math.log(high / low);
  }

  /**
   * @param {number} edges
   * @returns {number} pixels from the left
   */
  across(edges) {
    return THUMB + ((this.width - 2 * THUMB) * this.placeOf(edges)) / this.last;
  }

  /**
   * @param {number} value
   * @returns {number} pixels from the top
   */
  up(value) {
    return HEIGHT - FLOOR - ((HEIGHT - FLOOR - 6) * (value - this.low)) / (this.high - this.low);
  }

  draw() {
    const { curve, about, stops } = this.page;
    if (!stops.length) return;
    this.width = this.plot.clientWidth;
    const { width } = this;
    this.plot.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.plot.replaceChildren();
    this.slider.style.width = `${2 * THUMB + ((width - 2 * THUMB) * (stops.length - 1)) / this.last}px`;
    for (const value of [0, 1]) {
      this.plot.append(shape("line", { x1: THUMB, x2: width, y1: this.up(value), y2: this.up(value), class: "rule" }));
      this.plot.append(shape("text", { x: -4, y: this.up(value) + 4, class: "end" }, String(value)));
    }
    for (let size = 10; size <= this.most; size *= 10) {
      this.plot.append(shape("text", { x: this.across(size), y: HEIGHT - FLOOR + 12, class: "tick" }, thousands(size)));
    }
    this.plot.append(shape("text", { x: width / 2, y: HEIGHT - 2, class: "tick title" }, "edges of the circuit (logarithmic)"));
    const middle = `translate(-20,${(HEIGHT - FLOOR) / 2 + 3}) rotate(-90)`;
    this.plot.append(shape("text", { transform: middle, class: "tick title" }, "faithfulness"));
    this.drawBand();
    const points = curve.map(([size, value]) => `${this.across(size)},${this.up(value)}`);
    this.plot.append(shape("polyline", { points: points.join(" "), class: "line" }));
    for (const [size, value] of curve) this.plot.append(shape("circle", { cx: this.across(size), cy: this.up(value), r: 2, class: "dot" }));
    if (about.faithfulness) this.drawCircuit(about.faithfulness);
    this.plot.append(this.mark);
    this.show({ size: this.size });
  }

  /** The curve's interval over prompts, as far as it is known. */
  drawBand() {
    const known = this.page.curve.filter(([, , low, high]) => low !== null && high !== null);
    const at = (/** @type {number} */ size, /** @type {number | null} */ value) => `${this.across(size)},${this.up(value ?? 0)}`;
    const over = known.map(([size, , , high]) => at(size, high));
    const under = known.map(([size, , low]) => at(size, low)).reverse();
    if (known.length > 1) this.plot.append(shape("polygon", { points: [...over, ...under].join(" "), class: "spread" }));
  }

  /** @param {[number, number | null, number | null]} faithfulness */
  drawCircuit([value, low, high]) {
    const x = this.across(this.page.about.n_edges);
    this.plot.append(
      shape("line", { x1: x, x2: x, y1: this.up(low ?? value), y2: this.up(high ?? value), class: "interval" }),
      shape("circle", { cx: x, cy: this.up(value), r: 3.5, class: "circuit" }),
    );
  }

  /** @param {Pick<State, "size">} state */
  show({ size }) {
    const { page } = this;
    if (!page.stops.length) return;
    this.size = size;
    const whole = size === "circuit";
    this.whole.setAttribute("aria-pressed", String(whole));
    const edges = whole ? page.about.n_edges : page.stops[size];
    if (!whole) this.slider.value = String(size);
    else this.slider.value = String(nearest(page.stops, edges));
    const text = sizeText(page, size);
    this.slider.setAttribute("aria-valuetext", text);
    byId("reading").textContent = text;
    const value = whole ? page.about.faithfulness?.[0] : faithfulnessAt(page, edges)?.value;
    this.mark.setAttribute("visibility", value === undefined ? "hidden" : "visible");
    this.mark.setAttribute("cx", String(this.across(edges)));
    this.mark.setAttribute("cy", String(this.up(value ?? 0)));
  }
}

/**
 * @param {number[]} stops
 * @param {number} edges
 * @returns {number}
 */
function nearest(stops, edges) {
  return stops.reduce((best, size, stop) => (Math.abs(size - edges) < Math.abs(stops[best] - edges) ? stop : best), 0);
}

/**
 * A size in words, with its faithfulness and whether that was measured or interpolated.
 * @param {Page} page
 * @param {State["size"]} size
 * @returns {string}
 */
export function sizeText(page, size) {
  const { about } = page;
  if (size === "circuit") {
    const text = `the circuit: ${thousands(about.n_edges)} of ${thousands(about.total)} edges`;
    return about.faithfulness ? `${text}, faithfulness ${share(about.faithfulness[0])}` : text;
  }
  return `the ${thousands(page.stops[size])} strongest edges, ${faithfulnessText(page, size)}`;
}
