"""What remains to be done for a webhook that was made step by step. Pure."""

from collections.abc import Iterator

from kubectl_sew.cluster.objects import Held
from kubectl_sew.resource import SECRETS_NAMESPACE, Webhook


def remaining(webhook: Webhook, held: Held | None, *, made: bool) -> Iterator[str]:
    """Its missing Secrets and ConfigMaps, all of them where nobody has looked (`held` is None); then the next step."""
    for each in dict.fromkeys(webhook.references):
        named = (each.kind, each.name)
        if held is None:
            missing = "is needed"
        elif named in held.unread:
            continue
        elif each.key not in held.values.get(named, {}):
            missing = "is missing"
        else:
            continue
        noun = "secret generic" if each.kind == "Secret" else "configmap"
        command = f"kubectl -n {SECRETS_NAMESPACE} create {noun} {each.name} --from-file={each.key}=FILE"
        yield f"{each} {missing}: `{command}`"
    after = f"`kubectl sew test {webhook.name}` sends a sample event"
    yield f"next: {after}" if made else f"next: `kubectl apply -f FILE`; then {after}"
