"""The paper's claims beside what the stored results show: a ledger in YAML, measures, corrections, verdicts.

docs/claims.md has the rules. Nothing here needs torch.
"""

from adept_bench.claims.evaluation import evaluate
from adept_bench.claims.render import as_json, as_markdown, as_text, summary
from adept_bench.claims.timing import evaluate_timings

__all__ = ["as_json", "as_markdown", "as_text", "evaluate", "evaluate_timings", "summary"]
