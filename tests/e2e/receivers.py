"""Receivers of the tests here, and the ids of what they must get."""

from collections import Counter
from collections.abc import Container

from kubectl_sew.event import Event, delivery_id
from testbed.receivers import Answer, Incoming, Receiver


def received_ids(receiver: Receiver) -> Counter[str]:
    """Return how often each delivery was accepted, by its id."""
    return receiver.ids(lambda incoming: incoming.headers["webhook-id"])


def delivery_ids(webhook: str, count: int, step: int = 1) -> set[str]:
    """Return the ids of a webhook's deliveries, one for each of the numbered events."""
    return {delivery_id(webhook, Event("", f"e{number}", {})) for number in range(0, count, step)}


class SwitchableReceiver:
    """A receiver whose answers can be changed."""

    def __init__(self, status: int, accepted: Container[str] = ()) -> None:
        """Answer `status` to all but the deliveries of the ids in `accepted`."""
        self.status = status
        self.accepted = accepted
        self.receiver = Receiver(self._answer)

    def _answer(self, incoming: Incoming) -> Answer:
        return Answer(200 if incoming.headers["webhook-id"] in self.accepted else self.status)
