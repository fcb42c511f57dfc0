"""``circuitsearch inspect``: one instrument on one task, its numbers and its figure in a folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from circuitsearch import instruments
from circuitsearch.budget import load_in
from circuitsearch.cli import options
from circuitsearch.cli.terminal import Terminal
from circuitsearch.errors import InputError, counted, unknown
from circuitsearch.experiment import Experiment
from circuitsearch.figures import draw
from circuitsearch.files import write_whole
from circuitsearch.granularity import MERGED
from circuitsearch.instruments.patching import site_named
from circuitsearch.instruments.result import Result
from circuitsearch.question import OnePrompt, Question, writes_prompts
from circuitsearch.task import Task

N_PROMPTS = 64
MOST_HEADS = 16  # patterns in one figure


@dataclass(frozen=True)
class Look:
    """The options as given; ``given`` has the names of those on the command line."""

    instrument: str
    task: str | None = None
    clean: str | None = None
    corrupt: str | None = None
    answer: str | None = None
    wrong: str | None = None
    align: str = "error"
    subject: str | None = None
    model: str = "pico"
    n: int | None = None
    seed: int = 0
    metric: str | None = None
    spans: str | None = None
    site: str = "stream"
    noising: bool = False
    heads: str | None = None
    said_twice: bool = False
    translator: Path | None = None
    logit_alone: bool = False
    noise: float | None = None
    window: int | None = None
    seeds: int = 10
    shuffles: int = 4
    device: str = "auto"
    dtype: str | None = None
    memory: str | None = None
    column: list[str] | None = None
    corrupt_file: Path | None = None
    chat: bool = False
    given: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.instrument not in INSTRUMENTS:
            raise unknown("instrument", self.instrument, INSTRUMENTS)
        extra = sorted((self.given & _KNOBS) - INSTRUMENTS[self.instrument].knobs)
        if extra:
            names = ", ".join(f"--{name.replace('_', '-')}" for name in extra)
            raise InputError(f"inspect {self.instrument} does not take {names}: leave it out")
        one = self.one_prompt
        if (self.task is not None) + (one is not None) + self.said_twice != 1:
            raise InputError(
                "inspect needs --task, a name or a file, or else one prompt: --clean, --corrupt, --answer, --wrong"
            )
        site_named(self.site)
        self.question.check()

    @property
    def one_prompt(self) -> OnePrompt | None:
        """The prompt, if one is given instead of a task."""
        return options.one_prompt(self.clean, self.corrupt, self.answer, self.wrong)

    @property
    def question(self) -> Question:
        """The options that other commands have too; for random tokens said twice the task is a placeholder."""
        written = self.task is not None and writes_prompts(self.task)
        n = N_PROMPTS if self.n is None and written else self.n
        words = {
            name: getattr(self, name) for name in ("align", "model", "seed", "metric", "device", "dtype", "memory")
        }
        reading = options.reading(self.column, self.corrupt_file, self.chat)
        return Question(
            task="ioi" if self.said_twice else self.task, prompt=self.one_prompt, n=n, reading=reading, **words
        )

    def named_spans(self, task: Task) -> tuple[str, ...]:
        """The spans that are columns: those asked for, or, where prompts differ in length, all that every prompt has."""
        if self.spans is not None:
            return tuple(name.strip() for name in self.spans.split(","))
        if len({len(ids) for ids in task.clean}) == 1:
            return ()
        return tuple(name for name in task.span_names if all(spans.get(name) for spans in task.spans))


@dataclass(frozen=True)
class Seen:
    """The options with the verified model and its prompts, and the file of what a long instrument has measured so far."""

    look: Look
    model: Experiment
    tokenizer: Any
    task: Task
    progress: Callable[[int, int], None]
    checkpoint: Path


def inspect(look: Look, out: Path | None, terminal: Terminal) -> None:
    """Run the instrument, print its largest numbers, and write all of them, with a figure, to a folder."""
    if out is not None and out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file: give the name of a folder with --out")
    model, tokenizer = load_in(look.memory, look.model, look.device, look.dtype)
    task = _task(look, model, tokenizer)
    name = "prompt" if look.one_prompt is not None else task.name
    where = out or Path("runs") / f"inspect-{name}-{look.question.model_name}"
    checkpoint = where / f"{look.instrument}.state"
    known = Experiment(model, task, granularity=MERGED, memory=look.question.working_bytes)
    with terminal.progress(look.instrument) as bar:
        result = INSTRUMENTS[look.instrument].use(Seen(look, known, tokenizer, task, bar, checkpoint))
    where.mkdir(parents=True, exist_ok=True)
    numbers, figure = where / f"{look.instrument}.json", where / f"{look.instrument}.svg"
    write_whole(numbers, result.save)
    draw(result, figure)
    checkpoint.unlink(missing_ok=True)
    header, rows = result.table()
    terminal.table(f"{look.instrument} on {task.name}, {counted(len(task), 'prompt')}", header, rows)
    for line in _remarks(result):
        terminal.say("", line)
    terminal.say("numbers", str(numbers))
    terminal.say("figure", str(figure))
    terminal.result({"numbers": str(numbers), "figure": str(figure), "result": result.to_dict()})


def _task(look: Look, model: Any, tokenizer: Any) -> Task:
    if look.said_twice:
        return instruments.said_twice(model, look.n or N_PROMPTS, tokenizer, seed=look.seed)
    if look.one_prompt is None or not look.subject or tokenizer is None:
        return look.question.prompts(tokenizer)
    task = instruments.prompt_pair(tokenizer, **look.one_prompt.model_dump(), subject=look.subject)
    return task if look.metric is None else replace(task, metric=look.question.metric_asked)


def _remarks(result: Result) -> list[str]:
    """Remarks on the numbers."""
    if isinstance(result, instruments.CausalTrace):
        return [result.verdict]
    if isinstance(result, instruments.DirectLogit):
        capped = (
            ["this model has a soft cap on its logits: the attribution is to the logit before the cap"]
            if result.capped
            else []
        )
        return [f"the sum of the parts differs from the {result.target} by at most {result.error:.1e}", *capped]
    if isinstance(result, instruments.Decomposition):
        return [f"the sum of the parts differs from the final stream by at most {result.error:.1e} of its length"]
    return list(result.left_out) if isinstance(result, instruments.HeadRoles) else []


# ---- the instruments


def _lens(seen: Seen) -> Result:
    path = seen.look.translator
    translator = None if path is None else instruments.TunedLens.load(path)
    spans = seen.look.named_spans(seen.task)
    return instruments.logit_lens(seen.model, seen.task, spans=spans, translator=translator, tokenizer=seen.tokenizer)


def _dla(seen: Seen) -> Result:
    return instruments.direct_logit(seen.model, seen.task, against_wrong=not seen.look.logit_alone)


def _residual(seen: Seen) -> Result:
    return instruments.decompose(
        seen.model, seen.task, spans=seen.look.named_spans(seen.task), tokenizer=seen.tokenizer
    )


def _patch(seen: Seen) -> Result:
    look, site = seen.look, site_named(seen.look.site)
    if site.by_head and look.spans is not None:
        raise InputError(f"{site.name} is patched by head, at all tokens: leave out --spans")
    spans = () if site.by_head else look.named_spans(seen.task)
    told: dict[str, Any] = {"spans": spans, "tokenizer": seen.tokenizer}
    told |= {"checkpoint": seen.checkpoint, "progress": seen.progress}
    return instruments.activation_patching(seen.model, seen.task, site, noising=look.noising, **told)


def _trace(seen: Seen) -> Result:
    look, names = seen.look, seen.task.span_names
    subject = (
        look.subject
        if look.clean is None and look.subject
        else next((n for n in ("subject", "country") if n in names), "")
    )
    if not subject:
        there = f": it has {', '.join(names)}" if names else ""
        raise InputError(f"trace needs the span of the task that is the subject: give --subject{there}")
    told: dict[str, Any] = {"seeds": look.seeds, "by_role": len(seen.task) > 1, "tokenizer": seen.tokenizer}
    told |= {"noise": look.noise, "window": look.window, "checkpoint": seen.checkpoint, "progress": seen.progress}
    return instruments.causal_trace(seen.model, seen.task, subject, site=site_named(look.site), **told)


def _attention(seen: Seen) -> Result:
    lengths = [len(ids) for ids in seen.task.clean]
    task = seen.task.of_length(max(set(lengths), key=lambda length: (lengths.count(length), -length)))
    asked = seen.look.heads
    heads = () if asked is None else tuple(name.strip() for name in asked.split(","))
    found = instruments.attention(seen.model, task, heads, tokenizer=seen.tokenizer)
    if len(found.heads) > MOST_HEADS:
        raise InputError(
            f"{len(found.heads)} heads are too many for one figure: name up to {MOST_HEADS} with --heads a1.h2,a1.h3"
        )
    return found


def _heads(seen: Seen) -> Result:
    told: dict[str, Any] = {"shuffles": seen.look.shuffles, "seed": seen.look.seed, "progress": seen.progress}
    return instruments.head_roles(seen.model, seen.task, tokenizer=seen.tokenizer, **told)


@dataclass(frozen=True)
class Instrument:
    """An instrument on the command line, and the options that only it, or few others, take."""

    use: Callable[[Seen], Result]
    knobs: frozenset[str] = frozenset()


INSTRUMENTS = {
    "logit-lens": Instrument(_lens, frozenset({"spans", "translator"})),
    "dla": Instrument(_dla, frozenset({"logit_alone"})),
    "residual": Instrument(_residual, frozenset({"spans"})),
    "patch": Instrument(_patch, frozenset({"spans", "site", "noising", "metric"})),
    "trace": Instrument(_trace, frozenset({"site", "noise", "window", "seeds", "subject"})),
    "attention": Instrument(_attention, frozenset({"heads", "said_twice"})),
    "heads": Instrument(_heads, frozenset({"shuffles"})),
}
_KNOBS = frozenset().union(*(each.knobs for each in INSTRUMENTS.values()))
