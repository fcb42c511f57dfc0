"""Known circuits, published as lists of heads and edges, to compare a found one with."""

from circuitsearch.references.compare import Overlap as Overlap
from circuitsearch.references.compare import ReferenceComparison as ReferenceComparison
from circuitsearch.references.compare import compare_with_reference as compare_with_reference
from circuitsearch.references.published import Reference as Reference
from circuitsearch.references.published import names as names
from circuitsearch.references.published import reference as reference
