"""Mutation testing of what decides whether a package is believed: every small change of it has to fail a test.

    make mutants         # all mutants of package.py, lms.py and trust.py (an hour on 2 cores); mutants.toml explains survivors
Every mutant is one change of the source tree: another comparison, another operator, a number one larger, `and` for `or`, a
condition turned round, a call left out. A fork of this process puts it in the place of the module before anything imports it
and runs the tests that know the module until the first one fails. Whoever fails none survives. Exit code 1 where a
survivor is not explained in mutants.toml, or one that is explained has died.

Our own because a fork that has pytest and numpy loaded needs a tenth of the time that a new process for every mutant takes.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import importlib.abc
import importlib.machinery
import importlib.util
import io
import os
import signal
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import hypothesis  # noqa: F401 - loaded once, for every fork
import numpy as np  # noqa: F401
import pytest

ROOT = Path(__file__).resolve().parents[2]
SURVIVORS = Path(__file__).with_name("mutants.toml")
TESTS = ROOT / "host_tools" / "tests"
MODULES = {
    "interposer.core.lms": ("test_lms.py",),
    "interposer.core.trust": ("test_trust.py",),
    "interposer.core.package": ("test_profiles_package.py", "test_trust.py", "test_maintenance_answers.py"),
}
MOST_SECONDS = 120  # a mutant that runs for longer is dead: it hangs
KILLED = 1  # pytest's own exit code for tests that failed

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}


@dataclass(frozen=True)
class Mutant:
    """One change: where it is, the statement before and after, and the whole program with it."""

    module: str
    scope: str
    before: str
    after: str
    program: str

    @property
    def name(self) -> str:
        """How mutants.toml calls it: stays the same where other lines move."""
        return f"{self.module.rsplit('.', 1)[-1]}.{self.scope}: {self.before} -> {self.after}"


def mutants_of(module: str) -> Iterator[Mutant]:
    """Every mutant of a module, in the order of its source."""
    tree = ast.parse((ROOT / "firmware" / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))
    for scope, statement in _statements(tree, ""):
        before = ast.unparse(_head(statement))
        for node in ast.walk(_head(statement)):
            for undo in _changes(node):
                yield Mutant(module, scope or "(module)", before, ast.unparse(_head(statement)), ast.unparse(tree))
                undo()
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            kept, statement.value = statement.value, ast.Constant(None)
            yield Mutant(module, scope or "(module)", before, "None", ast.unparse(tree))
            statement.value = kept


def _statements(node: ast.AST, scope: str) -> Iterator[tuple[str, ast.stmt]]:
    """Statements of functions with the name of their function; constants of the module are spelt out elsewhere."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.ClassDef):
            yield from _statements(child, f"{scope}.{child.name}".lstrip("."))
        elif isinstance(child, ast.stmt):
            if scope and not (isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)):
                yield scope, child
            yield from _statements(child, scope)


def _head(statement: ast.stmt) -> ast.AST:
    """What of a statement is its own: of an `if` or a loop, what it looks at."""
    match statement:
        case ast.If(test=test) | ast.While(test=test):
            return test
        case ast.For(iter=over):
            return over
        case ast.With(items=items):
            return items[0]
        case ast.Try():
            return ast.Pass()
    return statement


def _changes(node: ast.AST) -> Iterator[Undo]:
    """Make each change of a node in turn; what is yielded takes it back."""
    match node:
        case ast.Compare(ops=ops):
            for place, op in enumerate(ops):
                yield _set(node, "ops", [*ops[:place], COMPARISONS[type(op)](), *ops[place + 1 :]])
        case ast.BinOp(op=op) | ast.AugAssign(op=op) if type(op) in OPERATORS:
            yield _set(node, "op", OPERATORS[type(op)]())
        case ast.BoolOp(op=op):
            yield _set(node, "op", ast.Or() if isinstance(op, ast.And) else ast.And())
        case ast.UnaryOp(op=ast.Not()):
            yield _set(node, "op", ast.UAdd())
        case ast.Constant(value=bool() as value):
            yield _set(node, "value", not value)
        case ast.Constant(value=int() as value):
            yield _set(node, "value", value + 1)
        case ast.IfExp(test=test):
            yield _set(node, "test", ast.UnaryOp(ast.Not(), copy.deepcopy(test)))


class Undo:
    """Takes a change back."""

    def __init__(self, node: ast.AST, name: str, value: object) -> None:
        self.node, self.name, self.value = node, name, value

    def __call__(self) -> None:
        setattr(self.node, self.name, self.value)


def _set(node: ast.AST, name: str, value: object) -> Undo:
    undo = Undo(node, name, getattr(node, name))
    setattr(node, name, value)
    return undo


class Planted(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives one module another program."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The mutant for its module, nothing for any other."""
        return importlib.util.spec_from_loader(fullname, self) if fullname == self.mutant.module else None

    def exec_module(self, module: ModuleType) -> None:
        """Run the mutant's program as the module."""
        exec(compile(self.mutant.program, f"{self.mutant.module} (mutant)", "exec"), module.__dict__)


def survives(mutant: Mutant) -> bool:
    """Whether the module's tests pass with it."""
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        _test(mutant)
    end = time.monotonic() + MOST_SECONDS
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def _test(mutant: Mutant) -> None:
    """Never returns."""
    code = KILLED
    try:
        sys.meta_path.insert(0, Planted(mutant))
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        files = [str(TESTS / name) for name in MODULES[mutant.module]]
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            options = ["-x", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", "-m", "not full"]
            code = int(pytest.main([*options, "--deselect", f"{TESTS}/test_trust.py::test_no_mutant_is_accepted", *files]))
    finally:
        os._exit(code)


def explained() -> dict[str, str]:
    """Survivors by name, and why each may."""
    return dict(tomllib.loads(SURVIVORS.read_text(encoding="utf-8"))) if SURVIVORS.is_file() else {}


def main() -> int:
    """Test every mutant; 0 where the survivors are those that are explained."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("modules", nargs="*", default=list(MODULES), help="default: all")
    parser.add_argument("--every", type=int, default=1, help="only one mutant in so many")
    chosen = parser.parse_args()
    os.chdir(ROOT)
    known = explained()
    mutants = [mutant for module in chosen.modules for mutant in mutants_of(module)][:: chosen.every]
    alive = []
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for number, (mutant, lives) in enumerate(zip(mutants, pool.map(survives, mutants), strict=True), 1):
            if lives:
                alive.append(mutant.name)
                print(f"{number}/{len(mutants)} survives: {mutant.name}", flush=True)
    unexplained = [name for name in alive if name not in known]
    tested = {mutant.name for mutant in mutants}
    dead = [name for name in known if name in tested and name not in alive]
    for name in dead:
        print(f"explained, but dead: {name}")
    print(f"{len(mutants)} mutants, {len(alive)} survive, {len(unexplained)} of them unexplained")
    return 1 if unexplained or dead else 0


if __name__ == "__main__":
    sys.exit(main())
