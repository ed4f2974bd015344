"""Stands in for `_multiprocessing` where `/dev/shm` may not be written; no process can be made, so locks of
threads are enough.

`multiprocessing.pool.ThreadPool` makes such semaphores although it shares nothing with other processes.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from threading import Condition

RECURSIVE_MUTEX = 0
flags: dict[str, int] = {}


def sem_unlink(name: str) -> None:
    """Nothing has a name here."""


class SemLock:
    """The interface of `_multiprocessing.SemLock`, within one process."""

    SEM_VALUE_MAX = 2**31 - 1
    handle, name = 0, None

    def __init__(self, kind: int, value: int, maxvalue: int, name: str, unlink: bool) -> None:
        from threading import Condition

        self.kind, self.maxvalue = kind, maxvalue
        self._value, self._owner, self._held = value, 0, 0
        self._changed: Condition = Condition()

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        with self._changed:
            if self.kind != RECURSIVE_MUTEX or not self._is_mine():
                wait = (None if timeout is None else max(timeout, 0)) if block else 0
                if not self._changed.wait_for(lambda: self._value > 0, wait):
                    return False
                self._value -= 1
                self._owner = _ident()
            self._held += 1
            return True

    def release(self) -> None:
        with self._changed:
            if self.kind == RECURSIVE_MUTEX:
                if not self._is_mine():
                    raise AssertionError("attempt to release recursive lock not owned by thread")
                self._held -= 1
                if self._held:
                    return
            elif self._value >= self.maxvalue:
                raise ValueError("semaphore or lock released too many times")
            else:
                self._held -= 1
            self._value += 1
            self._changed.notify()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def _is_mine(self) -> bool:
        return self._held > 0 and self._owner == _ident()

    def _count(self) -> int:
        return self._held

    def _get_value(self) -> int:
        return self._value

    def _is_zero(self) -> bool:
        return self._value == 0

    def _after_fork(self) -> None:
        """There is no fork."""


def _ident() -> int:
    from threading import get_ident

    return get_ident()
