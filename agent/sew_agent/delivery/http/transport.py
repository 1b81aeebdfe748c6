"""Requests of many deliveries side by side, in the one thread that runs this."""

from collections.abc import Callable, Sequence
from functools import partial

from kubectl_sew.consumers.base import Request, Response
from sew_agent.delivery.http.client import HttpClient
from sew_agent.delivery.http.errors import SendError
from sew_agent.delivery.http.event_loop import EventLoop
from sew_agent.delivery.http.pool import IDLE_LIFE

_Answer = Response | SendError


class HttpTransport:
    """Transport over an HTTP client. `deadline`: seconds for each request. All but `wake` belongs to one thread."""

    def __init__(self, client: HttpClient, deadline: float) -> None:
        self._client = client
        self._deadline = deadline
        self._loop = EventLoop()

    def begin(self, requests: Sequence[Request], done: Callable[[Sequence[_Answer]], None]) -> None:
        """Begin requests side by side. `done` gets their answers in order, at once or in `run`."""
        answers: dict[int, _Answer] = {}
        if not requests:
            done(())

        def answered(number: int, answer: _Answer) -> None:
            answers[number] = answer
            if len(answers) == len(requests):
                done([answers[of] for of in range(len(requests))])

        for number, request in enumerate(requests):
            self._loop.start(self._client.exchange(request, self._deadline), partial(answered, number))

    def run(self, seconds: float) -> None:
        """Wait at most so long until something goes on, and let it go on. Idle connections are closed in time."""
        self._loop.run(min(seconds, IDLE_LIFE))
        self._client.close_stale()

    def wake(self) -> None:
        """End the wait. Thread-safe."""
        self._loop.wake()

    def close(self) -> None:
        """Let go of what it holds; nothing is in flight any more."""
        self._loop.close()
