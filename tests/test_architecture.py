"""Which module may import which, transitively; which may read the environment; how large a folder may become."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
APP, MODEL = sorted((ROOT / "app").rglob("*.py")), sorted((ROOT / "model").rglob("*.py"))
CLIENT = sorted((ROOT / "client" / "medimageinsight").rglob("*.py"))
MAX_FILES_PER_FOLDER = 12

# A module may import modules of its own layer and of the layers above it in the list, directly or through others.
APP_LAYERS = (
    ("model",),
    ("app.errors", "app.environment", "app.settings", "app.version", "app.fair_queueing", "app.threads"),
    ("app.telemetry",),
    ("app.decoding",),
    ("app.inference",),
    ("app.remote_images",),
    ("app.service",),
    ("app.middleware",),
    ("app.api",),
    ("app.web",),
    ("app.main",),
    ("app.connections",),
    ("app.server", "app.cli"),
)
MODEL_LAYERS = (
    ("model.errors", "model.config", "model.cpus", "model.devices", "model.normalization"),
    ("model.optional_dependencies",),
    ("model.options", "model.output_file"),
    ("model.imaging", "model.encoders"),
    ("model.checkpoints",),
    ("model.engine",),
    ("model.data",),
    ("model.embedding_cache", "model.embedder", "model.engine_embedder"),
    ("model.evaluation",),
    ("model.heads", "model.training"),
)

HTTP = {"fastapi", "starlette", "uvicorn"}
TENSORS = {"torch", "timm", "torchvision", "transformers"}
# Packages that these modules never import, directly or through others.
FORBIDDEN = {
    "model": HTTP | {"app", "click", "pydantic", "pydantic_settings"},
    "model.imaging": TENSORS,
    "app.errors": HTTP | TENSORS,
    "app.settings": {"app", "model"},
    "app.telemetry": HTTP | TENSORS,
    "app.decoding": HTTP | TENSORS,
    "app.decoding.fork_server": HTTP | TENSORS | {"pydantic", "click", "app.settings", "app.errors"},
    "app.inference": HTTP,
    "app.inference.batching": TENSORS | {"numpy", "PIL"},
    "app.remote_images": HTTP | TENSORS,
    "medimageinsight": HTTP | TENSORS | {"app", "model"},
}


def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def module_of(file: Path) -> str:
    root = ROOT / "client" if file in CLIENT else ROOT
    return ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


FILES = {module_of(file): file for file in (*APP, *MODEL, *CLIENT)}


def executed_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes below a node, except the imports that only a type checker sees."""
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield child
            yield from executed_nodes(child)


@cache
def imports_of(module: str) -> frozenset[str]:
    """Every module that a module imports anywhere, with the packages that hold it, as Python imports these too."""
    found: set[str] = set()
    for node in executed_nodes(tree_of(FILES[module])):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            names = {f"{node.module}.{name.name}" for name in node.names}
            found |= {name if name in FILES else str(node.module) for name in names}
    parents = {name.rsplit(".", depth)[0] for name in found for depth in range(1, name.count(".") + 1)}
    return frozenset((found | parents) - {module})


@cache
def reached_from(module: str) -> frozenset[str]:
    """Every module that an import of this module may load: those that it imports, and those that these import."""
    reached: set[str] = set()
    waiting = [module]
    while waiting:
        for name in imports_of(waiting.pop()) - reached:
            reached.add(name)
            if name in FILES:
                waiting.append(name)
    return frozenset(reached)


def is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def layer_of(module: str, layers: tuple[tuple[str, ...], ...]) -> int:
    (layer,) = (n for n, packages in enumerate(layers) if any(is_in(module, package) for package in packages))
    return layer


@pytest.mark.parametrize(
    ("top", "layers"), [("app", APP_LAYERS), ("model", MODEL_LAYERS)], ids=["the service", "the model"]
)
def test_modules_import_only_from_their_own_and_lower_layers(top: str, layers: tuple[tuple[str, ...], ...]) -> None:
    packages = {package for layer in layers for package in layer}
    wrong = [
        f"{module} reaches {name}"
        for module in FILES
        if is_in(module, top) and module != top
        for name in reached_from(module)
        if any(is_in(name, package) for package in packages) and layer_of(name, layers) > layer_of(module, layers)
    ]
    assert wrong == []


