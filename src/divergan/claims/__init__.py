"""What published work claims, in a file that is there before the runs that judge it.

Light, for planning: `divergan.claims.judging.judge` is what turns claims and runs into verdicts.
"""

from __future__ import annotations

from divergan.claims.schema import Claim, read
from divergan.claims.wording import evidence

__all__ = ["Claim", "evidence", "read"]
