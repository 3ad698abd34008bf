"""The paper's claims beside what the stored results show: a ledger in YAML, measures, corrections, verdicts, power.

docs/claims.md has the rules. Nothing here needs torch.
"""

from adept_bench.claims.evaluation import evaluate
from adept_bench.claims.planned import power_as_json, power_as_markdown, power_as_text
from adept_bench.claims.planning import plan_power
from adept_bench.claims.render import as_json, as_markdown, as_text
from adept_bench.claims.timing import evaluate_timings
from adept_bench.claims.wording import summary

__all__ = [
    "as_json",
    "as_markdown",
    "as_text",
    "evaluate",
    "evaluate_timings",
    "plan_power",
    "power_as_json",
    "power_as_markdown",
    "power_as_text",
    "summary",
]
