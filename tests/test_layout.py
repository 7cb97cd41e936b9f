"""The shape of the code base: which module may import which, who may print, how long a module may be."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "birefvideo"
MODULES = sorted(PACKAGE.rglob("*.py"))

# What each part may import of ours, besides itself. `birefvideo` is the package's own __init__.py.
BASE = {"colour", "frames", "planes", "prefetch", "errors"}
MAY_IMPORT = {
    "errors": set(),
    "colour": {"errors"},
    "frames": {"colour", "errors"},
    "planes": {"errors"},
    "prefetch": {"errors"},
    "network": set(),
    "matting": {"network", *BASE},
    "family": {"matting", "network", *BASE},
    "media": BASE,
    "pipeline": {"media", "matting", *BASE},
    "scoring": {"media", *BASE},
    "jobs": {"pipeline", "media", "family", "matting", *BASE},
    "api": {"jobs", "pipeline", "media", "family", "matting", "network", *BASE},
    "birefvideo": {"api", "jobs", *BASE},
    "cli": {"birefvideo", "scoring", "jobs", "pipeline", "media", "family", "matting", *BASE},
    "__main__": {"cli"},
}


def part_of(module: Path) -> str:
    """The layer a file belongs to: the folder or module directly under birefvideo/."""
    first = module.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "birefvideo" if first == "__init__" else first


def imported(tree: ast.AST, module: Path) -> set[str]:
    """Full names of everything a module imports, also inside functions and for type checking."""
    package = ("birefvideo", *module.relative_to(PACKAGE).parent.parts)
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            source = ".".join(filter(None, (base, node.module)))
            names.update(f"{source}.{alias.name}" for alias in node.names)
    return names


def our_parts(names: set[str]) -> set[str]:
    """The layers of ours among imported names."""
    known = {p.name.removesuffix(".py") for p in PACKAGE.iterdir()} - {"__init__"}
    ours = [name.split(".") for name in names if name.split(".")[0] == "birefvideo"]
    return {name[1] if len(name) > 1 and name[1] in known else "birefvideo" for name in ours}


def parse(module: Path) -> ast.Module:
    return ast.parse(module.read_text(encoding="utf-8"), filename=str(module))


def called_names(tree: ast.AST) -> set[str]:
    return {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}


def test_the_check_sees_every_form_of_import() -> None:
    source = (
        "import av\nimport birefvideo.media.reading.probe\nfrom . import streams\nfrom ..jobs import plan\n"
        "def f():\n    from birefvideo import pipeline\n    from birefvideo import matte\n"
    )
    names = imported(ast.parse(source), PACKAGE / "matting" / "predict.py")
    assert names == {
        "av",
        "birefvideo.media.reading.probe",
        "birefvideo.matting.streams",
        "birefvideo.jobs.plan",
        "birefvideo.pipeline",
        "birefvideo.matte",
    }
    assert our_parts(names) >= {"media", "matting", "jobs", "birefvideo"}


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(PACKAGE)))
class TestEveryModule:
    def test_imports_only_layers_below_it(self, module: Path) -> None:
        part = part_of(module)
        assert part in MAY_IMPORT, f"give {part} its place in MAY_IMPORT"
        above = our_parts(imported(parse(module), module)) - MAY_IMPORT[part] - {part}
        assert not above, f"{part} must not import {sorted(above)}"

    def test_has_a_docstring(self, module: Path) -> None:
        assert ast.get_docstring(parse(module))

    def test_is_short_enough_to_read(self, module: Path) -> None:
        assert len(module.read_text(encoding="utf-8").splitlines()) <= 400

    def test_prints_only_if_it_is_the_command_line(self, module: Path) -> None:
        assert part_of(module) == "cli" or "print" not in called_names(parse(module))

    def test_touches_no_files_if_it_is_the_network(self, module: Path) -> None:
        if part_of(module) != "network":
            return
        tree = parse(module)
        roots = {name.split(".")[0] for name in imported(tree, module)}
        assert not roots & {"os", "io", "pathlib", "shutil", "tempfile", "subprocess", "socket", "urllib", "requests"}
        assert not roots & {"av", "cv2", "safetensors", "huggingface_hub"}
        assert not called_names(tree) & {"open", "print", "input"}
