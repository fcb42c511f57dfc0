"""``circuitsearch mib check`` and ``neuronpedia check``: files that are to be uploaded."""

from __future__ import annotations

from pathlib import Path

from circuitsearch.cli.terminal import Terminal
from circuitsearch.formats import attribution_problems, mib_problems


def check_mib(folder: Path, terminal: Terminal) -> int:
    """Print what is wrong with a submission; return 1 if it is not valid."""
    problems = mib_problems(folder)
    serious = [problem for problem in problems if not problem.warning]
    for problem in problems:
        terminal.say("warning" if problem.warning else "problem", f"{problem.path}: {problem.sentence}")
    terminal.say("submission", f"{folder} {'is not valid' if serious else 'is valid'}")
    listed = [{"path": str(each.path), "problem": each.sentence, "warning": each.warning} for each in problems]
    terminal.result({"valid": not serious, "problems": listed})
    return int(bool(serious))


def check_attribution_graph(file: Path, terminal: Terminal) -> int:
    """Print what is wrong with an attribution graph; return 1 if anything is."""
    problems = attribution_problems(file)
    for problem in problems:
        terminal.say("problem", problem)
    terminal.say("graph", f"{file} {'has problems' if problems else 'can be uploaded'}")
    terminal.result({"valid": not problems, "problems": list(problems)})
    return int(bool(problems))
