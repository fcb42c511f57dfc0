"""The full page of a circuit: runs the model for what the page shows, then writes it."""

from circuitsearch.page.example import example_prompt as example_prompt
from circuitsearch.page.measure import evidence as evidence
from circuitsearch.page.write import write_page as write_page
