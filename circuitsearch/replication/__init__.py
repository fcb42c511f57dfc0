"""Replication: circuit discovery repeated over variations of prompts and settings, and how stable its circuits are."""

from circuitsearch.replication.classes import Classes as Classes
from circuitsearch.replication.configuration import Configuration as Configuration
from circuitsearch.replication.configuration import Discover as Discover
from circuitsearch.replication.configuration import Find as Find
from circuitsearch.replication.measure import stability as stability
from circuitsearch.replication.result import Stability as Stability
from circuitsearch.replication.samples import Parts as Parts
from circuitsearch.replication.samples import Resamples as Resamples
from circuitsearch.replication.samples import Seeds as Seeds
from circuitsearch.replication.settings import Methods as Methods
from circuitsearch.replication.settings import Targets as Targets
from circuitsearch.replication.templates import Templates as Templates
from circuitsearch.replication.variation import Variation as Variation
