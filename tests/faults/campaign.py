"""The long form of the fault suite: a mixed load, a fault in each round, and an account of what became of the work.

`make faults ROUNDS=200 SEED=1`. The seed decides documents and faults; processes decide the rest, so that a seed
repeats a campaign and not its interleaving. Settings are the shipped ones.

A fault counts only if it hit work: what was under way when it did is recorded, and a round whose fault hit nothing is
played again. `repeated_completed` counts calls of an activity that began after its checkpoint was committed.
"""

import argparse
import json
import logging
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from beep_orchestration.dagster_client import DagsterClient
from beep_orchestration.errors import BeepError
from beep_orchestration.persistence.schema import migrate
from beep_orchestration.service import WorkflowService
from beep_orchestration.settings import Settings
from tests.faults import collection, families, invariants, races
from tests.faults.background import Load, Onlooker, Reviewer, Steward, Watchdog, open_executions
from tests.faults.documents import document
from tests.faults.installation import HOST, Installation, installed, postgres_server
from tests.faults.kinds import KINDS, Hit, Kind, MissedError, Scene
from tests.postgres import opened
from tests.waiting import wait_until

REPORT = Path(__file__).with_name("report.json")
SETTLE_SECONDS = 240.0


@dataclass
class Campaign:
    """Rounds, one after the other."""

    installation: Installation
    seed: int
    console: Console
    hits: list[tuple[str, Hit]] = field(default_factory=list)
    missed: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    _last: dict[str, float] = field(default_factory=dict)

    def play(self, total: int) -> dict[str, Any]:
        """Inject that many faults; the report."""
        source = random.Random(self.seed)  # noqa: S311 - a repeatable campaign
        follower = self.installation.journal.follow()
        load = Load(self.installation, random.Random(source.random()))  # noqa: S311
        watchdog, onlooker = Watchdog(self.installation), Onlooker(self.installation)
        reviewer = Reviewer(self.installation, random.Random(source.random()))  # noqa: S311
        steward = Steward(self.installation)
        with ExitStack() as background:
            scene = Scene(self.installation, follower, source, background)
            while len(self.hits) < total:
                self._round(scene, total)
        load.stop()
        self._settle(load.accepted)
        for each in (watchdog, onlooker, reviewer, steward):
            each.stop()
        self.violations += sorted(onlooker.seen)
        return self._report(load.accepted, load.parents, watchdog) | {
            "approved_while_parked": len(reviewer.approved),
            "parents_resumed_after_a_child_was_cancelled": len(steward.resumed),
        }

    def _round(self, scene: Scene, total: int) -> None:
        kind = self._choose(scene.source)
        try:
            hit = kind.inject(scene)
        except (MissedError, TimeoutError, psutil.NoSuchProcess, BeepError) as error:
            self.missed[kind.name] += 1
            self.console.print(f"[dim]{kind.name} hit nothing: {str(error)[:120]}")
        except AssertionError as error:
            self.violations.append(f"{kind.name}: {error}")
            self.console.print(f"[red]{self.violations[-1]}")
        else:
            self.hits.append((kind.name, hit))
            self.console.print(f"{len(self.hits)}/{total} {kind.name}: {hit.proof[:120]}")

    def _choose(self, source: random.Random) -> Kind:
        """A kind by its weight, of those that may come again by now."""
        now = time.monotonic()
        ready = [kind for kind in KINDS if now - self._last.get(kind.name, -1e9) >= kind.pause_seconds]
        chosen = source.choices(ready, [kind.weight for kind in ready])[0]
        self._last[chosen.name] = now
        return chosen

    def _settle(self, accepted: Sequence[str]) -> None:
        made = self.installation
        with suppress(TimeoutError):
            wait_until(
                lambda: not open_executions(made) and not families.failed_with_a_cancelled_child(made.postgres),
                SETTLE_SECONDS,
                "all have ended",
            )
        with suppress(TimeoutError):
            invariants.wait_until_quiet(made, [*accepted, *families.children_of(made.postgres, accepted)])

    def _report(self, started: Sequence[str], parents: Sequence[str], watchdog: Watchdog) -> dict[str, Any]:
        made, journal = self.installation, self.installation.journal
        children = families.children_of(made.postgres, parents)
        accepted = [*started, *children]
        statement = "SELECT id, status FROM knowledge_workflow_execution WHERE id = ANY(%s)"
        statuses = {row[0]: row[1] for row in made.postgres.ask(statement, accepted)}
        stuck = [name for name in accepted if statuses.get(name) == "running"]
        lost = [name for name in accepted if statuses.get(name) not in ("completed", "running")]
        repeated = list(invariants.repetitions(made, accepted))
        disagreements = [*invariants.disagreements(made, accepted), *families.broken_families(made.postgres, parents)]
        begins = journal.begins(accepted)
        recoveries = [seconds for _, hit in self.hits if (seconds := hit.recovery(begins)) is not None]
        broken = [
            *self.violations,
            *invariants.double_checkpoints(made, accepted),
            *invariants.writes_of_old_epochs(made, accepted),
            *invariants.broken_signals(made, accepted),
            *invariants.broken_histories(made, accepted),
            *[f"run {run} is open" for run in invariants.open_runs(made, accepted)],
            *invariants.leftovers(made),
        ]
        for line in [*disagreements, *map(str, repeated), *broken, *watchdog.stalls]:
            self.console.print(f"[red]{line}")
        for name in [*stuck, *lost]:
            self.console.print(f"[red]{made.describe(name)}")
        return {
            "seed": self.seed,
            "faults_injected": len(self.hits),
            "faults_at_parents": self._hits_of(parents),
            "faults_at_children": self._hits_of(children),
            "executions": len(accepted),
            "parents": len(parents),
            "children": len(children),
            "activities": len(begins),
            "activity_calls": sum(len(calls) for calls in begins.values()),
            "repeated_completed": sum(not found.is_of_old_epoch for found in repeated),
            "begun_by_stopped_processes": sum(found.is_of_old_epoch for found in repeated),
            "lost": len(lost),
            "disagreements": len(disagreements),
            "stuck": len(stuck) + len(watchdog.stalls),
            "broken_invariants": broken,
            "recoveries_measured": len(recoveries),
            "recovery_seconds_median": round(statistics.median(recoveries), 2) if recoveries else None,
            "recovery_seconds_p95": round(sorted(recoveries)[int(len(recoveries) * 0.95)], 2) if recoveries else None,
            "recovery_seconds_maximum": round(max(recoveries), 2) if recoveries else None,
            "by_fault": dict(sorted(Counter(kind for kind, _ in self.hits).items())),
            "hit_nothing_and_played_again": dict(sorted(self.missed.items())),
        }

    def _hits_of(self, execution_ids: Sequence[str]) -> int:
        """How many faults name one of these executions as what they hit."""
        return sum(not set(execution_ids).isdisjoint(hit.proof.split()) for _, hit in self.hits)


