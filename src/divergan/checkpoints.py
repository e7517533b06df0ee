"""All that changes while a training goes on, to a safetensors file and back: a resumed run is bit-identical."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from divergan.errors import DivergaNError
from divergan.lazy import lazy
from divergan.store import sha256, written
from divergan.training import Players, Record

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")


FACTS = "facts"  # the one key of the file's metadata: safetensors writes several in an order that changes


@dataclass(frozen=True, kw_only=True)
class State:
    """What a file holds, by name: networks, their optimisers, owners of random numbers."""

    networks: Mapping[str, torch.nn.Module] = field(default_factory=dict)
    optimisers: Mapping[str, torch.optim.Optimizer] = field(default_factory=dict)
    generators: Mapping[str, torch.Generator] = field(default_factory=dict)


class Damaged(DivergaNError):
    """A checkpoint that is not what was written."""


def save_state(path: Path, state: State, facts: dict[str, Any], files: Iterable[Path] = ()) -> None:
    """Write a state and some facts (JSON types) atomically, with a digest of both.

    `files`, below the folder of `path`, are those that whoever goes on from here will not write again.
    """
    from safetensors.torch import save_file

    sums = {str(file.relative_to(path.parent)): sha256(file) for file in sorted(files)}
    tensors, told = _tensors(state), json.dumps(facts | {"files": sums})
    with written(path) as temporary:
        save_file(tensors, temporary, metadata={FACTS: f"{digest(tensors, told)} {told}"})


def read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors and the facts of a checkpoint; Damaged where they, or the files it names, are not as written."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            saved = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (a safetensors file is no dict)
            expected, _, told = (file.metadata() or {}).get(FACTS, "").partition(" ")
    except SafetensorError as error:
        raise Damaged(f"{path} cannot be read ({error})") from None
    if expected != digest(saved, told):
        raise Damaged(f"{path} does not match its checksum")
    facts = json.loads(told)
    for name, value in facts["files"].items():
        if not (path.parent / name).is_file() or sha256(path.parent / name) != value:
            raise Damaged(f"{path.parent / name} does not match its checksum")
    return saved, facts


def digest(tensors: Mapping[str, torch.Tensor], facts: str) -> str:
    """SHA-256 of tensors on the CPU, their names, types and shapes, and of the facts beside them."""
    total = hashlib.sha256(facts.encode())
    for name, value in sorted(tensors.items()):
        total.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        total.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def restore_state(path: Path, state: State) -> dict[str, Any]:
    """Put a freshly started state where the file's was; returns the facts. Damaged before anything is moved."""
    saved, facts = read(path)
    for name, network in state.networks.items():
        network.load_state_dict(_under(name, saved))
    for name, optimiser in state.optimisers.items():
        optimiser.load_state_dict(_optimiser_state(optimiser, _under(name, saved)))
    for name, generator in state.generators.items():
        generator.set_state(saved[name])
    return facts


def save(path: Path, players: Players, record: Record, files: Iterable[Path] = ()) -> None:
    """Write everything that `restore` needs; `files` as in `save_state`."""
    facts = {"step": players.step, "drawn": players.drawn, "record": asdict(record)}
    save_state(path, state_of(players), facts, files)


def restore(path: Path, players: Players) -> Record:
    """Put freshly started `players` where the checkpoint was; returns its record."""
    facts = restore_state(path, state_of(players))
    players.step, players.drawn = facts["step"], facts["drawn"]
    fields = facts["record"]
    return Record(history=fields["history"], spreads=[(step, value) for step, value in fields["spreads"]])


def state_of(players: Players) -> State:
    return State(
        networks={"generator": players.generator, "critic": players.critic, "average": players.average},
        optimisers={
            "generator_optimiser": players.generator_optimiser,
            "critic_optimiser": players.critic_optimiser,
        },
        generators={"latents": players.latents, "noise": players.noise},
    )


def weights(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A network's state on the CPU, each tensor with memory of its own, as safetensors wants it."""
    return {name: value.detach().cpu().clone().contiguous() for name, value in network.state_dict().items()}


def _tensors(state: State) -> dict[str, torch.Tensor]:
    tensors = {name: generator.get_state() for name, generator in state.generators.items()}
    for name, network in state.networks.items():
        tensors |= {f"{name}/{key}": value for key, value in weights(network).items()}
    for name, optimiser in state.optimisers.items():
        for index, values in optimiser.state_dict()["state"].items():
            tensors |= {f"{name}/{index}/{key}": value.detach().cpu().clone() for key, value in values.items()}
    return tensors


def _under(name: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key.removeprefix(f"{name}/"): value for key, value in tensors.items() if key.startswith(f"{name}/")}


def _optimiser_state(optimiser: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> dict:
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        index, field = key.split("/")
        state.setdefault(int(index), {})[field] = value
    return {"state": state, "param_groups": optimiser.state_dict()["param_groups"]}
