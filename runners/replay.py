"""One replay: where it stands, how it continues, and what is written when."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from ..benchmark.backbone import Backbone
from ..benchmark.editor import Editor
from ..benchmark.edits import Edit, Normalisation
from ..errors import BenchError
from .applying import Applied, Applier
from .asking import Questions, Row
from .environment import peak_memory_bytes
from .floors import floor_sample
from .folder import RunFolder
from .journal import Event, Journal
from .ledger import Ledger
from .probing import Prober, Reply
from .progress import Bar
from .randomness import undisturbed
from .reuse import LayerReuse
from .schedule import Place, panel, past_edits
from .table import TableInfo, joined, read_table, scored, to_bytes
from .unedited import Unedited, ask_unedited, load_unedited, save_unedited

STATE_EVERY = 50


@dataclass(frozen=True)
class Plan:
    """What is asked when, and of what."""

    seed: int
    checkpoints: tuple[int, ...]
    panel_size: int
    sample_bound: int
    batch_size: int
    normalisation: Normalisation
    stream_sha256: str


class Replay:
    """Applies the edits of a stream to one editor and asks what the plan says, from wherever the journal left off.

    An edit counts as done once its journal line is on disk; that line also holds the answer that was asked right after
    it. A checkpoint counts as done once its line is; its rows lie in a part that was written before.
    """

    def __init__(
        self,
        editor: Editor,
        backbone: Backbone,
        edits: Sequence[Edit],
        plan: Plan,
        folder: RunFolder,
        journal: Journal,
        bar: Bar,
    ) -> None:
        self.editor, self.backbone, self.edits, self.plan = editor, backbone, edits, plan
        self.folder, self.journal, self._bar = folder, journal, bar
        self._check_journal()
        ledger = Ledger(edits, normalisation=plan.normalisation)
        self._panel = panel(edits, ledger, seed=plan.seed, size=plan.panel_size)
        self._before = [*self._panel, *floor_sample(edits, ledger, seed=plan.seed)]
        self._limit = max(backbone.max_new_tokens, Questions(edits, ledger, backbone).longest())
        self.unedited = self._ask_unedited()
        self.questions = Questions(edits, ledger, backbone, self.unedited.answers)
        self.prober = Prober(
            editor,
            backbone,
            name=f"editor {editor.name!r}",
            batch_size=plan.batch_size,
            max_new_tokens=self._limit,
            reuse=LayerReuse(editor, backbone),
        )
        self._applier = Applier(editor, edits, folder, seed=plan.seed)

    @property
    def info(self) -> TableInfo:
        """What stands in the metadata of the answers table."""
        return TableInfo(stream_sha256=self.plan.stream_sha256, normalisation=self.plan.normalisation)

    @property
    def edit_events(self) -> list[Event]:
        """The journal's lines about edits, in order."""
        return list(self.journal.of("edit"))

    def play(self) -> pd.DataFrame:
        """Everything that is still to be done. Returns the whole answers table."""
        done = self.edit_events
        failed = {event["position"] for event in done if not event["ok"]}
        step = len(done)
        self._applier.start_at(step, failed)
        crashed = False
        while True:
            self.prober.step = step
            self._bar.edits(step)
            checkpoint = step in self.plan.checkpoints and self.journal.checkpoint(step) is None
            # The state goes first: a crash while a thousand probes are asked must not cost the edits before them.
            age = step - self._applier.saved
            if age and (checkpoint or crashed or age >= STATE_EVERY):
                self._save(step)
            if checkpoint:
                self._checkpoint(step)
            if step == len(self.edits):
                return self._table()
            crashed = self._edit(step).crashed
            step += 1

    def _edit(self, position: int) -> Applied:
        """One edit, and its own question right after it; both stand in one line of the journal."""
        step = position + 1
        applied = self._applier.apply(position)
        self.prober.step = step
        question = self.questions.of(Place(position, 0), step)
        reply = None
        if question.ask is not None:
            with undisturbed():
                (reply,) = self.prober.ask([question.ask])
        failure = applied.failure
        self.journal.append(
            {
                "event": "edit",
                "position": position,
                "edit": self.edits[position].id,
                "seconds": applied.seconds,
                "ok": failure is None,
                **({} if failure is None else {"kind": failure.kind, "message": failure.message}),
                **({} if reply is None else {"reply": asdict(reply)}),
            }
        )
        return applied

    def _checkpoint(self, step: int) -> None:
        places = [
            Place(position, index)
            for position in past_edits(step, seed=self.plan.seed, bound=self.plan.sample_bound)
            for index, probe in enumerate(self.edits[position].probes)
            if "locality" not in probe.kind
        ]
        self._bar.asking(len(places) + len(self._panel), f"at step {step}")
        failed, heard = self._applier.failed.__contains__, self._bar.answered
        with undisturbed():
            # The panel on its own, so that its batches are the same every time.
            rows = self.questions.rows(places, step, self.prober, failed=failed, done=heard)
            rows += self.questions.rows(self._panel, step, self.prober, failed=failed, again=True, done=heard)
        table = scored(rows, self.plan.normalisation)
        sha256 = self.folder.write(self.folder.part(step), to_bytes(table, self.info))
        peak = peak_memory_bytes(self.backbone.device)
        self.journal.append(
            {"event": "checkpoint", "step": step, "rows": len(rows), "sha256": sha256, "peak_memory_bytes": peak}
        )
        self._bar.point(step, table, self.info)

    def _save(self, step: int) -> None:
        self._applier.save(step)
        self.journal.append({"event": "state", "position": step})

    def _table(self) -> pd.DataFrame:
        rows: list[Row] = []
        for event in self.edit_events:
            position = int(event["position"])
            question = self.questions.of(Place(position, 0), position + 1)
            reply = _reply(event["reply"]) if "reply" in event else None
            rows.append(self.questions.row(question, position + 1, "after_edit", reply, failed=not event["ok"]))
        return joined([scored(rows, self.plan.normalisation), *map(self.part, self.plan.checkpoints)])

    def part(self, step: int) -> pd.DataFrame:
        """The rows of one checkpoint. Raises `BenchError` when the part is not what the journal says."""
        path = self.folder.part(step)
        event = self.journal.checkpoint(step)
        content = path.read_bytes() if path.exists() else b""
        if event is None or hashlib.sha256(content).hexdigest() != event["sha256"]:
            raise BenchError(f"{path} is missing or damaged; start over with --fresh")
        return read_table(path)[0]

    def _ask_unedited(self) -> Unedited:
        kept = load_unedited(self.folder, self.journal)
        if kept is not None:
            if list(kept.answers) != self._before:
                raise BenchError(f"{self.folder.f0} answers other questions; start over with --fresh")
            return kept
        self.editor.reset()
        self._bar.asking(len(self._before), "before the first edit")
        found = ask_unedited(
            self.edits,
            self._before,
            self.backbone,
            batch_size=self.plan.batch_size,
            max_new_tokens=self._limit,
            done=self._bar.answered,
        )
        save_unedited(self.folder, self.journal, found)
        return found

    def _check_journal(self) -> None:
        for number, event in enumerate(self.edit_events):
            fits = number < len(self.edits) and event.get("position") == number
            if not fits or event.get("edit") != self.edits[number].id:
                raise BenchError(
                    f"{self.folder.journal} tells of other edits at position {number}; start over with --fresh"
                )
            if not {"seconds", "ok"} <= event.keys() or not (event["ok"] or "kind" in event):
                raise BenchError(f"{self.folder.journal} is damaged at position {number}; start over with --fresh")


def _reply(kept: dict[str, Any]) -> Reply:
    return Reply(
        teacher_ids=tuple(kept["teacher_ids"]),
        teacher_margin=kept["teacher_margin"],
        ids=tuple(kept["ids"]),
        answer=kept["answer"],
        margin=kept["margin"],
    )
