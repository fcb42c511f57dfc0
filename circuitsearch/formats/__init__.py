"""Circuits in the formats of other programs, written and read, one format a file."""

from circuitsearch.formats.attribution_rules import attribution_problems as attribution_problems
from circuitsearch.formats.convert import export as export
from circuitsearch.formats.convert import export_suffix as export_suffix
from circuitsearch.formats.foreign import Foreign as Foreign
from circuitsearch.formats.foreign import Sign as Sign
from circuitsearch.formats.foreign import scores_of as scores_of
from circuitsearch.formats.mib_check import mib_problems as mib_problems
from circuitsearch.formats.read import read_circuit as read_circuit
from circuitsearch.formats.targets import AttributionGraph as AttributionGraph
from circuitsearch.formats.targets import CircuitFile as CircuitFile
from circuitsearch.formats.targets import EAPGraph as EAPGraph
from circuitsearch.formats.targets import EdgePruningEdges as EdgePruningEdges
from circuitsearch.formats.targets import MIBFolder as MIBFolder
