r"""Matplotlib's figures as TikZ: a file that compiles as it is, and that a paper can \input, in any of TeX's engines.

The text is TeX's own, in the document's sans-serif; all else is placed as in the SVG.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backend_bases import RendererBase
from matplotlib.colors import to_hex
from matplotlib.path import Path
from matplotlib.transforms import Affine2D

from circuitsearch.tex_text import tex_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Whether a document has begun shows in \documentclass, which may be said only once.
_HEAD = r"""% A figure by circuitsearch. Compile this file as it is, or \input it in a document that loads TikZ.
\expandafter\ifx\csname @twoclasseserror\endcsname\documentclass
  \let\figureend\relax
\else
  \documentclass{article}
  \usepackage[paperwidth=WIDTHbp,paperheight=HEIGHTbp,margin=0bp,noheadfoot]{geometry}
  \IfFileExists{lmodern.sty}{\usepackage{lmodern}}{\usepackage{fix-cm}}
  \usepackage{tikz}
  \pagestyle{empty}\parindent=0bp \topskip=0bp \maxdepth=100bp
  \def\figureend{\end{document}}
  \begin{document}\noindent
\fi
\begingroup
\def\figurehex#1{{\tiny U+#1}}% a character by its number: pdfTeX, or a font, may lack it
\ifx\Umathchar\undefined
  \let\figurechar\figurehex
\else
  \def\figurechar#1{\iffontchar\font"#1 \char"#1 \else\figurehex{#1}\fi}%
\fi
\def\figuresize#1{\fontsize{#1}{#1}\selectfont}%
"""
_FOOT = "\\end{tikzpicture}%\n\\endgroup\n\\figureend\n"
_PICTURE = r"\begin{tikzpicture}[x=1bp,y=1bp,inner sep=0bp,outer sep=0bp,font=\sffamily]"
_MITRE = {"miter": "miter", "round": "round", "bevel": "bevel"}
_CAPS = {"butt": "butt", "round": "round", "projecting": "rect"}


def tikz(figure: Figure) -> str:
    """Write a figure; the same figure gives the same text. Call within ``canvas.figure_style``."""
    dpi = figure.dpi
    figure.set_dpi(72)  # so that a pixel is a point
    try:
        width, height = figure.get_size_inches() * 72
        renderer = _Renderer(width, height)
        figure.draw(renderer)
    finally:
        figure.set_dpi(dpi)
    colours = [f"\\definecolor{{{name}}}{{HTML}}{{{value}}}%" for value, name in renderer.colours.items()]
    # TeX's page must not be smaller than its content, not even by rounding
    head = _HEAD.replace("WIDTH", _number(width)).replace("HEIGHT", _number(height + 1))
    frame = f"\\useasboundingbox (0,0) rectangle ({_number(width)},{_number(height)});"
    return head + "\n".join([*colours, _PICTURE, frame, *renderer.lines]) + "\n" + _FOOT


class _Renderer(RendererBase):
    """Collects what Matplotlib draws, as lines of TikZ."""

    def __init__(self, width: float, height: float) -> None:
        super().__init__()
        self.width, self.height = width, height
        self.lines: list[str] = []
        self.colours: dict[str, str] = {}

    def get_canvas_width_height(self) -> tuple[float, float]:
        return self.width, self.height

    def points_to_pixels(self, points: Any) -> Any:
        return points

    def draw_path(self, gc: Any, path: Path, transform: Any, rgbFace: Any = None) -> None:
        looks = self._stroke(gc) + self._fill(gc, rgbFace)
        drawn = _path(path, transform)
        if looks and drawn:
            self._within(gc, f"\\path[{','.join(looks)}] {drawn};")

    def draw_text(
        self, gc: Any, x: float, y: float, s: str, prop: Any, angle: float,
        ismath: Any = False, mtext: Any = None,
    ) -> None:  # fmt: skip
        size = prop.get_size_in_points()
        width = self.get_text_width_height_descent(s, prop, False)[0]
        anchor, along = _anchor(angle, mtext)
        turn = np.deg2rad(angle)
        # Matplotlib measures y downwards in renderers that do not flip; this one does, so y is the baseline's height
        place = (x + along * width * np.cos(turn), y + along * width * np.sin(turn))
        looks = [f"anchor={anchor}", f"text={self._colour(gc.get_rgb())}", *self._opacity(gc)]
        looks += [f"rotate={_number(angle)}"] if angle else []
        bold = "\\bfseries " if prop.get_weight() in ("bold", 700) else ""
        text = f"\\figuresize{{{_number(size)}}}{bold}{tex_text(s)}"
        self._within(gc, f"\\node[{','.join(looks)}] at {_point(place)} {{{text}}};")

    def flipy(self) -> bool:
        return False

    def draw_image(self, gc: Any, x: Any, y: Any, im: Any, transform: Any = None) -> None:
        """Draw an image of few pixels, a colour bar's, as rectangles."""
        rows, columns = im.shape[:2]
        for row, column in np.ndindex(rows, columns):
            red, green, blue, alpha = im[row, column] / 255
            if alpha:
                face = (red, green, blue, alpha)
                pixel = Affine2D().translate(x + column, y + row)
                self.draw_path(self.new_gc(), Path.unit_rectangle(), pixel, face)

    def _within(self, gc: Any, line: str) -> None:
        """Add a line, clipped where it may leave its axes."""
        clip = gc.get_clip_rectangle()
        if clip is None or (clip.x0 <= 0 and clip.y0 <= 0 and clip.x1 >= self.width and clip.y1 >= self.height):
            self.lines.append(line)
        else:
            corners = f"{_point((clip.x0, clip.y0))} rectangle {_point((clip.x1, clip.y1))}"
            self.lines.append(f"\\begin{{scope}}\\clip {corners};{line}\\end{{scope}}")

    def _stroke(self, gc: Any) -> list[str]:
        width = gc.get_linewidth()
        if not width or gc.get_rgb()[3] == 0:
            return []
        looks = [f"draw={self._colour(gc.get_rgb())}", f"line width={_number(width)}bp", *self._opacity(gc)]
        offset, dashes = gc.get_dashes()
        if dashes is not None:
            pairs = [
                f"on {_number(on)}bp off {_number(off)}bp" for on, off in zip(dashes[::2], dashes[1::2], strict=True)
            ]
            looks += [f"dash pattern={' '.join(pairs)}", f"dash phase={_number(offset)}bp"]
        cap = _CAPS[str(gc.get_capstyle())]
        return looks if cap == "butt" else [*looks, f"line cap={cap}"]

    def _fill(self, gc: Any, face: Any) -> list[str]:
        if face is None or (len(face) == 4 and face[3] == 0):
            return []
        opacity = face[3] if len(face) == 4 else 1.0
        opacity = gc.get_alpha() if gc.get_forced_alpha() else opacity
        return [f"fill={self._colour(face)}", *([f"fill opacity={_number(opacity)}"] if opacity < 1 else [])]

    def _opacity(self, gc: Any) -> list[str]:
        opacity = gc.get_alpha() if gc.get_forced_alpha() else gc.get_rgb()[3]
        return [f"opacity={_number(opacity)}"] if opacity < 1 else []

    def _colour(self, rgb: Any) -> str:
        value = to_hex(rgb[:3])[1:].upper()
        return self.colours.setdefault(value, f"figurecolour{_letters(len(self.colours))}")


