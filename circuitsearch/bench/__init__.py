"""Benchmarks: methods and searches on models and tasks, with intervals, in one table that a killed run continues."""

from circuitsearch.bench.benchmark import Benchmark as Benchmark
from circuitsearch.bench.benchmark import Cell as Cell
from circuitsearch.bench.results import BenchmarkResults as BenchmarkResults
from circuitsearch.bench.run import benchmark as benchmark
