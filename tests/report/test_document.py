"""Reports hold the run's numbers in every format, and nothing a model said can become markup or script."""

from __future__ import annotations

import base64
import csv
import gzip
import hashlib
import io
import json
import re
import time
from dataclasses import replace
from html import escape
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest
from markdown_it import MarkdownIt

from localrl import stats
from localrl.errors import UsageError
from localrl.report import charts, document, markdown, numbers, run_summary, writing
from localrl.report.metrics import arrays
from localrl.report.run_summary import SO_FAR
from localrl.verdict import Outcome, Response

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)><!--\x00\x1b]0;x\x07\ud800\u202e"


class Elements(HTMLParser):
    """Every element of a page with its attributes, and the text inside each script."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self._inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._inside = tag == "script"
        if self._inside:
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.scripts[-1] += data

    def handle_endtag(self, tag: str) -> None:
        self._inside = False


def html(runs: list[Any], **options: Any) -> str:
    out = io.BytesIO()
    writing.write(runs, "html", None, out, **options)
    return out.getvalue().decode()


def markdown_of(runs: list[Any]) -> str:
    return markdown.text(document.make(runs))


def transcripts(page: str) -> list[Any]:
    packed = re.findall(r'<script id="t\d+" type="text/plain">([^<]*)</script>', page)
    return [problem for chunk in packed for problem in json.loads(gzip.decompress(base64.b64decode(chunk)))]


def hostile(run: Any) -> Any:
    first = run.made[0]
    run.made[0] = replace(
        first,
        problem=replace(first.problem, id=HOSTILE),
        response=Response(HOSTILE, HOSTILE, HOSTILE),
        extracted=HOSTILE,
        detail={HOSTILE: HOSTILE},
    )
    run.report["model"]["name"] = HOSTILE
    return run


def test_nothing_a_model_says_becomes_an_element_of_the_page(make_run: Callable[..., Any]) -> None:
    clean, foul = Elements(html([make_run()])), Elements(html([hostile(make_run())]))
    assert [tag for tag, _ in foul.found if tag in ("script", "img")] == [
        tag for tag, _ in clean.found if tag in ("script", "img")
    ]
    assert not any(
        name.startswith("on") or name == "style" for _, attributes in foul.found for name in attributes
    )


def test_no_text_of_a_run_can_stand_for_a_part_of_the_page(make_run: Callable[..., Any]) -> None:
    plain = Elements(html([make_run()]))
    for text in ("@@DATA@@", "@@TEXTS@@", "{{ 7 * 7 }}", "{% for x in data %}", "</title>", "\\g<0>"):
        run = make_run(name=text, quantisation=text)
        run.made = [
            replace(s, problem=replace(s.problem, id=f"{text} {s.problem.id}", target=text)) for s in run.made
        ]
        run.about |= {"name": text, "created": text, "command": [text]}
        for part in ("backend", "hardware", "sampling"):
            run.about[part] = dict.fromkeys(run.about[part], text) | {"settings": {text: text}}
        run.about["evals"][0] |= {
            "verifier": text,
            "deviations": [text],
            "published": [{"value": 1, "source": text}],
        }
        page = html([run])
        found = Elements(page)
        scripts = [attributes.get("id") for tag, attributes in found.found if tag == "script"]
        assert scripts == [attributes.get("id") for tag, attributes in plain.found if tag == "script"]
        assert page.count("samples are inside.") == 1
        assert f"<h1>{escape(text)}</h1>" in page
        assert transcripts(page)[0]["target"] == text
        index = json.loads(found.scripts[scripts.index("index")])
        assert index["0/sums"][0][0] == f"{text} sums-0"


def test_formulas_are_packed_as_mathml_of_allowed_parts_only_and_code_stays_code(
    make_run: Callable[..., Any],
) -> None:
    run = make_run(problems=1, k=1)
    answer = r"so \(\frac{1}{2}\), \(\href{javascript:alert(1)}{x}\), \(\color{red}{y}\); `$x$` ends"
    run.made[0] = replace(run.made[0], response=Response(answer))
    packed = transcripts(html([run]))[0]["samples"][0]["answer"]
    half = ["mfrac", {}, [["mrow", {}, [["mn", {}, ["1"]]]], ["mrow", {}, [["mn", {}, ["2"]]]]]]
    assert packed[:2] == ["so ", {"math": ["math", {}, [["mrow", {}, [half]]]], "source": r"\(\frac{1}{2}\)"}]
    assert "".join(p if isinstance(p, str) else p["source"] for p in packed) == answer
    drawn = json.dumps([p["math"] for p in packed if isinstance(p, dict)])
    assert not any(word in drawn for word in ("javascript", "href", "red"))
    assert packed[-1].endswith("`$x$` ends")


def test_only_our_own_script_and_style_may_run_and_nothing_may_be_loaded(
    make_run: Callable[..., Any],
) -> None:
    page = html([hostile(make_run())])
    elements = Elements(page)
    policy = next(a["content"] or "" for tag, a in elements.found if tag == "meta" and "http-equiv" in a)
    style = page[page.index("<style>") + 7 : page.index("</style>")]
    for text in (elements.scripts[-1], style):
        assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert not [a for _, a in elements.found if "src" in a or "href" in a]
    kinds = [a.get("type") for tag, a in elements.found if tag == "script"]
    assert kinds[-1] is None
    assert set(kinds[:-1]) == {"text/plain", "application/json"}


def test_every_transcript_is_inside_unless_left_out_on_purpose(make_run: Callable[..., Any]) -> None:
    run = make_run(problems=30)
    found = transcripts(html([run]))
    assert len(found) == 30
    assert [s["answer"] for p in found for s in p["samples"]] == [s.response.answer for s in run.made]
    failed = transcripts(html([run], transcripts="failed"))
    assert len(failed) == sum(g.correct < g.n for g in run.groups["sums"].values())
    assert transcripts(html([run], transcripts="none")) == []
    assert len(transcripts(html([run], max_texts=41))) == 10
    assert "Transcripts of 40 of 120 samples are inside" in html([run], max_texts=41)
    assert transcripts(html([run], max_bytes=0)) == []


def test_a_page_of_10_000_samples_is_small_and_quick(make_run: Callable[..., Any]) -> None:
    run = make_run(problems=1250, k=8)
    start = time.process_time()
    page = html([run])
    assert time.process_time() - start < 5
    assert len(page) < 3_000_000
    index = json.loads(Elements(page).scripts[-2])
    assert len(index["0/sums"]) == 1250
    assert sum(len(codes) for _, codes, *_ in index["0/sums"]) == 10_000


def test_the_headline_is_the_accuracy_with_its_interval(make_run: Callable[..., Any]) -> None:
    run = make_run()
    ours = stats.generalisation(*arrays(run.groups["sums"].values()))
    page = html([run])
    assert f"<b>{100 * ours.value:.1f} %</b>" in page
    assert f"{100 * ours.low:.1f}–{100 * ours.high:.1f}" in page


def test_markdown_csv_and_json_tell_the_same(make_run: Callable[..., Any]) -> None:
    runs = [make_run("a"), make_run("b", accuracy=0.4, seed=3, quantisation="Q4_K_M")]
    whole = json.loads(numbers.json_document(runs))
    lines = list(csv.DictReader(io.StringIO(numbers.csv_table(runs))))
    text = markdown_of(runs)
    for number, run in enumerate(runs):
        ours = stats.generalisation(*arrays(run.groups["sums"].values()))
        assert whole["runs"][number]["evals"][0]["accuracy"]["value"] == ours.value
        assert float(lines[number]["low"]) == ours.low
        assert f"{100 * ours.value:.1f} % ({100 * ours.low:.1f}–{100 * ours.high:.1f})" in text
    assert whole["comparison"]["pairs"][0]["comparison"]["problems"] == 12
    assert "Comparison with tiny:Q8_0" in text


def test_markdown_holds_no_markup_of_a_models_making(make_run: Callable[..., Any]) -> None:
    text = markdown_of([hostile(make_run())])
    assert "<script" not in text
    assert not any(ord(c) < 32 and c != "\n" for c in text)


LIVE = [
    "![x](http://evil.example/a.png)",
    "[click](http://evil.example)",
    "[x][y] [y]: http://evil.example",
    "http://evil.example/a?b=c",
    "WWW.evil.example",
    "<http://evil.example>",
    r"\[click](http://evil.example)",
    "&#91;click](http://evil.example)",
    "a|b [c](//evil.example)",
    "`[click](http://evil.example)",
    "`a` http://evil.example `b`",
    "who@evil.example",
]


@pytest.mark.parametrize("text", LIVE)
def test_markdown_makes_no_link_and_no_image_of_a_name(make_run: Callable[..., Any], text: str) -> None:
    run = make_run()
    run.about |= {"name": text, "command": ["localrl", "bench", text]}
    run.about["model"]["name"] = run.about["hardware"]["device"] = run.about["evals"][0]["eval"] = text
    run.about["evals"][0]["deviations"] = [text]
    run.about["evals"][0]["published"] = [{"value": 0.5, "source": text}]
    run.made = [replace(s, problem=replace(s.problem, eval=text)) for s in run.made]
    rendered = MarkdownIt("gfm-like").render(markdown_of([run, make_run("b", eval_name=text)]))
    found = {tag for tag, _ in Elements(rendered).found}
    assert "h1" in found
    assert "table" in found
    assert not found & {"a", "img"}


@pytest.mark.parametrize("name", ["=1+1", "+1+cmd", "-2+3", "@SUM(A1)", "\t=1"])
def test_a_csv_report_runs_no_formula_of_a_names_making(make_run: Callable[..., Any], name: str) -> None:
    run = make_run()
    run.about["name"] = run.about["model"]["name"] = name
    for line in csv.DictReader(io.StringIO(numbers.csv_table([run]))):
        assert line["name"].startswith("'")
        assert not [cell for cell in line.values() if cell[:1] in "=+@\t" and cell]


def test_plots_are_well_formed_and_png_is_drawn(tmp_path: Path, make_run: Callable[..., Any]) -> None:
    made = writing.write([hostile(make_run())], "svg", tmp_path / "plots")
    assert {path.name for path in made} == {
        "accuracy.svg",
        "speed.svg",
        "1-sums-length.svg",
        "1-sums-thinking.svg",
    }
    for path in made:
        root = ElementTree.fromstring(path.read_bytes())
        assert len(list(root.iter())) > 10
    (png, *_) = writing.write([make_run()], "png", tmp_path / "png")
    assert png.read_bytes().startswith(b"\x89PNG")


def test_a_plot_puts_accuracy_where_it_belongs() -> None:
    half = stats.Interval(0.5, 0.4, 0.6, 0.95, "wilson")
    root = ElementTree.fromstring(charts.accuracy_by_speed([charts.Point("x", 0, half, x=100.0)]) or "")
    dot = next(e for e in root.iter() if e.tag.endswith("circle"))
    middle = (charts.TOP + charts.HEIGHT - charts.BOTTOM) / 2
    assert float(dot.attrib["cy"]) == pytest.approx(middle, abs=0.1)


def test_labels_of_a_plot_do_not_cover_each_other() -> None:
    half = stats.Interval(0.5, 0.4, 0.6, 0.95, "wilson")
    points = [
        charts.Point(f"a model's name, run {run} eval {e}", run, half, x=100.0 + 90 * run, short=f"eval {e}")
        for run in range(3)
        for e in range(3)
    ]
    root = ElementTree.fromstring(charts.accuracy_by_speed(points) or "")
    boxes = []
    for e in root.iter():
        if e.attrib.get("class", "").startswith("of "):
            x, wide = float(e.attrib["x"]), charts.LETTER * len(e.text or "")
            boxes.append((x - wide if e.attrib["text-anchor"] == "end" else x, wide, float(e.attrib["y"])))
    assert len(boxes) == 9
    for i, (x, wide, y) in enumerate(boxes):
        for x2, wide2, y2 in boxes[:i]:
            assert abs(y - y2) >= charts.LABEL - 0.2 or x >= x2 + wide2 or x2 >= x + wide


def test_a_csv_line_has_every_outcome_and_they_sum_to_the_samples(make_run: Callable[..., Any]) -> None:
    (line,) = csv.DictReader(io.StringIO(numbers.csv_table([make_run(k=4)])))
    assert sum(int(line[outcome]) for outcome in Outcome) == int(line["samples"]) == 48
    assert (line["k"], float(line["pass_at_k"]) > float(line["accuracy"])) == ("4", True)


def test_the_command_to_repeat_a_run_is_the_recorded_one_or_names_its_settings(
    make_run: Callable[..., Any],
) -> None:
    report = make_run().report
    assert run_summary.command(report).startswith("localrl bench tiny:Q8_0 sums --samples 4 --seed 0")
    report["command"] = ["localrl", "bench", "a b"]
    assert run_summary.command(report) == "localrl bench 'a b'"


def test_a_partial_run_and_failed_verdicts_are_said(make_run: Callable[..., Any]) -> None:
    run = make_run()
    run.report["status"] = "partial"
    run.made[0] = replace(run.made[0], outcome=Outcome.VERIFIER_ERROR)
    page = html([run])
    assert SO_FAR in page
    assert "the verifier failed on some samples; accuracy lies between" in page
    assert "not measured" in page


def test_nothing_to_report_is_refused(tmp_path: Path, make_run: Callable[..., Any]) -> None:
    empty = make_run()
    empty.made.clear()
    with pytest.raises(UsageError, match="no finished sample"):
        writing.write([empty], "html", tmp_path / "x.html")
    with pytest.raises(UsageError, match="needs a run"):
        writing.write([], "md", tmp_path / "x.md")
    with pytest.raises(UsageError, match="did you mean 'html'"):
        writing.write([make_run()], "htm", tmp_path / "x")
    with pytest.raises(UsageError, match="folder"):
        writing.write([make_run()], "svg", None)
    assert list(tmp_path.iterdir()) == []
