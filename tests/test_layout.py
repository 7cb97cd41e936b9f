"""The shape of the code base: which module may import which, who may print, how long a module may be."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "birefvideo"
MODULES = sorted(PACKAGE.rglob("*.py"))

# What each part may import of ours, besides itself. `birefvideo` is the package's own __init__.py.
BASE = {"colour", "frames", "timeline", "planes", "prefetch", "errors", "hints", "json_files", "own_files"}
BASE |= {"bounded_numbers", "memory", "paths", "rgb"}
MAY_IMPORT = {
    "errors": set(),
    "hints": {"errors"},
    "json_files": set(),
    "bounded_numbers": set(),
    "memory": {"errors"},
    "paths": {"errors", "own_files"},
    "own_files": {"errors"},
    "remote": {"errors", "hints", "json_files", "own_files", "paths"},
    "colour": {"errors"},
    "frames": {"colour", "rgb", "timeline", "errors"},
    "rgb": {"colour", "planes"},
    "timeline": {"errors"},
    "planes": {"errors"},
    "prefetch": {"errors"},
    "network": set(),
    "matting": {"network", *BASE},
    "family": {"matting", "network", *BASE},
    "media": BASE,
    "pipeline": {"directing", "media", "matting", *BASE},
    "directing": {"matting", *BASE},
    "scoring": {"media", *BASE},
    "advice": {"media", "family", "matting", *BASE},
    "editing": {"media", *BASE},
    "jobs": {"remote", "editing", "directing", "advice", "pipeline", "media", "family", "matting", *BASE},
    "comparison": {"editing", "jobs", "advice", "pipeline", "media", "family", "matting", *BASE},
    "api": {"remote", "editing", "jobs", "pipeline", "media", "family", "matting", "network", *BASE},
    "session": {"api", "jobs", "family", "matting", *BASE},
    "job": {"remote", "api", "jobs", *BASE},
    "birefvideo": {"session", "job", "api", "comparison", "advice", "jobs", "family", *BASE},
    "with_parent": set(),
    "serve": {"birefvideo", "with_parent", "session", "jobs", "family", "media", "matting", *BASE},
    "cli": {"birefvideo", "comparison", "advice", "scoring", "jobs", "pipeline", "media", "family", "matting", *BASE}
    | {"serve", "with_parent", "editing", "remote"},
    "__main__": {"cli"},
}

# What the rooms of media may import of media, besides themselves; "" is what lies directly in media/.
MEDIA_ROOMS: dict[str, set[str]] = {
    "": set(),
    "reading": {""},
    "writing": {"", "reading"},
    "verification": {"", "reading"},
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


def name_of(module: Path) -> str:
    """A module's full name; a folder's is that of its __init__.py."""
    parts = ("birefvideo", *module.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts).removesuffix(".__init__")


NAMES = {name_of(module): module for module in MODULES}


def our_modules(names: set[str]) -> set[str]:
    """The modules of ours among imported names, each of which may be a module's or of something in it."""
    return {max((m for m in NAMES if f"{name}.".startswith(f"{m}.")), key=len) for name in names if is_ours(name)}


def is_ours(name: str) -> bool:
    return name.split(".")[0] == "birefvideo"


def room_of(name: str) -> str | None:
    """The room of media that a module is in; None outside of media."""
    parts = name.split(".")
    if parts[1:2] != ["media"]:
        return None
    return parts[2] if len(parts) > 2 and parts[2] in MEDIA_ROOMS else ""


def at_run_time(tree: ast.Module) -> ast.Module:
    """The module without what stands under `if TYPE_CHECKING`."""

    class Without(ast.NodeTransformer):
        def visit_If(self, node: ast.If) -> ast.AST:
            if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
                return ast.Pass()
            return self.generic_visit(node)

    kept: ast.Module = Without().visit(tree)
    return kept


