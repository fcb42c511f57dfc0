"""Embeds the letters of a figure in its SVG: text stays text, can be searched and copied, and looks the same everywhere.

Text as paths could be neither searched nor read aloud; a font that is named but not embedded is replaced by one of other
widths. Programs that ignore embedded fonts fall back to a family that is no wider.
"""

from __future__ import annotations

import base64
import html
import io
import re

FAMILY = (
    "DejaVu Sans"  # comes with matplotlib, so that measures, and with them the bytes, are the same on every machine
)
FAMILIES = f"'{FAMILY}', Helvetica, Arial, sans-serif"
WEIGHTS = {"normal": "400", "bold": "700"}


def with_fonts(svg: str) -> str:
    """Embed the letters that an SVG's texts are set in, one font a weight. Call within ``canvas.figure_style``."""
    letters: dict[str, set[str]] = {}
    for attributes, content in re.findall(r"<text ([^>]*)>(.*?)</text>", svg, re.DOTALL):
        weight = "bold" if re.search(r"font(?:-weight)?: (?:700|bold)[ ;]", attributes) else "normal"
        letters.setdefault(weight, set()).update(html.unescape(re.sub(r"<[^>]*>", "", content)))
    faces = "".join(_face(weight, "".join(sorted(letters[weight]))) for weight in sorted(letters))
    named = svg.replace(f"'{FAMILY}'", FAMILIES)
    return named.replace("<defs>", f'<defs>\n  <style type="text/css">{faces}</style>', 1)


def _face(weight: str, letters: str) -> str:
    source = base64.b64encode(_subset(weight, letters)).decode()
    return (
        f"@font-face{{font-family:'{FAMILY}';font-weight:{WEIGHTS[weight]};"
        f"src:url(data:font/woff;base64,{source}) format('woff')}}"
    )


def _subset(weight: str, letters: str) -> bytes:
    """The letters of matplotlib's own copy of the font, as WOFF; letters that it lacks are left to the viewer's."""
    from fontTools.subset import Options, Subsetter
    from fontTools.ttLib import TTFont
    from matplotlib.font_manager import FontProperties, findfont

    font = TTFont(findfont(FontProperties(family=FAMILY, weight=weight)), recalcTimestamp=False)
    options = Options(hinting=False, notdef_outline=True, layout_features=["kern", "mark", "ccmp"])
    options.drop_tables += ["FFTM"]  # a font editor's timestamps
    subsetter = Subsetter(options)
    subsetter.populate(text=letters)
    subsetter.subset(font)
    font.flavor = "woff"
    buffer = io.BytesIO()
    font.save(buffer)
    return buffer.getvalue()
