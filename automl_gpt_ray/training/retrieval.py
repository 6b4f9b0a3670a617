"""Retrieval of passages by a bi-encoder (DPR, arXiv 2004.04906), through `transformers.Trainer`.

Trained on questions with their right passage, hard negatives and the other passages of the batch; scored
by the rank of right passages in the whole corpus, beside BM25 on test data. One step is `epochs_per_step`
epochs. During the first `cloze_steps` steps a sentence takes the question's place, and the passage
that it was taken from the answer's (the inverse cloze task, arXiv 1906.00300): for weights that start random.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoModel

from automl_gpt_ray.records import Config
from automl_gpt_ray.training import bi_encoder, fine_tuning, ranking, tokenisation, transformer_models
from automl_gpt_ray.training.bi_encoder import BiEncoder
from automl_gpt_ray.training.lesson import Lesson
from automl_gpt_ray.training.optimisation import bounded
from automl_gpt_ray.training.passages import Passages, Question, load_questions
from automl_gpt_ray.training.steps import Report, check_objective, read_state
from automl_gpt_ray.training.task import TrainingTask, by_workers

CHOICES = frozenset({"question_length", "hard_negatives", "cloze_steps"})
"""Names in a configuration that decide what a batch is made of; `max_length` is that of passages."""

KNOWN = fine_tuning.KNOWN | tokenisation.CHOICES | transformer_models.SOURCE | bi_encoder.CHOICES | CHOICES
"""Names in a configuration that are the trainer's; others are settings of the model."""

AUTO = AutoModel
"""What makes an encoder of this task."""

DEFAULT_QUESTION_LENGTH = 32
_SCORING_BATCH = 256
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


@by_workers
def train(config: dict[str, Any], task: TrainingTask) -> None:
    """Train inside a Ray Tune trial: a function trainable.

    Args:
        config: Names in `KNOWN`, and settings of the model's configuration.
        task: What all trials share.

    Raises:
        TrainingError: The objective became NaN or memory ran out.
        DataError: The data is not what its card says.
        SpaceError: `config` holds a name or value that is not known.
    """
    from automl_gpt_ray.training import loop  # so that scoring a checkpoint needs no Ray

    loop.learn(learn, config, task)


