"""Benchmarks: ``python -m bench NAME [--json]`` runs ``bench.NAME`` and prints its figures.

Each module of this package but ``rig`` has one door, ``run()``, which returns named figures, flat,
with the unit in the name. A figure that this machine cannot give is absent, and ``note`` says why.
A module with options of its own has ``add_options(parser)``; ``run()`` takes them by name. Where a
benchmark also judges, ``ok`` says whether all held.
"""

Figures = dict[str, float | int | str]
