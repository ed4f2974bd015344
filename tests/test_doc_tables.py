"""The tables of members in `docs/` say what the registries do; LOCALRL_ACCEPT_TABLES=1 writes them anew."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import TypeAdapter

from localrl import formats, paths, plugins
from localrl.catalog import card
from localrl.engine.backends import BACKENDS
from localrl.evals import dataset, environments, spec
from localrl.evals.environments import ENVIRONMENTS
from localrl.evals.layouts import LAYOUTS
from localrl.report import exports
from localrl.report.exports import FORMATS
from localrl.serve.calls import FORMATS as CALL_FORMATS
from localrl.tui import keys
from localrl.verify.registry import EXTRACTORS, VERIFIERS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from localrl.registry import Member

DOCS = Path(__file__).parent.parent / "docs"


def _extractors() -> list[list[str]]:
    return [["name", "finds"], *([f"`{name}`", EXTRACTORS.about(name)] for name in _ours(EXTRACTORS.members))]


def _verifiers() -> list[list[str]]:
    rows = [
        [f"`{name}`", VERIFIERS.about(name), getattr(VERIFIERS.get(name), "TARGET", "")]
        for name in _ours(VERIFIERS.members)
    ]
    return [["name", "correct when", "target"], *rows]


def _layouts() -> list[list[str]]:
    rows = [
        [f"`{name}`", LAYOUTS.about(name), getattr(LAYOUTS.get(name), "NO_GOLD", "")]
        for name in _ours(LAYOUTS.members)
    ]
    return [["layout", "rows", "why there are no golds"], *rows]


def _environments() -> list[list[str]]:
    rows = []
    for name in _ours(ENVIRONMENTS.members):
        schema = TypeAdapter(ENVIRONMENTS.get(name).Params).json_schema()
        keys = schema.get("properties") or next(iter(schema["$defs"].values()))["properties"]
        header = f"`[[data.{name}]]`" if schema["type"] == "array" else f"`[data.{name}]`"
        rows.append([header, ENVIRONMENTS.about(name), ", ".join(f"`{key}`" for key in keys)])
    return [["under `[data]`", "problems", "keys"], *rows]


def _backends() -> list[list[str]]:
    found = [(name, BACKENDS.get(name)) for name in _ours(BACKENDS.members)]
    return [
        ["`--backend`", "computes", "takes", "cannot"],
        *(
            [f"`{name}`", backend.SUMMARY, backend.FORM.value, "; ".join(backend.CANNOT)]
            for name, backend in found
            if not getattr(backend, "HIDDEN", False)
        ),
    ]


def _exports() -> list[list[str]]:
    return [
        ["`--format`", "writes", "ends with", "needs"],
        *(
            [f"`{name}`", FORMATS.about(name), f"`{FORMATS.get(name).SUFFIX}`", exports.extra(name)]
            for name in _ours(FORMATS.members)
        ),
    ]


def _call_formats() -> list[list[str]]:
    rows = [
        [
            f"`{name}`",
            CALL_FORMATS.about(name),
            ", ".join(f"`{each}`" for each in CALL_FORMATS.get(name).FAMILIES),
        ]
        for name in _ours(CALL_FORMATS.members)
    ]
    return [["format", "of", "families of cards"], *rows]


def _evals() -> list[list[str]]:
    rows = [["eval", "problems", "data", "verifier, extractor", "samples, tokens"]]
    for name in sorted(path.stem for path in paths.shipped("evals").glob("*.toml")):
        made, path = spec.load(name)
        data = ", or ".join(source.describe(params) for source, params in made.data.sources)
        judge = f"`{made.verifier.name}`, `{made.verifier.extractor}`"
        numbers = str(dataset.size(made, path)), f"{made.samples}, {made.max_tokens}"
        rows.append([f"`{name}`", numbers[0], data, judge, numbers[1]])
    return rows + [[f"`{form}`", "", what, "", ""] for form, what in environments.forms().items()]


def _cards() -> list[list[str]]:
    rows = [["card", "parameters", "licence", "weights"]]
    for name in sorted(path.stem for path in paths.shipped("models").glob("*.toml")):
        made = card.load(name)
        forms = [form for form in ("package", "gguf", "mlx") if getattr(made, form)]
        rows.append([f"`{name}`", formats.parameters(made.parameters), made.licence, ", ".join(forms)])
    return rows


def _keys() -> list[list[str]]:
    rows = [["where", "key", "what", "name"]]
    for group, table in keys.TABLE.items():
        for key in table:
            pressed = " or ".join(f"`{keys.display(each)}`" for each in key.keys.split(","))
            rows.append([keys.GROUPS[group], pressed, key.label + key.more, f"`{group}.{key.name}`"])
    return rows


def _ours(members: Mapping[str, Member]) -> list[str]:
    return [name for name, member in members.items() if not member.package]


TABLES = [
    ("evals.md", "evals", _evals),
    ("evals.md", "layouts", _layouts),
    ("evals.md", "environments", _environments),
    ("evals.md", "extractors", _extractors),
    ("evals.md", "verifiers", _verifiers),
    ("engine.md", "backends", _backends),
    ("models.md", "cards", _cards),
    ("report.md", "export formats", _exports),
    ("interface.md", "keys", _keys),
    ("serve.md", "call formats", _call_formats),
]


def test_every_kind_of_member_has_a_table() -> None:
    assert {f"{registry.kind}s" for registry in plugins.registries()} <= {mark for _, mark, _ in TABLES}


@pytest.mark.parametrize(("page", "mark", "rows"), TABLES)
def test_a_table_in_the_docs_is_what_the_registry_says(
    page: str, mark: str, rows: Callable[[], list[list[str]]]
) -> None:
    head, *body = ["| " + " | ".join(row) + " |" for row in rows()]
    table = "\n".join([head, re.sub(r"[^|]+", "---", head), *body])
    path = DOCS / page
    text = path.read_text(encoding="utf-8")
    before, _, rest = text.partition(f"<!-- {mark} -->\n")
    written, _, after = rest.partition("<!-- end -->")
    if os.environ.get("LOCALRL_ACCEPT_TABLES"):
        path.write_text(f"{before}<!-- {mark} -->\n{table}\n<!-- end -->{after}", encoding="utf-8")
        return
    assert written.rstrip("\n") == table, (
        f"docs/{page} is behind; LOCALRL_ACCEPT_TABLES=1 pytest tests/test_doc_tables.py writes it"
    )
