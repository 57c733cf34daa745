"""``python -m bench NAME [--json]``."""

import argparse
import importlib
import json
import pkgutil
import sys

import bench

_NO_BENCHMARKS = frozenset({"__main__", "rig"})


def main() -> int:
    """Run one benchmark and print what it measured; 1 where it says that something did not hold."""
    names = sorted(m.name for m in pkgutil.iter_modules(bench.__path__))
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=bench.__doc__, add_help=False
    )
    parser.add_argument("name", choices=[name for name in names if name not in _NO_BENCHMARKS])
    if sys.argv[1:2] in ([], ["-h"], ["--help"]):
        parser.print_help()
        return 0
    name = parser.parse_args(sys.argv[1:2]).name
    figures = _run(name, sys.argv[2:])
    return 0 if figures.get("ok", True) else 1


def _run(name: str, given: list[str]) -> bench.Figures:
    """Let the benchmark read the rest of the line, run it, and print."""
    module = importlib.import_module(f"bench.{name}")
    parser = argparse.ArgumentParser(prog=f"python -m bench {name}", description=module.__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    if hasattr(module, "add_options"):
        module.add_options(parser)
    options = vars(parser.parse_args(given))
    as_json = options.pop("json")
    figures: bench.Figures = module.run(**options)
    if as_json:
        print(json.dumps(figures, ensure_ascii=False))
        return figures
    width = max(map(len, figures))
    for key, value in figures.items():
        print(
            f"{key:{width}}  {value:.4g}" if isinstance(value, float) else f"{key:{width}}  {value}"
        )
    return figures


if __name__ == "__main__":
    sys.exit(main())
