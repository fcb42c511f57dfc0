"""Mutated files and wrong command lines: each must end in a value or in one sentence, and leave nothing behind."""
