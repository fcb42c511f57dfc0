// The drawing: strands on a canvas, nodes as buttons above it, so that they take focus, keys and a reader's voice.

/** @import { Camera, Page, Scene } from "./types" */
import { kindOf } from "./circuit.js";
import { NODE_HEIGHT, NODE_WIDTH } from "./layout.js";
import { bundlesOf, drawBands, drawBundles, strandAt } from "./paint.js";
import { counted, make } from "./text.js";

const SMALLEST = 0.05;
const LARGEST = 4;
const FADED = 0.13; // opacity of strands that do not belong to the node that is looked at
const REACH = 6; // pixels between the pointer and a strand that it touches

/**
 * @typedef {object} Handlers
 * @property {(node: number | null) => void} select
 * @property {(node: number) => void} trace
 * @property {(strand: number | null, x: number, y: number) => void} hover
 * @property {(step: number) => void} resize one size of the slider up or down
 */

export class GraphView {
  /**
   * @param {Page} page
   * @param {HTMLElement} root
   * @param {Handlers} handlers
   */
  constructor(page, root, handlers) {
    this.page = page;
    this.root = root;
    this.handlers = handlers;
    this.canvas = make("canvas", { "aria-hidden": "true" });
    this.layer = make("div", { class: "nodes", role: "group", "aria-label": "Nodes of the circuit" });
    root.append(this.canvas, this.layer);
    /** @type {Camera} */
    this.camera = { scale: 1, x: 0, y: 0 };
    /** @type {Map<number, HTMLButtonElement>} */
    this.buttons = new Map();
    /** @type {Scene | null} */
    this.scene = null;
    /** @type {(index: number) => boolean} */
    this.shown = () => true;
    /** @type {number | null} */
    this.selected = null;
    /** @type {number | null} */
    this.hovered = null;
    /** @type {import("./paint.js").Bundle[]} */
    this.bundles = [];
    /** @type {import("./paint.js").Bundle[]} */
    this.lit = [];
    this.seated = "";
    this.sides = { width: 1, height: 1 }; // of the view; to ask the browser in mid-change would have it lay out the page
    this.drawing = 0;
    this.moved = false; // whether the person has moved the view since it was last fitted
    this.listen();
  }

  // ---- what is shown

  /**
   * @param {Scene} scene
   * @param {(index: number) => boolean} shown
   * @param {number | null} selected
   */
  show(scene, shown, selected) {
    const other = scene !== this.scene;
    [this.scene, this.shown, this.selected, this.hovered] = [scene, shown, selected, null];
    this.bundles = bundlesOf(scene, shown);
    if (other) this.placeButtons(scene);
    if (other && !this.moved) this.fit();
    this.light();
  }

  /**
   * @param {Scene} scene
   */
  placeButtons(scene) {
    const entered = portsOf(scene);
    for (const node of scene.nodes) {
      const button = this.buttonOf(node);
      const [x, y] = [scene.layout.x[node] - NODE_WIDTH / 2, scene.layout.y[node] - NODE_HEIGHT / 2];
      button.style.transform = `translate(${x}px, ${y}px)`;
      for (const port of ["q", "k", "v"]) button.classList.toggle(`enters-${port}`, entered.has(`${node}${port}`));
    }
    this.seat(scene.nodes);
    this.rove(this.selected ?? scene.nodes[0] ?? null);
  }

  /**
   * Hold the buttons of these nodes and no others, in this order, which is that of the model.
   * @param {number[]} nodes
   */
  seat(nodes) {
    const key = nodes.join();
    if (key === this.seated) return;
    const focused = nodeOf(document.activeElement);
    this.layer.replaceChildren(...nodes.map((node) => this.buttonOf(node)));
    this.seated = key;
    if (focused === null) return;
    if (nodes.includes(focused)) this.buttonOf(focused).focus({ preventScroll: true });
    else this.root.focus({ preventScroll: true });
  }

  /**
   * @param {number} node
   * @returns {HTMLButtonElement}
   */
  buttonOf(node) {
    let button = this.buttons.get(node);
    if (!button) {
      const [name, kind] = this.page.nodes[node];
      button = make("button", { type: "button", class: `node ${kind}`, tabindex: -1, "data-node": node }, make("span", {}, name));
      button.style.fontSize = `${Math.min(12, (1.7 * (NODE_WIDTH - 6)) / name.length)}px`;
      if (kind === "head") button.append(...["q", "k", "v"].map((port) => make("i", { class: port, "aria-hidden": "true" }, port)));
      this.buttons.set(node, button);
    }
    return button;
  }

