"""What a backend is asked and what it answers.

A backend takes groups (one prompt, k samples), and every `step` is one batched forward pass that returns the
events of that step. Nothing but the caller's loop drives it, so cancelling and adding work take effect within
one step. A backend may be stopped at any step: what matters is in the events.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, Protocol, runtime_checkable

from localrl.chat import Message, ThinkingControl, ThinkingTags
from localrl.sampling import Sampling


class FinishReason(StrEnum):
    STOP = "stop"
    """An end-of-generation token or a stop string: the text ended by itself."""
    LENGTH = "length"
    """`max_tokens` was reached."""
    CONTEXT = "context"
    """The context holds no further token of this stream."""
    LOOP = "loop"
    """The loop guard stopped a text that repeated itself."""
    CANCELLED = "cancelled"
    REFUSED = "refused"
    """This prompt cannot run with these settings: it is too long, or the template rejects it."""
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class SampleRequest:
    id: str
    """Unique among everything in flight."""
    seed: int


@dataclass(frozen=True, slots=True)
class Grammar:
    """What an answer may look like; thinking is free."""

    kind: Literal["gbnf", "json_schema"]
    """llama.cpp's notation, with the rule `root`, or a JSON schema."""
    text: str


@dataclass(frozen=True, slots=True)
class Thought:
    """Thinking of before, cut and closed: a reply that begins with it goes on with the answer."""

    text: str
    """As it was generated, with the opening tag where the model wrote one."""
    tokens: int
    """So many of its first tokens are kept; `thinking.closing` follows them."""


@dataclass(frozen=True, slots=True)
class GroupRequest:
    """k samples of one prompt; the prompt is computed once."""

    id: str
    prompt: tuple[Message, ...] | str | tuple[int, ...]
    """Messages for the model's template, raw text, or tokens."""
    samples: tuple[SampleRequest, ...]
    sampling: Sampling = field(default_factory=Sampling)
    stop: tuple[str, ...] = ()
    """Strings that end the answer; thinking is not searched for them."""
    thinking: ThinkingTags | None = None
    control: ThinkingControl = field(default_factory=ThinkingControl)
    """How long it may think; see `Finished.closed`."""
    budgets: tuple[int, ...] = ()
    """Numbers of thinking tokens, ascending, at which each sample is forked: its thinking is closed there
    with `thinking.closing` and an answer decoded, while it thinks on itself; see `Finished.forks`."""
    budget_answer_tokens: int = 512
    """The `max_tokens` of a fork's answer."""
    probe_every: int | None = None
    """Ask for the answer so far after every so many thinking tokens; see `Finished.probes`. None asks for
    none, or every 64 where `control.stop_when_sure` needs them."""
    loop_guard: bool = True
    thought: Thought | None = None
    """Stands between the prompt and the reply, and is part of neither the reply's text nor its counts."""
    ignore_end: bool = False
    """Go on past end-of-generation tokens up to `max_tokens`; for measuring speed."""
    logprobs: int | None = None
    """Report generated tokens with their log-probabilities, and at each place this many of the likeliest."""
    grammar: Grammar | None = None
    tools: tuple[dict[str, Any], ...] = ()
    """Functions that the model may call, as OpenAI's API describes them; for the model's template."""
    echo: bool = False
    """Report the prompt's tokens in the same way, given `logprobs`; all of it is computed, nothing shared."""


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token and how likely the model found it: log-softmax (natural, float32) of its logits as they are,
    before temperature, filters and penalties."""

    id: int
    logprob: float | None
    """None for the first token of a prompt."""
    top: tuple[tuple[int, float], ...] = ()
    """The likeliest tokens at this place with their log-probabilities, best first."""
    end: bool = False
    """An end-of-generation token: it ended the sample and is not part of its text or counts."""


@dataclass(frozen=True, slots=True)
class Started:
    """The prompt of a sample is computed, and its first token chosen."""

    sample: str
    starts_thinking: bool
    """The rendered prompt ends inside the thinking tags."""
    logprobs: tuple[TokenLogprob, ...] = ()
    """The prompt's tokens, where the group asked for `echo`."""
    type: Literal["started"] = "started"


