// The drawing: strands on a canvas, nodes as buttons above it, so that they take focus, keys and a reader's voice.

/** @import { Camera, Page, RoleBox, Scene } from "./types" */
import { kindOf } from "./circuit.js";
import { bundlesOf, drawBands, drawBeside, drawBundles, strandAt, TINTS, tintName } from "./paint.js";
import { LONGEST_NAME } from "./state.js";
import { counted, make } from "./text.js";

const SMALLEST = 0.05;
const LARGEST = 4;
const FADED = 0.13; // opacity of strands that do not belong to the node that is looked at
const NUDGE = 8; // how far Shift and an arrow move a node
const CLICK = 3; // pixels that a pointer may move in a click
const REACH = 6; // pixels between the pointer and a strand that it touches

/**
 * @typedef {object} Handlers
 * @property {(node: number | null) => void} select
 * @property {(node: number) => void} trace
 * @property {(strand: number | null, x: number, y: number) => void} hover
 * @property {(step: number) => void} resize one size of the slider up or down
 * @property {(node: number, right: number, down: number) => void} move a node, by so much
 * @property {(role: string) => void} fold the nodes of a role into one, or unfold them
 * @property {(role: string) => string} named what a role is called
 * @property {(role: string, name: string) => void} rename
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
    this.roles = make("div", { class: "nodes", role: "group", "aria-label": "Roles" });
    root.append(this.canvas, this.roles, this.layer);
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
    this.dragged = false; // whether what ends now moved a node, and is no click
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
    const { x, y, heights, boxes } = scene.layout;
    const folded = new Set(boxes.filter((box) => box.folded).flatMap((box) => box.nodes));
    for (const node of scene.nodes) {
      const button = this.buttonOf(node);
      button.hidden = folded.has(node);
      button.style.height = `${heights[node]}px`;
      button.style.transform = `translate(${x[node] - scene.looks.node / 2}px, ${y[node] - heights[node] / 2}px)`;
      for (const port of ["q", "k", "v"]) button.classList.toggle(`enters-${port}`, entered.has(`${node}${port}`));
    }
    this.seat(scene.nodes);
    this.roles.replaceChildren(...boxes.map((box) => this.roleButton(box)), ...scene.layout.columns.map((column) => columnHead(column, scene)));
    this.rove(this.selected ?? scene.nodes[0] ?? null);
  }

  /**
   * The label of a role's box, which folds and unfolds it.
   * @param {RoleBox} box
   * @returns {HTMLElement}
   */
  roleButton({ role, nodes, label, folded, left, right, top, bottom }) {
    const name = this.handlers.named(role);
    const words = folded ? `${name} (${nodes.length})` : name === role ? label.join("\n") : name;
    const button = make("button", { type: "button", class: `role${folded ? " folded" : ""}`, "aria-expanded": String(!folded), title: `Click to ${folded ? "show its nodes" : "draw its nodes as one"}, F2 or double-click to rename.` }, words);
    button.setAttribute("aria-label", `${name}, ${counted(nodes.length, "node")}`);
    button.style.transform = `translate(${left}px, ${top}px)`;
    button.style.height = `${bottom - top}px`;
    button.style.width = `${folded ? right - left : Math.max(0, this.firstOf(nodes) - left)}px`;
    button.addEventListener("click", (event) => event.detail < 2 && this.handlers.fold(role));
    button.addEventListener("dblclick", () => this.rename(button, role));
    button.addEventListener("keydown", (event) => event.key === "F2" && this.rename(button, role));
    return button;
  }

  /**
   * Ask for another name of a role, in its label's place.
   * @param {HTMLElement} label
   * @param {string} role
   */
  rename(label, role) {
    const field = make("input", { class: "role", "aria-label": `New name of ${role}`, maxlength: LONGEST_NAME, value: this.handlers.named(role) });
    field.style.cssText = `${label.style.cssText}; width: 120px; height: 20px`;
    const done = (/** @type {KeyboardEvent} */ event) => {
      event.stopPropagation();
      if (event.key === "Enter") this.handlers.rename(role, field.value.trim());
      if (event.key === "Escape") field.replaceWith(label);
    };
    field.addEventListener("keydown", done);
    field.addEventListener("blur", () => field.isConnected && this.handlers.rename(role, field.value.trim()));
    label.replaceWith(field);
    field.select();
  }

  /**
   * The left side of the leftmost of some nodes.
   * @param {number[]} nodes
   * @returns {number}
   */
  firstOf(nodes) {
    return this.scene ? Math.min(...nodes.map((node) => this.scene?.layout.x[node] ?? 0)) - this.scene.looks.node / 2 : 0;
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
      button.style.width = `${this.page.looks.node}px`;
      button.style.fontSize = `${Math.min(12, (1.7 * (this.page.looks.node - 6)) / name.length)}px`;
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
    for (const layer of [this.layer, this.roles]) layer.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
    context.setTransform(dots, 0, 0, dots, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    const { layout, looks } = this.scene;
    drawBands(context, this.scene, this.camera, this.canvas.width / dots, colours);
    context.setTransform(dots * scale, 0, 0, dots * scale, dots * x, dots * y);
    drawBeside(context, layout, colours);
    drawBundles(context, looks, this.bundles, colours, this.lit.length || this.hovered !== null ? FADED : 1);
    drawBundles(context, looks, this.lit, colours, 1);
  }

  // ---- the camera

  fit() {
    if (!this.scene) return;
    const { left, right, top, bottom } = this.scene.layout.box;
    const { width, height } = this.sides;
    const margin = 52; // for the layers' names
    const scale = Math.min((width - margin - 12) / (right - left), (height - 24) / (bottom - top), 1.5);
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
    const node = nodeOf(event.target);
    if (event.button || (node === null && event.target instanceof Element && event.target.closest("button, input"))) return;
    let [x, y, far] = [event.clientX, event.clientY, 0];
    const move = (/** @type {PointerEvent} */ moved) => {
      const [right, down] = [moved.clientX - x, moved.clientY - y];
      far += Math.abs(right) + Math.abs(down);
      if (far <= CLICK) return;
      if (node === null) this.pan(right, down);
      else this.handlers.move(node, right / this.camera.scale, down / this.camera.scale);
      [x, y] = [moved.clientX, moved.clientY];
    };
    const stop = (/** @type {PointerEvent} */ stopped) => {
      this.root.removeEventListener("pointermove", move);
      this.dragged = node !== null && far > CLICK;
      if (stopped.type === "pointerup" && far <= CLICK && node === null) this.handlers.select(null);
    };
    this.root.addEventListener("pointermove", move);
    this.root.addEventListener("pointerup", stop, { once: true });
    this.root.addEventListener("pointercancel", stop, { once: true });
    if (node === null) this.root.setPointerCapture(event.pointerId);
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
    if (this.dragged) this.dragged = false;
    else if (event.shiftKey) this.handlers.trace(node);
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
    const focused = nodeOf(document.activeElement);
    if (step && event.shiftKey && focused !== null) {
      event.preventDefault();
      this.handlers.move(focused, NUDGE * step[0], -NUDGE * step[1]);
      return;
    }
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
 * The head of a column of token positions.
 * @param {[string, number, number]} column
 * @param {Scene} scene
 * @returns {HTMLElement}
 */
function columnHead([name, left, right], scene) {
  const head = make("div", { class: "column" }, name);
  head.style.transform = `translate(${left}px, ${scene.layout.box.top}px)`;
  head.style.width = `${right - left}px`;
  return head;
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
  const names = ["supports", "opposes", "unknown", "ink", "faint", "band", "paper", "head", "mlp", "embed", "logits", "node-line", ...Array.from({ length: TINTS }, (_, role) => tintName(role))];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}