  /** Show which strands and nodes belong to the node that is pointed at, or else selected. */
  light() {
    const { scene } = this;
    if (!scene) return;
    const focus = this.hovered ?? this.selected;
    const mine = (/** @type {number} */ index) =>
      this.shown(index) && (scene.strands[index].from === focus || scene.strands[index].to === focus);
    this.lit = focus === null ? [] : bundlesOf(scene, mine);
    const near = new Set(focus === null ? [] : [focus]);
    const into = new Uint32Array(this.page.nodes.length);
    const out = new Uint32Array(this.page.nodes.length);
    scene.strands.forEach(({ from, to }, index) => {
      if (!this.shown(index)) return;
      into[to] += 1;
      out[from] += 1;
      if (from === focus) near.add(to);
      if (to === focus) near.add(from);
    });
    for (const node of scene.nodes) this.mark(node, focus === null ? into[node] + out[node] > 0 : near.has(node), into[node], out[node]);
    this.draw();
  }

  /**
   * @param {number} node
   * @param {boolean} bright
   * @param {number} into how many edges enter it
   * @param {number} out
   */
  mark(node, bright, into, out) {
    const button = this.buttonOf(node);
    button.classList.toggle("dim", !bright);
    button.setAttribute("aria-pressed", String(node === this.selected));
    const name = this.page.nodes[node][0];
    button.setAttribute("aria-label", `${name}, ${kindOf(this.page, node)}, ${counted(into, "edge")} in, ${out} out`);
  }

  draw() {
    cancelAnimationFrame(this.drawing);
    this.drawing = requestAnimationFrame(() => this.paint());
  }

