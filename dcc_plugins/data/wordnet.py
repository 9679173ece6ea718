"""The ImageNet classes and everything above them in WordNet 3.0.

Rows of `imagenet_wordnet.json`: row i < 1000 is the class with label i + 1 of ImageNet's class table (`map_clsloc`,
which ImageNet32 uses; it is not the order of sorted ids); the others are the synsets above them.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from dcc_core import DccError

CLASSES = 1000

GROUPS = {
    "automobile": "n02701002 n02814533 n02930766 n03100240 n03594945 n03670208 n03777568 n04037443 n04285008",
    "truck": "n03770679 n03345487 n03417042 n03930630 n04461696 n04467665 n03796401 n03977966 n04465501",
}
"""The paper's two groups that are no synset: WordNet's car has the minivan too, its truck lacks the tractor."""


@dataclass(frozen=True)
class Choice:
    """What a word chose: a title, the rows of its classes in label order, and the word's other senses."""

    title: str
    rows: tuple[int, ...]
    others: tuple[str, ...] = ()


class WordNet:
    """The 1000 classes, the synsets above them, and how to name them."""

    def __init__(
        self,
        wnids: Sequence[str],
        names: Sequence[Sequence[str]],
        parents: Sequence[Sequence[int]],
        glosses: Sequence[str],
    ) -> None:
        self.wnids = list(wnids)
        self.glosses = list(glosses)
        self._row = {wnid: row for row, wnid in enumerate(self.wnids)}
        self._senses = [[_sense(name) for name in own] for own in names]
        self._named: dict[str, list[tuple[int, int]]] = {}
        for row, senses in enumerate(self._senses):
            for word, number in senses:
                self._named.setdefault(_fold_case(word), []).append((number, row))
        self._leaves: list[set[int]] = [set() for _ in self.wnids]
        for leaf in range(CLASSES):
            above = [leaf]
            while above:
                row = above.pop()
                if leaf not in self._leaves[row]:
                    self._leaves[row].add(leaf)
                    above += parents[row]

    def name(self, row: int) -> str:
        """The first word of a synset, as the class table spells it: `great_white_shark`."""
        return self._senses[row][0][0]

    def synset(self, row: int) -> str:
        """A synset in WordNet's notation: `truck.n.01`."""
        word, number = self._senses[row][0]
        return f"{word}.n.{number:02d}"

    def leaves(self, row: int) -> tuple[int, ...]:
        """The classes at or below a synset, in label order."""
        return tuple(sorted(self._leaves[row]))

    def choose(self, word: str) -> Choice:
        """The classes that a word names: one of the paper's groups, `all`, an id, a sense, or a word.

        A word means its lowest sense among the synsets here. Raises DccError for a word that is unknown, or that
        names two classes.
        """
        if _fold_case(word) in GROUPS:
            rows = tuple(sorted(self._row[w] for w in GROUPS[_fold_case(word)].split()))
            others = [row for _, row in self._named[_fold_case(word)]]
            return Choice(f"{_fold_case(word)}: the paper's list", rows, tuple(self._line(row) for row in others))
        if _fold_case(word) == "all":
            return Choice("all classes", tuple(range(CLASSES)))
        if word in self._row:
            return self._choice(self._row[word])
        if match := re.fullmatch(r"(.+)\.n\.(\d+)", word):
            senses = dict(self._named.get(_fold_case(match[1]), []))
            if int(match[2]) in senses:
                return self._choice(senses[int(match[2])])
            raise self._unknown(word, match[1])
        return self._sense_of(word)

    def _sense_of(self, word: str) -> Choice:
        found = sorted(self._named.get(_fold_case(word), []))
        if not found:
            raise self._unknown(word, word)
        row = found[0][1]
        classes = [r for _, r in found if r < CLASSES and _fold_case(self.name(r)) == _fold_case(word)]
        if len(classes) > 1:  # crane, maillot; Cardigan and cardigan differ by case alone
            exact = [r for r in classes if self.name(r) == re.sub(r"[\s-]+", "_", word)]
            if len(exact) != 1:
                listed = "\n".join(f"  {self._line(r)}" for r in classes)
                raise DccError(f"imagenet32: '{word}' names {len(classes)} classes; write the id of one:\n{listed}")
            row = exact[0]
        return self._choice(row, [r for _, r in found if r != row])

    def _choice(self, row: int, others: Sequence[int] = ()) -> Choice:
        title = f"{self.synset(row)} {self.wnids[row]}: {self.glosses[row]}"
        return Choice(title, self.leaves(row), tuple(self._line(r) for r in others))

    def _line(self, row: int) -> str:
        count = len(self._leaves[row])
        noun = "class" if count == 1 else "classes"
        return f"{self.synset(row)} {self.wnids[row]} ({count} {noun}): {self.glosses[row]}"

    def _unknown(self, word: str, base: str) -> DccError:
        import difflib

        words = difflib.get_close_matches(_fold_case(base), self._named, n=5, cutoff=0.6)
        rows = list(dict.fromkeys(row for w in [_fold_case(base), *words] for _, row in sorted(self._named.get(w, []))))
        near = "".join(f"\n  {self._line(row)}" for row in rows[:5])
        return DccError(
            f"imagenet32: no group, synset or class named '{word}' at or above the ImageNet classes"
            + (f"; near it:{near}" if near else "")
        )


@functools.cache
def wordnet() -> WordNet:
    """The table that ships with the package."""
    text = resources.files("dcc_plugins.data").joinpath("imagenet_wordnet.json").read_text(encoding="utf-8")
    table = json.loads(text)
    wnids, names = [f"n{w}" for w in table["wnid"]], [words.split() for words in table["names"]]
    return WordNet(wnids, names, table["parents"], table["glosses"])


def names() -> list[str]:
    """What `imagenet32:` takes, as patterns list it: the paper's groups, `all`, and every synset in its notation."""
    groups = [*GROUPS, "terrier", "fish", "lizard", "insect", "all"]
    table = wordnet()
    return [*groups, *(table.synset(row) for row in range(len(table.wnids)))]


def _sense(name: str) -> tuple[str, int]:
    """`car#2` is the second sense of car; no number is the first."""
    word, _, number = name.partition("#")
    return word, int(number or 1)


def _fold_case(word: str) -> str:
    return re.sub(r"[\s_-]+", "_", word).casefold()
