"""The full page of a circuit: runs the model for what it shows, then draws."""

from circuitsearch.page.write import page_evidence as page_evidence
from circuitsearch.page.write import write_page as write_page