def play_races(tries: int) -> dict[str, int]:
    """Races on a server of their own, with no services: what is woken is not run."""
    settings = Settings()
    nobody = DagsterClient(HOST, 1, code_location=settings.code_location, timeout_seconds=1)
    logging.getLogger("beep_orchestration").setLevel(logging.ERROR)  # that Dagster does not answer is no news
    with postgres_server() as server, opened(server.url, pool_size=15) as database:
        migrate(database.engine)
        made = database, settings, WorkflowService(database, nobody, settings.organization, settings)
        return {
            "lost_wake_ups": races.lost_wake_ups(*made, tries=tries),
            "wake_ups_tried": tries,
            "misread_signals": races.misread_signals(*made, count=tries, senders=10),
            "signals_sent_to_one": tries,
        }


def show(report: dict[str, Any], console: Console) -> None:
    """The report as tables."""
    table = Table("measure", "value", title="Faults")
    for name, value in report.items():
        if not isinstance(value, dict | list):
            table.add_row(name, str(value))
    console.print(table)
    kinds = Table("fault", "injected", title="By fault")
    for name, number in report["by_fault"].items():
        kinds.add_row(name, str(number))
    console.print(kinds)


def is_sound(report: dict[str, Any]) -> bool:
    """Whether nothing was repeated, lost, wrong, stuck or left behind."""
    bad = ("repeated_completed", "lost", "disagreements", "stuck", "lost_wake_ups", "misread_signals")
    return not any(report[name] for name in bad) and not report["broken_invariants"]


def main() -> int:
    """Play a campaign, show and store its report; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report", type=Path, default=REPORT)
    given = parser.parse_args()
    console = Console(soft_wrap=True)
    console.print(f"seed {given.seed}, {given.rounds} rounds")
    began: Callable[[], float] = time.monotonic
    start = began()
    with installed({"BEEP_WORKFLOW_MODULES": collection.__name__}) as installation:
        installation.wait_completed([installation.start(document(1))])
        report = Campaign(installation, given.seed, console).play(given.rounds)
    report |= play_races(given.rounds * 50)
    report["minutes"] = round((began() - start) / 60, 1)
    given.report.write_text(json.dumps(report, indent=2) + "\n")
    show(report, console)
    return 0 if is_sound(report) else 1


if __name__ == "__main__":
    sys.exit(main())
