"""All that changes while a training goes on, to a safetensors file and back: a resumed run is bit-identical."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from divergan.lazy import lazy
from divergan.store import written
from divergan.training import Players, Record

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")


@dataclass(frozen=True, kw_only=True)
class State:
    """What a file holds, by name: networks, their optimisers, owners of random numbers."""

    networks: Mapping[str, torch.nn.Module] = field(default_factory=dict)
    optimisers: Mapping[str, torch.optim.Optimizer] = field(default_factory=dict)
    generators: Mapping[str, torch.Generator] = field(default_factory=dict)


def save_state(path: Path, state: State, facts: dict[str, Any]) -> None:
    """Write a state and some facts (JSON types) atomically."""
    from safetensors.torch import save_file

    with written(path) as temporary:
        save_file(_tensors(state), temporary, metadata={"facts": json.dumps(facts)})


def restore_state(path: Path, state: State) -> dict[str, Any]:
    """Put a freshly started state where the file's was; returns the facts."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        saved = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (a safetensors file is no dict)
        facts = json.loads(file.metadata()["facts"])
    for name, network in state.networks.items():
        network.load_state_dict(_under(name, saved))
    for name, optimiser in state.optimisers.items():
        optimiser.load_state_dict(_optimiser_state(optimiser, _under(name, saved)))
    for name, generator in state.generators.items():
        generator.set_state(saved[name])
    return facts


def save(path: Path, players: Players, record: Record) -> None:
    """Write everything that `restore` needs."""
    save_state(path, state_of(players), {"step": players.step, "drawn": players.drawn, "record": asdict(record)})


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
