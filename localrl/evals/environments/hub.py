"""Rows of files of a dataset on the hub: fetched once at a pinned revision, then read without network."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from localrl.errors import NetworkError, UsageError
from localrl.tomlfile import Strict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localrl.evals.spec import EvalSpec

LOCAL = False


class Params(Strict):
    dataset: str
    """`owner/name`."""
    revision: str
    """A 40-hex commit, so that the problems can never change."""
    files: list[str]
    """Paths inside the dataset, in order."""
    gated: bool = False
    """True when its terms have to be accepted with an account."""


def describe(params: Params) -> str:
    return f"{params.dataset} at {params.revision[:12]}{', gated' if params.gated else ''}"


def warning(params: Params) -> str:
    if re.fullmatch("[0-9a-f]{40}", params.revision):
        return ""
    return (
        f"revision {params.revision!r} of {params.dataset} may be moved, "
        "and then results compare no longer; write the 40 digits of a commit"
    )


def files(spec: EvalSpec, params: Params, folder: Path) -> Iterator[Path]:
    release = spec.data.window.release if spec.data.window else None
    if release and release > len(params.files):
        raise UsageError(f"eval {spec.name!r} has releases 1 to {len(params.files)}, not {release}")
    for file in params.files[:release]:
        yield fetch(params, file)


def fetch(data: Params, file: str) -> Path:
    """One file of a dataset, on this machine.

    Honours HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE.

    Raises:
        NetworkError: it is not in the cache and the hub cannot be reached, or keeps it behind a gate.
        UsageError: the dataset, the revision or the file does not exist.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import huggingface_hub
    from huggingface_hub import errors

    huggingface_hub.logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # not of every attempt
    try:
        return Path(
            huggingface_hub.hf_hub_download(data.dataset, file, repo_type="dataset", revision=data.revision)
        )
    except errors.GatedRepoError as error:
        raise _gated(data) from error
    except errors.LocalEntryNotFoundError as error:
        offline = huggingface_hub.is_offline_mode()
        raise NetworkError(
            f"{data.dataset}/{file} is not on this machine and "
            + ("HF_HUB_OFFLINE is set" if offline else "the hub cannot be reached"),
            hint="run this once with network" if offline else "check the connection, then try again",
        ) from error
    except errors.RepositoryNotFoundError as error:
        if data.gated:
            raise _gated(data) from error
        raise UsageError(f"the hub has no dataset {data.dataset} that you may read") from error
    except (errors.RevisionNotFoundError, errors.EntryNotFoundError) as error:
        raise UsageError(f"dataset {data.dataset} has no file {file} at revision {data.revision}") from error
    except (errors.HfHubHTTPError, OSError) as error:
        raise NetworkError(f"cannot get {data.dataset}/{file}: {error}", hint="try again later") from error


def _gated(data: Params) -> NetworkError:
    return NetworkError(
        f"dataset {data.dataset} is gated",
        hint=f"accept its terms at https://huggingface.co/datasets/{data.dataset}, then set HF_TOKEN to a "
        "token of that account (https://huggingface.co/params/tokens) or run `hf auth login`",
    )
