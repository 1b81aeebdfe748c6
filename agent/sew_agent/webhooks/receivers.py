"""State of every webhook's receiver: of those that this agent sends to as it is, of others as it is in the store."""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace

from sew_agent.delivery.dispatcher import Dispatcher
from sew_agent.store.contract import Store
from sew_agent.store.records import ReceiverState
from sew_agent.webhooks.routes import Routes


class Receivers:
    """Receivers of all webhooks, whichever agent sends to them."""

    def __init__(self, store: Store, dispatcher: Dispatcher, routes: Routes) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._routes = routes

    def failing_peers(self) -> Mapping[str, str]:
        """Return the webhooks of which some receivers fail while others deliver, with which and why.

        Raises StoreError.
        """
        return {**dict(self._said_by_others()), **self._routes.failing_peers()}

    def states(self) -> Mapping[str, ReceiverState]:
        """Return each receiver's state; the detail of one that does not fail names the peers that do.

        Raises StoreError.
        """
        own, failing = self._dispatcher.receivers(), self.failing_peers()
        states = {**self._store.receivers(), **own} if self._store.sharing() else own
        named = ((name, receiver, failing.get(name, "")) for name, receiver in states.items())
        return {
            name: receiver if receiver.failures or receiver.detail == peers else replace(receiver, detail=peers)
            for name, receiver, peers in named
        }

    def _said_by_others(self) -> Iterator[tuple[str, str]]:
        for member in self._store.members() if self._store.sharing() else ():
            with suppress(ValueError, AttributeError):  # of an agent of another version
                owned = set(member.webhooks)
                yield from ((name, str(why)) for name, why in json.loads(member.said).items() if name in owned)
