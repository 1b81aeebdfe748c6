"""`kubectl sew takeover` and `handback`: webhooks go from Calico's processor to the agent, and back."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import click

from kubectl_sew.cli.cluster_options import (
    DRY_RUN_NOTES,
    api_group_option,
    dry_run_option,
    secrets_namespace_option,
    some_names_argument,
    webhooks,
)
from kubectl_sew.cli.output import echo, print_error, print_warning
from kubectl_sew.cli.waiting import TIMED_OUT, timeout_option, until
from kubectl_sew.cluster.agent import AgentError, Holder, clock_ahead, find_holder
from kubectl_sew.cluster.objects import read_objects
from kubectl_sew.cluster.webhook_details import Lookup, resolve_references
from kubectl_sew.cluster.webhooks import Object, Webhooks
from kubectl_sew.errors import SewError
from kubectl_sew.event import read_time
from kubectl_sew.install.target import processor
from kubectl_sew.json_text import line
from kubectl_sew.kubectl import Kubectl, KubectlError, KubectlProblem
from kubectl_sew.query.fields import CALICO
from kubectl_sew.resource import Deliverer, Finding, State, Webhook
from kubectl_sew.resource.effective import END_ANNOTATION, MARGIN
from kubectl_sew.resource.findings import error
from kubectl_sew.resource.handover import Beginning, Patch, beginning, handback_patch, takeover_patch
from kubectl_sew.text import rfc3339
from kubectl_sew.validation.manifests import check_for_calico

_LONGEST = 600
_BEGUN = "EventsFetched"
"""A condition that the agent alone writes."""


class HandoverError(SewError):
    """Nobody would deliver, or there is nobody to give webhooks to or to take them from."""


@click.command
@some_names_argument
@click.option("--all", "everything", is_flag=True, help="All webhooks that Calico's processor delivers.")
@dry_run_option
@timeout_option("How long to wait for the agent to begin; then the exit code is 124.")
@api_group_option
@secrets_namespace_option
@click.pass_context
def takeover(ctx: click.Context, /, **given: Any) -> int:
    """Have the agent deliver webhooks instead of Calico's own processor.

    The agent must run with --beside-calico. It begins half a minute before where Calico's processor has read to: what
    that has sent of this time arrives twice. For each webhook it is said what the agent does otherwise.

    \b
    Examples:
      kubectl sew takeover prod-slack --dry-run=server
      kubectl sew takeover --all
    """
    handover = _Handover(ctx, **given)
    holder = _agent_beside_calico(handover)
    is_calicos = partial(_is_delivered_by, Deliverer.CALICO)
    handover.change_each(_take_over, is_calicos, "Calico's processor delivers none")
    late = handover.wait(lambda _, now: _of_agent(now).condition(_BEGUN) is not None)
    for name in late:
        print_error(
            f"{name}: {holder} does not serve it {handover.timeout:g} s after it was taken over: nobody delivers it: "
            f"`kubectl sew check` says why, and `kubectl sew handback {name}` gives it back"
        )
    return TIMED_OUT if late else handover.failed


@click.command
@some_names_argument
@click.option("--all", "everything", is_flag=True, help="All webhooks that were taken over.")
@dry_run_option
@timeout_option("How long to wait for Calico's processor to begin; then the exit code is 124.")
@api_group_option
@secrets_namespace_option
@click.pass_context
def handback(ctx: click.Context, /, **given: Any) -> int:
    """Give webhooks back to Calico's own processor.

    That begins with the events of the moment. The agent delivers what is dated before, and half a minute more, so that
    nothing is lost: some events of this time arrive twice. What waits is still sent.

    \b
    Examples:
      kubectl sew handback prod-slack
      kubectl sew handback --all --dry-run=server
    """
    handover = _Handover(ctx, **given)
    beside_calico = _refuse_nobody(handover)
    give = _hand_back if beside_calico else _restore
    handover.change_each(give, lambda webhook: bool(webhook.state_text), "none was taken over")
    late = handover.wait(_has_calico_begun) if beside_calico else {}
    for name in late:
        print_error(
            f"{name}: Calico's processor has written no condition {handover.timeout:g} s after it was handed back: is "
            f"it running? Nobody delivers what is dated from {_end(late[name])} on: `kubectl sew takeover {name}` "
            "takes it over again, and begins before that"
        )
    return TIMED_OUT if late else handover.failed


@dataclass(slots=True)
class _Done:
    """What was done with one webhook. `before` and `after`: the object as it was, and as the server answered."""

    before: Object
    after: Object
    patch: Patch


class _Handover:
    """A run of either command."""

    def __init__(  # noqa: PLR0913 - one for each flag
        self,
        ctx: click.Context,
        *,
        names: tuple[str, ...],
        everything: bool,
        dry_run: str,
        timeout: float,
        api_group: str | None,
        secrets_namespace: str,
    ) -> None:
        if bool(names) == everything:
            raise click.UsageError("--all takes no names" if names else "name some webhooks, or give --all", ctx)
        self._names, self._everything = names, everything
        self.cluster: Webhooks = webhooks(ctx, api_group)
        self.secrets_namespace = secrets_namespace
        self.dry_run = dry_run
        self.timeout = timeout
        self._ahead = _ahead(self.cluster.kubectl)
        self.failed = 0
        """The exit code so far."""
        self._changed: dict[str, Object] = {}

    @property
    def now(self) -> float:
        """The API server's time (epoch seconds): what is compared with it was written by other machines than this."""
        return time.time() - self._ahead

    def change_each(
        self, act: "Callable[[_Handover, Object], None]", fits: Callable[[Webhook], bool], none: str
    ) -> None:
        """Do it for the webhooks that are meant, with --all for those that fit; say so where there are none.

        As with kubectl, one that fails keeps none of the others from it.
        """
        chosen = self._names
        if self._everything:
            listed = [Webhook.from_object(obj) for obj in self.cluster.all()]
            chosen = tuple(webhook.name for webhook in listed if fits(webhook))
            if not chosen:
                echo(f"No webhook is meant: {none}", err=True)
        for name in chosen:
            try:
                act(self, self.cluster.one(name))
            except SewError as error:
                print_error(error.render())
                self.failed = error.exit_code

    def change(self, obj: Object, patch_of: Callable[[Object], Patch]) -> _Done:
        """Patch a webhook as it was just read, or as it is. Raises KubectlError."""
        name = obj["metadata"]["name"]
        seen: list[tuple[Object, Patch]] = []

        def patch(obj: Object) -> Patch:
            seen.append((obj, patch_of(obj)))
            return seen[-1][1]

        after = self.cluster.change(name, patch, dry_run=self.dry_run, seen=obj)
        if seen[-1][1]:
            self._changed[name] = after
        return _Done(seen[-1][0], after, seen[-1][1])

    def say(self, name: str, what: str, details: Iterable[str] = (), *, changed: bool = True) -> None:
        """Print what was done with a webhook, and more below it."""
        note = "" if changed else " (no change)"
        echo(f"{self.cluster.shown(name)} {what}{note}{DRY_RUN_NOTES[self.dry_run]}")
        for detail in details:
            echo(f"  {line(detail, _LONGEST)}")

    def wait(self, has_begun: Callable[[Object, Object], bool]) -> Mapping[str, Object]:
        """Wait until the other side has begun with all that were changed; return those with which it has not.

        `has_begun` is given the webhook after the patch, and as it is now.
        """
        waiting = (
            {}
            if self.dry_run != "none"
            else {
                name: obj for name, obj in self._changed.items() if _of_agent(obj).effective_state is not State.DISABLED
            }
        )

        def read() -> bool | None:
            current = {obj["metadata"]["name"]: obj for obj in self.cluster.all()}
            for name in waiting.keys() - current.keys():
                del waiting[name]
            for name in [name for name, obj in waiting.items() if has_begun(obj, current[name])]:
                del waiting[name]
            return not waiting or None

        if waiting:
            until(read, self.timeout)
        return waiting


