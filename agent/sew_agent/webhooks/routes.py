"""Routes from accepted webhooks to the dispatcher: where their deliveries go."""

from collections.abc import Mapping
from dataclasses import replace

from kubectl_sew.validation import Accepted
from sew_agent.delivery.attempt import Route
from sew_agent.delivery.dispatcher import Dispatcher
from sew_agent.store.records import ReceiverState
from sew_agent.webhooks.validator import endpoint_digest, settings_digest


class Routes:
    """Keeps the dispatcher's routes, and the state of their receivers."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._routes: Mapping[str, Route] = {}

    def serve(self, webhooks: Mapping[str, Accepted]) -> None:
        """Deliver for these webhooks from now on. What is known of their peers stays while their settings do."""
        routes = {name: route_of(webhook) for name, webhook in webhooks.items()}
        for name, route in routes.items():
            before = self._routes.get(name)
            if before and before.settings_digest == route.settings_digest:
                routes[name] = replace(route, peers=before.peers)
        self._dispatcher.serve(routes)
        self._routes = routes

    def failing_peers(self) -> Mapping[str, str]:
        """Return the webhooks of which some receivers fail while others deliver, with which and why."""
        failing = {name: route.peers.failing for name, route in self._routes.items()}
        return {name: "; ".join(peers) for name, peers in failing.items() if peers}

    def receivers(self) -> Mapping[str, ReceiverState]:
        """Return each receiver's state; the detail of one that does not fail names the peers that do."""
        failing = self.failing_peers()
        return {
            name: replace(receiver, detail=failing.get(name, "")) if not receiver.failures else receiver
            for name, receiver in self._dispatcher.receivers().items()
        }


def route_of(accepted: Accepted) -> Route:
    """Return where a webhook's deliveries go."""
    return Route(
        accepted.webhook.name,
        accepted.consumer,
        accepted.config,
        accepted.labels,
        settings_digest(accepted),
        endpoint_digest(accepted),
    )
