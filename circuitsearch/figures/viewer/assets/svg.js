// The view as a file: an SVG built element by element, and a PNG made from it.

/** @import { Page, RoleBox, Scene } from "./types" */
import { edgeName, signOf } from "./circuit.js";
import { portShift } from "./layout.js";
import { bandsOf, dashOf, FADE, headOf, isHollow, pathText, tintName, widthOf } from "./paint.js";
import { signed, visible } from "./text.js";

const NAMESPACE = "http://www.w3.org/2000/svg";
const FONT = "Helvetica, Arial, 'DejaVu Sans', sans-serif";
const LEFT = 64; // for the layers' names
const LEGEND_LINE = 17; // of the legend
const SAMPLE_LENGTH = 26;
const TEXT_SIZE = 10.4;
const LARGEST_PNG = 8192; // pixels a side; browsers give up somewhere above

/**
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 * @param {string} [text]
 * @returns {SVGElement}
 */
export function shape(tag, attributes, text) {
  const element = document.createElementNS(NAMESPACE, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  if (text !== undefined) element.textContent = visible(text);
  return element;
}

/**
 * The strands and nodes that are shown, as the figure for a paper draws them: its sizes, its legend, no caption in the picture.
 * @param {Page} page
 * @param {Scene} scene
 * @param {(index: number) => boolean} shown
 * @param {Record<string, string>} colours
 * @param {string} caption
 * @param {(role: string) => string} named what a role is called
 * @returns {SVGElement}
 */
export function drawing(page, scene, shown, colours, caption, named) {
  const { left, right, top, bottom } = scene.layout.box;
  const width = Math.max(right - left + LEFT, 400);
  const from = left - LEFT;
  const legend = legendShapes(scene, shown, colours, from + 8, bottom + LEGEND_LINE, width - 16);
  const height = bottom - top + LEGEND_LINE * (legend.lines + 0.5);
  const points = { width: `${width / page.looks.scale}pt`, height: `${height / page.looks.scale}pt` };
  const svg = shape("svg", { xmlns: NAMESPACE, viewBox: [from, top, width, height].join(" "), ...points, "font-family": FONT });
  svg.append(shape("title", {}, caption), shape("rect", { x: from, y: top, width, height, fill: colours.paper }));
  for (const band of bandsOf(scene)) svg.append(...bandShapes(band, from, width, colours));
  for (const gap of scene.layout.gaps) for (const step of [-1, 0, 1]) svg.append(shape("circle", { cx: from + 24, cy: gap + 4 * step, r: 1, fill: colours.faint }));
  for (const [name, start, end] of scene.layout.columns) if (name) svg.append(textShape(name, (start + end) / 2, top + 12, 11.2, colours.ink, { "font-weight": 650 }));
  for (const box of scene.layout.boxes) svg.append(...boxShapes(box, colours, named(box.role)));
  for (const index of byStrength(scene).filter(shown)) svg.append(...strandShapes(page, scene, index, colours));
  for (const corners of scene.layout.arrows) svg.append(arrowShape(corners, colours));
  const folded = new Set(scene.layout.boxes.filter((box) => box.folded).flatMap((box) => box.nodes));
  const ports = new Set(scene.strands.filter((_, index) => shown(index)).map(({ to, port }) => `${to}${port}`));
  for (const node of scene.nodes) if (!folded.has(node)) svg.append(nodeShape(page, scene, node, ports, colours));
  svg.append(...legend.shapes);
  return svg;
}

/**
 * @param {Scene} scene
 * @returns {number[]}
 */
function byStrength({ strands, layout }) {
  const strength = strands.map(({ score }, index) => (layout.faint[index] ? -1 : Math.abs(score ?? 0)));
  return strength.map((_, index) => index).sort((a, b) => strength[a] - strength[b]);
}

/**
 * @param {string} words
 * @param {number} x
 * @param {number} y of the middle
 * @param {number} size
 * @param {string} fill
 * @param {Record<string, string | number>} [more]
 * @returns {SVGElement}
 */
function textShape(words, x, y, size, fill, more = {}) {
  return shape("text", { x, y: y + 0.35 * size, "font-size": size, fill, "text-anchor": "middle", ...more }, words);
}

/**
 * @param {{ text: string, top: number, bottom: number }} band
 * @param {number} from
 * @param {number} width
 * @param {Record<string, string>} colours
 * @returns {SVGElement[]}
 */
function bandShapes({ text, top, bottom }, from, width, colours) {
  return [
    shape("rect", { x: from, y: top, width, height: bottom - top, fill: colours.band }),
    textShape(text, from + 8, (top + bottom) / 2, TEXT_SIZE, colours.faint, { "text-anchor": "start" }),
  ];
}

/**
 * The box of a role, and its label: in the box where it is folded, or else left of its nodes.
 * @param {RoleBox} box
 * @param {Record<string, string>} colours
 * @param {string} name
 * @returns {SVGElement[]}
 */
function boxShapes({ role, tint, nodes, label, folded, left, right, top, bottom }, colours, name) {
  const [width, height, middle] = [right - left, bottom - top, (top + bottom) / 2];
  const frame = /** @type {Record<string, string | number>} */ (folded ? { stroke: colours["node-line"], "stroke-width": 0.9 } : {});
  const box = shape("rect", { x: left, y: top, width, height, rx: 6, fill: colours[tintName(tint)], ...frame });
  if (folded) return [box, textShape(`${name} (${nodes.length})`, (left + right) / 2, middle, TEXT_SIZE, colours.ink)];
  const lines = name === role ? label : [name];
  const texts = lines.map((line, place) =>
    textShape(line, left + 5, middle + 11 * (place - (lines.length - 1) / 2), 9.6, colours.ink, { "text-anchor": "start" }),
  );
  return [box, ...texts];
}

/**
 * The line, its arrowhead, and what is left open in a hollow one.
 * @param {Page} page
 * @param {Scene} scene
 * @param {number} index
 * @param {Record<string, string>} colours
 * @returns {SVGElement[]}
 */
function strandShapes(page, scene, index, colours) {
  const strand = scene.strands[index];
  const faint = scene.layout.faint[index];
  const width = widthOf(scene.looks, strand.score, scene.strongest, strand.role, faint);
  const way = { d: pathText(scene.layout.routes[index]), fill: "none" };
  const opacity = /** @type {Record<string, number>} */ (faint ? { opacity: FADE } : {});
  const colour = colours[signOf(strand)];
  const path = shape("path", { ...way, ...opacity, stroke: colour, "stroke-width": width.toFixed(2), "stroke-dasharray": dashOf(strand.port).join(" ") || "none" });
  const name = edgeName(page, strand.edge);
  path.append(shape("title", {}, strand.score === null ? name : `${name} ${strand.score}`));
  const head = shape("polygon", { ...opacity, fill: colour, points: headOf(scene.layout.routes[index], width).map((corner) => corner.map((each) => each.toFixed(1)).join()).join(" ") });
  if (!isHollow(strand.role)) return [path, head];
  return [path, head, shape("path", { ...way, stroke: colours.paper, "stroke-width": (scene.looks.core * width).toFixed(2) })];
}

/**
 * @param {Float32Array} corners
 * @param {Record<string, string>} colours
 * @returns {SVGElement}
 */
function arrowShape(corners, colours) {
  const [x, y] = corners.subarray(-2);
  const group = shape("g", { stroke: colours.faint, "stroke-width": 1, fill: "none" });
  group.append(shape("polyline", { points: corners.join(" ") }), shape("path", { d: `M${x} ${y}l-3 -5h6z`, fill: colours.faint, stroke: "none" }));
  return group;
}

/**
 * @param {Page} page
 * @param {Scene} scene
 * @param {number} node
 * @param {Set<string>} ports that are entered
 * @param {Record<string, string>} colours
 * @returns {SVGElement}
 */
function nodeShape(page, { layout, looks }, node, ports, colours) {
  const [name, kind] = page.nodes[node];
  const [x, y, height] = [layout.x[node], layout.y[node], layout.heights[node]];
  const group = shape("g", {});
  const box = { x: x - looks.node / 2, y: y - height / 2, width: looks.node, height, rx: 4 };
  group.append(shape("rect", { ...box, fill: colours[kind] ?? colours.head, stroke: colours.ink, "stroke-width": 0.9 }));
  const size = Math.min(11.2, (1.7 * (looks.node - 6)) / name.length);
  group.append(textShape(name, x, y - height / 2 + looks.name / 2, size, colours.ink));
  for (const port of ["q", "k", "v"].filter((each) => kind === "head" && ports.has(`${node}${each}`))) {
    group.append(textShape(port, x + portShift(looks, port), y + height / 2 - 6, 9.6, colours.faint));
  }
  return group;
}

// ---- the legend

/**
 * Samples and their meanings, of what is shown, in as many lines as they need.
 * @param {Scene} scene
 * @param {(index: number) => boolean} shown
 * @param {Record<string, string>} colours
 * @param {number} left
 * @param {number} top
 * @param {number} room
 * @returns {{ shapes: SVGElement[], lines: number }}
 */
function legendShapes(scene, shown, colours, left, top, room) {
  const shapes = [];
  let [x, line] = [0, 0];
  for (const { words, look } of legendOf(scene, shown, colours)) {
    const width = SAMPLE_LENGTH + 6 + 0.56 * TEXT_SIZE * words.length + 14;
    if (x && x + width > room) [x, line] = [0, line + 1];
    const y = top + LEGEND_LINE * line;
    shapes.push(shape("path", { d: `M${left + x} ${y}h${SAMPLE_LENGTH}`, stroke: colours.faint, "stroke-width": scene.looks.plain, ...look }));
    shapes.push(textShape(words, left + x + SAMPLE_LENGTH + 6, y, TEXT_SIZE, colours.ink, { "text-anchor": "start" }));
    x += width;
  }
  return { shapes, lines: line + 1 };
}

/**
 * @param {Scene} scene
 * @param {(index: number) => boolean} shown
 * @param {Record<string, string>} colours
 * @returns {{ words: string, look: Record<string, string | number> }[]}
 */
function legendOf({ strands, strongest, looks }, shown, colours) {
  const seen = strands.filter((_, index) => shown(index));
  const signs = new Set(seen.map(signOf));
  const ports = new Set(seen.map(({ port }) => port));
  const named = /** @type {const} */ ([["supports", "supports"], ["opposes", "opposes"], ["unknown", "no score"]]);
  const others = [...ports].some((port) => !["q", "k"].includes(port));
  const dashes = [["q", "into q"], ["k", "into k"], ...(others ? [["", "into v, MLP, logits"]] : [])].filter(([port]) => !port || ports.has(port));
  return [
    ...named.filter(([sign]) => signs.has(sign)).map(([sign, words]) => ({ words, look: { stroke: colours[sign], "stroke-width": 3.5 } })),
    ...(strongest ? [1, 0.5, 0.1].map((part) => ({ words: signed(part * strongest).slice(1), look: { "stroke-width": widthOf(looks, part, 1, "", false) } })) : []),
    ...(ports.has("q") || ports.has("k") ? dashes : []).map(([port, words]) => ({ words, look: { "stroke-dasharray": dashOf(port).join(" ") || "none" } })),
  ];
}

/**
 * @param {SVGElement} svg
 * @returns {string}
 */
export function svgText(svg) {
  return `<?xml version="1.0" encoding="UTF-8"?>\n${new XMLSerializer().serializeToString(svg)}\n`;
}

/**
 * Paint an SVG at three pixels a point, or as many as a canvas can hold.
 * @param {SVGElement} svg
 * @returns {Promise<Blob>}
 */
export async function pngOf(svg) {
  const [, , width, height] = (svg.getAttribute("viewBox") ?? "").split(" ").map(Number);
  const scale = Math.min(3, LARGEST_PNG / Math.max(width, height));
  const picture = new Image();
  picture.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svgText(svg))}`;
  await picture.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [Math.round(width * scale), Math.round(height * scale)];
  canvas.getContext("2d")?.drawImage(picture, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("the browser could not make the PNG"))));
  });
}

/**
 * Hand a file to the person.
 * @param {Blob} blob
 * @param {string} name
 */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
