"""Several processes that share the work of one run, each with the whole model, on torch.distributed.

Every process, a *rank*, runs the same program on the same prompts and takes the same decisions. Only loops over independent work are
divided: a rank does its share, and then all ranks have the numbers of all. A number is computed by one rank and copied to the
others, or is a sum that is added in the order of the ranks; so the same number of processes gives the same bits again.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import reduce
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar
from zlib import crc32

from circuitsearch.errors import InputError, LostProcess, shortened

if TYPE_CHECKING:
    from torch import Tensor

PATIENCE = 86_400  # seconds to wait for a process that neither answers nor ends, unless CIRCUITSEARCH_TIMEOUT is set
AT_MOST = 5  # seconds to wait for another process to report an error
NUMBERS_AT_ONCE = 1 << 22  # of a sum, gathered together from all ranks

Item = TypeVar("Item")


@dataclass(frozen=True)
class World:
    """The processes of a run, of which this is number ``rank`` of ``size``; by default it is alone.

    Examples
    --------
    >>> World(1, 3).share(range(8)), World().share("abc")
    (range(1, 8, 3), 'abc')
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and messages."""
        return self.rank == 0

    # ---- who does what

    def share(self, items: Sequence[Item], begin: int = 0) -> Sequence[Item]:
        """This rank's items, dealt like cards; the first one goes to rank ``begin``."""
        return items[(self.rank - begin) % self.size :: self.size]

    def slice(self, n: int) -> slice:
        """This rank's part of ``n`` things in a row."""
        return slice(n * self.rank // self.size, n * (self.rank + 1) // self.size)

    def numbers(self) -> Iterator[int]:
        """0, 1, 2 ..., each given to the rank that asks first: for work that takes longer or shorter. All ranks begin together."""
        if self.size == 1:
            yield from count()
        if self.first:
            _store().set("next", "0")
        self.wait()
        while True:
            with _answered():
                number = _store().add("next", 1) - 1
            yield number

    # ---- what all have then

    def filled(self, values: Tensor, *of: Tensor) -> Tensor:
        """The values of all ranks, of which each has computed some and has zero in place of the others.

        A number plus zeros is that number, whatever the order of the sum. ``of`` is what the values are computed from: ranks that
        came to different ones would mix their numbers, and end with an error.
        """
        if self.size == 1:
            return values
        self._check_agree(values, of)
        whole = values.contiguous().clone()
        with _answered():
            _torch().all_reduce(whole)
        return whole

    def total(self, values: Tensor, *of: Tensor) -> Tensor:
        """The sum of the ranks' values, added in the order of the ranks; ``of`` as for :meth:`filled`."""
        if self.size == 1:
            return values
        self._check_agree(values, of)
        whole = values.contiguous().clone()
        for piece in whole.flatten().split(NUMBERS_AT_ONCE):  # views of it
            each = [piece.clone() for _ in range(self.size)]
            with _answered():
                _torch().all_gather(each, piece.clone())
            piece.copy_(reduce(operator.add, each))
        return whole

    def same(self, content: bytes) -> bytes:
        """The bytes that the first rank gives."""
        if self.size == 1:
            return content
        import torch

        with _answered():
            length = torch.tensor([len(content)])
            _torch().broadcast(length, 0)
            sent = bytearray(content) if self.first else bytearray(int(length))
            if sent:
                _torch().broadcast(torch.frombuffer(sent, dtype=torch.uint8), 0)
        return bytes(sent)

    def agreed(self, answer: bool) -> bool:
        """What the first rank answers."""
        return bool(self.same(bytes([answer]))[0])

    def wait(self) -> None:
        """Return when all ranks have come here."""
        import torch

        self.filled(torch.zeros(1))

    def _check_agree(self, values: Tensor, of: Sequence[Tensor]) -> None:
        import torch

        mark = crc32(f"{values.dtype} {tuple(values.shape)}".encode())
        for each in of:
            mark = crc32(each.contiguous().numpy().data, mark)
        marks = torch.zeros(self.size, dtype=torch.long)
        marks[self.rank] = mark
        with _answered():
            _torch().all_reduce(marks)
        if (marks != mark).any():
            raise InputError(
                "the processes of this run came to different circuits, so their numbers do not fit together: start all of them with"
                " the same versions on the same kind of machine"
            )

    @contextmanager
    def telling(self) -> Iterator[bool]:
        """Whether this rank reports an error: the first one that has to. The others wait until it has, since their end may end it."""
        if self.size == 1:
            yield True
            return
        store = _store()
        try:
            tells = store.add("telling", 1) == 1
            if not tells:
                store.wait(["told"], timedelta(seconds=AT_MOST))
        except RuntimeError:  # the store ended with the process that keeps it: without torchrun the first one
            tells = self.rank == 1
        yield tells
        with suppress(RuntimeError):
            store.set("told", "")


ALONE = World()


def world() -> World:
    """The processes that torch.distributed joins; a world of one if it joins none.

    Examples
    --------
    >>> world()
    World(rank=0, size=1)
    """
    torch_distributed = _torch()
    if not torch_distributed.is_available() or not torch_distributed.is_initialized():
        return ALONE
    return World(torch_distributed.get_rank(), torch_distributed.get_world_size())


@contextmanager
def joined(environment: Mapping[str, str] = os.environ) -> Iterator[World]:
    """Join the processes that torchrun or ``accelerate launch`` started, by the variables that these set, until the block ends.

    Collectives use gloo for tensors on the CPU and NCCL for those on GPUs; each process of a machine has the GPU of its number there.

    Raises
    ------
    InputError
        If a variable is missing or wrong.
    LostProcess
        If the others do not come.
    """
    size = _integer(environment, "WORLD_SIZE", 1)
    if size == 1:
        yield ALONE
        return
    missing = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if name not in environment]
    if missing:
        raise InputError(
            f"WORLD_SIZE is {size}, but {', '.join(missing)} is not set: start the processes with torchrun, or unset WORLD_SIZE"
        )
    rank, local_size = _integer(environment, "RANK", 0), on_this_machine(environment)
    backend = _backend(_integer(environment, "LOCAL_RANK", rank), local_size)
    # torchrun gives restarted processes the store of those before, in which their addresses still are. On several machines the count
    # may differ, and docs/scaling.md asks torchrun for a new store.
    attempt = _integer(environment, "TORCHELASTIC_RESTART_COUNT", 0) if local_size == size else 0
    timeout = timedelta(seconds=_integer(environment, "CIRCUITSEARCH_TIMEOUT", PATIENCE))
    distributed = _torch()
    with _answered():
        store, _, _ = next(distributed.rendezvous("env://", timeout=timeout))
        store = distributed.PrefixStore(f"circuitsearch-{attempt}", store)
        distributed.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=timeout)
    try:
        yield World(rank, size)
    finally:
        distributed.destroy_process_group()


