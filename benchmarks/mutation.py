"""Would the tests notice if a number or a comparison were another one?

    python benchmarks/mutation.py segwright.postprocess.trial [MODULE ...] [--portion 1/4] [--only NESTED_SHARE]
    python benchmarks/mutation.py segwright.ops.row_instances --tests tests/ops tests/postprocess --kinds constant

One at a time, each constant is changed, each comparison moved by its equal case, and each condition of an `if` switched
off; the tests of the module's package (and the examples in the module) run on a copy of the sources. A mutant that they
fail on is killed; one that they pass has survived, and either a test is missing or the number decides nothing.
Results are kept mutant by mutant in `benchmarks/results/mutation.json`: a later run replaces those that it tried.
"""

from __future__ import annotations

import argparse
import ast
import compileall
import contextlib
import datetime
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "mutation.json"
KINDS = ("constant", "comparison", "condition")
#: The other side of each comparison's equal case; the opposite where there is none.
OTHERS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==",
}  # fmt: skip
SIGNS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}


@dataclass(frozen=True)
class Mutant:
    """One change of one module.

    Attributes:
        module: Its dotted name.
        place: Function, line, and byte of the line.
        kind: See `KINDS`.
        text: The line as it is.
        was, became: What was changed.
        start, end: Bytes of the source that it replaces.
    """

    module: str
    place: str
    kind: str
    text: str
    was: str
    became: str
    start: int
    end: int


def mutants_of(module: str, source: str, kinds: Sequence[str] = KINDS) -> list[Mutant]:
    """All mutants of a module in the order of its lines."""
    return sorted(_Finder(module, source).found(kinds), key=lambda m: (m.start, m.end))


class _Finder:
    """Walks a module and remembers in which function it is."""

    def __init__(self, module: str, source: str) -> None:
        self.module, self.lines = module, source.encode().splitlines(keepends=True)
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line))
        self.source, self.tree = source.encode(), ast.parse(source)

    def found(self, kinds: Sequence[str]) -> Iterator[Mutant]:
        for kind, place, start, end, became in self._changes(self.tree, ""):
            if kind in kinds:
                line = self.source.count(b"\n", 0, start)
                text, was = self.lines[line].decode().strip(), self.source[start:end].decode()
                where = f"{place or 'module'}:{line + 1}:{start - self.starts[line]}"
                yield Mutant(self.module, where, kind, text, was, became, start, end)

    def _changes(self, node: ast.AST, place: str) -> Iterator[tuple[str, str, int, int, str]]:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            place = f"{place}.{node.name}" if place else node.name
        if isinstance(node, ast.keyword) and node.arg == "strict":
            return  # only guards against slips
        if isinstance(node, ast.Constant):
            if (became := _another(node.value)) is not None:
                yield "constant", place, *self._span(node), became
        elif isinstance(node, ast.If):
            if _is_type_checking(node):
                return
            yield "condition", place, *self._span(node.test), "False"
        elif isinstance(node, ast.Compare):
            yield from self._comparisons(node, place)
        for name, value in ast.iter_fields(node):
            if name in {"annotation", "returns", "decorator_list"}:
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from self._changes(child, place)

    def _comparisons(self, node: ast.Compare, place: str) -> Iterator[tuple[str, str, int, int, str]]:
        sides = [node.left, *node.comparators]
        for index, sign in enumerate(node.ops):
            if type(sign) in OTHERS:
                between = self._span(sides[index])[1], self._span(sides[index + 1])[0]
                start = self.source.index(SIGNS[type(sign)].encode(), *between)
                yield "comparison", place, start, start + len(SIGNS[type(sign)]), OTHERS[type(sign)]

    def _span(self, node: ast.expr) -> tuple[int, int]:
        assert node.end_lineno is not None and node.end_col_offset is not None
        return (
            self.starts[node.lineno - 1] + node.col_offset,
            self.starts[node.end_lineno - 1] + node.end_col_offset,
        )


