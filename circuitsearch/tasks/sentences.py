"""The rule that writes the prompts of a definition."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from circuitsearch.example import Example

from .counterfactuals import Counterfactual
from .definition import Definition
from .pools import Pools
from .scene import KIND, LABEL, Scene, Word, column_of, shown
from .selection import Known
from .slots import FromList, Same, Unlike, Values, unlike
from .template import Field, fields, fill


@dataclass(frozen=True)
class Sentences:
    """Writes one example of a definition.

    Attributes
    ----------
    task : Definition
        The definition.
    known : mapping
        The words that the tokenizer leaves of each list, by key.
    counterfactual : callable
        The rule for the corrupt prompt.
    order : str
        The name of an order in which shuffled slots stand; by default a random one.
    """

    task: Definition
    known: Known
    counterfactual: Counterfactual
    order: str = ""

    def __call__(self, random: Random, pools: Pools) -> Example:
        template = random.choice(self.askable(pools))
        scene = self._drawn(random, pools, self.task.kind_of[template])
        scene, holds = self._shuffled(random, scene)
        changed = self._labelled(self.counterfactual(scene))
        scene = self._labelled(scene)
        (clean, at), (corrupt, _) = (fill(template, self._shown(template, each)) for each in (scene, changed))
        right = self._answers(self.task.answers, scene)
        return Example(
            clean,
            corrupt,
            right,
            self._answers(self.task.wrong, scene) if self.task.wrong else self._answers(self.task.answers, changed),
            spans={holds.get(name, name): place for name, place in at.items() if self._is_span(holds.get(name, name))},
            factors={**self._factors(scene), "templates": (template,)},
        )

    def askable(self, pools: Pools) -> Sequence[str]:
        """The templates for which the pools have words that differ where they must."""
        different = [slot for slot in self.task.slots.values() if isinstance(slot, Unlike)]
        if not different:
            return pools["templates"]
        kinds = {kind for kind in self.task.templates if all(self._differ(slot, pools, kind) for slot in different)}
        return [template for template in pools["templates"] if self.task.kind_of[template] in kinds]

    def _differ(self, slot: Unlike, pools: Pools, kind: str) -> bool:
        column = kind if slot.column == KIND else slot.column
        words = self._words(slot.list, pools)
        return any(True for word in words for _ in unlike(words, word, column))

    def _words(self, name: str, pools: Pools) -> list[Word]:
        """The words of a list that are in the pools."""
        known = self.known[name]
        return [known[key] for key in pools[self.task.lists[name].factor] if key in known]

    # ---- one scene

    def _drawn(self, random: Random, pools: Pools, kind: str) -> Scene:
        """A word for each slot; slots of one list are drawn together, so that they differ."""
        scene: dict[str, Word] = {KIND: Word(kind)}
        for name, slot in self.task.slots.items():
            if name in scene:
                continue
            if isinstance(slot, Values):
                scene[name] = slot.draw(random)
            elif isinstance(slot, Same):
                scene[name] = scene[slot.slot]
            elif isinstance(slot, Unlike):
                column = column_of(Field(name, slot.column, False, ""), scene)
                words = [word for word in self._words(slot.list, pools) if word not in scene.values()]
                scene[name] = random.choice(list(unlike(words, scene[slot.slot], column)))
            else:
                scene |= self._together(random, slot.list, pools, scene)
        return scene

    def _together(self, random: Random, name: str, pools: Pools, scene: Scene) -> Scene:
        """Different words for all slots of a list that have the cells which the template reads."""
        slots = [each for each, slot in self.task.slots.items() if isinstance(slot, FromList) and slot.list == name]
        words = self._words(name, pools)
        if self.task.lists[name].incomplete:
            texts = [
                text for text in self.task.texts if self.task.kind_of.get(text, scene[KIND].text) == scene[KIND].text
            ]
            read = {column_of(field, scene) for text in texts for field in fields(text) if field.name in slots} - {""}
            words = [word for word in words if read <= set(word.cells)]
        for others, column in self._unlike(slots, pools, scene):
            words = [word for word in words if any(True for _ in unlike(others, word, column))]
        return dict(zip(slots, random.sample(words, len(slots)), strict=True))

    def _unlike(self, slots: Sequence[str], pools: Pools, scene: Scene) -> Iterator[tuple[list[Word], str]]:
        """The words of each slot that must be unlike one of ``slots``, and the column in which."""
        for slot in self.task.slots.values():
            if isinstance(slot, Unlike) and slot.slot in slots:
                yield self._words(slot.list, pools), column_of(Field("", slot.column, False, ""), scene)

    def _shuffled(self, random: Random, scene: Scene) -> tuple[Scene, Mapping[str, str]]:
        """The scene with what is shuffled in its places, and which slot each place holds."""
        holds: dict[str, str] = {}
        for shuffle in self.task.shuffles:
            order = shuffle.order(random, self.order)
            placed = {place: scene[slot] for place, slot in zip(shuffle.into, order, strict=True)}
            labels = dict(zip(order, shuffle.labels, strict=False))
            scene = {**scene, **placed, **{f"{LABEL} of {slot}": Word(label) for slot, label in labels.items()}}
            if shuffle.into != shuffle.slots:
                holds |= dict(zip(shuffle.into, order, strict=True))
        return scene, holds

    def _labelled(self, scene: Scene) -> Scene:
        """The scene in which each shuffled slot has the label of its place in a column."""
        labels = {name: scene[f"{LABEL} of {name}"].text for name in scene if f"{LABEL} of {name}" in scene}
        cells = {name: {**scene[name].cells, LABEL: scene[label].text} for name, label in labels.items()}
        return {**scene, **{name: replace(scene[name], cells=cell) for name, cell in cells.items()}}

    # ---- its texts

    def _shown(self, template: str, scene: Scene) -> dict[str, str]:
        return {field.name: shown(field, scene[field.name], scene) for field in fields(template)}

    def _answers(self, texts: Iterable[str], scene: Scene) -> tuple[str, ...]:
        """The answers of a scene; one that names a list is that of all its words."""
        return tuple(dict.fromkeys(answer for text in texts for answer in self._written(text, scene)))

    def _written(self, text: str, scene: Scene) -> list[str]:
        named = [field for field in fields(text) if field.name in self.known]
        if not named:
            return [fill(text, self._shown(text, scene))[0]]
        words = self.known[named[0].name].values()
        return [fill(text, self._shown(text, {**scene, named[0].name: word}))[0] for word in words]

    def _is_span(self, name: str) -> bool:
        return self.task.source.spans is None or name in self.task.source.spans

    def _factors(self, scene: Scene) -> dict[str, tuple[str, ...]]:
        """The words of the example by factor."""
        used = [scene[name] for name, slot in self.task.slots.items() if isinstance(slot, FromList | Unlike)]
        return {each: tuple(word.key for word in used if word.factor == each) for each in {w.factor: 0 for w in used}}