@dataclass(frozen=True, slots=True)
class Text:
    """What one step or a few added to a sample; tags and special tokens are not in it."""

    sample: str
    text: str
    thinking: bool
    tokens: int = 1
    """Generated since the sample's text before; a server's are chunks."""
    logprobs: tuple[TokenLogprob, ...] = ()
    """These tokens, where the group asked for `logprobs`."""
    type: Literal["text"] = "text"


@dataclass(frozen=True, slots=True)
class Fork:
    """What a sample answers when its thinking is closed at a budget.

    It comes with the end of its sample, so that both are stored together. The whole text of a fork is
    `finished.text[:at] + thinking.closing + text`.
    """

    budget: int
    forced: bool
    """The thinking was closed here. False where it had ended by itself before: nothing was decoded, the
    sample's own answer is what the budget gives, and the fields below stay empty."""
    seed: int = 0
    """`sampling.fork_seed` of the sample's seed and the budget."""
    reason: FinishReason = FinishReason.STOP
    text: str = ""
    """The answer: all that was decoded behind the closing text."""
    at: int = 0
    """Characters of the sample's text before the closing text."""
    thinking_tokens: int = 0
    """Before the closing text: `budget`, or a few more where that falls inside a character or a tag."""
    answer_tokens: int = 0
    reopened: bool = False
    """The answer opens the thinking again."""
    computed_tokens: int = 0
    """Computed besides the generated ones: the closing text, and thinking whose cells were lost."""