def _is_delivered_by(deliverer: Deliverer, webhook: Webhook) -> bool:
    return webhook.delivered_by(beside_calico=True) is deliverer


def _take_over(handover: _Handover, obj: Object) -> None:
    name = obj["metadata"]["name"]
    judged: list[tuple[Beginning, list[Finding]]] = []

    def patch(obj: Object) -> Patch:
        found = _findings(handover, obj)
        if errors := [_told(finding) for finding in found if finding.is_error]:
            raise HandoverError(f"{name} was not taken over, since the agent would refuse it: {'; '.join(errors)}")
        webhook = Webhook.from_object(obj, beside_calico=False)
        judged.append((beginning(webhook, handover.now), found))
        return takeover_patch(webhook, judged[-1][0].begin)

    done = handover.change(obj, patch)
    begins, found = judged[-1]
    before = Webhook.from_object(done.before)
    if not done.patch:
        handover.say(name, f"is taken over: {before.effective_state.value}", changed=False)
        return
    is_disabled = before.state is State.DISABLED
    about = [f"nobody delivers it until `kubectl sew enable {name}`"] if is_disabled else _about(begins)
    handover.say(name, f"taken over: {before.state.value}", [*about, *_differences(found)])


def _about(beginning: Beginning) -> Iterator[str]:
    """Say where the agent begins, and what arrives twice."""
    at = f"begins with events dated {rfc3339(beginning.begin)}"
    if beginning.cursor is None:
        yield f"{at}: {beginning.why}"
        return
    yield f"{at}, {MARGIN:g} s before where Calico's processor has read to: what that has sent since arrives twice"


