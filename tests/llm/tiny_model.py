"""Tiny causal language models with random weights, saved as a hub would serve them."""

from __future__ import annotations

LINES = [
    '{"proposals": [{"reason": "a smaller rate", "hyperparameters": {"eta": 0.1, "depth": 6}}]}',
    '"predicted_log": [{"step": 5, "value": 0.85, "low": 0.8, "high": 0.9}]',
    "Given the Model Card and the Data Card propose settings to train next.",
]

CHAT = (
    "{% for m in messages %}<|turn|>{{ m['role'] }}\n{{ m['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|turn|>assistant\n{% endif %}"
)


def tiny_tokenizer(lines=LINES, vocabulary=600, chat=None):
    """A byte-level BPE: every text can be encoded, whatever it was trained on."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<|end|>", "<|turn|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(lines, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|end|>", additional_special_tokens=["<|turn|>"])
    fast.chat_template = chat
    return fast


def save_tiny_model(folder, *, lines=LINES, vocabulary=600, chat=None, context=8192, kind="gpt2", padded=0):
    """Write a model of one small layer and its tokenizer to `folder`; returns the folder as text.

    Args:
        folder: Where to write.
        lines: What the tokenizer is trained on.
        vocabulary: Its most tokens.
        chat: Its chat template.
        context: Most tokens of prompt and reply.
        kind: `gpt2` or `llama`.
        padded: Scores beyond the vocabulary, which models have for the sake of round numbers.
    """
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    tokenizer = tiny_tokenizer(lines, vocabulary, chat)
    shared = {"vocab_size": len(tokenizer) + padded, "eos_token_id": 0, "bos_token_id": 0}
    torch.manual_seed(0)
    if kind == "gpt2":
        model = GPT2LMHeadModel(GPT2Config(n_positions=context, n_embd=32, n_layer=1, n_head=2, **shared))
    else:
        size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
        model = LlamaForCausalLM(LlamaConfig(max_position_embeddings=context, **size, **shared))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
