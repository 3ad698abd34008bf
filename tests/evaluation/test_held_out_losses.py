"""Held-out losses against one document, one forward and one cross entropy at a time."""

from __future__ import annotations

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from adept_bench.corpora.reading import corpus_of
from adept_bench.errors import InputError
from adept_bench.evaluation.losses import answer_losses, held_out_losses


def test_against_a_plain_computation() -> None:
    words = ["<unk>", "<eos>", *"abcdefgh"]
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="<eos>")
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "head_dim": 8}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1}
    model = Qwen3ForCausalLM(Qwen3Config(vocab_size=10, initializer_range=0.5, **sizes, **heads)).eval()
    texts = {"general": ["a b c d e f g h a b", "c c", "h"], "domain": ["d a", "b e f"]}
    losses = held_out_losses(model, fast, {name: corpus_of(name, own) for name, own in texts.items()}, 6, 2)
    for name, own in texts.items():
        plain = []
        for text in own:
            ids = torch.tensor(fast(text)["input_ids"][:6])
            if len(ids) >= 2:
                with torch.no_grad():
                    logits = model(ids[None]).logits[0]
                plain.append(float(torch.nn.functional.cross_entropy(logits[:-1], ids[1:])))
        assert losses[name] == pytest.approx(plain, abs=1e-5)
    with pytest.raises(InputError, match="short: no document has two tokens"):
        held_out_losses(model, fast, {"x": corpus_of("short", ["a", "b"])}, 6, 2)


TEMPLATE = (
    "{% for message in messages %}{{ '<' + message['role'] + '> ' + message['content'] + ' <eos> ' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<assistant> ' }}{% endif %}"
)


def chat_model(template: str) -> tuple[Qwen3ForCausalLM, PreTrainedTokenizerFast]:
    words = ["<unk>", "<eos>", "<user>", "<assistant>", *"abcdefgh"]
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="<eos>")
    fast.chat_template = template
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "head_dim": 8}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1}
    config = Qwen3Config(vocab_size=len(words), initializer_range=0.5, **sizes, **heads)
    return Qwen3ForCausalLM(config).eval(), fast


def test_the_loss_of_an_answer_in_the_chat_template_is_that_of_its_tokens() -> None:
    model, fast = chat_model(TEMPLATE)
    corpus = corpus_of("chat", ["a b c\nd e f g", "c\nh", "a b c d e f g h\na"])
    found = answer_losses(model, fast, {"chat": corpus}, 10, 2)["chat"]
    plain = []
    for asked, reply in (("a b c", "d e f g"), ("c", "h")):  # the third question leaves no room for an answer
        ids = fast(f"<user> {asked} <eos> <assistant> {reply} <eos>", return_tensors="pt")["input_ids"][0, :10]
        begins = len(asked.split()) + 3
        with torch.no_grad():
            logits = model(ids[None]).logits[0]
        plain.append(float(torch.nn.functional.cross_entropy(logits[begins - 1 : -1], ids[begins:])))
    assert found == pytest.approx(plain, abs=1e-5)


def test_a_template_that_rewrites_the_question_is_refused() -> None:
    model, fast = chat_model("{% if add_generation_prompt %}<user> {% endif %}{{ messages[0]['content'] }}")
    with pytest.raises(InputError, match="does not begin with its question"):
        answer_losses(model, fast, {"chat": corpus_of("chat", ["a\nb"])}, 10, 2)


def test_no_room_for_any_answer_is_said() -> None:
    model, fast = chat_model(TEMPLATE)
    with pytest.raises(InputError, match="chat: no answer begins within 4 tokens"):
        answer_losses(model, fast, {"chat": corpus_of("chat", ["a b c\nd"])}, 4, 2)
