"""Figures for papers: a circuit's diagram, and its curve of faithfulness against size."""

from circuitsearch.figures.curves import draw_curve as draw_curve
from circuitsearch.figures.diagram import caption_for as caption_for
from circuitsearch.figures.diagram import draw as draw
