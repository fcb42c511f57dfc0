"""Circuits in the formats of other programs, one format a file."""

from circuitsearch.formats.convert import export as export
