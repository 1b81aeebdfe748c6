"""`kubectl sew test`."""

from dataclasses import dataclass
from datetime import UTC, datetime

import click

from kubectl_sew.cli.cluster_options import api_group_option, name_argument, webhooks
from kubectl_sew.cli.output import confirm, echo, print_error, print_warning
from kubectl_sew.cli.standard_input import can_answer
from kubectl_sew.cli.waiting import TIMED_OUT, timeout_option, until
from kubectl_sew.json_text import line
from kubectl_sew.resource import Condition, DeliveringReason, HealthyReason, State, Webhook
from kubectl_sew.resource.delivery_tests import was_delivered


@click.command
@name_argument
@click.option("-y", "--yes", is_flag=True, help="Do not ask, although the test leaves the webhook Enabled.")
@timeout_option("How long to wait for the result; then the exit code is 124.")
@api_group_option
@click.pass_context
def test(ctx: click.Context, name: str, *, yes: bool, timeout: float, api_group: str | None) -> int:
    """Have the agent send one sample event, and print the receiver's answer.

    The test leaves the webhook Enabled. The annotation webhooks.projectcalico.org/testEvent chooses the sample.
    Exit codes: 0 delivered, 1 not delivered, 124 no answer in time.
    """
    cluster = webhooks(ctx, api_group)
    before = Webhook.from_object(cluster.one(name))
    if before.effective_state in (State.DISABLED, State.DEBUG) and not yes:
        _ask(before)
    asked = Webhook.from_object(cluster.request_test(name, datetime.now(UTC).isoformat(timespec="milliseconds")))
    result = until(lambda: read_result(Webhook.from_object(cluster.one(name)), before, asked.generation), timeout)
    if result is None:
        print_error(_no_answer(name, timeout))
        return TIMED_OUT
    echo(f"{cluster.shown(name)} tested: {line(result.said, 1_000)}")
    if result.waits:
        print_warning(f"the sample is sent once {name} can run, unless `kubectl sew enable {name}` takes the test back")
    return 0 if result.delivered else 1


def _ask(webhook: Webhook) -> None:
    question = f"{webhook.name} is {webhook.effective_state.value}, and a test leaves it Enabled"
    if not can_answer():
        raise click.UsageError(f"{question}: add --yes if that is meant")
    confirm(f"{question}. Test it?")


@dataclass(frozen=True, slots=True)
class DeliveryTest:
    """The result of a test, as the agent wrote it."""

    said: str
    delivered: bool = False
    waits: bool = False
    """True while the webhook cannot run, and so stays in Test."""


def read_result(now: Webhook, before: Webhook, generation: int) -> DeliveryTest | None:
    """None while there is none. `before` the test was asked for, which made the `generation`."""
    ended = now.effective_state is not State.TEST  # until then the annotation says that the sample is being sent
    if ended and now.test_result and now.test_result != before.test_result:
        return DeliveryTest(now.test_result, delivered=was_delivered(now.test_result))
    healthy = now.condition("Healthy")
    if healthy is None or healthy.status != "False" or healthy.observed_generation < generation:
        return None
    return (
        DeliveryTest(f"not sent: {healthy.reason}: {healthy.message}", waits=True)
        if _cannot_run(now, healthy)
        else None
    )


def _cannot_run(webhook: Webhook, healthy: Condition) -> bool:
    """Return whether the agent refuses it. A receiver that fails, or an unreadable source, keeps no sample back."""
    delivering = webhook.condition("Delivering")
    if delivering is None:
        return healthy.reason in _REFUSALS
    return delivering.reason == DeliveringReason.NOT_ACCEPTED.value


_REFUSALS = {reason.value for reason in HealthyReason} - {
    reason.value for reason in (HealthyReason.STATE, HealthyReason.PROCESSING, HealthyReason.TEST)
}


def _no_answer(name: str, timeout: float) -> str:
    return (
        f"no agent tested {name} within {timeout:g} s: `kubectl sew check` says why; an agent that comes up "
        f"still makes the test, unless `kubectl sew enable {name}` takes it back"
    )