def learn(config: Config, task: TrainingTask, report: Report, resume_from: Path | None = None) -> None:
    """Train, reporting each step; errors as in `train`.

    Args:
        config: As in `train`; hot values are read anew at every update.
        task: What all trials share.
        report: Called with the metrics of each step and the folder of its checkpoint.
        resume_from: Folder of a checkpoint to go on from, with the same results as if the training
            had not been interrupted.
    """
    names = transformer_models.architecture_names(config, KNOWN)
    check_objective(task.objective, ranking.METRICS)
    passages, found = load_questions(task.data, ("train", "validation"), task.seed)
    fitted = [*found["train"], *found["validation"]] if task.refit else found["train"]
    with fine_tuning.quiet():
        tokenizer = (
            tokenisation.reload_tokenizer(resume_from)
            if resume_from
            else tokenisation.tokenizer_for(config, (*passages.texts, *(q.text for q in found["train"])))
        )
        fresh = {} if config.get("model") else {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
        model = (
            bi_encoder.reload_bi_encoder(config, resume_from)
            if resume_from
            else bi_encoder.build_bi_encoder(config, names, fresh, task.seed)
        )
        batches = Batches(config, tokenizer, passages, model.question.config)
    lesson = Lesson(
        model=model,
        examples=fitted,
        collate=batches.make,
        score=lambda model: _scores(model, batches, found["validation"]),
        save=partial(_save, model, tokenizer),
        at_step=batches.at_step,
        bound=names | tokenisation.CHOICES | bi_encoder.CHOICES | {"question_length", "model", "model_type"},
        constants={"truncated": batches.truncated},
    )
    fine_tuning.teach(lesson, config, task, report, resume_from)


def evaluate(config: Config, task: TrainingTask, checkpoint_dir: str | Path, split: str = "test") -> dict[str, float]:
    """Return every metric of a checkpoint on one split, by bare name, and BM25's beside it as `bm25_...`.

    Args:
        config: Not needed, the checkpoint knows its own; for symmetry with other trainers.
        task: As the checkpoint was trained with: the seed decides the hold-outs.
        checkpoint_dir: Folder of the checkpoint.
        split: `test`, `validation` or `train`.

    Raises:
        DataError: The data set has no such split.
        TrainingError: The folder holds no checkpoint of this trainer.
    """
    folder = Path(checkpoint_dir)
    trained = read_state(folder)["config"]
    torch.set_num_threads(task.threads)
    passages, found = load_questions(task.data, (split,), task.seed)
    questions = found[split]
    with fine_tuning.quiet(), torch.inference_mode():
        model = bi_encoder.reload_bi_encoder(trained, folder).to(transformer_models.device()).eval()
        batches = Batches(trained, tokenisation.reload_tokenizer(folder), passages, model.question.config)
        scores = _scores(model, batches, questions)
    words = ranking.scores(passages, questions, ranking.BM25(passages).rank(questions))
    return {**scores, **{f"bm25_{name}": value for name, value in words.items()}}


class Batches:
    """Questions and passages as tokens.

    Args:
        config: Of the trial.
        tokenizer: Of both encoders.
        passages: Those of the corpus, and those that occur with questions only.
        described: The configuration of an encoder, which limits lengths.

    Attributes:
        truncated: Share of passages that are longer than `max_length`.
    """

    def __init__(self, config: Config, tokenizer: Any, passages: Passages, described: Any) -> None:
        self._config, self._tokenizer, self.passages = config, tokenizer, passages
        length = tokenisation.length_limit(config, tokenizer, described)
        self._question_length = min(length, int(bounded(config, "question_length", DEFAULT_QUESTION_LENGTH, 4)))
        self._hard = int(bounded(config, "hard_negatives", 1, 0))
        self._length = length
        texts = list(zip(passages.titles, passages.texts, strict=True))
        self._tokens, self.truncated = tokenisation.encode(tokenizer, texts, length)
        self._cloze = False

    def at_step(self, step: int) -> None:
        """Prepare for a step, counted from 1."""
        self._cloze = step <= bounded(self._config, "cloze_steps", 0, 0)

    def make(self, questions: Sequence[Question]) -> dict[str, Any]:
        """Return a training batch, as `BiEncoder.forward` takes it."""
        if self._cloze:
            return self._cloze_batch(len(questions))
        # Of several right passages one is drawn; of the wrong ones the hardest, as DPR does.
        rights = [q.positives[int(torch.randint(len(q.positives), ()))] for q in questions]
        rows = [*rights, *(row for q in questions for row in q.negatives[: self._hard])]
        twins = [self.passages.twins[row] for row in rows]
        mine = [{self.passages.twins[row] for row in q.positives} for q in questions]
        twin = [[t in right and column != i for column, t in enumerate(twins)] for i, right in enumerate(mine)]
        return self._batch([q.text for q in questions], [self._tokens[row] for row in rows], torch.tensor(twin))

    def passage_batch(self, rows: Sequence[int]) -> dict[str, Tensor]:
        """Return the tokens of passages."""
        return self._padded([self._tokens[row] for row in rows])

    def question_batch(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Return the tokens of questions."""
        return self._padded(tokenisation.encode(self._tokenizer, [(t,) for t in texts], self._question_length)[0])

    def _cloze_batch(self, count: int) -> dict[str, Any]:
        rows = torch.randperm(self.passages.ranked)[:count].tolist()
        pairs = [self._cloze_pair(row) for row in rows]
        tokens, _ = tokenisation.encode(self._tokenizer, [passage for _, passage in pairs], self._length)
        twins = np.asarray([self.passages.twins[row] for row in rows])
        twin = torch.from_numpy((twins[:, None] == twins[None, :]) & ~np.eye(len(rows), dtype=bool))
        return self._batch([sentence for sentence, _ in pairs], tokens, twin)

    def _cloze_pair(self, row: int) -> tuple[str, tuple[str, str]]:
        """Return a random sentence of a passage, and the passage: nine times of ten without the sentence."""
        sentences = _SENTENCE.split(self.passages.texts[row])
        place = int(torch.randint(len(sentences), ()))
        removed = len(sentences) > 1 and float(torch.rand(())) < 0.9
        rest = [s for i, s in enumerate(sentences) if i != place or not removed]
        return sentences[place], (self.passages.titles[row], " ".join(rest))

    def _batch(self, texts: list[str], tokens: list[dict[str, Any]], twin: Tensor) -> dict[str, Any]:
        return {
            "question": self.question_batch(texts),
            "passage": self._padded(tokens),
            "target": torch.arange(len(texts)),
            "twin": twin,
        }

    def _padded(self, tokens: list[dict[str, Any]]) -> dict[str, Tensor]:
        return dict(self._tokenizer.pad(tokens, return_tensors="pt"))


def rank(model: BiEncoder, batches: Batches, questions: Sequence[Question]) -> ranking.Ranking:
    """Return the best 100 passages of the corpus for each question, by a model in evaluation mode."""
    with fine_tuning.half_on_gpu(model.device):
        return _rank(model, batches, questions)


def _rank(model: BiEncoder, batches: Batches, questions: Sequence[Question]) -> ranking.Ranking:
    passages = batches.passages
    # Passages of about one length are padded least.
    order = sorted(range(passages.ranked), key=lambda row: len(passages.texts[row]))
    parts = [
        model.encode_passages(_moved(batches.passage_batch(order[i : i + _SCORING_BATCH]), model.device)).float()
        for i in range(0, len(order), _SCORING_BATCH)
    ]
    corpus, places = torch.cat(parts), torch.tensor(order)
    best = []
    for i in range(0, len(questions), _SCORING_BATCH):
        texts = [question.text for question in questions[i : i + _SCORING_BATCH]]
        vectors = model.encode_questions(_moved(batches.question_batch(texts), model.device)).float()
        top = (vectors @ corpus.T).topk(min(ranking.DEPTHS[-1], len(order)), dim=1).indices
        best.append(places[top.cpu()])
    return torch.cat(best).numpy()


def _scores(model: BiEncoder, batches: Batches, questions: Sequence[Question]) -> dict[str, float]:
    if not all(torch.isfinite(parameter).all() for parameter in model.parameters()):
        return dict.fromkeys(ranking.METRICS, float("nan"))
    return ranking.scores(batches.passages, questions, rank(model, batches, questions))


def _moved(tokens: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    return {name: value.to(device) for name, value in tokens.items()}


def _save(model: BiEncoder, tokenizer: Any, folder: Path) -> None:
    bi_encoder.save_descriptions(model, folder)
    tokenizer.save_pretrained(folder)
