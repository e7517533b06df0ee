"""Hold requirements.lock against the published advisories, with pip-audit in an environment of its own.

Exit code 0: every package was looked up, and none has a known vulnerability. 1: some have. 3: not audited, or not all
were: pip-audit itself ends with 0 where it could look up nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

COMMAND = [
    *(str(Path(sys.executable).with_name("uvx")), "--quiet", "pip-audit", "--progress-spinner", "off"),
    *("--disable-pip", "--require-hashes", "--requirement", "requirements.lock", "--format", "json"),
]
VULNERABLE, NOT_AUDITED = 1, 3
NAMED = 5


def judged(output: str) -> tuple[int, str]:
    """Exit code and what to print of pip-audit's output."""
    try:
        packages = json.loads(output)["dependencies"]
    except (ValueError, LookupError, TypeError):
        return NOT_AUDITED, "not audited: no network, or pip-audit failed"
    skipped = [package for package in packages if "skip_reason" in package]
    lines = [f"{own['name']} {own['version']}: {told(fault)}" for own in packages for fault in own.get("vulns", [])]
    code = VULNERABLE if lines else NOT_AUDITED if skipped or not packages else 0
    if skipped or not packages:
        names = ", ".join(package["name"] for package in skipped[:NAMED]) + (", ..." if len(skipped) > NAMED else "")
        lines.append(f"not audited: no advisories can be had for {len(skipped)} of {len(packages)} packages ({names})")
    return code, "\n".join(lines) or f"{len(packages)} packages, no known vulnerability"


def told(fault: dict[str, object]) -> str:
    versions = fault.get("fix_versions")
    fixed = f"fixed in {', '.join(map(str, versions))}" if isinstance(versions, list) and versions else "no fix yet"
    return f"{fault.get('id')}, {fixed}"


def main() -> None:
    done = subprocess.run(COMMAND, capture_output=True, text=True)
    code, text = judged(done.stdout)
    if not done.stdout:
        print(done.stderr.strip().rpartition("\n")[2], file=sys.stderr)
    print(text)
    raise SystemExit(code)


if __name__ == "__main__":
    main()
