"""Searches: from scores to a circuit."""

from circuitsearch.search.complete import Complete as Complete
from circuitsearch.search.complete import complete as complete
from circuitsearch.search.effects import with_effects as with_effects
from circuitsearch.search.minimal import minimal as minimal
from circuitsearch.search.minimal import smallest_prefix as smallest_prefix
from circuitsearch.search.nodes import node_minimal as node_minimal
from circuitsearch.search.optimal import optimal as optimal
from circuitsearch.search.passes import Refine as Refine
from circuitsearch.search.ranked import greedy as greedy
from circuitsearch.search.ranked import threshold as threshold
from circuitsearch.search.ranked import top as top
from circuitsearch.search.refine import refine as refine
from circuitsearch.search.subsets import SmallestSubset as SmallestSubset
from circuitsearch.search.subsets import smallest_subset as smallest_subset
