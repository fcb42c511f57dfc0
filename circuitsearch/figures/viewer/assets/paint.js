// Strands on a canvas, and which of them is under a point. These loops run at every step of the slider, over
// thousands of strands: they take numbers out of arrays one by one, for destructuring costs ten times as much.

/** @import { Camera, Layout, Looks, Scene } from "./types" */
import { signOf } from "./circuit.js";
import { crossing } from "./layout.js";

const STEPS = 6; // different widths; strands of one look are drawn in one stroke
const MANY = 1500; // strands; of more none is read one by one, and dashes and arrowheads would only cost time
const HEAD = { length: [2.6, 1.1], width: [2.6, 1.5] }; // of an arrowhead: in the page's units, and for each unit of its line's width
export const TINTS = 6;
export const FADE = 0.5; // opacity of faint strands

/**
 * Line width, linear in the strength; of a faint strand as the figure draws it.
 * @param {Looks} looks
 * @param {number | null} score
 * @param {number} strongest
 * @param {string} role
 * @param {boolean} faint
 * @returns {number}
 */
export function widthOf(looks, score, strongest, role, faint) {
  if (faint) return looks.gathered;
  const { thinnest, thickest, plain, hollow } = looks;
  const width = score === null ? plain : thinnest + (thickest - thinnest) * (strongest ? Math.abs(score) / strongest : 0);
  return isHollow(role) ? Math.max(width, hollow) : width;
}

/**
 * Whether other edges can take an edge's place: it is drawn hollow.
 * @param {string} role
 * @returns {boolean}
 */
export function isHollow(role) {
  return role === "alternative" || role === "backup";
}

/**
 * Dashes for queries, dots for keys.
 * @param {string} port
 * @returns {number[]}
 */
export function dashOf(port) {
  if (port === "q") return [7, 4];
  return port === "k" ? [1.5, 3.5] : [];
}

/**
 * A strand's way; between two corners it is vertical at both ends.
 * @param {Path2D} path
 * @param {Float32Array} corners
 */
function addRoute(path, corners) {
  path.moveTo(corners[0], corners[1]);
  for (let i = 2; i < corners.length; i += 2) {
    const x0 = corners[i - 2];
    const x1 = corners[i];
    const y1 = corners[i + 1];
    const middle = (corners[i - 1] + y1) / 2;
    if (x0 === x1) path.lineTo(x1, y1);
    else path.bezierCurveTo(x0, middle, x1, middle, x1, y1);
  }
}

/**
 * The same as an SVG path.
 * @param {Float32Array} corners
 * @returns {string}
 */
export function pathText(corners) {
  const at = (/** @type {number} */ value) => String(Math.round(value * 10) / 10);
  const words = [`M${at(corners[0])} ${at(corners[1])}`];
  for (let i = 2; i < corners.length; i += 2) {
    const [x0, y0, x1, y1] = corners.subarray(i - 2, i + 2);
    const middle = (y0 + y1) / 2;
    words.push(x0 === x1 ? `V${at(y1)}` : `C${[x0, middle, x1, middle, x1, y1].map(at).join(" ")}`);
  }
  return words.join("");
}

/**
 * The corners of an arrowhead at the end of a strand.
 * @param {Float32Array} corners
 * @param {number} width
 * @returns {[number, number][]}
 */
export function headOf(corners, width) {
  const [x, y] = corners.subarray(-2);
  const [length, half] = [HEAD.length[0] + HEAD.length[1] * width, (HEAD.width[0] + HEAD.width[1] * width) / 2];
  return [[x, y], [x - half, y + length], [x + half, y + length]];
}

/**
 * @typedef {{ sign: string, dash: number[], width: number, hollow: boolean, faint: boolean, path: Path2D, heads: Path2D }} Bundle strands of one look
 */

/**
 * Gather strands into bundles, the widest last, so that the strongest are on top.
 * @param {Scene} scene
 * @param {(index: number) => boolean} shown
 * @returns {Bundle[]}
 */
export function bundlesOf(scene, shown) {
  /** @type {Map<string, Bundle>} */
  const bundles = new Map();
  const many = scene.strands.length > MANY;
  scene.strands.forEach((strand, index) => {
    if (!shown(index)) return;
    const faint = scene.layout.faint[index];
    const step = strand.score === null ? -1 : Math.ceil(STEPS * Math.abs(strand.score) / (scene.strongest || 1));
    const sign = signOf(strand);
    const hollow = isHollow(strand.role);
    const dashed = !many && dashOf(strand.port).length ? strand.port : "";
    const key = `${faint ? "faint" : step} ${sign} ${dashed} ${hollow}`;
    let bundle = bundles.get(key);
    if (!bundle) {
      const width = widthOf(scene.looks, step < 0 ? null : step / STEPS, 1, strand.role, faint);
      bundle = { sign, dash: dashOf(dashed), width, hollow, faint, path: new Path2D(), heads: new Path2D() };
      bundles.set(key, bundle);
    }
    addRoute(bundle.path, scene.layout.routes[index]);
    if (!many) addHead(bundle.heads, headOf(scene.layout.routes[index], bundle.width));
  });
  return [...bundles.values()].sort((a, b) => a.width - b.width);
}

