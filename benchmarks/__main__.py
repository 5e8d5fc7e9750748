"""``python -m benchmarks NAME [ARGUMENTS]`` runs ``main(arguments)`` of ``benchmarks/NAME.py``."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path


def names() -> list[str]:
    """The benchmarks beside this file."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_"))


def main(arguments: list[str]) -> int:
    """Run the benchmark that the first argument names with the other arguments; the exit code."""
    if not arguments or arguments[0] not in names():
        print(f"usage: python -m benchmarks NAME [ARGUMENTS]; NAME is one of: {', '.join(names())}", file=sys.stderr)
        return 2
    code = import_module(f"benchmarks.{arguments[0]}").main(arguments[1:])
    return int(code or 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
