import gzip
import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from automl_gpt_ray.cards import load_data_card
from automl_gpt_ray.errors import DataError, SpaceError, TrainingError
from automl_gpt_ray.training import ranking
from automl_gpt_ray.training.bi_encoder import BiEncoder
from automl_gpt_ray.training.data_check import check_data
from automl_gpt_ray.training.passages import Passages, Question, load_questions
from automl_gpt_ray.training.retrieval import Batches, evaluate, learn
from automl_gpt_ray.training.tokenisation import train_tokenizer
from training.small import Reports, card_of, task_of

CARDS = Path(__file__).resolve().parents[2] / "configs" / "cards" / "data"
TINY = {
    "model_type": "bert",
    "hidden_size": 32,
    "num_hidden_layers": 0,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "vocabulary": 300,
    "max_length": 24,
    "question_length": 12,
    "tied": True,
    "pooling": "mean",
    "dropout": 0.0,
    "batch_size": 16,
    "learning_rate": 0.01,
    "schedule": "constant",
}
ADJECTIVES, NOUNS = ("red", "blue", "green", "old", "new", "lost"), ("river", "tower", "song", "king", "war", "ship")
SUBJECTS = [f"{a} {b}" for a in ADJECTIVES for b in NOUNS]


def write(folder, change=lambda rows, sets: None):
    """A passage and two questions on each subject; the wrong passage is that of the subject before it."""
    rows = [
        [str(i), f"The {s} was made in {1900 + i}. People speak of the {s} still.", s.title()]
        for i, s in enumerate(SUBJECTS)
    ]
    ask = ("when was the {} made", "what year is the {} from")

    def context(i):
        return {"title": rows[i][2], "text": rows[i][1], "passage_id": str(i)}

    def question(i, kind):
        wrong = [context(i - 1)] if i else []
        return {
            "question": ask[kind].format(SUBJECTS[i]),
            "answers": [str(1900 + i)],
            "positive_ctxs": [context(i)],
            "hard_negative_ctxs": wrong,
            "negative_ctxs": [],
        }

    every = range(len(SUBJECTS))
    # Drawn, so that how a question is put tells nothing of what it is about.
    kinds = np.random.default_rng(0).integers(0, 2, len(SUBJECTS)).tolist()
    sets = {
        "train": [question(i, kinds[i]) for i in every],
        "validation": [question(i, 1 - kinds[i]) for i in every if i % 3],
        "test": [question(i, 1 - kinds[i]) for i in every if i % 3 == 0],
    }
    change(rows, sets)
    lines = ["id\ttext\ttitle", *("\t".join(row) for row in rows)]
    (folder / "passages.tsv.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    for split, questions in sets.items():
        (folder / f"{split}.json").write_text(json.dumps(questions), encoding="utf-8")
    files = {"passages": "passages.tsv.gz", **{split: f"{split}.json" for split in sets}}
    return card_of(
        task="retrieval",
        input_type="text_pair",
        metric="recall_at_5",
        label_space={},
        load={"format": "dpr", "path": str(folder), "files": files},
    )


def retrieval_task(card, **values):
    return task_of(card, "recall_at_5", **values)


@pytest.mark.parametrize(
    "change", [{"cloze_steps": 1}, {"tied": False, "similarity": "cosine"}], ids=["tied", "untied"]
)
def test_a_bi_encoder_learns_and_goes_on_as_if_uninterrupted(tmp_path, change):
    task, whole, rest = retrieval_task(write(tmp_path)), Reports(tmp_path / "whole"), Reports(tmp_path / "rest")
    config = {**TINY, **change, "epochs_per_step": 3}
    learn(config, task, whole)
    assert whole.steps[-1]["train_loss"] < whole.steps[0]["train_loss"]
    assert whole.steps[-1]["recall_at_5"] > 0.3  # by chance: 0.14
    assert evaluate({}, task, whole.checkpoint(4), "train")["recall_at_5"] > 0.8
    assert {"recall_at_20", "answer_at_1", "mean_reciprocal_rank", "train_loss", "truncated"} <= set(whole.steps[0])
    torch.manual_seed(12345)
    learn(config, task, rest, whole.checkpoint(2))
    assert rest.curve == whole.curve[2:]
    again = evaluate({}, task, whole.checkpoint(4), "validation")
    assert {name: again[name] for name in ranking.METRICS} == {name: whole.steps[-1][name] for name in ranking.METRICS}
    test = evaluate({}, task, whole.checkpoint(4))
    assert test["bm25_recall_at_5"] == 1.0
    assert test["recall_at_5"] > 0.2


def test_pretrained_encoders(tmp_path):
    from transformers import BertConfig, BertModel, DPRConfig, DPRContextEncoder, DPRQuestionEncoder

    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    task = retrieval_task(write(tmp_path), max_steps=1)
    tokenizer = train_tokenizer("wordpiece", ["when was the made", *SUBJECTS], 200, lowercase=True)
    made = {
        "bert": BertModel(BertConfig(vocab_size=len(tokenizer), **size)),
        "dpr": DPRQuestionEncoder(DPRConfig(vocab_size=len(tokenizer), **size)),
        "context": DPRContextEncoder(DPRConfig(vocab_size=len(tokenizer), **size)),
    }
    for name, model in made.items():
        model.save_pretrained(tmp_path / name)
        tokenizer.save_pretrained(tmp_path / name)
    shared = {"max_length": 24, "batch_size": 16, "learning_rate": 0.001}
    context = {"passage_model": str(tmp_path / "context")}
    for name, extra in (("bert", {}), ("bert", {"tied": True}), ("dpr", context)):
        reports = Reports(tmp_path / f"reports-{name}-{len(extra)}-{'tied' in extra}")
        learn({**shared, **extra, "model": str(tmp_path / name)}, task, reports)
        again = evaluate({}, task, reports.checkpoint(1), "validation")
        assert again["mean_reciprocal_rank"] == pytest.approx(reports.steps[0]["mean_reciprocal_rank"])
    weights = load_file(reports.checkpoint(1) / "model.safetensors")
    assert {name.split(".")[1] for name in weights} == {"question_encoder", "ctx_encoder"}


def test_a_checkpoint_without_its_encoders_is_a_training_error(tmp_path):
    reports = Reports(tmp_path / "reports")
    task = retrieval_task(write(tmp_path), max_steps=1)
    learn(TINY, task, reports)
    with pytest.raises(TrainingError, match="tied"):
        learn({**TINY, "tied": False}, retrieval_task(task.data), reports, reports.checkpoint(1))
    (reports.checkpoint(1) / "question" / "config.json").unlink()
    with pytest.raises(TrainingError, match="holds no readable bi-encoder"):
        evaluate({}, task, reports.checkpoint(1))


def test_passages_that_are_right_too_are_no_negatives():
    passages = Passages()
    for title, text in (("a", "one two"), ("b", "three four"), ("c", "one two"), ("d", "five six")):
        passages.add(title, text)
    passages.ranked = 4
    tokenizer = train_tokenizer("wordpiece", passages.texts, 100, lowercase=True)
    batches = Batches({"max_length": 8}, tokenizer, passages, described=None)
    questions = [Question("q", (), (0,), (1,)), Question("r", (), (2, 3), (1,)), Question("s", (), (1,), (3,))]
    torch.manual_seed(1)
    for _ in range(4):
        batch = batches.make(questions)
        assert batch["passage"]["input_ids"].shape[0] == 6
        assert batch["target"].tolist() == [0, 1, 2]
        drawn_twin = batches._tokens[2]["input_ids"] == batch["passage"]["input_ids"][1].tolist()
        # Columns: own positives 0, 1, 2 and the hard negatives 3, 4, 5.
        assert batch["twin"][0].tolist() == [False, drawn_twin, False, False, False, False]
        assert batch["twin"][1].tolist() == [True, False, False, False, False, True]
        assert batch["twin"][2].tolist() == [False, False, False, True, True, False]


def test_the_loss_leaves_out_what_is_right_too():
    class Fixed(torch.nn.Module):
        def forward(self, vectors, attention_mask=None):
            return type("Output", (), {"last_hidden_state": vectors[:, None]})()

    model = BiEncoder(Fixed(), None, "first", "dot")
    one = torch.eye(2)
    tokens = {"question": {"vectors": one}, "passage": {"vectors": one[[0, 1, 0]]}, "target": torch.tensor([0, 1])}
    twin = torch.tensor([[False, False, True], [False, False, False]])
    masked = model(**tokens, twin=twin)["loss"]
    expected = (np.log(1 + np.exp(-1)) + np.log(1 + 2 * np.exp(-1))) / 2
    assert float(masked) == pytest.approx(expected, rel=1e-5)
    assert float(model(**tokens, twin=torch.zeros_like(twin))["loss"]) > float(masked)


def test_bm25_counts_rare_words_and_short_passages_for_more():
    passages = Passages()
    for text in ("the tower of london", "the tower of london and its long long story of towers", "a rare bird"):
        passages.add("", text)
    passages.ranked = 3
    index = ranking.BM25(passages)
    questions = [
        Question("towers", (), (0,), ()),
        Question("rare tower", (), (2,), ()),
        Question("zebra", (), (1,), ()),
    ]
    assert index.rank(questions).tolist() == [[1, 0, 2], [2, 1, 0], [0, 1, 2]]
    # One word, held by one of three passages: idf ln(1 + 2.5/1.5); f = 1, |d| = 2 of a mean of (2 + 7 + 2)/3.
    weight = np.log(1 + 2.5 / 1.5) * 1.9 / (1 + 0.9 * (0.6 + 0.4 * 2 / (11 / 3)))
    assert index._index[index._vocabulary["bird"]].toarray()[0].tolist() == pytest.approx([0, 0, weight])


def test_answers_are_matched_by_words():
    assert ranking.has_answer("It was Ênyo, who sang.", ["nobody", "ENYO WHO"])
    assert not ranking.has_answer("A catalogue of years", ["cat", ""])
    passages = Passages()
    for text in ("nothing", "in 1901 it was", "nothing"):
        passages.add("t", text)
    passages.ranked = 3
    questions = [Question("q", ("1901",), (2,), ()), Question("r", ("1999",), (5,), ())]
    passages.twins += [9, 9, 9]
    found = ranking.scores(passages, questions, np.array([[2, 0, 1], [0, 1, 2]]))
    assert found["recall_at_1"] == 1.0  # by a twin of the right passage; the other question has none in the corpus
    assert [found[f"answer_at_{k}"] for k in (1, 5)] == [0.0, 0.5]


def test_what_cannot_be_used_is_skipped_and_counted(tmp_path, caplog):
    def spoil(rows, sets):
        rows.append(["99", " ", "Empty"])
        sets["train"][0]["positive_ctxs"] = []
        sets["train"][1]["question"] = " "
        sets["train"][2]["hard_negative_ctxs"] = sets["train"][2]["positive_ctxs"]
        sets["validation"][0]["positive_ctxs"] = [{"title": "New", "text": "Not in the corpus."}]

    card = write(tmp_path, spoil)
    with caplog.at_level(logging.WARNING):
        assert check_data(card) == {"train": 34, "validation": 24, "test": 12}
    for text in (
        "1 passages have no text",
        "1 questions have no text",
        "1 questions have no right passage: not",
        "1 questions have no right passage in the corpus",
    ):
        assert text in caplog.text
    passages, questions = load_questions(card, ("train", "validation"), 0)
    assert len(passages.texts) == passages.ranked + 1
    assert questions["train"][0].negatives == ()


def test_nq_opens_own_lines_are_judged_by_answers(tmp_path):
    card = write(tmp_path)
    (tmp_path / "test.json").write_text(
        '{"question": "when was the red song made", "answer": ["1902"]}\n', encoding="utf-8"
    )
    reports = Reports(tmp_path / "reports")
    task = retrieval_task(card, max_steps=1)
    learn(TINY, task, reports)
    found = evaluate({}, task, reports.checkpoint(1))
    assert np.isnan(found["recall_at_5"])
    assert found["bm25_answer_at_1"] == 1.0


def test_files_as_people_write_them(tmp_path):
    def without_title(rows, sets):
        sets["train"][0]["positive_ctxs"] = [{"title": None, "text": "Not in the corpus."}]

    card = write(tmp_path, without_title)
    mark, corpus, asked = "\ufeff", tmp_path / "passages.tsv.gz", "who\u2028is he"
    corpus.write_bytes(gzip.compress(mark.encode() + gzip.decompress(corpus.read_bytes())))
    line = json.dumps({"question": asked, "answer": "Barack Obama"}, ensure_ascii=False)
    (tmp_path / "test.json").write_bytes(f"{mark}{line}\r\n{line}\r\n".encode())
    passages, found = load_questions(card, ("train", "test"), 0)
    assert passages.titles[0] == "Red River"
    assert passages.titles[-1] == ""
    assert [(question.text, question.answers) for question in found["test"]] == [(asked, ("Barack Obama",))] * 2


def test_bad_files_are_data_errors(tmp_path):
    def no_text(rows, sets):
        sets["train"][0]["positive_ctxs"] = [{"title": "x"}]

    def nothing(rows, sets):
        sets["train"].clear()

    def no_rights(rows, sets):
        for question in sets["train"]:
            question["positive_ctxs"] = []

    def no_passages(rows, sets):
        rows.clear()

    def ragged(rows, sets):
        rows[0].append("more")

    expected = {
        no_text: "must be DPR's JSON",
        nothing: "must hold at least one question with a right passage",
        no_rights: "must hold at least one question with a right passage",
        no_passages: "must hold at least one passage",
        ragged: "a row of 4 values",
    }
    for change, message in expected.items():
        with pytest.raises(DataError, match=message):
            check_data(write(tmp_path, change))
    card = write(tmp_path)
    (tmp_path / "passages.tsv.gz").write_bytes(b"no gzip")
    with pytest.raises(DataError, match="must be a table of passages"):
        check_data(card)
    files = {"train": "train.json"}
    with pytest.raises(DataError, match="must name `passages`"):
        check_data(card.model_copy(update={"load": card.load.model_copy(update={"files": files})}))


@pytest.mark.parametrize(
    "change", [{"pooling": "last"}, {"similarity": "far"}, {"hard_negatives": -1}, {"max_length": 1000}]
)
def test_what_the_trainer_would_not_obey_is_refused(tmp_path, change):
    with pytest.raises(SpaceError, match=next(iter(change))):
        learn({**TINY, **change}, retrieval_task(write(tmp_path)), Reports(tmp_path / "reports"))


@pytest.mark.shared
def test_real_questions(shared_data, tmp_path):
    shipped = load_data_card(CARDS / "nq_open.yaml")
    card = shipped.model_copy(update={"load": shipped.load.model_copy(update={"path": str(shared_data / "nq_dpr")})})
    assert check_data(card) == shipped.size
    passages, found = load_questions(card, ("test",), 0)
    words = ranking.scores(passages, found["test"], ranking.BM25(passages).rank(found["test"]))
    assert [words[f"recall_at_{k}"] for k in (1, 5, 20)] == pytest.approx([0.727, 0.887, 0.960], abs=0.02)
    reports = Reports(tmp_path / "reports")
    config = {**TINY, "vocabulary": 4000, "batch_size": 64, "max_length": 64, "epochs_per_step": 0.3}
    learn(config, retrieval_task(card, max_steps=1), reports)
    assert reports.steps[0]["recall_at_100"] > 0.03