  paint() {
    const context = this.canvas.getContext("2d");
    if (!context || !this.scene) return;
    const { scale, x, y } = this.camera;
    const dots = devicePixelRatio || 1;
    const colours = coloursOf(this.root);
    this.layer.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
    context.setTransform(dots, 0, 0, dots, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    drawBands(context, this.scene.layout, this.camera, this.canvas.width / dots, colours);
    context.setTransform(dots * scale, 0, 0, dots * scale, dots * x, dots * y);
    drawBundles(context, this.bundles, colours, this.lit.length || this.hovered !== null ? FADED : 1);
    drawBundles(context, this.lit, colours, 1);
  }

  // ---- the camera

  fit() {
    if (!this.scene) return;
    const { left, right, top, bottom } = this.scene.layout.box;
    const { width, height } = this.sides;
    const margin = 52; // for the layers' names
    const scale = Math.min((width - margin - 12) / (right - left), (height - 24) / (bottom - top), 1.3);
    this.camera = {
      scale: Math.max(scale, SMALLEST),
      x: (width + margin) / 2 - (scale * (left + right)) / 2,
      y: height / 2 - (scale * (top + bottom)) / 2,
    };
    this.moved = false;
    this.draw();
  }

  /**
   * @param {number} factor
   * @param {number} [x] the point that stays where it is; the view's middle by default
   * @param {number} [y]
   */
  zoom(factor, x = this.sides.width / 2, y = this.sides.height / 2) {
    const scale = Math.min(LARGEST, Math.max(SMALLEST, this.camera.scale * factor));
    const grown = scale / this.camera.scale;
    this.camera = { scale, x: x - (x - this.camera.x) * grown, y: y - (y - this.camera.y) * grown };
    this.moved = true;
    this.draw();
  }

  /**
   * @param {number} x
   * @param {number} y
   */
  pan(x, y) {
    this.camera = { ...this.camera, x: this.camera.x + x, y: this.camera.y + y };
    this.moved = true;
    this.draw();
  }

  /**
   * Bring a node into view, where it is not.
   * @param {number} node
   */
  reveal(node) {
    if (!this.scene?.nodes.includes(node)) return;
    const { layout } = this.scene;
    const { width, height } = this.sides;
    const x = layout.x[node] * this.camera.scale + this.camera.x;
    const y = layout.y[node] * this.camera.scale + this.camera.y;
    const inside = x > 60 && x < width - 40 && y > 20 && y < height - 20;
    if (!inside) this.pan(width / 2 - x, height / 2 - y);
  }

  // ---- pointer and keys

  listen() {
    new ResizeObserver(() => this.measure()).observe(this.root);
    this.root.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    this.root.addEventListener("pointerdown", (event) => this.onDown(event));
    this.root.addEventListener("pointermove", (event) => this.onMove(event));
    this.root.addEventListener("pointerleave", () => this.handlers.hover(null, 0, 0));
    this.layer.addEventListener("click", (event) => this.onClick(event));
    this.layer.addEventListener("pointerover", (event) => this.point(nodeOf(event.target)));
    this.layer.addEventListener("pointerout", () => this.point(null));
    this.layer.addEventListener("focusin", (event) => this.rove(nodeOf(event.target)));
    this.root.addEventListener("keydown", (event) => this.onKey(event));
  }

  measure() {
    const dots = devicePixelRatio || 1;
    this.sides = { width: this.root.clientWidth || 1, height: this.root.clientHeight || 1 };
    const { width, height } = this.sides;
    [this.canvas.width, this.canvas.height] = [Math.round(width * dots), Math.round(height * dots)];
    if (this.moved) this.paint();
    else {
      this.fit();
      this.paint();
    }
  }

  /** @param {WheelEvent} event */
  onWheel(event) {
    const scrolls = document.documentElement.scrollHeight > innerHeight + 1;
    if (scrolls && !event.ctrlKey && !event.metaKey) return; // the page's own scrolling goes first
    event.preventDefault();
    const corner = this.root.getBoundingClientRect();
    this.zoom(Math.exp(-event.deltaY * 0.0015), event.clientX - corner.left, event.clientY - corner.top);
  }

  /** @param {PointerEvent} event */
  onDown(event) {
    if (event.button || nodeOf(event.target) !== null) return;
    let [x, y, far] = [event.clientX, event.clientY, 0];
    const move = (/** @type {PointerEvent} */ moved) => {
      far += Math.abs(moved.clientX - x) + Math.abs(moved.clientY - y);
      if (far > 3) this.pan(moved.clientX - x, moved.clientY - y);
      [x, y] = [moved.clientX, moved.clientY];
    };
    const stop = (/** @type {PointerEvent} */ stopped) => {
      this.root.removeEventListener("pointermove", move);
      if (stopped.type === "pointerup" && far <= 3) this.handlers.select(null);
    };
    this.root.addEventListener("pointermove", move);
    this.root.addEventListener("pointerup", stop, { once: true });
    this.root.addEventListener("pointercancel", stop, { once: true });
    this.root.setPointerCapture(event.pointerId);
  }

  /** @param {PointerEvent} event */
  onMove(event) {
    if (event.buttons || !this.scene) return;
    const corner = this.root.getBoundingClientRect();
    const [x, y] = [event.clientX - corner.left, event.clientY - corner.top];
    const { scale, x: left, y: top } = this.camera;
    const free = nodeOf(event.target) === null;
    const strand = free ? strandAt(this.scene, this.shown, (x - left) / scale, (y - top) / scale, REACH / scale) : null;
    this.handlers.hover(strand, x, y);
  }

  /** @param {MouseEvent} event */
  onClick(event) {
    const node = nodeOf(event.target);
    if (node === null) return;
    if (event.shiftKey) this.handlers.trace(node);
    else this.handlers.select(node === this.selected ? null : node);
  }

  /** @param {number | null} node */
  point(node) {
    if (node === this.hovered) return;
    this.hovered = node;
    this.light();
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const step = steps[/** @type {keyof typeof steps} */ (event.key)];
    const actions = {
      "+": () => this.zoom(1.25),
      "=": () => this.zoom(1.25),
      "-": () => this.zoom(0.8),
      0: () => this.fit(),
      "[": () => this.handlers.resize(-1),
      "]": () => this.handlers.resize(1),
      Escape: () => this.handlers.select(null),
    };
    const action = step ? () => this.step(step[0], step[1]) : actions[/** @type {keyof typeof actions} */ (event.key)];
    if (!action) return;
    event.preventDefault();
    action();
  }

  /**
   * Move the focus along a row, or to the nearest node of the next row.
   * @param {number} along
   * @param {number} up
   */
  step(along, up) {
    const node = nodeOf(document.activeElement);
    if (!this.scene || node === null) return;
    const { x, rows } = this.scene.layout;
    const row = rows.findIndex((each) => each.nodes.includes(node));
    const sorted = [...(rows[row + up]?.nodes ?? [])].sort((a, b) => x[a] - x[b]);
    const byDistance = [...sorted].sort((a, b) => Math.abs(x[a] - x[node]) - Math.abs(x[b] - x[node]));
    const next = up ? byDistance[0] : sorted[sorted.indexOf(node) + along];
    if (next === undefined) return;
    this.buttonOf(next).focus({ preventScroll: true });
    this.reveal(next);
  }

  /**
   * One node is in the tab order; arrows lead to the others.
   * @param {number | null} node
   */
  rove(node) {
    for (const button of this.buttons.values()) button.tabIndex = -1;
    if (node !== null) this.buttonOf(node).tabIndex = 0;
  }
}

/**
 * @param {EventTarget | null} target
 * @returns {number | null}
 */
function nodeOf(target) {
  const button = target instanceof Element ? target.closest("[data-node]") : null;
  return button ? Number(button.getAttribute("data-node")) : null;
}

/**
 * @param {Scene} scene
 * @returns {Set<string>}
 */
function portsOf(scene) {
  return new Set(scene.strands.map(({ to, port }) => `${to}${port}`));
}

/**
 * The style sheet's colours, for what it cannot reach.
 * @param {Element} element
 * @returns {Record<string, string>}
 */
export function coloursOf(element) {
  const style = getComputedStyle(element);
  const names = ["supports", "opposes", "unknown", "ink", "faint", "band", "paper", "head", "mlp", "embed", "logits"];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}