def _differences(found: Iterable[Finding]) -> Iterator[str]:
    for finding in found:
        yield f"differs: {_told(finding)}"


def _told(finding: Finding) -> str:
    return f"{finding.code}: {finding.message}" + (f" ({finding.hint})" if finding.hint else "")


def _findings(handover: _Handover, obj: Object) -> list[Finding]:
    """Return what the agent would refuse of a webhook, and what it does otherwise. Raises KubectlError."""
    webhook = Webhook.from_object(obj)
    held = read_objects(handover.cluster.kubectl, handover.secrets_namespace, webhook.references)
    found = check_for_calico(obj, held.of_kind("Secret"), held.of_kind("ConfigMap"), CALICO)
    missing = [
        error("SEW040", f"variable `{resolved.variable}`: {resolved.reference}: {resolved.said}")
        for resolved in resolve_references(webhook, held)
        if resolved.lookup is Lookup.NO_OBJECT and resolved.missing
    ]
    return [*missing, *(finding for finding in found if finding.code not in _OF_HANDS)]


_OF_HANDS = ("SEW012", "SEW023")
"""Codes of what is wrong with the annotations that are about to be written."""


def _hand_back(handover: _Handover, obj: Object) -> None:
    name, done = obj["metadata"]["name"], _give(handover, obj)
    before = Webhook.from_object(done.before)
    if not done.patch:
        handover.say(name, "was not taken over", changed=False)
    elif before.is_contested:
        handover.say(name, f"left to Calico's processor: {before.state.value}")
    else:
        state = before.effective_state
        until_ = f"the agent delivers what is dated before {_end(done.patch)}, and what waits"
        twice = f"Calico's processor begins now: events of these {MARGIN:g} s arrive twice"
        details = [until_, twice] if state is State.ENABLED else []
        handover.say(name, f"handed back: {state.value}", details)


def _restore(handover: _Handover, obj: Object) -> None:
    """Hand a webhook back where the agent serves by `spec.state`: it goes on with it."""
    name, done = obj["metadata"]["name"], _give(handover, obj)
    state = Webhook.from_object(done.before).effective_state.value
    what = f"restored: {state}, and the agent goes on with it" if done.patch else "was not taken over"
    handover.say(name, what, changed=bool(done.patch))


