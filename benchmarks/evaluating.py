"""Choices of one question scored with its context run once, beside the plain computation: ratios within one run.

    python benchmarks/evaluating.py                      # random LLaMA, 30 layers of 192, on one thread
    python benchmarks/evaluating.py --model M --contexts 32,64,512 --answer 6 --choices 4 --json
    python benchmarks/evaluating.py --device cuda --hidden 1024 --depth 24

Plain is lm-eval's HFLM on the same requests, in the same batches. Requests are random tokens: contexts of up to a fifth
more or less than the length that is named, answers of 1 to twice `--answer` - 1 tokens. Times are the median of
interleaved rounds after one warm-up of each.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from typing import Any

import torch

from adept_bench.evaluation import sharing
from adept_bench.evaluation.encoding import Pair
from adept_bench.evaluation.scorer import Scorer


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="local folder or Hub id instead of a random model")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--hidden", type=int, default=192)
    parser.add_argument("--depth", type=int, default=30)
    parser.add_argument("--vocabulary", type=int, default=16384)
    parser.add_argument("--contexts", default="24,48,128,512", help="lengths, each a row of the table")
    parser.add_argument("--answer", type=int, default=6, help="mean tokens of an answer")
    parser.add_argument("--choices", type=int, default=4)
    parser.add_argument("--questions", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def make_model(chosen: argparse.Namespace) -> Any:
    from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

    if chosen.model:
        return AutoModelForCausalLM.from_pretrained(chosen.model, dtype=torch.float32).to(chosen.device).eval()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=chosen.vocabulary,
        hidden_size=chosen.hidden,
        intermediate_size=8 * chosen.hidden // 3,
        num_hidden_layers=chosen.depth,
        num_attention_heads=max(3, chosen.hidden // 64),
        num_key_value_heads=max(3, chosen.hidden // 64),
        max_position_embeddings=4096,
    )
    return LlamaForCausalLM(config).to(chosen.device).eval()


def make_scorer(model: Any, batch_size: int) -> Scorer:
    """A scorer; its tokenizer is never asked."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.WordLevel({"<eos>": 0, "a": 1}, unk_token="<eos>"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<eos>", pad_token="<eos>")
    return Scorer(model, tokenizer, batch_size=batch_size, max_length=None, on_items=lambda count: None)


def make_requests(chosen: argparse.Namespace, length: int, vocabulary: int) -> list[sharing.Request]:
    draw = random.Random(length)

    def tokens(count: int) -> list[int]:
        return [draw.randrange(vocabulary) for _ in range(count)]

    pairs = []
    for _ in range(chosen.questions):
        context = tokens(round(length * draw.uniform(0.8, 1.2)))
        pairs += [Pair(context, tokens(draw.randint(1, 2 * chosen.answer - 1))) for _ in range(chosen.choices)]
    return [(("", ""), pair.context, pair.answer) for pair in pairs]


def seconds(work: Any, device: str) -> tuple[float, list[tuple[float, bool]]]:
    started = time.perf_counter()
    found = work()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - started, found


def compare(scorer: Scorer, requests: list[sharing.Request], chosen: argparse.Namespace) -> dict[str, Any]:
    """Median seconds of both and the median of the rounds' ratios; the largest difference of a log-probability."""

    def plain() -> list[tuple[float, bool]]:
        return scorer._loglikelihood_tokens(requests, disable_tqdm=True)

    def shared() -> list[tuple[float, bool]]:
        return scorer.score(requests)

    plain(), shared()
    times, differences = [], []
    for _ in range(chosen.rounds):
        (mine, found), (theirs, expected) = seconds(shared, chosen.device), seconds(plain, chosen.device)
        times.append((mine, theirs))
        differences.append(max(abs(a - b) for (a, _), (b, _) in zip(found, expected, strict=True)))
    return {
        "shared_questions": len(sharing.questions(requests, scorer.max_length)),
        "seconds": statistics.median(mine for mine, _ in times),
        "plain_seconds": statistics.median(theirs for _, theirs in times),
        "ratio": statistics.median(mine / theirs for mine, theirs in times),
        "largest_difference_nats": max(differences),
    }


def main() -> None:
    chosen = options()
    torch.set_num_threads(chosen.threads)
    model = make_model(chosen)
    scorer = make_scorer(model, chosen.batch_size)
    vocabulary = model.get_input_embeddings().weight.shape[0]
    lengths = [int(length) for length in chosen.contexts.split(",")]
    report = {length: compare(scorer, make_requests(chosen, length, vocabulary), chosen) for length in lengths}
    if chosen.json:
        print(json.dumps({"settings": vars(chosen), "contexts": report}, indent=1))
        return
    print("context  shared    ours s   plain s   ratio   differs")
    for length, row in report.items():
        times = f"{row['seconds']:10.3f}{row['plain_seconds']:10.3f}{row['ratio']:8.2f}"
        print(f"{length:7}{row['shared_questions']:8}{times}{row['largest_difference_nats']:10.1e}")


if __name__ == "__main__":
    main()
