"""Methods that score edges, one algorithm per file, each a frozen dataclass of its options; and path patching."""

from circuitsearch.methods.atp import QKFix as QKFix
from circuitsearch.methods.conductance import Conductance as Conductance
from circuitsearch.methods.eap import EAP as EAP
from circuitsearch.methods.eap import EAPIG as EAPIG
from circuitsearch.methods.eap import CleanCorrupt as CleanCorrupt
from circuitsearch.methods.eap import EAPIGActivations as EAPIGActivations
from circuitsearch.methods.edge_pruning import EdgePruning as EdgePruning
from circuitsearch.methods.ensemble import Ensemble as Ensemble
from circuitsearch.methods.exact import Exact as Exact
from circuitsearch.methods.gim import GIM as GIM
from circuitsearch.methods.matryoshka import Matryoshka as Matryoshka
from circuitsearch.methods.paths import PathEffects as PathEffects
from circuitsearch.methods.paths import direct_effect as direct_effect
from circuitsearch.methods.paths import direct_sweep as direct_sweep
from circuitsearch.methods.paths import path_effect as path_effect
from circuitsearch.methods.paths import sender_effect as sender_effect
from circuitsearch.methods.paths import sender_sweep as sender_sweep
from circuitsearch.methods.recheck import Recheck as Recheck
from circuitsearch.methods.relp import RelP as RelP