def circle_in(imports: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in turn, the first one again at the end; empty where there are none."""
    done: set[str] = set()

    def search(name: str, way: list[str]) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        if name in done:
            return []
        for other in sorted(imports.get(name, ())):
            if found := search(other, [*way, name]):
                return found
        done.add(name)
        return []

    return next((found for name in sorted(imports) if (found := search(name, []))), [])


def our_parts(names: set[str]) -> set[str]:
    """The layers of ours among imported names."""
    known = {p.name.removesuffix(".py") for p in PACKAGE.iterdir()} - {"__init__"}
    ours = [name.split(".") for name in names if name.split(".")[0] == "birefvideo"]
    return {name[1] if len(name) > 1 and name[1] in known else "birefvideo" for name in ours}


def read(module: Path) -> ast.Module:
    """A tree of one's own, which may be changed."""
    return ast.parse(module.read_text(encoding="utf-8"), filename=str(module))


parse = cache(read)


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


def test_the_check_sees_a_circle_also_through_functions() -> None:
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle_in({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []
    source = "if TYPE_CHECKING:\n    import birefvideo.api\ndef f():\n    from birefvideo.media import format_table\n"
    tree = at_run_time(ast.parse(source))
    assert our_modules(imported(tree, PACKAGE / "errors.py")) == {"birefvideo.media.format_table"}


def test_no_modules_import_each_other_in_a_circle() -> None:
    imports = {name: our_modules(imported(at_run_time(read(m)), m)) - {name} for name, m in NAMES.items()}
    assert not circle_in(imports)


def test_only_the_kernels_need_triton_and_are_imported_where_they_are_wanted() -> None:
    roots = {name: {full.split(".")[0] for full in imported(parse(module), module)} for name, module in NAMES.items()}
    assert [name for name, found in roots.items() if "triton" in found] == ["birefvideo.network.gpu"]
    for name, module in NAMES.items():
        at_once = [node for node in parse(module).body if isinstance(node, (ast.Import, ast.ImportFrom))]
        names = imported(ast.Module([*at_once], []), module)
        assert not any(f"{full}.".startswith("birefvideo.network.gpu.") for full in names), name


def test_modules_import_only_layers_below_theirs() -> None:
    assert {part_of(module) for module in MODULES} <= set(MAY_IMPORT), "give a new part its place in MAY_IMPORT"
    above = {}
    for name, module in NAMES.items():
        part = part_of(module)
        above[name] = sorted(our_parts(imported(parse(module), module)) - MAY_IMPORT[part] - {part})
    assert not {name: parts for name, parts in above.items() if parts}


def test_modules_of_media_import_only_rooms_below_theirs() -> None:
    above = {}
    for name, module in NAMES.items():
        if (room := room_of(name)) is not None:
            rooms = {room_of(other) for other in our_modules(imported(parse(module), module))} - {None, room}
            above[name] = sorted(map(str, rooms - MEDIA_ROOMS[room]))
    assert not {name: rooms for name, rooms in above.items() if rooms}


def test_every_module_has_a_docstring_and_is_short_enough_to_read() -> None:
    assert not [name for name, module in NAMES.items() if not ast.get_docstring(parse(module))]
    lengths = {name: len(module.read_text(encoding="utf-8").splitlines()) for name, module in NAMES.items()}
    assert not {name: length for name, length in lengths.items() if length > 350}


def prints(tree: ast.Module) -> bool:
    return bool(
        "print" in called_names(tree)
        or {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)} & {"echo", "secho"}
        or {ast.unparse(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)}
        & {"tqdm.write", "sys.stdout.write", "sys.stderr.write", "traceback.print_exc"}
    )


def test_one_module_alone_prints() -> None:
    assert [name for name, module in NAMES.items() if prints(parse(module))] == ["birefvideo.cli.printing"]


def test_the_network_touches_no_files() -> None:
    network = {name: module for name, module in NAMES.items() if part_of(module) == "network"}
    assert len(network) > 10
    for name, module in network.items():
        tree = parse(module)
        roots = {full.split(".")[0] for full in imported(tree, module)}
        files = {"os", "io", "pathlib", "shutil", "tempfile", "subprocess", "socket", "urllib", "requests"}
        assert not roots & (files | {"av", "cv2", "safetensors", "huggingface_hub"}), name
        assert not called_names(tree) & {"open", "print", "input"}, name
