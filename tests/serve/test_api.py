"""Clients of OpenAI's API get what that API promises, streamed and not."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest

from tests.serve.serving import Client, metric, served

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.process
THOUGHT = "<think>\none two\n</think>\n\nthree four"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCALRL_HOME", str(folder / "home"))
        with served(folder, THOUGHT, "it is 4", "word " * 3000, real_s=0.001) as client:
            yield client


def test_thinking_and_answer_are_told_apart_and_counted(client: Client) -> None:
    said = client.chat(seed=0).json
    (choice,) = said["choices"]
    message = choice["message"]
    assert (message["reasoning_content"], message["content"]) == ("one two\n", "three four")
    assert message["reasoning"] == message["reasoning_content"]
    assert choice["finish_reason"] == "stop"
    usage = said["usage"]
    assert usage["completion_tokens"] == 6
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 4
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_a_stream_says_the_same_and_ends_with_usage_where_it_is_wanted(client: Client) -> None:
    whole = client.chat(seed=0).json
    chunks = client.chat(seed=0, stream=True, stream_options={"include_usage": True}).chunks
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    for name in ("content", "reasoning_content", "reasoning"):
        said = "".join(delta.get(name) or "" for delta in deltas)
        assert said == whole["choices"][0]["message"][name]
    assert deltas[0]["role"] == "assistant"
    assert chunks[-1]["choices"] == []
    reasons = [choice["finish_reason"] for chunk in chunks for choice in chunk["choices"]]
    assert [reason for reason in reasons if reason] == ["stop"]


def test_n_samples_share_one_prompt_and_each_has_a_seed_of_its_own(client: Client) -> None:
    said = client.chat(seed=0, n=2, max_tokens=50).json
    texts = [choice["message"]["content"] for choice in said["choices"]]
    assert texts == ["three four", "it is 4"]
    assert [choice["index"] for choice in said["choices"]] == [0, 1]
    assert said["usage"]["prompt_tokens"] == 4


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_limit_cuts_the_text_and_says_so(client: Client, name: str) -> None:
    (choice,) = client.chat(seed=1, **{name: 2}).json["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("it is", "length")


def test_a_stop_string_ends_the_answer(client: Client) -> None:
    (choice,) = client.chat(seed=1, stop=[" 4"]).json["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("it is", "stop")


def test_chat_log_probabilities_name_each_token_and_the_likeliest(client: Client) -> None:
    (choice,) = client.chat(seed=1, logprobs=True, top_logprobs=2).json["choices"]
    content = choice["logprobs"]["content"]
    assert [len(token["top_logprobs"]) for token in content] == [2, 2, 2]
    assert all(token["logprob"] == token["top_logprobs"][0]["logprob"] for token in content)
    streamed = client.chat(seed=1, logprobs=True, top_logprobs=2, stream=True).chunks
    told = [choice["logprobs"] for chunk in streamed for choice in chunk["choices"] if choice["logprobs"]]
    assert [token for each in told for token in each["content"]] == content


def test_an_echoed_prompt_comes_with_its_tokens_log_probabilities(client: Client) -> None:
    said = client.complete(prompt=["how much", "is"], echo=True, logprobs=1, max_tokens=1, seed=1).json
    first, second = said["choices"]
    assert first["text"].startswith("how much")
    assert first["logprobs"]["tokens"][:2] == ["how", "much"]
    assert first["logprobs"]["token_logprobs"][0] is None
    assert len(first["logprobs"]["token_logprobs"]) == 3
    assert second["logprobs"]["tokens"][0] == "is"
    for logprob, top in zip(
        *(first["logprobs"][k][1:] for k in ("token_logprobs", "top_logprobs")), strict=True
    ):
        assert logprob == max(top.values())
    only = client.complete(echo=True, logprobs=1, max_tokens=0).json["choices"][0]
    assert only["text"] == "how much is it"
    assert len(only["logprobs"]["tokens"]) == 4


def test_texts_become_tokens_and_tokens_texts(client: Client) -> None:
    told = client.ask("POST", "/tokenize", {"prompt": "ab cd", "add_special_tokens": False}).json
    assert told["count"] == 2
    assert client.ask("POST", "/detokenize", {"tokens": told["tokens"]}).json["prompt"] == "abcd"
    assert client.ask("GET", "/tokenizer_info").status == 200


def test_the_model_is_listed_and_others_are_not_found(client: Client) -> None:
    (model,) = client.ask("GET", "/v1/models").json["data"]
    assert model["owned_by"] == "localrl"
    assert client.chat(model=model["id"], max_tokens=1).status == 200
    assert client.chat(model="another").status == 404


def test_whoever_hangs_up_frees_the_engine(client: Client) -> None:
    body = b'{"messages":[{"role":"user","content":"x"}],"seed":2,"max_tokens":3000%s}'
    for stream in (b"", b',"stream":true'):
        with socket.create_connection(("127.0.0.1", client.port)) as connection:
            whole = body % stream
            head = (
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            )
            connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(whole) + whole)
            wait_for(client, "localrl_running", 1)
        wait_for(client, "localrl_running", 0)


def wait_for(client: Client, name: str, value: float) -> None:
    deadline = time.monotonic() + 30
    while metric(client, name) != value:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "nobody", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"n": 0}, "n"),
        ({"n": 1000}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"logit_bias": {"5": 1}}, None),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"stop": ["a"] * 17}, "stop"),
    ],
)
def test_what_makes_no_sense_or_is_not_supported_is_refused_by_name(
    client: Client, body: dict[str, object], param: str | None
) -> None:
    answer = client.chat(**body)
    assert answer.status == 400
    error = answer.json["error"]
    assert error["message"]
    assert param is None or error["param"] == param


def test_a_prompt_longer_than_the_context_is_refused_also_in_a_stream(client: Client) -> None:
    for stream in (False, True):
        answer = client.complete(prompt="word " * 200_000, stream=stream)
        assert (answer.status, answer.json["error"]["code"]) == (400, "context_length_exceeded")
