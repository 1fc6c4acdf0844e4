"""What keeps the code readable and light and no linter sees; imports are held by import-linter, style by ruff."""

from __future__ import annotations

import ast
import configparser
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SRC = ROOT / "src" / "segwright"
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(SRC.rglob("*.py"))}

BODY_LINES, MODULE_LINES = 60, 400
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc", "tools"}
#: Not on Windows: modules, and members of `os` and `signal`.
UNIX = {"crypt", "curses", "fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty"}
UNIX |= {f"os.{name}" for name in ("chown", "fchmod", "fork", "geteuid", "getuid", "killpg", "mkfifo", "posix_fadvise")}
UNIX |= {f"os.{name}" for name in ("pread", "pwrite", "setsid", "statvfs", "sync", "sysconf", "uname")}
UNIX |= {f"signal.{name}" for name in ("SIGALRM", "SIGHUP", "SIGKILL", "SIGUSR1", "SIGUSR2", "alarm", "setitimer")}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(path: Path) -> str:
    return path.relative_to(SRC).as_posix()


def contract(name: str) -> configparser.SectionProxy:
    """A contract that import-linter checks."""
    told = configparser.ConfigParser()
    told.read(ROOT / ".importlinter")
    return told[f"importlinter:contract:{name}"]


def layers() -> dict[str, int]:
    """Height of each package."""
    rows = contract("layers")["layers"].strip().splitlines()[::-1]
    return {package.strip(): height for height, row in enumerate(rows) for package in row.split("|")}


def body_lines(function: Function) -> int:
    """Lines of a function below its signature and docstring."""
    first = function.body[1] if ast.get_docstring(function) and len(function.body) > 1 else function.body[0]
    return (function.end_lineno or first.lineno) - first.lineno + 1


def rows(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and package of each `"segwright.x.y:attribute"` string, by which tables name what they load later."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            match = re.fullmatch(r"segwright\.(\w+)(?:\.\w+)*:\w+", node.value)
            if match:
                yield node.lineno, match[1]


def loaded_after(code: str) -> set[str]:
    """Top-level modules present in a fresh interpreter after `code`."""
    script = f"{code}\nimport sys\nsys.stderr.write(' '.join({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-800:]
    return set(done.stderr.split())


def test_functions_and_modules_are_short():
    functions = [(p, f) for p, tree in TREES.items() for f in ast.walk(tree) if isinstance(f, Function)]
    long = [f"{name_of(p)}:{f.lineno} {f.name} {body_lines(f)}" for p, f in functions if body_lines(f) > BODY_LINES]
    long += [name_of(p) for p in TREES if len(p.read_text(encoding="utf-8").splitlines()) > MODULE_LINES]
    assert not long, "\n".join(long)


def test_modules_of_unix_are_asked_for_not_taken_for_granted():
    """Elsewhere an import ends every verb at once: it stands in a `try`, and of `os` only what all have is used."""
    taken = []
    for path, tree in TREES.items():
        tried = {id(one) for node in ast.walk(tree) if isinstance(node, ast.Try) for one in node.body}
        for node in ast.walk(tree):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if id(node) not in tried:
                taken += [f"{name_of(path)}:{node.lineno} {name}" for name in names if name in UNIX]
            if isinstance(node, ast.Attribute) and ast.unparse(node) in UNIX:
                taken.append(f"{name_of(path)}:{node.lineno} {ast.unparse(node)}")
    assert not taken, "\n".join(taken)


def test_module_names_say_something():
    assert not [name_of(path) for path in TREES if path.stem in VAGUE or path.parent.name in VAGUE]


def test_dimension_is_an_argument():
    """A file for 2-D beside one for 3-D would be the same thing twice."""
    twins: dict[str, set[str]] = {}
    for path in TREES:
        if found := re.search(r"([23])d(?=_|$)", path.stem):
            twins.setdefault(name_of(path).replace(found[0], "Nd"), set()).add(name_of(path))
    assert not [names for names in twins.values() if len(names) > 1]


def test_nothing_is_left_unfinished():
    assert not [name_of(path) for path in TREES if "NotImplementedError" in path.read_text(encoding="utf-8")]


def test_tables_name_what_lies_below_them():
    height = layers()
    wrong = [
        f"{name_of(path)}:{line} names {used}"
        for path, tree in TREES.items()
        if (own := name_of(path).split("/")[0]) in height
        for line, used in rows(tree)
        if used != own and height.get(used, 99) >= height[own]
    ]
    assert not wrong, "\n".join(wrong)


def test_the_package_itself_imports_nothing():
    """Public names are strings that are resolved when asked for; only type checkers may see imports."""
    for node in TREES[SRC / "__init__.py"].body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            module = node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
            assert str(module).split(".")[0] in sys.stdlib_module_names, f"__init__.py:{node.lineno} imports {module}"


def test_importing_segwright_loads_nothing_heavy():
    assert not loaded_after("import segwright") & {"torch", "numpy", "scipy", "pydantic", "matplotlib", "rich"}


def test_what_needs_no_torch_loads_none_by_detours():
    free = {name.removeprefix("segwright.") for name in contract("torch")["source_modules"].split()}
    modules = [name_of(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in TREES]
    code = "\n".join(f"import segwright.{name}" for name in modules if name.split(".")[0] in free)
    assert "torch" not in loaded_after(code)


def test_help_loads_no_torch():
    code = (
        "import sys\nfrom segwright.__main__ import main\nsys.argv = ['segwright', '--help']\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code"
    )
    assert not loaded_after(code) & {"torch", "scipy", "matplotlib", "nibabel", "SimpleITK"}