def _anchor(angle: float, mtext: Any) -> tuple[str, float]:
    """The end at which a text is anchored, so that it is right in a font of another width, and its position on the text, 0 to 1."""
    held = {"left": ("base west", 0.0), "right": ("base east", 1.0)}
    if mtext is None:
        return held["left"]
    if angle == 90:
        side = {"top": "right", "bottom": "left"}.get(mtext.get_verticalalignment(), "")
        return held.get(side, ("base", 0.5))
    return held.get(mtext.get_horizontalalignment(), ("base", 0.5))


def _path(path: Path, transform: Any) -> str:
    """Corners and curves of a path."""
    parts: list[str] = []
    here = np.zeros(2)
    for corners, code in path.iter_segments(transform, simplify=False, curves=True):
        points = np.asarray(corners).reshape(-1, 2)
        if not np.isfinite(points).all():
            continue
        if code == Path.CLOSEPOLY:
            parts.append("-- cycle")
        elif code == Path.MOVETO:
            parts.append(_point(points[0]))
        elif code == Path.LINETO:
            parts.append(f"-- {_point(points[0])}")
        else:
            if code == Path.CURVE3:  # of the second degree: raised to the third
                control, end = points
                points = np.stack([here + 2 / 3 * (control - here), end + 2 / 3 * (control - end), end])
            first, second, end = map(_point, points)
            parts.append(f".. controls {first} and {second} .. {end}")
        here = points[-1] if code != Path.CLOSEPOLY else here
    return " ".join(parts) if len(parts) > 1 else ""


def _point(place: Any) -> str:
    return f"({_number(place[0])},{_number(place[1])})"


def _number(value: float) -> str:
    """At most three places, never 1e-5, which TeX cannot read, nor -0."""
    return f"{value:.3f}".rstrip("0").rstrip(".") if round(float(value), 3) else "0"


def _letters(number: int) -> str:
    """A name of letters alone, as TeX likes them: a, b ... z, ba ..."""
    rest = _letters(number // 26) if number >= 26 else ""
    return rest + chr(ord("a") + number % 26)
