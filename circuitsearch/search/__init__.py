"""From scores to a circuit."""

from circuitsearch.search.minimal import minimal as minimal
from circuitsearch.search.ranked import greedy as greedy
from circuitsearch.search.ranked import threshold as threshold
from circuitsearch.search.ranked import top as top
