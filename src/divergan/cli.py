"""The command line's entry: what a person can put right is one message and an exit code, never a traceback."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sys

from divergan.errors import DivergaNError

FULL = (errno.ENOSPC, errno.EDQUOT)
FORBIDDEN = (errno.EACCES, errno.EROFS, errno.EPERM)
INTERRUPTED = 130  # as a shell tells of SIGINT


def main() -> None:
    """Run the command line; what a person can put right is one message and exit code 2 or 3, never a traceback."""
    try:
        from divergan.commands import app  # here, so that Ctrl-C is answered while it is imported as well

        app()
    except KeyboardInterrupt:
        stopped()
    except SystemExit as ended:  # the parser has taken the KeyboardInterrupt for itself
        if ended.code == INTERRUPTED:
            stopped()
        raise
    except DivergaNError as error:
        stop(f"error: {error}", 2)
    except Exception as error:
        place = f" ({name})" if (name := getattr(error, "filename", None)) else ""
        if (code := failure(error)) in FULL:
            stop(
                f"error: the disk is full{place}. Nothing half-made was kept under a real name: free space, run again",
                3,
            )
        if code in FORBIDDEN:
            stop(
                f"error: may not write{place}: {os.strerror(code)}. Give yourself the right to, or use another folder",
                3,
            )
        if no_memory(error):
            stop(
                "error: out of memory. Run fewer jobs at once (--cores), or with a smaller batch or network; what was "
                "half made waits, and the next run goes on from it",
                3,
            )
        raise


def stopped() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # one more Ctrl-C would be a traceback of what others do at the end
    stop("stopped: the same command goes on from what is there", INTERRUPTED)


def no_memory(error: Exception) -> bool:
    """Python's own, numpy's, and those of torch on a CPU and on a GPU, which are told apart by their words alone."""
    words = ("allocate memory", "out of memory")
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(w in str(error) for w in words))


def failure(error: Exception) -> int:
    """The errno of a failed write, 0 if it is none: shutil and safetensors keep only its text."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    textual = isinstance(error, shutil.Error) or type(error).__name__ == "SafetensorError"
    return next((code for code in (*FULL, *FORBIDDEN) if textual and os.strerror(code) in str(error)), 0)


def stop(message: str, code: int) -> None:
    print(message, file=sys.stderr)
    raise SystemExit(code)
