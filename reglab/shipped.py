"""The files that come with reglab beside its code: the study's sweeps, an example of a study, and those for cloud machines.

In a clone they lie at its top, where they are read and edited; a wheel has them inside the package.
"""

from pathlib import Path

_PACKAGE = Path(__file__).parent

_FOR_USERS = {"sweeps": ["*.yaml"], "docs": ["*.yaml"], "cloud": ["README.md", "skypilot.yaml", "*.service"]}
"""What is run and edited; `cloud/gpu_check.sh` needs a clone, whose tests it runs."""


def folder(name: str) -> Path:
    """Where `sweeps`, `docs` or `cloud` of this installation lies."""
    inside = _PACKAGE / "_shipped" / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


def files() -> dict[str, Path]:
    """What users run and edit, by names such as `sweeps/final.yaml`, and where it lies."""
    found = ((name, path) for name, kinds in _FOR_USERS.items() for kind in kinds for path in sorted(folder(name).rglob(kind)))
    return {f"{name}/{path.relative_to(folder(name)).as_posix()}": path for name, path in found}
