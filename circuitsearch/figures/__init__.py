"""Figures for papers: a circuit's diagram, its curve of faithfulness against size, and maps of path effects."""

from circuitsearch.figures.agreement import draw_agreement as draw_agreement
from circuitsearch.figures.bars import draw_leave_one_out as draw_leave_one_out
from circuitsearch.figures.caption import caption_files as caption_files
from circuitsearch.figures.caption import caption_for as caption_for
from circuitsearch.figures.caption import write_caption as write_caption
from circuitsearch.figures.compare import draw_comparison as draw_comparison
from circuitsearch.figures.curves import draw_curve as draw_curve
from circuitsearch.figures.drawing import draw as draw
from circuitsearch.figures.example import ExamplePrompt as ExamplePrompt
from circuitsearch.figures.heatmap import draw_heatmap as draw_heatmap
from circuitsearch.figures.overlap import draw_overlap as draw_overlap
from circuitsearch.figures.overlap import draw_tree as draw_tree