def _give(handover: _Handover, obj: Object) -> _Done:
    with_status = not handover.cluster.api.status
    return handover.change(
        obj, lambda now: handback_patch(Webhook.from_object(now), handover.now, with_status=with_status)
    )


def _end(changed: Object) -> str:
    """Return when the agent ends, by the patch that handed a webhook back, or by the webhook since."""
    return str(changed["metadata"]["annotations"][END_ANNOTATION])


def _has_calico_begun(after: Object, now: Object) -> bool:
    """Return whether Calico's processor has written its condition since the webhook was handed back."""
    webhook = Webhook.from_object(now, beside_calico=False)
    healthy = webhook.condition("Healthy")
    is_calicos = healthy is not None and not healthy.observed_generation and webhook.condition(_BEGUN) is None
    begun = is_calicos and now.get("status") != after.get("status")
    at = read_time(healthy.last_transition_time) if healthy and begun else None
    if at is not None and webhook.end is not None and at > webhook.end:
        print_warning(f"{webhook.name}: Calico's processor began at {rfc3339(at)}, so events before that may be lost")
    return begun


def _of_agent(obj: Object) -> Webhook:
    """Return the webhook with the conditions that the agent has written beside Calico's."""
    return Webhook.from_object(obj, beside_calico=True)


def _agent_beside_calico(handover: _Handover) -> Holder:
    """Return the active agent. Raises HandoverError where it would not deliver what is taken over."""
    try:
        holder = find_holder(handover.cluster.kubectl, handover.secrets_namespace)
    except AgentError as error:
        raise HandoverError(f"no agent is known that would deliver what is taken over: {error}") from None
    if not holder.beside_calico:
        raise HandoverError(
            f"the agent {holder} delivers by `spec.state` as Calico's processor does, so taking a webhook over would "
            "change nothing: `kubectl sew install --beside-calico` has it leave to that what it delivers"
        )
    if holder.expired(handover.now):
        raise HandoverError(
            f"nobody would deliver what is taken over: the agent {holder} has not renewed its Lease: "
            "`kubectl sew check` says what is wrong"
        )
    return holder


def _refuse_nobody(handover: _Handover) -> bool:
    """Return whether the agent runs beside Calico's processor.

    Raises HandoverError where it does and that processor is not there: nobody would deliver what is handed back.
    """
    try:
        if not find_holder(handover.cluster.kubectl, handover.secrets_namespace).beside_calico:
            _warn_of_both(handover)
            return False
    except AgentError as error:
        print_warning(f"whether an agent runs beside Calico's processor is not known: {error}")
    if _processor(handover) != "":
        return True
    raise HandoverError(
        "nobody would deliver what is handed back, since Calico's own processor does not run in "
        f"{handover.secrets_namespace}: `kubectl sew disable` stops a webhook; an agent that is installed without "
        "--beside-calico delivers by `spec.state`"
    )


def _warn_of_both(handover: _Handover) -> None:
    if found := _processor(handover):
        print_warning(
            f"Calico's own processor, {found}, delivers what is handed back, too, so that each event arrives twice: "
            "`kubectl sew install --beside-calico` has the agent leave that to it"
        )


def _processor(handover: _Handover) -> str | None:
    """Return the place of Calico's own processor, "" where it does not run; warn and give None where that is hidden."""
    try:
        return processor(handover.cluster.kubectl, handover.secrets_namespace)
    except KubectlError as error:
        if error.problem is not KubectlProblem.FORBIDDEN:
            raise
        print_warning(f"whether Calico's own processor runs is not known: {error.said}")
        return None


def _ahead(kubectl: Kubectl) -> float:
    """Return by how many seconds this machine's clock is ahead of the API server's; 0 where that cannot be asked."""
    try:
        return clock_ahead(kubectl, time.time)
    except KubectlError:
        return 0.0
