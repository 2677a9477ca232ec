"""Who may import what, and who may read the environment."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
APP, MODEL = sorted((ROOT / "app").rglob("*.py")), sorted((ROOT / "model").rglob("*.py"))


def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def imports_of(file: Path) -> set[str]:
    """Every module that a file imports, anywhere in it: "a.b" for `import a.b`, and "a.b.c" for `from a.b import c`."""
    found = set()
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file.name} imports relatively"
            found |= {str(node.module), *(f"{node.module}.{name.name}" for name in node.names)}
    return found


def packages_of(file: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports_of(file)}


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


@pytest.mark.parametrize("file", MODEL, ids=name_of)
def test_the_model_knows_neither_the_app_nor_http_nor_the_environment(file: Path) -> None:
    served = {"app", "fastapi", "starlette", "uvicorn", "pydantic", "pydantic_settings", "click"}
    assert not packages_of(file) & served
    assert list(environment_uses(file)) == []


@pytest.mark.parametrize("file", APP, ids=name_of)
def test_of_the_app_only_the_settings_read_the_environment(file: Path) -> None:
    if file.name != "settings.py":
        assert "pydantic_settings" not in packages_of(file)
    uses = list(environment_uses(file))
    if file.name == "model_loader.py":  # set, not read, and before torch is imported
        assert uses == ['os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")']
    elif file.name != "settings.py":
        assert uses == []


def test_the_batcher_knows_no_tensors_and_no_http() -> None:
    known = packages_of(ROOT / "app" / "inference" / "batching.py")
    assert not known & {"torch", "numpy", "fastapi", "starlette", "PIL", "model"}


def test_the_settings_import_nothing_of_ours() -> None:
    assert not packages_of(ROOT / "app" / "settings.py") & {"app", "model"}


def test_hostile_bytes_are_read_without_torch() -> None:
    assert not packages_of(ROOT / "model" / "imaging" / "images.py") & {"torch", "timm", "transformers", "torchvision"}


@pytest.mark.parametrize("module", ["app.cli.main", "app.main"])
def test_an_import_of_the_app_brings_no_model_libraries(module: str) -> None:
    program = (
        f"import sys, {module}; "
        "print(*sorted(sys.modules.keys() & {'torch', 'timm', 'transformers', 'torchvision', 'safetensors'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_images_are_decoded_without_torch_in_the_process() -> None:
    program = "import sys, model.imaging.images, model.imaging.preprocessing; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_no_file_has_a_name_that_says_nothing() -> None:
    for folder in ("app", "model", "tests"):
        assert not [
            file for file in (ROOT / folder).rglob("*.py") if file.stem in ("utils", "util", "helpers", "common")
        ]
        assert not [name for name in ("core", "services", "utils") if (ROOT / folder / name).exists()]


def test_the_docker_folder_is_no_package() -> None:
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
