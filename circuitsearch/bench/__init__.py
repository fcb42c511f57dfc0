"""Benchmarks: methods and searches on models and tasks, with intervals, in one table that a killed run continues."""

from circuitsearch.bench.definition import Benchmark as Benchmark
from circuitsearch.bench.definition import Cell as Cell
from circuitsearch.bench.merge import merge as merge
from circuitsearch.bench.results import BenchmarkResults as BenchmarkResults
from circuitsearch.bench.run import benchmark as benchmark
