"""``python -m bench NAME [--json]``."""

import argparse
import importlib
import json
import pkgutil
import sys

import bench


def main() -> int:
    """Run one benchmark and print what it measured."""
    names = sorted(m.name for m in pkgutil.iter_modules(bench.__path__) if m.name != "__main__")
    parser = argparse.ArgumentParser(prog="python -m bench", description=bench.__doc__)
    parser.add_argument("name", choices=names)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    arguments = parser.parse_args()
    figures: bench.Figures = importlib.import_module(f"bench.{arguments.name}").run()
    if arguments.json:
        print(json.dumps(figures, ensure_ascii=False))
    else:
        width = max(map(len, figures))
        for name, value in figures.items():
            print(
                f"{name:{width}}  {value:.4g}"
                if isinstance(value, float)
                else f"{name:{width}}  {value}"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
