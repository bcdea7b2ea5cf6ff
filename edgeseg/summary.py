"""Summary: what came of a run, as figures and as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Summary:
    """What came of a run, or of an interval of it.

    dropped: frames that were not segmented; of these, rate_limited were left out on purpose and too_old would only have
    given results older than allowed, the rest made way for newer ones.
    """

    source: str
    live: bool
    seconds: float
    frames_in: int
    segmented: int
    dropped: int
    rate_limited: int
    too_old: int
    fps: float | None
    age_ms: Mapping[str, float] | None
    age_at: str | None
    shares: Mapping[str, float]
    stage_ms: Mapping[str, Mapping[str, float]]
    sinks: Mapping[str, Mapping[str, Any]]

    def line(self) -> str:
        """Returns one line for the log."""
        parts = [f"{self.fps:.1f} frames/s" if self.fps else "no frames/s yet"]
        parts.append(f"{self.frames_in} in, {self.segmented} segmented, {self.dropped} dropped")
        if self.age_ms:
            parts.append(
                f"age p50 {self.age_ms['p50']:.0f} p95 {self.age_ms['p95']:.0f} p99 {self.age_ms['p99']:.0f} ms"
            )
        if self.shares:
            parts.append(" ".join(f"{name} {share:.1%}" for name, share in self.shares.items() if name != "other"))
        return "; ".join(parts)

    def text(self) -> str:
        """Returns the printed summary of a finished run, several lines."""
        lines = [
            f"source      {self.source}",
            f"frames      {self.frames_in} in, {self.segmented} segmented, {self.dropped} dropped",
            f"rate        {self.fps:.1f} frames per second over {self.seconds:.1f} s"
            if self.fps
            else f"rate        too few frames to tell, in {self.seconds:.1f} s",
        ]
        if self.age_ms:
            where = "when segmented" if self.age_at == "segmented" else f"when written to {self.age_at}"
            lines.append(
                f"age         p50 {self.age_ms['p50']:.1f} ms, p95 {self.age_ms['p95']:.1f} ms, "
                f"p99 {self.age_ms['p99']:.1f} ms, from capture {where}"
            )
        if self.shares:
            lines.append("picture     " + ", ".join(f"{name} {share:.1%}" for name, share in self.shares.items()))
        if self.stage_ms:
            stages = ", ".join(f"{name} {stage['p50']:.1f}" for name, stage in self.stage_ms.items())
            lines.append(f"median ms   {stages}")
        for name, sink in self.sinks.items():
            stale = f", {sink['stale']} older than allowed" if sink["stale"] else ""
            lines.append(f"output      {name}: {sink['written']} written, {sink['dropped']} dropped{stale}")
        return "\n".join(lines)
