"""Instruments that measure a model; each returns a small typed result, which `circuitsearch.draw` draws."""

from circuitsearch.instruments.attribution import DirectLogit as DirectLogit
from circuitsearch.instruments.attribution import direct_logit as direct_logit
from circuitsearch.instruments.decomposition import Decomposition as Decomposition
from circuitsearch.instruments.decomposition import decompose as decompose
from circuitsearch.instruments.heads import HeadRoles as HeadRoles
from circuitsearch.instruments.heads import head_roles as head_roles
from circuitsearch.instruments.lens import LogitLens as LogitLens
from circuitsearch.instruments.lens import TunedLens as TunedLens
from circuitsearch.instruments.lens import logit_lens as logit_lens
from circuitsearch.instruments.patching import AttentionOut as AttentionOut
from circuitsearch.instruments.patching import HeadOut as HeadOut
from circuitsearch.instruments.patching import Key as Key
from circuitsearch.instruments.patching import MLPOut as MLPOut
from circuitsearch.instruments.patching import Patching as Patching
from circuitsearch.instruments.patching import Pattern as Pattern
from circuitsearch.instruments.patching import Query as Query
from circuitsearch.instruments.patching import Stream as Stream
from circuitsearch.instruments.patching import Value as Value
from circuitsearch.instruments.patching import activation_patching as activation_patching
from circuitsearch.instruments.patterns import Attention as Attention
from circuitsearch.instruments.patterns import attention as attention
from circuitsearch.instruments.prompts import prompt_pair as prompt_pair
from circuitsearch.instruments.prompts import said_twice as said_twice
from circuitsearch.instruments.tracing import CausalTrace as CausalTrace
from circuitsearch.instruments.tracing import causal_trace as causal_trace
