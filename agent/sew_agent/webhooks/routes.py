"""Routes from accepted webhooks to the dispatcher: where their deliveries go."""

import threading
from collections.abc import Collection, Mapping
from dataclasses import replace

from kubectl_sew.validation.webhook import Accepted
from sew_agent.delivery.attempt import Route
from sew_agent.delivery.dispatcher import Dispatcher
from sew_agent.webhooks.validator import endpoint_digest, settings_digest


class Routes:
    """Keeps the dispatcher's routes. Thread-safe."""

    def __init__(self, dispatcher: Dispatcher, owned: Collection[str] | None = None) -> None:
        """`owned`: webhooks whose deliveries are this agent's own; None for all."""
        self._dispatcher = dispatcher
        self._owned = owned
        self._lock = threading.Lock()
        self._wanted: Mapping[str, Accepted] = {}
        self._routes: Mapping[str, Route] = {}

    def serve(self, webhooks: Mapping[str, Accepted]) -> None:
        """Deliver for these webhooks from now on, as far as they are this agent's own. Raises StoreError.

        What is known of their peers stays while their settings do, and the times that peers have named for longer.
        """
        with self._lock:
            self._wanted = webhooks
            self._serve(self._own_routes())

    def own(self, webhooks: Collection[str], moving: Collection[str] = ()) -> None:
        """Let these webhooks' deliveries be this agent's own from now on, and no others. Raises StoreError.

        `moving`: those of the others that another agent will own.
        """
        with self._lock:
            self._owned = frozenset(webhooks)
            routes = self._own_routes()
            if routes.keys() != self._routes.keys():
                self._serve(routes, moving)

    def _own_routes(self) -> Mapping[str, Route]:
        routes = {
            name: route_of(webhook)
            for name, webhook in self._wanted.items()
            if self._owned is None or name in self._owned
        }
        for name, route in routes.items():
            before = self._routes.get(name)
            if before:
                same = before.settings_digest == route.settings_digest
                routes[name] = replace(route, peers=before.peers if same else before.peers.held())
        return routes

    def _serve(self, routes: Mapping[str, Route], moving: Collection[str] = ()) -> None:
        self._dispatcher.serve(routes, moving)
        self._routes = routes

    def failing_peers(self) -> Mapping[str, str]:
        """Return the webhooks of which some receivers fail while others deliver, with which and why."""
        failing = {name: route.peers.failing for name, route in self._routes.items()}
        return {name: "; ".join(peers) for name, peers in failing.items() if peers}


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