/**
 * @param {Path2D} path
 * @param {[number, number][]} corners
 */
function addHead(path, [tip, left, right]) {
  path.moveTo(...tip);
  path.lineTo(...left);
  path.lineTo(...right);
  path.closePath();
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Looks} looks
 * @param {Bundle[]} bundles
 * @param {Record<string, string>} colours
 * @param {number} strength opacity of the widest
 */
export function drawBundles(context, looks, bundles, colours, strength) {
  context.lineCap = "butt";
  for (const { sign, dash, width, hollow, faint, path, heads } of bundles) {
    context.strokeStyle = context.fillStyle = colours[sign];
    context.lineWidth = width;
    context.globalAlpha = strength * (faint ? FADE : 1);
    context.setLineDash(dash);
    context.stroke(path);
    context.fill(heads);
    if (hollow) {
      context.strokeStyle = colours.paper;
      context.lineWidth = looks.core * width;
      context.setLineDash([]);
      context.stroke(path);
    }
  }
  context.setLineDash([]);
  context.globalAlpha = 1;
}

/**
 * Bands behind the layers, as wide as the view, and three dots where layers are left out.
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 * @param {Camera} camera
 * @param {number} width of the view
 * @param {Record<string, string>} colours
 */
export function drawBands(context, scene, camera, width, colours) {
  context.font = "11px system-ui, sans-serif";
  context.textBaseline = "middle";
  for (const { text, top, bottom } of bandsOf(scene)) {
    const [from, to] = [top * camera.scale + camera.y, bottom * camera.scale + camera.y];
    context.fillStyle = colours.band;
    context.fillRect(0, from, width, to - from);
    context.fillStyle = colours.faint;
    if (to - from > 12) context.fillText(text, 10, (from + to) / 2);
  }
  context.fillStyle = colours.faint;
  for (const gap of scene.layout.gaps) for (const step of [-1, 0, 1]) context.fillRect(26, gap * camera.scale + camera.y + 4 * step - 1, 2, 2);
}

/**
 * @param {Scene} scene
 * @returns {{ text: string, top: number, bottom: number }[]}
 */
export function bandsOf({ layout, looks }) {
  /** @type {Map<string, { text: string, top: number, bottom: number }>} */
  const bands = new Map();
  for (const { layers, top, bottom } of layout.rows) {
    if (!layers) continue;
    const text = layers[0] === layers[1] ? `layer ${layers[0]}` : layers.join("\u2013");
    const band = bands.get(text) ?? { text, top: Infinity, bottom: -Infinity };
    band.top = Math.min(band.top, top - looks.band);
    band.bottom = Math.max(band.bottom, bottom + looks.band);
    bands.set(text, band);
  }
  return [...bands.values()];
}

/**
 * Boxes of roles, and arrows of attention between columns.
 * @param {CanvasRenderingContext2D} context
 * @param {Layout} layout
 * @param {Record<string, string>} colours
 */
export function drawBeside(context, layout, colours) {
  for (const { tint, left, right, top, bottom } of layout.boxes) {
    context.fillStyle = colours[tintName(tint)];
    context.beginPath();
    context.roundRect(left, top, right - left, bottom - top, 6);
    context.fill();
  }
  context.strokeStyle = context.fillStyle = colours.faint;
  context.lineWidth = 1;
  for (const corners of layout.arrows) {
    context.beginPath();
    for (let i = 0; i < corners.length; i += 2) context.lineTo(corners[i], corners[i + 1]);
    context.stroke();
    const [x, y] = corners.subarray(-2);
    context.fill(new Path2D(`M${x} ${y}l-3 -5h6z`));
  }
}

/**
 * The style sheet's name of a role's tint; with more roles they repeat.
 * @param {number} role
 * @returns {string}
 */
export function tintName(role) {
  return `role-${role % TINTS}`;
}

/**
 * The strand nearest to a point of the world, if one is within reach.
 * @param {Scene} scene
 * @param {(index: number) => boolean} shown
 * @param {number} x
 * @param {number} y
 * @param {number} reach
 * @returns {number | null}
 */
export function strandAt(scene, shown, x, y, reach) {
  let best = null;
  let nearest = reach;
  scene.layout.routes.forEach((corners, index) => {
    const away = shown(index) ? distance(corners, x, y) : Infinity;
    if (away < nearest) [best, nearest] = [index, away];
  });
  return best;
}

/**
 * @param {Float32Array} corners
 * @param {number} x
 * @param {number} y
 * @returns {number}
 */
function distance(corners, x, y) {
  for (let i = 2; i < corners.length; i += 2) {
    const y0 = corners[i - 1];
    const y1 = corners[i + 1];
    if (y > y0 || y < y1) continue;
    const at = crossing(corners[i - 2], y0, corners[i], y1, y);
    return Math.abs(at.x - x) / Math.hypot(1, at.slope);
  }
  return Infinity;
}
