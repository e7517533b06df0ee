"""Players and record to tensors and back, for safetensors files: a resumed run is bit-identical to an unbroken one."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from divergan.lazy import lazy
from divergan.store import written
from divergan.training import Players, Record

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")


def save(path: Path, players: Players, record: Record) -> None:
    """Write everything that `restore` needs, atomically."""
    from safetensors.torch import save_file

    facts = {"step": players.step, "drawn": players.drawn, "record": asdict(record)}
    with written(path) as temporary:
        save_file(_tensors(players), temporary, metadata={"facts": json.dumps(facts)})


def restore(path: Path, players: Players) -> Record:
    """Put freshly started `players` where the checkpoint was; returns its record."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        saved = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (a safetensors file is no dict)
        facts = json.loads(file.metadata()["facts"])
    for name, network in _networks(players).items():
        network.load_state_dict(_under(name, saved))
    for name, optimiser in _optimisers(players).items():
        optimiser.load_state_dict(_optimiser_state(optimiser, _under(name, saved)))
    players.latents.set_state(saved["latents"])
    players.step, players.drawn = facts["step"], facts["drawn"]
    fields = facts["record"]
    return Record(history=fields["history"], spreads=[(step, value) for step, value in fields["spreads"]])


def weights(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A network's state on the CPU, each tensor with memory of its own, as safetensors wants it."""
    return {name: value.detach().cpu().clone().contiguous() for name, value in network.state_dict().items()}


def _networks(players: Players) -> dict[str, torch.nn.Module]:
    return {"generator": players.generator, "critic": players.critic, "average": players.average}


def _optimisers(players: Players) -> dict[str, torch.optim.Optimizer]:
    return {"generator_optimiser": players.generator_optimiser, "critic_optimiser": players.critic_optimiser}


def _tensors(players: Players) -> dict[str, torch.Tensor]:
    tensors = {"latents": players.latents.get_state()}
    for name, network in _networks(players).items():
        tensors |= {f"{name}/{key}": value for key, value in weights(network).items()}
    for name, optimiser in _optimisers(players).items():
        for index, state in optimiser.state_dict()["state"].items():
            tensors |= {f"{name}/{index}/{key}": value.detach().cpu().clone() for key, value in state.items()}
    return tensors


def _under(name: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key.removeprefix(f"{name}/"): value for key, value in tensors.items() if key.startswith(f"{name}/")}


def _optimiser_state(optimiser: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> dict:
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        index, field = key.split("/")
        state.setdefault(int(index), {})[field] = value
    return {"state": state, "param_groups": optimiser.state_dict()["param_groups"]}
