"""Arrays out of a pickle that is not ours, without letting it run anything. Check its hash first all the same."""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING, Any

from divergan.data.sets import DataError
from divergan.lazy import lazy

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy("numpy")


def read_arrays(content: bytes) -> Any:
    """What the pickle holds: numpy arrays in built-in containers; DataError, before anything runs, for all else."""
    # latin1: the file was written by Python 2, whose strings are the arrays' bytes.
    return ArraysOnly(io.BytesIO(content), encoding="latin1").load()


class ArraysOnly(pickle.Unpickler):
    """Refuses every global but the three that a plain array needs, so that nothing in the pickle can run."""

    def find_class(self, module: str, name: str) -> Any:
        # numpy 2 renamed core to _core and warns about the old name, so the function is taken from an array.
        reconstruct = np.empty(0).__reduce__()[0]
        admitted = {
            ("numpy.core.multiarray", "_reconstruct"): reconstruct,
            ("numpy._core.multiarray", "_reconstruct"): reconstruct,
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
        }
        if (module, name) not in admitted:
            raise DataError(f"the pickle asks for {module}.{name}, expected numpy arrays alone: do not use this file")
        return admitted[module, name]
