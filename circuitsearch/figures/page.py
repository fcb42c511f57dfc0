"""How wide a figure is: presets of common venues, or inches."""

from __future__ import annotations

from circuitsearch.errors import InputError

# Inches, from the venues' published style files. "one-column" and "two-column" are ICML's, the most common pair.
# NeurIPS: neurips_2024.sty, geometry with textwidth=5.5in. ICLR: iclr2025_conference.sty, \textwidth 5.5in.
# ICML: icml2025.sty, \textwidth 6.75in and \columnsep 0.25in, so columns of 3.25in.
# ACL, EMNLP, NAACL: acl.sty, A4 with margins of 2.5cm and \columnsep 0.6cm: 16cm, and columns of 7.7cm.
WIDTHS = {
    "one-column": 3.25,
    "two-column": 6.75,
    "neurips": 5.5,
    "iclr": 5.5,
    "icml": 6.75,
    "icml-column": 3.25,
    "acl": 6.30,
    "acl-column": 3.03,
}
NARROWEST, WIDEST = 2.0, 40.0
POINTS = 72


def inches(width: str | float) -> float:
    """Width in inches of a preset, or of a number of them.

    Raises
    ------
    InputError
        If there is no such preset, or the number is out of range.

    Examples
    --------
    >>> inches("neurips"), inches("4.5"), inches(3)
    (5.5, 4.5, 3.0)
    """
    if isinstance(width, str) and width in WIDTHS:
        return WIDTHS[width]
    try:
        found = float(width)
    except (TypeError, ValueError):
        found = 0.0
    if not NARROWEST <= found <= WIDEST:
        raise InputError(
            f"the width must be one of {', '.join(WIDTHS)}, or inches from {NARROWEST:g} to {WIDEST:g}, not {width!r}"
        )
    return found
