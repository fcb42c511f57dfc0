"""What happens to long work when something fails: kills, damaged files, a full disk, a vanished model, a clock set back, two writers, dying ranks.

``python -m benchmarks.faults kills --n 100 --folder FOLDER`` and so on; each prints a table for docs/reliability.md and ends with
code 1 if anything was not as it should be.
"""