def on_this_machine(environment: Mapping[str, str] = os.environ) -> int:
    """How many processes share the work on this machine: all of them, if the launcher does not say."""
    return _integer(environment, "LOCAL_WORLD_SIZE", _integer(environment, "WORLD_SIZE", 1))


def _backend(local_rank: int, local_size: int) -> str:
    """Take this process's GPU, if there are any, and name what carries tensors between processes."""
    import torch

    n_gpus = torch.cuda.device_count()
    if n_gpus == 0:
        return "gloo"
    torch.cuda.set_device(local_rank % n_gpus)
    return f"cpu:gloo,cuda:{'nccl' if n_gpus >= local_size else 'gloo'}"  # NCCL does not let two processes have one GPU


def _integer(environment: Mapping[str, str], name: str, otherwise: int) -> int:
    text = environment.get(name, "")
    if text and not text.isdecimal():
        raise InputError(f"the environment variable {name} must be an integer, not {shortened(repr(text))}: unset it")
    return int(text) if text else otherwise


def _torch() -> Any:
    import torch.distributed

    return torch.distributed


def _store() -> Any:
    """Keys and values that all processes see."""
    return _torch().group.WORLD.get_group_store()


@contextmanager
def _answered() -> Iterator[None]:
    """Turn the library's errors about processes that do not answer into a sentence."""
    try:
        yield
    except RuntimeError as error:
        raise LostProcess(
            "another process of this run ended or did not answer in time: its own message says why; start the same command again,"
            " and it goes on from what is finished"
        ) from error
