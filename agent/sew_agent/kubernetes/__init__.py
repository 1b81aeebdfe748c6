"""Connects the agent to a Kubernetes cluster: informers, leader election, conditions, Events, and state Test.

Decisions are pure (`cache`, `lease`, `lease_position`, `event_correlator`). `client` alone imports the `kubernetes`
client, and this package is imported only where webhooks come from a cluster. How deliveries are sent and what a webhook
means does not belong here.
"""
