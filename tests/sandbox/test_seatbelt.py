"""The macOS profile as text: it denies by default, and hides installed packages after showing the rest."""

from __future__ import annotations

import re
from pathlib import Path

from localrl.sandbox import interpreter
from localrl.sandbox.limits import Limits
from localrl.sandbox.seatbelt import Seatbelt, _quoted


def profile() -> str:
    command, descriptors = Seatbelt().command(["program", "memory=1", "cpu=8"], Limits())
    assert command[:2] == ["/usr/bin/sandbox-exec", "-p"]
    assert "memory=1" not in command  # address space cannot be limited there
    assert command[-2:] == ["program", "cpu=8"]
    assert descriptors == []
    return command[2]


def test_everything_is_denied_before_anything_is_allowed() -> None:
    rules = profile().splitlines()
    assert rules[:3] == ["(version 1)", "(deny default)", "(deny process-fork)"]
    operations = [rule.partition(" (")[0] for rule in rules]  # what follows are paths, networkx's among them
    assert not any("network" in operation or "mach" in operation for operation in operations)
    assert [rule for rule in rules if "write" in rule] == ['(allow file-write-data (literal "/dev/null"))']


def test_packages_are_hidden_but_for_the_few_that_programs_may_use() -> None:
    rules = profile().splitlines()
    shown = next(i for i, rule in enumerate(rules) if str(interpreter.current().roots[0]) in rule)
    hidden = next(i for i, rule in enumerate(rules) if "site|dist" in rule)
    assert shown < hidden
    for package in (interpreter.INSIDE, *interpreter.current().packages):
        assert any(str(package) in rule for rule in rules[hidden:])
    home = str(Path("~").expanduser())
    assert f'(subpath "{home}")' not in profile()


def test_parentheses_and_quotes_are_balanced() -> None:
    bare = re.sub(r'#?"(?:[^"\\]|\\.)*"', "", profile())
    assert bare.count("(") == bare.count(")")
    assert '"' not in bare
    assert _quoted('a "b" \\ c') == '"a \\"b\\" \\\\ c"'
