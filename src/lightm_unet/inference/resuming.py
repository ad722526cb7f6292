"""A job that does what is missing or changed, and notes in the ledger what it does."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightm_unet import __version__
from lightm_unet.errors import DataError
from lightm_unet.inference.case_keys import case_key
from lightm_unet.inference.case_statistics import PartStatistics
from lightm_unet.inference.cases import InputCase
from lightm_unet.inference.job import CaseAtWork, Job
from lightm_unet.inference.ledger import LEDGER_NAME, MOST_BEGINS, Ledger
from lightm_unet.inference.run_report import without_names
from lightm_unet.system.files import file_digest
from lightm_unet.system.json_codec import from_json, to_json

_log = logging.getLogger(__name__)

_DONE = object()
"""Passes through the stages in place of a case that needs nothing."""


@dataclass(frozen=True)
class ResumableJob:
    """The stages of a `Job`, with a ledger; `inference.pipeline` calls them."""

    job: Job
    ledger: Ledger
    settings_key: str
    """From `case_keys.settings_key`."""
    one_at_a_time: bool = False
    """Whether this process has no other case on its way."""

    def read(self, work: CaseAtWork) -> Any:
        """Read a case, unless its mask is there already.

        Raises:
            DataError: as `Job.read`; or it has ended the process too often.
        """
        name = name_in_ledger(work.case)
        if work.case.problem is None:
            work.key = case_key(work.case, self.settings_key)
            self.ledger.refresh()
            if self._is_done(work):
                return _DONE
            if self.ledger.times_begun(name, work.key) >= MOST_BEGINS:
                work.set_aside = True
                raise DataError(
                    work.case.files[0],
                    f"an image that was begun {MOST_BEGINS} times and ended the process each time",
                    "one that can be segmented",
                    "look at it alone; it is tried again once it, the model or a setting has "
                    f"changed, or {LEDGER_NAME} is gone",
                )
            self.ledger.begin(name, work.key, alone=self.one_at_a_time or self.must_be_alone(work))
        return self.job.read(work)

    def segment(self, work: CaseAtWork, image: Any) -> Any:
        """Run the networks."""
        return image if image is _DONE else self.job.segment(work, image)

    def finish(self, work: CaseAtWork, segmented: Any) -> None:
        """Write a case's files, and then its line."""
        if segmented is _DONE:
            return
        self.job.finish(work, segmented)
        output = work.case.output
        assert output is not None  # it has been written
        self._note(work, {"sha256": file_digest(output)})

    def error_of(self, work: CaseAtWork, error: Exception) -> Exception:
        """As `Job.error_of`; the error of one case gets its line."""
        told = self.job.error_of(work, error)
        self._note(work, {"error": self._shown(str(told), work.case)})
        return told

    def is_large(self, work: CaseAtWork) -> bool:
        """Whether a case is done alone: a large one, and one that may end the process."""
        return self.must_be_alone(work) or self.job.is_large(work)

    def must_be_alone(self, work: CaseAtWork) -> bool:
        """Whether a case was begun before and has no end."""
        return self.ledger.was_interrupted(name_in_ledger(work.case))

    def _is_done(self, work: CaseAtWork) -> bool:
        ended, output = self.ledger.ended.get(name_in_ledger(work.case)), work.case.output
        if ended is None or output is None or ended.get("error") or ended.get("key") != work.key:
            return False
        if not _has_digest(output, ended.get("sha256")):
            return False
        if self.job.settings.statistics:
            try:
                work.statistics = from_json(tuple[PartStatistics, ...], ended.get("statistics", []))
            except ValueError:
                return False
        warnings, seconds = ended.get("warnings"), ended.get("seconds")
        work.warnings += map(str, warnings if isinstance(warnings, list) else ())
        work.seconds = seconds if isinstance(seconds, float) else 0.0
        work.reused = True
        return True

    def _note(self, work: CaseAtWork, outcome: dict[str, Any]) -> None:
        settings, case = self.job.settings, work.case
        self.ledger.end(
            name_in_ledger(case),
            work.key,
            {
                **outcome,
                **(_names(case) if settings.keep_ids else {}),
                **({"set_aside": True} if work.set_aside else {}),
                "warnings": [self._shown(text, case) for text in work.warnings],
                "seconds": round(work.seconds, 3),
                "version": __version__,
                "model": self.job.model.weights_hash,
                **({"statistics": to_json(work.statistics)} if work.statistics else {}),
            },
        )

    def _shown(self, text: str, case: InputCase) -> str:
        return text if self.job.settings.keep_ids else without_names(text, case)


def name_in_ledger(case: InputCase) -> str:
    """What a case is called in the ledger: a hash, since names of files may be patients' names."""
    return hidden_name(case.output.name if case.output is not None else case.name)


def hidden_name(mask: str) -> str:
    """The name in the ledger of the case whose mask has this name."""
    return hashlib.sha256(mask.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _names(case: InputCase) -> dict[str, Any]:
    return {
        "name": case.name,
        "input": str(case.files[0]),
        "output": case.output and case.output.name,
    }


def _has_digest(path: Path, sha256: Any) -> bool:
    try:
        return path.is_file() and file_digest(path) == sha256
    except DataError:
        return False


def say_what_was_reused(work: Sequence[CaseAtWork]) -> None:
    """Log how many cases needed nothing."""
    reused = sum(each.reused for each in work)
    if reused:
        _log.info(
            "%d of %d masks were there already, made of the same images by the same model and "
            "settings",
            reused,
            len(work),
        )
