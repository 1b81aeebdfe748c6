"""The steps that remain for a webhook that was made step by step. Pure."""

from collections.abc import Iterator

from kubectl_sew.cluster.objects import Held
from kubectl_sew.resource import SECRETS_NAMESPACE, Webhook


def remaining(webhook: Webhook, held: Held | None, *, made: bool) -> Iterator[str]:
    """Return the missing Secrets and ConfigMaps (all, where `held` is None: none was read); then the next step."""
    for reference in dict.fromkeys(webhook.references):
        named = (reference.kind, reference.name)
        if held is None:
            missing = "is needed"
        elif named in held.unread:
            continue
        elif reference.key not in held.values.get(named, {}):
            missing = "is missing"
        else:
            continue
        noun = "secret generic" if reference.kind == "Secret" else "configmap"
        command = f"kubectl -n {SECRETS_NAMESPACE} create {noun} {reference.name} --from-file={reference.key}=FILE"
        yield f"{reference} {missing}: `{command}`"
    after = f"`kubectl sew test {webhook.name}` sends a sample event"
    yield f"next: {after}" if made else f"next: `kubectl apply -f FILE`; then {after}"