@pytest.mark.parametrize(("package", "forbidden"), FORBIDDEN.items(), ids=FORBIDDEN)
def test_forbidden_packages_are_not_reached(package: str, forbidden: set[str]) -> None:
    wrong = [
        f"{module} reaches {name}"
        for module in FILES
        if is_in(module, package)
        for name in reached_from(module)
        if any(is_in(name, banned) for banned in forbidden) and not is_in(name, package)
    ]
    assert wrong == []


def test_a_forbidden_import_is_found_through_other_modules() -> None:
    assert "app.api.error_handlers" not in imports_of("app.server")
    assert "fastapi" not in imports_of("app.server")
    assert {"app.api.error_handlers", "fastapi"} <= reached_from("app.server")


def test_the_import_graph_has_no_cycle() -> None:
    graph = {
        module: {name for name in imports_of(module) if name in FILES and not is_in(module, name)} for module in FILES
    }
    assert len(list(TopologicalSorter(graph).static_order())) == len(FILES)


@pytest.mark.parametrize("top", ["app", "model", "client", "tests", "recipes", "docker"])
def test_a_folder_holds_at_most_a_dozen_files(top: str) -> None:
    folders = [ROOT / top, *(folder for folder in (ROOT / top).rglob("*") if folder.is_dir())]
    sizes = {
        folder.relative_to(ROOT).as_posix(): sum(
            file.is_file() and file.suffix in (".py", ".sh", ".yaml") and file.name != "__init__.py"
            for file in folder.iterdir()
        )
        for folder in folders
        if not {"__pycache__", "build"} & set(folder.parts) and ".egg-info" not in folder.name
    }
    assert {folder: size for folder, size in sizes.items() if size > MAX_FILES_PER_FOLDER} == {}


def environment_uses(file: Path) -> Iterator[str]:
    """The lines of a file that touch the environment."""
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.Attribute | ast.Name | ast.alias):
            name = (
                node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else node.name
            )
            if name in ("environ", "environb", "getenv", "getenvb", "putenv", "unsetenv", "expandvars"):
                yield file.read_text(encoding="utf-8").splitlines()[node.lineno - 1].strip()


def name_of(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("file", [*MODEL, *APP], ids=name_of)
def test_only_the_settings_read_the_environment(file: Path) -> None:
    uses = list(environment_uses(file))
    if file.name == "model_loader.py":  # sets a variable before torch is imported, and reads none
        assert uses == ['os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")']
    elif file.name not in ("settings.py", "environment.py"):
        assert uses == []
        assert "pydantic_settings" not in imports_of(module_of(file))


@pytest.mark.parametrize("module", ["app.cli.main", "app.main"])
def test_an_import_of_the_app_brings_no_model_libraries(module: str) -> None:
    program = (
        f"import sys, {module}; "
        "print(*sorted(sys.modules.keys() & {'torch', 'timm', 'transformers', 'torchvision', 'safetensors'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_no_file_has_a_name_that_says_nothing() -> None:
    for folder in ("app", "model", "tests"):
        assert not [
            file for file in (ROOT / folder).rglob("*.py") if file.stem in ("utils", "util", "helpers", "common")
        ]
        assert not [name for name in ("core", "services", "utils") if (ROOT / folder / name).exists()]


def test_the_docker_folder_is_not_a_package() -> None:
    assert not (ROOT / "docker" / "__init__.py").exists()  # it would shadow the Docker SDK


@pytest.mark.parametrize("file", [*APP, *MODEL], ids=name_of)
def test_no_work_at_import(file: Path) -> None:
    """Threads, files, devices and networks are touched by functions, not by modules."""
    statements = (
        ast.Import,
        ast.ImportFrom,
        ast.FunctionDef,
        ast.AsyncFunctionDef,
        ast.ClassDef,
        ast.Assign,
        ast.AnnAssign,
    )
    for node in tree_of(file).body:
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        guards = ("TYPE_CHECKING", "__name__ == '__main__'", "sys.version_info >= (3, 14)")
        is_guard = isinstance(node, ast.If) and ast.unparse(node.test) in guards
        assert is_docstring or is_guard or isinstance(node, statements), ast.unparse(node)
