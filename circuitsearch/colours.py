"""Colours of an edge by the sign of its score, in every figure and format.

They differ in hue in every common kind of colour blindness, and in lightness in grey.
"""

SUPPORTS, OPPOSES, UNKNOWN = "#1b4f9c", "#f08a00", "#8a8a8a"
