"""InceptionV3 with the weights of the FID paper, in the port of torch-fidelity."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

from divergan.errors import DivergaNError
from divergan.lazy import lazy

if TYPE_CHECKING:
    import torch
else:
    torch = lazy("torch")


def check_available(weights: Path | None = None) -> Path:
    """The file of InceptionV3 weights, downloaded where it must be; call it before any GAN is trained.

    `weights` is a person's own copy; without it the copy in torch's cache is used, or fetched into it.
    Raises DivergaNError where no file can be had, or where its bytes are not those that torch-fidelity published.
    """
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3 as page

    name = page.rsplit("/", 1)[-1]
    path = Path(weights) if weights else Path(torch.hub.get_dir(), "checkpoints", name)
    advice = f"download it from {page} and put it there, or choose the feature set 'digits'"
    if not path.exists() and weights:
        raise DivergaNError(f"InceptionV3's weights {name} are not at {path}: {advice}")
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(page, str(path), progress=False)
        except OSError as error:
            raise DivergaNError(f"InceptionV3's weights could not be fetched to {path} ({error}): {advice}") from error
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if not digest.startswith(Path(name).stem.rsplit("-", 1)[-1]):  # the name ends with the hash's first eight digits
        raise DivergaNError(f"{path} has the SHA-256 {digest} and is not the published {name}: {advice}")
    return path


def inception_network(weights: Path | None = None) -> torch.nn.Module:
    """InceptionV3 as the FID and the Inception Score define it: 2048 pooled features, 1008 logits without bias.

    Grey images are repeated to three channels. torch-fidelity unpickles the weights, so they are read once before
    with torch's own restricted reader, which refuses anything but tensors.
    """
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    class Body(torch.nn.Module):
        def __init__(self, extractor: torch.nn.Module) -> None:
            super().__init__()
            self.extractor = extractor

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            levels = ((images + 1) * 127.5).round().to(torch.uint8)  # undoes to_unit_range exactly
            rgb = levels.expand(-1, 3, -1, -1) if levels.shape[1] == 1 else levels
            return self.extractor(rgb)[0]

    path = check_available(weights)
    torch.load(path, map_location="cpu", weights_only=True)
    extractor = FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=str(path))
    head = torch.nn.Linear(2048, 1008, bias=False)
    head.weight = extractor.fc.weight
    return torch.nn.Sequential(OrderedDict(body=Body(extractor), head=head)).eval()
