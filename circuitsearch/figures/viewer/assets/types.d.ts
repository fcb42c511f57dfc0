// Shapes of the page's data and state, for the type checker alone: `npm test` in tests/figures. No page holds this file.

/** [name, kind, layer, row], rows counted from the bottom. */
export type NodeRow = [string, string, number | null, number];

/** [name, port, nodes that it feeds]. */
export type ReaderRow = [string, string, number[]];

/** A value and the ends of its interval. */
export type Ends = [number, number | null, number | null];

export interface About {
  model: string;
  method: string;
  n_edges: number;
  total: number;
  target?: number;
  found?: number;
  task?: string;
  metric?: string;
  ablation?: string;
  prompts?: string;
  confidence?: number;
  faithfulness?: Ends;
  per_prompt?: Ends;
  cautions?: string[];
  /** What is new, prompts, faithfulness, and that per prompt. */
  by_factor?: [string, number, Ends, Ends][];
  /** What further checks found, in words. */
  others?: [string, string][];
  controls?: number[];
  clean?: number;
  ablated?: number;
  kept?: number;
  accuracy?: [number, number];
}

/** Tokens, each with a number. */
export type Said = [string, number][];

export interface Prompt {
  clean: string[];
  corrupt: string[];
  answers: string[];
  wrong: string[];
  model: number;
  circuit: number;
  ablated: number;
  /** The model's likeliest tokens and their probabilities. */
  likeliest: Said;
}

/** Sizes of the figure in the page's units, and how many of these a point has. */
export type Looks = Record<
  | "node" | "name" | "band" | "port" | "port_room" | "node_room" | "exit_pitch" | "lane_gap" | "trunk_gap"
  | "thinnest" | "thickest" | "plain" | "gathered" | "hollow" | "core" | "scale",
  number
>;

/** Where a figure has everything: see viewer/places.py. */
export interface Placement {
  /** Node, the middle of it, its height, and its row. */
  nodes: [number, number, number, number, number][];
  /** Bottom, middle, top, and the first and last layer, from the lowest row. */
  rows: [number, number, number, number | null, number | null][];
  /** Row, middle, breadth. */
  lanes: [number, number, number][];
  /** From "writer reader port" to lanes. */
  own: Record<string, number[]>;
  /** From "column row" of the reader to rows and lanes. */
  trunks: Record<string, [number, number][]>;
  /** Name, left and right end. */
  columns: [string, number, number][];
  /** Nodes that are read and that write, and corners. */
  arrows: [number, number, number[]][];
  roles: string[];
  /** Role, nodes, room left and right of them, height, and the lines of its label. */
  boxes: [number, number[], number, number, number, string[]][];
  depth: number;
  faint: boolean;
}

/** What Python wrote: see viewer/data.py. */
export interface Page {
  format: number;
  about: About;
  nodes: NodeRow[];
  readers: ReaderRow[];
  edges: { writer: number[]; reader: number[]; score: (number | null)[]; effect: (number | null)[]; without: (number | null)[]; role: string[]; instead: string[][] };
  circuit: number[];
  stops: number[];
  looks: Looks;
  /** Of the found circuit, and of all other sizes; null if there is nothing to draw. */
  places: { found: Placement | null; sizes: Placement | null };
  /** Edges, faithfulness, and its interval where it is known. */
  curve: [number, number, number | null, number | null][];
  prompts: Prompt[];
  n_prompts: number;
  without: Record<string, number>;
  roles: Record<string, string[]>;
  direct: Record<string, number>;
  /** Of each head and prompt the percent of each query and key up to it, a byte each, in base64. */
  attention: Record<string, string[]>;
  /** Tokens that a node raises most and lowers most, over all prompts. */
  words: Record<string, [Said, Said]>;
  /** Tokens that a node raises most on each of the first prompts. */
  raised: Record<string, Said[]>;
}

/** What is looked at. `size` is "circuit", or the place of one of the page's stops. */
export interface State {
  size: "circuit" | number;
  node: number | null;
  sign: "both" | "supports" | "opposes";
  /** Ports, and kinds of nodes, that are shown; null is all. */
  ports: string[] | null;
  kinds: string[] | null;
  from: number | null;
  to: number | null;
  /** The role of a head at one of an edge's ends, and what an edge does in a complete circuit. */
  role: string | null;
  does: string | null;
  least: number;
  /** Edges that were cut, and nodes that were hidden, by the person. */
  cut: number[];
  hidden: number[];
  /** Two nodes: only paths between them are shown. */
  trace: [number, number] | null;
  sort: { by: string; down: boolean };
  words: string;
  tab: "about" | "node" | "edges" | "prompts";
  prompt: number;
  theme: "auto" | "light" | "dark";
  /** How far nodes were moved, by name. */
  moved: Record<string, [number, number]>;
  /** Roles whose nodes are drawn as one. */
  folded: string[];
  /** Other names of roles. */
  renamed: Record<string, string>;
}

/** One drawn line: an edge, or its share where a port feeds several heads. */
export interface Strand {
  edge: number;
  from: number;
  to: number;
  port: string;
  score: number | null;
  /** Of a complete circuit: "needed", "alternative", "backup", "interacts" or "opposes"; else empty. */
  role: string;
}

export interface Row {
  /** Its place in the placement. */
  index: number;
  nodes: number[];
  layers: [number, number] | null;
  bottom: number;
  middle: number;
  top: number;
}

/** The box of a role in a row; folded, its nodes are drawn as one. */
export interface RoleBox {
  role: string;
  tint: number;
  nodes: number[];
  label: string[];
  folded: boolean;
  left: number;
  right: number;
  top: number;
  bottom: number;
}

/** Where everything lies, in the world's units: the middle of each node, and the corners of each strand. */
export interface Layout {
  x: Float64Array;
  y: Float64Array;
  heights: Float64Array;
  rows: Row[];
  routes: Float32Array[];
  /** Strands that are thin and pale, because there are too many to follow. */
  faint: boolean[];
  boxes: RoleBox[];
  arrows: Float32Array[];
  columns: Placement["columns"];
  /** Heights at which layers are left out. */
  gaps: number[];
  box: { left: number; right: number; top: number; bottom: number };
}

/** The circuit of one size, as it is drawn. */
export interface Scene {
  edges: number[];
  strands: Strand[];
  nodes: number[];
  layout: Layout;
  strongest: number;
  looks: Looks;
}

/** From the world to the screen: screen = world * scale + (x, y). */
export interface Camera {
  scale: number;
  x: number;
  y: number;
}
