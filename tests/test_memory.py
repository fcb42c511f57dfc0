"""Sizes in words, and what the operating system counts."""

from __future__ import annotations

import sys

import pytest
import torch

from circuitsearch.errors import InputError
from circuitsearch.memory import bytes_in, give_back, peak, taken


@pytest.mark.parametrize(
    ("words", "size"),
    [("4GiB", 4 << 30), ("500MB", 500_000_000), (" 1.5 gib ", 3 << 29), ("2g", 2 << 30), ("64", 64), ("3 kB", 3000)],
)
def test_sizes_as_people_write_them(words: str, size: int):
    """Powers of 1000 and of 1024, in any case, with a space or without."""
    assert bytes_in(words) == size


@pytest.mark.parametrize("words", ["", "much", "4 GiBs", "-1GB", "0GiB", "1e9", "4,5GB", "GiB", "9" * 40])
def test_other_texts_are_refused(words: str):
    """With three that would do."""
    with pytest.raises(InputError, match=r"is not a size of memory: write it as 4GiB, 1\.5GB or 500MB"):
        bytes_in(words)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what is resident now")
def test_what_is_taken_is_counted_and_given_back():
    """A tensor of 64 MiB counts from when it is written until it is let go; the peak stays."""
    size = 64 << 20
    give_back()
    before = taken()
    tensor = torch.ones(size, dtype=torch.uint8)
    during = taken()
    assert before is not None and during is not None and during - before > 0.9 * size
    del tensor
    give_back()
    after, most = taken(), peak()
    assert after is not None and most is not None and during - after > 0.9 * size and most > during - size / 10
