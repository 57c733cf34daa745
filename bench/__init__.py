"""Benchmarks: ``python -m bench NAME [--json]`` runs ``bench.NAME`` and prints its figures.

Each module of this package has one door, ``run()``, which returns named figures, flat, with the
unit in the name. A figure that this machine cannot give is absent, and ``note`` says why.
"""

Figures = dict[str, float | int | str]
