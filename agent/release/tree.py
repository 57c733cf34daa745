"""The tree of a release: a virtual environment that runs wherever it is put.

    bin/python                    a link to the system's interpreter
    pyvenv.cfg
    lib/python3.X/site-packages   the agent and all that it needs, compiled

There are no scripts: everything is ``bin/python -I -m MODULE``. The compiled files are trusted
unchecked, so that Python never writes beside them, and a release is exactly what was signed.
"""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from agent.errors import ReleaseError

INTERPRETER = Path("/usr/bin/python3")
"""What a packaged tree runs on."""
PACKAGED_EXTRAS = ("gpio",)
"""Optional dependencies that the Debian package has: an update must not take them away."""
_OUTPUT_LINES = 20


def build_tree(
    project: Path,
    into: Path,
    *,
    interpreter: Path = INTERPRETER,
    extras: Sequence[str] = (),
) -> None:
    """Make the tree of a checkout, with exactly the packages of its lock.

    Needs uv (the Makefile puts it into ``.tools``) and a package index, or uv's cache.

    Args:
        project: the checkout.
        into: a folder that is not there yet.
        interpreter: the Python that the tree is for and will be run by.
        extras: optional dependencies of the project, such as ``gpio``.

    Raises:
        ReleaseError: a step failed; the text says which and why.
    """
    if into.exists():
        msg = f"{into} exists already"
        raise ReleaseError(msg)
    uv = _find_uv(project)
    site = into / site_packages(python_of(interpreter))
    site.mkdir(parents=True, mode=0o755)
    wanted = [option for extra in extras for option in ("--extra", extra)]
    with tempfile.TemporaryDirectory() as work:
        locked = Path(work, "locked.txt")
        lock = ("--frozen", "--no-dev", "--no-emit-project", "--project", project)
        _run(uv, "export", *lock, *wanted, "--quiet", "--output-file", locked)
        wheels = Path(work, "wheels")
        _run(uv, "build", "--wheel", "--quiet", "--out-dir", wheels, project)
        place = ("--python", interpreter, "--target", site, "--link-mode", "copy", "--quiet")
        strict = ("--no-deps", "--only-binary", ":all:", "--require-hashes")
        _run(uv, "pip", "install", *place, *strict, "--requirement", locked)
        _run(uv, "pip", "install", *place, "--no-deps", *wheels.glob("*.whl"))
    _strip(site)
    compile_tree(site, interpreter)
    furnish(into, interpreter)
    _settle_modes(into)


def compile_tree(site: Path, interpreter: Path) -> None:
    """Compile all that is in a folder of packages. Raises :class:`ReleaseError`."""
    trusted = ("--invalidation-mode", "unchecked-hash", "-s", site, "-p", "/")
    # A traceback says the line; columns would take 0.8 MiB in each process of the agent.
    sparing = ("-X", "no_debug_ranges")
    _run(interpreter, "-I", *sparing, "-m", "compileall", "-q", *trusted, site)


def furnish(tree: Path, interpreter: Path) -> None:
    """Make a virtual environment of a folder that has its packages; what is there is replaced."""
    (tree / "bin").mkdir(exist_ok=True, mode=0o755)
    link = tree / "bin" / "python"
    link.unlink(missing_ok=True)
    link.symlink_to(interpreter)
    (tree / "pyvenv.cfg").write_text(venv_config(interpreter), encoding="ascii")


def venv_config(interpreter: Path) -> str:
    """Return the ``pyvenv.cfg`` of a tree that this interpreter runs."""
    return f"home = {interpreter.parent}\ninclude-system-site-packages = false\n"


def site_packages(python: str) -> Path:
    """Where the packages are in a tree for this Python, such as ``3.11``."""
    return Path("lib", f"python{python}", "site-packages")


def running_python() -> str:
    """Return major and minor number of the Python that runs this, such as ``3.11``."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def running_interpreter() -> Path:
    """Return the interpreter beneath the virtual environment that this runs in."""
    return Path(getattr(sys, "_base_executable", sys.executable))


def machine_arch() -> str:
    """Return this machine's architecture as the kernel calls it, such as ``x86_64``."""
    return platform.machine()


def python_of(interpreter: Path) -> str:
    """Ask an interpreter for its major and minor number. Raises :class:`ReleaseError`."""
    question = "import sys; print('%d.%d' % sys.version_info[:2])"
    return _run(interpreter, "-I", "-c", question).strip()


def version_of(tree: Path) -> str:
    """Ask a tree for the version of its agent. Raises :class:`ReleaseError`."""
    question = "import agent; print(agent.VERSION)"
    return _run(tree / "bin" / "python", "-I", "-B", "-c", question).strip()


def _find_uv(project: Path) -> Path:
    own = project / ".tools/bin/uv"
    found = own if own.exists() else shutil.which("uv")
    if found is None:
        msg = "uv is needed to build a release: `make .tools/bin/uv`, or put it on the PATH"
        raise ReleaseError(msg)
    return Path(found)


def _strip(site: Path) -> None:
    """Remove what names the place where it was built, or is made anew."""
    shutil.rmtree(site / "bin", ignore_errors=True)
    (site / ".lock").unlink(missing_ok=True)
    for cache in site.rglob("__pycache__"):
        shutil.rmtree(cache)
    for record in (*site.glob("*.dist-info/direct_url.json"), *site.glob("*.dist-info/uv_*.json")):
        record.unlink()


def _settle_modes(tree: Path) -> None:
    """Everybody may read it, its owner write it, whatever the umask of whoever built it."""
    for folder, _, files in os.walk(tree):
        Path(folder).chmod(0o755)
        for name in files:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(0o644)


def _run(program: Path, *arguments: str | Path) -> str:
    """Run a step; returns what it printed. Raises :class:`ReleaseError`."""
    try:
        done = subprocess.run(  # noqa: S603 - a tool of the build, with arguments of ours
            [program, *arguments],
            check=False,
            capture_output=True,
            text=True,
            env=_environment(os.environ),
        )
    except OSError as error:
        msg = f"{program} cannot be run: {error.strerror}"
        raise ReleaseError(msg) from None
    if done.returncode != 0:
        said = "\n".join((done.stderr or done.stdout).strip().splitlines()[-_OUTPUT_LINES:])
        msg = f"{program.name} {arguments[0]} failed with {done.returncode}:\n{said}"
        raise ReleaseError(msg)
    return done.stdout


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    """Leave out what would have uv look at the environment that this runs in."""
    taken = {"VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "UV_PYTHON"}
    return {name: value for name, value in given.items() if name not in taken} | {
        "UV_PYTHON_DOWNLOADS": "never"
    }
