// The view as a file: an SVG built element by element, and a PNG made from it.

/** @import { Page, Scene } from "./types" */
import { signOf } from "./circuit.js";
import { NODE_HEIGHT, NODE_WIDTH } from "./layout.js";
import { bandsOf, coreOf, dashOf, isHollow, pathText, widthIn, widthOf } from "./paint.js";
import { visible } from "./text.js";

const NAMESPACE = "http://www.w3.org/2000/svg";
const FONT = "Helvetica, Arial, 'DejaVu Sans', sans-serif";
const LEFT = 64; // for the layers' names
const CAPTION = 34;
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
 * The scene with the strands and nodes that are shown.
 * @param {Page} page
 * @param {Scene} scene
 * @param {(index: number) => boolean} shown
 * @param {Record<string, string>} colours
 * @param {string} caption
 * @returns {SVGElement}
 */
export function drawing(page, scene, shown, colours, caption) {
  const { left, right, top, bottom } = scene.layout.box;
  const [width, height] = [Math.max(right - left + LEFT, 480), bottom - top + CAPTION];
  const from = left - LEFT;
  const svg = shape("svg", { xmlns: NAMESPACE, viewBox: [from, top, width, height].join(" "), width, height, "font-family": FONT });
  svg.append(shape("title", {}, caption), shape("rect", { x: from, y: top, width, height, fill: colours.paper }));
  for (const band of bandsOf(scene.layout)) svg.append(...bandShapes(band, from, width, colours));
  for (const index of byStrength(scene).filter(shown)) svg.append(...strandShapes(page, scene, index, colours));
  for (const node of scene.nodes) svg.append(nodeShape(page, scene, node, colours));
  const line = { x: from + 8, y: bottom + 20, "font-size": 11, fill: colours.faint };
  svg.append(shape("text", line, caption));
  return svg;
}

/**
 * @param {Scene} scene
 * @returns {number[]}
 */
function byStrength(scene) {
  const strength = scene.strands.map((strand) => Math.abs(strand.score ?? 0));
  return strength.map((_, index) => index).sort((a, b) => strength[a] - strength[b]);
}

/**
 * @param {{ layer: number, top: number, bottom: number }} band
 * @param {number} from
 * @param {number} width
 * @param {Record<string, string>} colours
 * @returns {SVGElement[]}
 */
function bandShapes({ layer, top, bottom }, from, width, colours) {
  const text = { x: from + 8, y: (top + bottom) / 2 + 4, "font-size": 11, fill: colours.faint };
  return [
    shape("rect", { x: from, y: top, width, height: bottom - top, fill: colours.band }),
    shape("text", text, `layer ${layer}`),
  ];
}

/**
 * The line, and what is left open in a hollow one.
 * @param {Page} page
 * @param {Scene} scene
 * @param {number} index
 * @param {Record<string, string>} colours
 * @returns {SVGElement[]}
 */
function strandShapes(page, scene, index, colours) {
  const strand = scene.strands[index];
  const width = widthIn(widthOf(strand.score, scene.strongest), strand.role);
  const way = { d: pathText(scene.layout.routes[index]), fill: "none" };
  const path = shape("path", {
    ...way,
    stroke: colours[signOf(strand)],
    "stroke-width": width.toFixed(2),
    "stroke-dasharray": dashOf(strand.port).join(" ") || "none",
  });
  const name = `${page.nodes[strand.from][0]}->${page.readers[page.edges.reader[strand.edge]][0]}`;
  path.append(shape("title", {}, strand.score === null ? name : `${name} ${strand.score}`));
  if (!isHollow(strand.role)) return [path];
  return [path, shape("path", { ...way, stroke: colours.paper, "stroke-width": coreOf(width).toFixed(2) })];
}

/**
 * @param {Page} page
 * @param {Scene} scene
 * @param {number} node
 * @param {Record<string, string>} colours
 * @returns {SVGElement}
 */
function nodeShape(page, scene, node, colours) {
  const [name, kind] = page.nodes[node];
  const [x, y] = [scene.layout.x[node], scene.layout.y[node]];
  const group = shape("g", {});
  const box = { x: x - NODE_WIDTH / 2, y: y - NODE_HEIGHT / 2, width: NODE_WIDTH, height: NODE_HEIGHT, rx: 5 };
  group.append(shape("rect", { ...box, fill: colours[kind] ?? colours.head, stroke: colours.ink, "stroke-width": 0.8 }));
  const size = Math.min(12, (1.7 * (NODE_WIDTH - 6)) / name.length);
  const text = { x, y: y + size / 3, "font-size": size, "text-anchor": "middle", fill: colours.ink };
  group.append(shape("text", text, name));
  return group;
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
  const [width, height] = ["width", "height"].map((side) => Number(svg.getAttribute(side)));
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
