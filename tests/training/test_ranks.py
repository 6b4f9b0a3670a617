"""What a worker knows of the others, without any other: a process group of one."""

from __future__ import annotations

import pytest
import torch
from torch import distributed

from automl_gpt_ray.errors import SpaceError
from automl_gpt_ray.training import ranks
from automl_gpt_ray.training.text_classification import learn
from training.small import Reports, task_of
from training.test_text_classification import TINY, sentences, text_card


@pytest.fixture
def group(tmp_path):
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'group'}", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def test_a_process_alone():
    assert (ranks.count(), ranks.first(), ranks.share(33), ranks.told("yes")) == (1, True, 33, "yes")
    before = torch.get_rng_state()
    ranks.draw_apart(0, 1)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_batch_is_shared_evenly(monkeypatch):
    monkeypatch.setattr(ranks, "count", lambda: 4)
    assert ranks.share(32) == 8
    with pytest.raises(SpaceError, match=r"`batch_size`: is the batch of all 4 workers together, .* got 30"):
        ranks.share(30)


def test_each_step_and_each_worker_draws_anew(group, monkeypatch):
    def drawn(step, rank):
        monkeypatch.setattr(distributed, "get_rank", lambda: rank)
        ranks.draw_apart(7, step)
        return float(torch.rand(()))

    assert len({drawn(step, rank) for step in (1, 2) for rank in (0, 1)}) == 4
    assert drawn(2, 1) == drawn(2, 1)


def test_workers_go_on_with_the_numbers_they_would_have_drawn(group, tmp_path):
    config = {**TINY, "dropout": 0.3}
    task, whole, rest = task_of(text_card(tmp_path, sentences())), Reports(tmp_path / "a"), Reports(tmp_path / "b")
    learn(config, task, whole)
    torch.manual_seed(12345)  # what another process would have drawn
    (whole.checkpoint(2) / "rng_state.pth").unlink()  # that of the first worker: no other has it
    learn(config, task, rest, whole.checkpoint(2))
    assert rest.curve == whole.curve[2:]
