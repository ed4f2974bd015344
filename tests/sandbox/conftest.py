"""Every mechanism of this system, its canaries passed; one that is missing is a failure, not a skip."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from localrl import sandbox
from localrl.sandbox.bubblewrap import Bubblewrap
from localrl.sandbox.landlock import Landlock
from localrl.sandbox.seatbelt import Seatbelt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from localrl.sandbox import Sandbox
    from localrl.sandbox.mechanism import Mechanism

MECHANISMS: dict[str, Callable[[], Mechanism]] = (
    {"seatbelt": Seatbelt} if sys.platform == "darwin" else {"bubblewrap": Bubblewrap, "landlock": Landlock}
)


@pytest.fixture(scope="module", params=list(MECHANISMS))
def box(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A sandbox of each mechanism, also the one that verifiers acquire."""
    found = sandbox.checked(MECHANISMS[request.param]())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sandbox, "_acquired", found)
        yield found