def _is_type_checking(node: ast.If) -> bool:
    return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _another(value: object) -> str | None:
    """Another number or truth; texts stay."""
    if isinstance(value, bool):
        return str(not value)
    if isinstance(value, int):
        return str(value + 1 if abs(value) < 10 else value * 3 // 2)
    if isinstance(value, float):
        return f"{value * 1.5 if value else 1.0:.12g}"
    return None


class Bench:
    """A copy of the sources in which one module at a time is another."""

    def __init__(self, folder: Path, tests: Sequence[str], limit: float) -> None:
        self.source, self.tests, self.limit = folder / "src", list(tests), limit
        shutil.copytree(ROOT / "src", self.source, ignore=shutil.ignore_patterns("__pycache__"))
        compileall.compile_dir(self.source, quiet=2)

    def passes(self, module: str, source: str) -> tuple[bool, str]:
        """Whether the tests pass with that source of a module, and what failed first."""
        path = _path(self.source, module)
        kept = path.read_text()
        for stale in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            stale.unlink()
        path.write_text(source)
        try:
            return self._run(module, path)
        finally:
            path.write_text(kept)

    def _run(self, module: str, path: Path) -> tuple[bool, str]:
        tests = self.tests or [f"tests/{module.split('.')[1]}"]
        command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=line", "-p", "no:cacheprovider", "-p", "no:xdist"]
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        where = {"PYTHONPATH": str(self.source), "PYTHONDONTWRITEBYTECODE": "1"}
        # in a group of its own, so that whatever the tests started ends with them
        process = subprocess.Popen(
            [*command, str(path), *tests],
            cwd=ROOT,
            env={**os.environ, **threads, **where},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            told, _ = process.communicate(timeout=self.limit)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return False, "ran out of time"
        failed = [line for line in told.splitlines() if line.startswith(("FAILED", "ERROR"))]
        return process.returncode == 0, (failed or told.splitlines()[-1:] or [""])[0].split(" - ")[0]


def _path(source: Path, module: str) -> Path:
    path = source.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def main() -> None:
    options = parsed()
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        bench = Bench(Path(folder), options.tests, options.limit)
        for module in options.modules:
            source = _path(bench.source, module).read_text()
            began = time.monotonic()
            sound, failed = bench.passes(module, source)
            if not sound:
                sys.exit(f"The tests fail without any change, so they can tell nothing of {module}: {failed}")
            chosen = [m for m in mutants_of(module, source, options.kinds) if options.only in m.text][options.portion]
            print(f"{module}: {len(chosen)} mutants; the tests take {time.monotonic() - began:.0f} s", flush=True)
            killed = 0
            for row in tell(bench, source, chosen):
                keep([row])  # at once, so that a run that is stopped loses nothing
                killed += bool(row["killed"])
            print(f"{module}: {killed} of {len(chosen)} killed", flush=True)


def tell(bench: Bench, source: str, chosen: Sequence[Mutant]) -> Iterator[dict[str, object]]:
    """Try each mutant, print it, and yield its row."""
    raw = source.encode()
    for mutant in chosen:
        changed = (raw[: mutant.start] + mutant.became.encode() + raw[mutant.end :]).decode()
        survived, failed = bench.passes(mutant.module, changed)
        word = "SURVIVED" if survived else "killed"
        print(f"{word:8}  {mutant.place}  {mutant.was} -> {mutant.became}  |  {mutant.text}", flush=True)
        row = asdict(mutant)
        del row["start"], row["end"]
        yield {**row, "killed": not survived, "by": failed if not survived else "", "date": str(datetime.date.today())}


def keep(rows: Sequence[dict[str, object]]) -> None:
    """Replace what an earlier run found of the same mutants; those of lines that are gone leave with their module."""
    known = json.loads(RESULTS.read_text())["mutants"] if RESULTS.exists() else []
    tried = {_name(row) for row in rows}
    merged = [*(row for row in known if _name(row) not in tried and _exists(row)), *rows]
    merged.sort(key=lambda row: (row["module"], *map(int, row["place"].split(":")[1:]), row["kind"]))
    modules: dict[str, dict[str, int]] = {}
    for row in merged:
        count = modules.setdefault(row["module"], {"killed": 0, "survived": 0})
        count["killed" if row["killed"] else "survived"] += 1
    RESULTS.write_text(json.dumps({"modules": modules, "mutants": merged}, indent=1) + "\n")


def _name(row: dict[str, object]) -> tuple[object, ...]:
    return tuple(row[key] for key in ("module", "place", "kind", "text", "was", "became"))


def _exists(row: dict[str, object]) -> bool:
    """Whether the line is still there and still the same."""
    path = _path(ROOT / "src", str(row["module"]))
    lines = path.read_text().splitlines() if path.exists() else []
    number = int(str(row["place"]).split(":")[1])
    return number <= len(lines) and lines[number - 1].strip() == row["text"]


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="+", help="dotted names, for example segwright.ops.row_instances")
    parser.add_argument("--tests", nargs="+", default=[], help="files or folders; tests/PACKAGE if not given")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--only", default="", help="only lines that hold this text")
    parser.add_argument("--portion", type=_portion, default=slice(None), help="1/4: every fourth mutant from the first")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds after which a mutant counts as killed")
    return parser.parse_args()


def _portion(text: str) -> slice:
    number, of = map(int, text.split("/"))
    return slice(number - 1, None, of)


if __name__ == "__main__":
    main()
