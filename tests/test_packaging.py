"""What is shipped: the wheel against the checkout, and a face that costs nothing to import."""

import importlib.metadata
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import liveedit_bench

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETUPTOOLS = PROJECT["tool"]["setuptools"]
INSTALLED = Path(liveedit_bench.__file__).parent
NOT_PACKAGES = {"build", "dist", "docs", "examples", "perf", "runs", "tests"}


def folders_with_init() -> Iterator[Path]:
    """Folders of the checkout, relative to its root, that Python takes for sub-packages."""
    for init in ROOT.rglob("__init__.py"):
        folder = init.parent.relative_to(ROOT)
        if not folder.parts or not (folder.parts[0] in NOT_PACKAGES or folder.parts[0].startswith(".")):
            yield folder


def shipped_files() -> set[str]:
    """Where each file that belongs in the wheel stands in it: modules, and data named in pyproject.toml."""
    files: set[Path] = set()
    for folder in folders_with_init():
        package = ".".join(("liveedit_bench", *folder.parts))
        for pattern in ("*.py", *SETUPTOOLS["package-data"].get(package, [])):
            files.update(path for path in (ROOT / folder).glob(pattern) if path != ROOT / "setup.py")
    return {in_wheel(path) for path in files}


def in_wheel(path: Path) -> str:
    return f"liveedit_bench/{path.relative_to(ROOT).as_posix()}"


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the files git knows, with a module left in build/ by an earlier wheel."""
    folder = tmp_path_factory.mktemp("build") / "repository"
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file() and not name.startswith("tests/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    stale = folder / "build" / "lib" / "liveedit_bench" / "metrics" / "deleted_long_ago.py"
    stale.parent.mkdir(parents=True)
    stale.touch()
    return folder


@pytest.fixture(scope="session")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    out = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-q"]
    subprocess.run([*pip, "-w", str(out), str(checkout)], check=True)
    (path,) = out.iterdir()
    return zipfile.ZipFile(path)


def test_every_folder_with_an_init_is_listed_as_a_package() -> None:
    folders = {".".join(("liveedit_bench", *folder.parts)) for folder in folders_with_init()}
    assert folders == set(SETUPTOOLS["packages"])
    assert SETUPTOOLS["packages"] == sorted(SETUPTOOLS["packages"])


def test_every_folder_with_modules_has_an_init() -> None:
    for module in ROOT.rglob("*.py"):
        folder = module.parent.relative_to(ROOT)
        if folder.parts and folder.parts[0] not in NOT_PACKAGES and not folder.parts[0].startswith("."):
            assert (module.parent / "__init__.py").exists(), f"{folder} would be missing from the wheel"


def test_every_file_of_a_package_is_shipped_or_meant_to_stay() -> None:
    """A weight file or a table that no data glob names would be silently absent."""
    stay_at_home = {"__pycache__", "results"}  # results: published evidence, read from the repository
    shipped = shipped_files()
    for top in {folder.parts[0] for folder in folders_with_init() if folder.parts}:
        for path in (ROOT / top).rglob("*"):
            if path.is_file() and path.suffix != ".md" and stay_at_home.isdisjoint(path.relative_to(ROOT).parts):
                assert in_wheel(path) in shipped, f"{in_wheel(path)} is not shipped: name it in package-data"


def test_the_wheel_holds_modules_and_data_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    inside = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert inside == shipped_files()
    assert "liveedit_bench/py.typed" in inside


def test_a_module_left_in_build_is_not_shipped(checkout: Path, wheel: zipfile.ZipFile) -> None:
    assert not any("deleted_long_ago" in name for name in wheel.namelist())


def test_the_wheel_carries_licence_script_and_version(wheel: zipfile.ZipFile) -> None:
    info = f"liveedit_bench-{liveedit_bench.__version__}.dist-info"
    assert wheel.read(f"{info}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert "liveedit-bench = liveedit_bench.cli:main" in wheel.read(f"{info}/entry_points.txt").decode()
    assert "License-Expression: Apache-2.0" in wheel.read(f"{info}/METADATA").decode()


def test_the_installed_package_is_this_checkout() -> None:
    """Tests of a copy that was installed some edits ago say nothing about the code one reads."""
    if os.environ.get("CI"):
        assert not INSTALLED.is_relative_to(ROOT) or ".venv" in INSTALLED.parts, "CI tests the installed wheel"
    for name in shipped_files():
        relative = name.removeprefix("liveedit_bench/")
        assert (INSTALLED / relative).read_bytes() == (ROOT / relative).read_bytes(), f"{name} differs: install again"


def test_the_sdist_builds_the_same_wheel(checkout: Path, wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    code = f"import setuptools.build_meta as b; print(b.build_sdist({str(tmp_path)!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=checkout, check=True, capture_output=True, text=True)
    with tarfile.open(tmp_path / done.stdout.split()[-1]) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = (path for path in tmp_path.iterdir() if path.is_dir())
    code = f"import setuptools.build_meta as b; print(b.build_wheel({str(tmp_path)!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=unpacked, check=True, capture_output=True, text=True)
    again = zipfile.ZipFile(BytesIO((tmp_path / done.stdout.split()[-1]).read_bytes()))
    assert sorted(again.namelist()) == sorted(wheel.namelist())


def test_every_public_name_is_there() -> None:
    assert liveedit_bench.__all__ == sorted(liveedit_bench.__all__)
    for name in liveedit_bench.__all__:
        assert name in dir(liveedit_bench)
        assert getattr(liveedit_bench, name).__name__ == name
    unknown = "Edits"
    with pytest.raises(AttributeError, match="no attribute 'Edits'"):
        getattr(liveedit_bench, unknown)


@pytest.mark.parametrize(
    "command",
    [
        [sys.executable, "-c", "import liveedit_bench"],
        [str(Path(sys.executable).with_name("liveedit-bench")), "--help"],
        [sys.executable, "-m", "liveedit_bench", "--help"],
    ],
    ids=["import", "script", "module"],
)
def test_the_face_is_quick_and_does_not_import_torch(command: list[str], tmp_path: Path) -> None:
    """Another torch, first on the path, makes any import of it an error, whoever asks.

    Processor time is counted: on a busy machine the clock on the wall measures the neighbours.
    """
    (tmp_path / "torch.py").write_text("raise SystemExit('torch was imported')")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    seconds: list[float] = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert done.returncode == 0, done.stdout + done.stderr
    assert statistics.median(seconds) < 0.5


def pins() -> dict[str, str]:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    return dict(line.split("==") for line in lines)


def requirements(extra: str) -> list[Requirement]:
    project = PROJECT["project"]
    return [Requirement(line) for line in (*project["dependencies"], *project["optional-dependencies"][extra])]


def test_pyproject_gives_floors_and_constraints_pin_them_all() -> None:
    pinned = pins()
    for requirement in (each for extra in PROJECT["project"]["optional-dependencies"] for each in requirements(extra)):
        if requirement.name == "liveedit-bench":
            continue
        (floor,) = requirement.specifier
        assert floor.operator == ">=", f"{requirement} is more than a floor"
        assert Version(floor.version) <= Version(pinned[requirement.name])
    assert pinned["torch"] == "2.13.0"


def test_everything_installed_with_the_package_is_pinned_as_tested() -> None:
    """Walks the requirements of what is installed, from liveedit-bench[test] down."""
    pinned, seen = pins(), set[str]()
    queue = [Requirement("liveedit-bench[test]")]
    while queue:
        requirement = queue.pop()
        key = str(requirement)
        if key in seen:
            continue
        seen.add(key)
        distribution = importlib.metadata.distribution(requirement.name)
        name = requirement.name.lower().replace("_", "-").replace(".", "-")
        if name != "liveedit-bench" and not name.startswith(("nvidia-", "cuda-", "triton")):  # torch pins those itself
            assert name in pinned, f"{name} is missing from constraints.txt"
            assert Version(distribution.version).public == pinned[name], f"{name} {distribution.version} is installed"
        for line in distribution.requires or []:
            child = Requirement(line)
            extras = requirement.extras or {""}
            if child.marker is None or any(child.marker.evaluate({"extra": one}) for one in extras | {""}):
                queue.append(child)
