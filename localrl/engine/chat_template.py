"""Render chat templates, which are programs from strangers, in a child process under limits.

A template comes from a model file. Jinja's sandbox keeps it from the machine but not from wasting it: a loop
without end or a multiplied string would stop the worker. So `python -m localrl.engine.chat_template` renders,
with its memory limited, and `Renderer` ends it when it takes too long.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from localrl import isolated
from localrl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from localrl.chat import Message

SECONDS = 5.0
STARTUP_S = 30.0
"""For the child to start, on a machine that is busy with a model."""
MEMORY_BYTES = 1 << 30
OUTPUT_CHARACTERS = 8_000_000


class Renderer:
    """One template, compiled once in a child that stays alive between prompts."""

    def __init__(self, template: str, bos: str = "", eos: str = "") -> None:
        self._setup = {"template": template, "bos": bos, "eos": eos}
        self._child: subprocess.Popen[bytes] | None = None
        self._unread = b""
        self._failed = ""

    def render(
        self, messages: Sequence[Message], *, parts: bool = False, variables: dict[str, Any] | None = None
    ) -> str:
        """The prompt for these messages, ending where the assistant's turn begins.

        Args:
            parts: give each content as a list with one part of type text.
            variables: what the template may read besides, such as `tools`.

        Raises:
            UsageError: the template is broken, refuses the messages, or exceeds its limits.
        """
        given: list[dict[str, Any]] = [message.as_openai() for message in messages]
        if parts:
            given = [m | {"content": [{"type": "text", "text": m["content"]}]} for m in given]
        if self._child is None and not self._failed:
            self._start()
        answer = (
            {"error": self._failed} if self._failed else self._ask({"messages": given, **(variables or {})})
        )
        if "error" in answer:
            raise UsageError(f"the model's chat template failed: {answer['error']}")
        return str(answer["prompt"])

    def close(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.communicate()
            self._child, self._unread = None, b""

    def _start(self) -> None:
        self._child = subprocess.Popen(
            isolated.command("localrl.engine.chat_template"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={key: value for key, value in os.environ.items() if key in ("PATH", "LANG")},
            start_new_session=True,
        )
        self._ask(self._setup, STARTUP_S)

    def _ask(self, message: dict[str, Any], seconds: float | None = None) -> dict[str, Any]:
        assert self._child is not None
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(json.dumps(message).encode() + b"\n")
            self._child.stdin.flush()
            line = self._read_line(time.monotonic() + (seconds or SECONDS))
        except BrokenPipeError:
            line = b""
        if not line:
            self.close()
            # One time-out is enough to know: the next prompt must not wait for it again.
            self._failed = f"it needed more than {SECONDS:g} s or {MEMORY_BYTES >> 20} MiB"
            return {"error": self._failed}
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _read_line(self, deadline: float) -> bytes:
        """One line of the child, or nothing when it died or ran out of time."""
        assert self._child is not None
        assert self._child.stdout is not None
        parts = [self._unread]
        with selectors.DefaultSelector() as selector:
            selector.register(self._child.stdout, selectors.EVENT_READ)
            while b"\n" not in parts[-1]:
                left = deadline - time.monotonic()
                if left <= 0 or not selector.select(left):
                    return b""
                chunk = os.read(self._child.stdout.fileno(), 1 << 16)
                if not chunk:
                    return b""
                parts.append(chunk)
        line, _, self._unread = b"".join(parts).partition(b"\n")
        return line


def compile_template(template: str, bos: str, eos: str) -> Any:
    """A function from the template's variables to the prompt, as model authors test it."""
    from datetime import datetime

    import jinja2
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """`{% generation %}` only marks text for training: pass it through."""

        tags = {"generation"}

        def parse(self, parser: Any) -> Any:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    def refuse(message: str) -> None:
        raise jinja2.TemplateError(message)

    def tojson(value: Any, indent: int | None = None, ensure_ascii: bool = False) -> str:
        return json.dumps(value, indent=indent, ensure_ascii=ensure_ascii)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = tojson
    compiled = environment.from_string(template)

    # Without `enable_thinking` some templates append the closing tag, which switches the thinking off.
    defaults = {"enable_thinking": True, "tools": None}

    def render(variables: dict[str, Any]) -> str:
        return compiled.render(
            {**defaults, **variables},
            bos_token=bos,
            eos_token=eos,
            add_generation_prompt=True,
            raise_exception=refuse,
            strftime_now=lambda form: datetime.now().strftime(form),
        )

    return render


def main() -> None:
    """The child: a line with the template, then a line of variables for each prompt."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    setup = json.loads(sys.stdin.readline())
    render, broken = None, ""
    try:
        render = compile_template(setup["template"], setup["bos"], setup["eos"])
    except Exception as error:  # noqa: BLE001 - whatever a template raises is an answer
        broken = f"{type(error).__name__}: {error}"
    print("{}", flush=True)
    for line in sys.stdin:
        answer: dict[str, str]
        try:
            prompt = render(json.loads(line)) if render else ""
            answer = {"error": broken} if broken else {"prompt": prompt}
            if len(prompt) > OUTPUT_CHARACTERS:
                answer = {"error": f"it wrote {len(prompt):,} characters"}
        except Exception as error:  # noqa: BLE001
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
