"""A library of circuits: one file that keeps runs and circuits of other programs, searched, compared and exported."""

from circuitsearch.library.entry import Added as Added
from circuitsearch.library.entry import Edge as Edge
from circuitsearch.library.entry import Entry as Entry
from circuitsearch.library.entry import Match as Match
from circuitsearch.library.entry import Use as Use
from circuitsearch.library.library import Library as Library
from circuitsearch.library.overlap import Comparison as Comparison
from circuitsearch.library.query import Conditions as Conditions