@dataclass(frozen=True, slots=True)
class ThinkingProbe:
    """The answer of a sample as it was in the middle of its thinking."""

    thinking_tokens: int
    answer: str
    """White space at its ends and what follows a closing brace are left out; empty where none came."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of one sample, with everything that is stored of it."""

    sample: str
    reason: FinishReason
    text: str
    """All generated text, thinking tags included, special tokens not; ends before a stop string."""
    starts_thinking: bool = False
    prompt_tokens: int = 0
    """Length of the prompt, all of it."""
    shared_tokens: int = 0
    """How many of them were taken from another sequence instead of computed for this sample."""
    thinking_tokens: int = 0
    answer_tokens: int = 0
    ttft_s: float | None = None
    """From submission to the first token; None when there was none."""
    tokens_per_s: float | None = None
    """(n - 1) / (t_last - t_first); None below two tokens."""
    error: str = ""
    estimated: bool = False
    """The token counts are our own estimate, not the backend's."""
    closed: Literal["", "budget", "sure"] = ""
    """What made the engine close the thinking, if it did: the budget, or equal answers of probes. It does so
    at most once a sample, inside the thinking only, and never inside a character."""
    forced_tokens: int = 0
    """Tokens of the closing text; it is part of `text`, but of neither count."""
    reopened: bool = False
    """Thinking was opened again after it had been closed; its tokens count for budgets, and as answer."""
    forks: tuple[Fork, ...] = ()
    """One for each of the group's budgets, ascending; of a cancelled sample only those that had ended."""
    probes: tuple[ThinkingProbe, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    """All generated tokens, the one that ended the sample included, where the group asked for `logprobs`; the
    closing text's are not among them."""
    type: Literal["finished"] = "finished"


@dataclass(frozen=True, slots=True)
class Metrics:
    """How busy the engine is, and what it has done since it was loaded; totals are over all samples."""

    running: int = 0
    forks: int = 0
    """Forks that run beside the samples."""
    waiting: int = 0
    preempted: int = 0
    """Streams that gave up their cells and will go on later."""
    parallel: int = 1
    """How many streams may run at once at the moment."""
    cells_used: int = 0
    cells: int = 0
    generated_tokens: int = 0
    decode_s: float = 0.0
    """Wall time of the steps in which at least one stream was decoding."""
    prefill_tokens: int = 0
    """Prompt tokens that were computed."""
    prefill_s: float = 0.0
    """Wall time of steps with prompt tokens; of a mixed step, the share of prompt tokens in its batch."""
    steps: int = 0
    peak_memory_bytes: int = 0
    type: Literal["metrics"] = "metrics"


Event = Started | Text | Finished | Metrics


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a backend knows of the model it loaded, and the settings it ended up with."""

    backend: str
    version: str
    context: int
    """KV cells in all."""
    parameters: int = 0
    description: str = ""
    template_sha256: str = ""
    on_processor: bool = False
    """It computes where the app runs as well: what the app does costs tokens."""
    settings: dict[str, str | int | float | bool] | None = None
    bos: str = ""
    """Text of the token with which texts begin; so for `eos`."""
    eos: str = ""
    chat_template: str = ""


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How servers are asked, beyond what the protocol says."""

    headers: tuple[tuple[str, str], ...] = ()
    """Name and value of HTTP headers; they may be secret, and are never stored."""
    extra_body: dict[str, Any] = field(default_factory=dict)
    """JSON fields that every request carries."""
    ca_file: str = ""
    """PEM certificates that are trusted beside the system's."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What a worker is told to load."""

    backend: str = "llama.cpp"
    """A name of `localrl.engine.backends.BACKENDS`; the worker refuses any other."""
    model: str = ""
    """Path of the model, or its name on servers."""
    parallel: int | None = None
    """Streams at once; None finds the number by measuring."""
    first_parallel: int | None = None
    """The number that is measured first; None leaves it to the backend."""
    context: int | None = None
    """KV cells in all; None takes what fits."""
    tokens_per_stream: int = 4096
    """Expected prompt and output of a sample; used to size the pool when `context` is None."""
    longest_stream: int | None = None
    """Tokens that no prompt and output exceed, where that is known."""
    cache_type: Literal["f16", "q8_0", "q4_0"] | None = None
    """Precision of the KV cells; None takes what fits best."""
    gpu_layers: int | None = None
    """Layers on the accelerator, -1 for all; None takes what fits."""
    main_gpu: int | None = None
    """Of several accelerators the one for the whole model; None splits it over all."""
    tensor_split: tuple[float, ...] = ()
    """The share of each accelerator, where the model is split."""
    threads: int | None = None
    adapter: str | None = None
    """Path of a LoRA adapter on top of the model's weights."""
    aim: Literal["latency", "throughput"] = "latency"
    """Whether somebody waits for the next token, or only for the end of the run."""
    speculate: bool = True
    """Guess the next tokens of few streams, where that is measured to pay; see `speculation`."""
    tags: ThinkingTags | None = None
    """Tags that stay visible although they may be special tokens."""
    shown: str = ""
    """Further control tokens that stay visible, such as those around tool calls."""
    endpoints: tuple[str, ...] = ()
    server: ServerOptions = field(default_factory=ServerOptions)
    chat_template: str | None = None
    """In place of the one in the model's files."""

    def template(self, own: str) -> str:
        """The chat template to render with, where the model's files hold `own`."""
        return own if self.chat_template is None else self.chat_template


class Tokenizer(Protocol):
    """What a model's texts are made of."""

    def encode(self, group: GroupRequest) -> tuple[list[int], bool]:
        """The prompt's tokens, and whether it ends inside the thinking tags.

        Raises:
            LocalrlError: the template refuses it.
        """

    def tokenize(self, text: str, *, ends: bool = False, control: bool = False) -> list[int]:
        """The tokens of a text; `ends` adds those that begin and end one, `control` reads their names."""

    def piece(self, token: int) -> bytes:
        """The text of a token, which may be part of a character; of a control token its name."""


class Backend(Protocol):
    """The whole contract between the worker and the library that computes.

    Where `Ability.LOGPROBS` is not declined, it also has a `tokenizer: Tokenizer`.
    """

    @property
    def info(self) -> ModelInfo: ...

    def submit(self, group: GroupRequest) -> None:
        """Queue a group. A prompt that cannot run finishes its samples as `refused`."""

    def cancel(self, name: str) -> None:
        """Stop a sample, or all samples of a group; they finish as `cancelled` with what they have."""

    def step(self) -> list[Event]:
        """One forward pass over everything that runs; an empty list when there is nothing to do."""

    @property
    def busy(self) -> bool:
        """Whether a step would do something."""

    def close(self) -> None:
        """Free everything. Samples in flight are dropped without events."""


@runtime_checkable
class Adaptable(Protocol):
    """A backend that can change its adapter without loading the model again."""

    def set_adapter(self, path: str | None) -> None:
        """Compute with this adapter from now on, or with none; called while nothing runs.

        Nothing that was computed with the adapter before is used again: cells, stored states, prefixes.

        Raises:
            UsageError: the file is no adapter of this model.
        """
