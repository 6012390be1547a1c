"""The conformance kit: what every adapter must hold before a county lets it near public money.

``run(adapter, fixtures)`` tries every check and answers a table; ``suite`` makes a test class of them for pytest. The
fixtures are a folder: ``NAME.json`` or ``NAME.body`` or any other ending (a body as posted), ``NAME.expected.json``
(what ``callback parse`` must print, and the endpoint's ``purpose`` where it matters), ``acks.expected.json`` (``kept``
and ``refused`` as documented, and ``kept:NAME``, ``refused:NAME`` for answers that repeat ids of a fixture; or the same
under ``bodies``).

A check that can say nothing before another one passes is waiting: the one it waits for has failed and says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from adapters.conformance import hostile_checks, proof_checks, reading_checks, slip_checks
from adapters.conformance.subject import Check, NotApplicableError, Subject, WaitingError
from revenue_engine.errors import ConfigurationError, RevenueError
from revenue_engine.ports.callbacks import CallbackAdapter

CHECKS: Final[Sequence[Check]] = (
    reading_checks.port_is_kept,
    reading_checks.example_is_a_payment,
    proof_checks.rehearsal_is_proved,
    reading_checks.bodies_can_be_written,
    reading_checks.fixtures_are_there,
    reading_checks.golden,
    reading_checks.amounts_are_exact,
    reading_checks.every_cent_counts,
    reading_checks.bad_amounts_never_pay,
    reading_checks.fractions_of_a_cent_are_refused,
    reading_checks.only_known_words_pay,
    reading_checks.another_currency_is_told,
    reading_checks.times_are_aware,
    reading_checks.references_are_stable,
    reading_checks.same_body_same_identity,
    reading_checks.key_order_is_free,
    reading_checks.extra_fields_are_free,
    reading_checks.layout_is_free,
    reading_checks.party_may_be_masked_or_absent,
    reading_checks.reversals_name_their_payment,
    reading_checks.no_money_has_a_reason,
    reading_checks.wire_form_is_whole,
    reading_checks.questions_are_answered,
    reading_checks.account_is_named,
    slip_checks.direction_words_mean_what_is_said,
    slip_checks.dates_have_one_order,
    slip_checks.names_are_read_as_utf8,
    slip_checks.xml_declares_nothing,
    slip_checks.reasons_hold_no_person,
    reading_checks.adapter_is_pure,
    proof_checks.settings_refuse_unknown_keys,
    proof_checks.settings_name_what_is_missing,
    proof_checks.settings_hide_secrets,
    proof_checks.rehearsal_can_be_repeated,
    proof_checks.fixtures_can_be_signed,
    proof_checks.missing_proof_is_refused,
    proof_checks.foreign_proof_is_refused,
    proof_checks.old_proof_is_refused,
    slip_checks.cut_proofs_are_refused,
    slip_checks.empty_keys_prove_nothing,
    slip_checks.signed_bytes_are_the_bytes,
    proof_checks.stale_proof_is_refused,
    proof_checks.replaced_key_is_refused,
    proof_checks.rotation_keeps_both_keys,
    proof_checks.unreadable_bodies_are_kept,
    proof_checks.garbled_headers_are_refused,
    proof_checks.foreign_settings_are_refused,
    proof_checks.proof_headers_are_kept,
    hostile_checks.empty_bodies,
    hostile_checks.one_megabyte,
    hostile_checks.not_utf8,
    hostile_checks.deep_bodies,
    hostile_checks.duplicate_keys,
    hostile_checks.not_a_number,
    hostile_checks.no_objects,
    hostile_checks.cut_bodies,
    hostile_checks.wrong_types,
    hostile_checks.ack_is_documented,
    hostile_checks.refusal_is_documented,
    hostile_checks.refusal_differs,
    slip_checks.answers_are_what_they_say,
    hostile_checks.acks_hold_no_secret,
    hostile_checks.echoes_are_escaped,
    hostile_checks.one_notice_is_quick,
    proof_checks.mutations_never_pay,
    proof_checks.amount_mutations_never_pay,
)
"""Every check, the cheap ones first."""


LONGEST: Final = 4_000
"""Characters of a detail: every difference of a folder of fixtures is told at once."""

Outcome = Literal["passed", "failed", "waiting", "not applicable"]
OUTCOMES: Final[Sequence[Outcome]] = ("passed", "failed", "waiting", "not applicable")


@dataclass(frozen=True, slots=True)
class Result:
    """How one check ended."""

    check: str
    outcome: Outcome
    meaning: str
    """What the check holds an adapter to."""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """How an adapter did."""

    adapter: str
    results: tuple[Result, ...]
    warnings: tuple[str, ...] = ()
    """What the kit cannot judge and a person should look at."""

    @property
    def ok(self) -> bool:
        """Whether nothing failed and nothing waits."""
        return all(result.outcome not in ("failed", "waiting") for result in self.results)

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        counts = {outcome: sum(result.outcome == outcome for result in self.results) for outcome in OUTCOMES}
        return {
            "adapter": self.adapter,
            "ok": self.ok,
            "warnings": list(self.warnings),
            **{outcome.replace(" ", "_"): count for outcome, count in counts.items()},
            "checks": [
                {"check": one.check, "outcome": one.outcome, "meaning": one.meaning, "detail": one.detail}
                for one in self.results
            ],
        }


def run(adapter: CallbackAdapter, fixtures: Path) -> Report:
    """Try every check. Never raises for a fault of the adapter: what it raises is a failed check.

    Raises ConfigurationError under ``python -O``, which switches the checks off.
    """
    if not __debug__:
        raise ConfigurationError("the kit cannot judge under python -O: run it without that option")
    subject = Subject(adapter, fixtures)
    return Report(adapter.name, tuple(tried(check, subject) for check in CHECKS), subject.doubts())


def tried(check: Check, subject: Subject) -> Result:
    """Try one check; whatever the adapter does, the answer is a result."""
    name, meaning = check.__name__, (check.__doc__ or "").strip()
    try:
        check(subject)
    except NotApplicableError as why:
        return Result(name, "not applicable", meaning, str(why))
    except WaitingError as why:
        return Result(name, "waiting", meaning, str(why))
    except AssertionError as error:
        return Result(name, "failed", meaning, str(error).splitlines()[0][:LONGEST] if str(error) else "")
    except RevenueError as error:
        return Result(name, "failed", meaning, error.message[:400])
    except Exception as error:  # noqa: BLE001 - whatever an adapter raises is its failure; its text may hold a secret
        return Result(name, "failed", meaning, f"raised {type(error).__name__}")
    return Result(name, "passed", meaning)


def suite(adapter: CallbackAdapter, fixtures: Path | str) -> type:
    """A test class for pytest with one test a check: ``TestMine = suite(adapter, "tests/fixtures")``."""
    import pytest

    subject = Subject(adapter, Path(fixtures))

    class Conformance:
        """The kit, one test a check."""

        @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
        def test_conformance(self, check: Check) -> None:
            """One check of the kit."""
            try:
                check(subject)
            except (NotApplicableError, WaitingError) as why:
                pytest.skip(str(why))

    return Conformance
