"""The curve network: what it was made to be whatever its weights, and the weights that are shipped."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys

import numpy as np
import pytest

from automl_gpt_ray.curves.learned import weights
from automl_gpt_ray.curves.learned.forecaster import LearnedForecaster
from automl_gpt_ray.curves.predictor import Context, Curve, CurvePredictor, Query
from automl_gpt_ray.curves.scale import FLOOR, Scale
from automl_gpt_ray.errors import DataError
from automl_gpt_ray.records import Objective

torch = pytest.importorskip("torch")

from automl_gpt_ray.curves.learned import bins, checkpoint, ship  # noqa: E402
from automl_gpt_ray.curves.learned.lessons import answers  # noqa: E402
from automl_gpt_ray.curves.learned.model import Network, Shape  # noqa: E402
from automl_gpt_ray.curves.learned.prior import CEILING, MOST_ENTRIES, MOST_TRIALS, sample  # noqa: E402
from automl_gpt_ray.curves.learned.train import Settings, Training, run  # noqa: E402

T = 30
SMALL = Shape(width=32, layers=2, heads=4, processes=2, told=8)


@pytest.fixture(scope="module")
def small() -> LearnedForecaster:
    torch.manual_seed(3)
    return LearnedForecaster([Network(SMALL).eval(), Network(SMALL).eval()])


def run_of(count, entries=4, seed=0, steps=T, values=None):
    rng = np.random.default_rng(seed)
    curves = []
    for i in range(count):
        n = int(rng.integers(1, steps + 1))
        told = np.cumsum(rng.random(n) / 10) if values is None else values(n, rng)
        curves.append(Curve(f"t{i}", rng.random(entries), np.arange(1.0, n + 1), told))
    return Context(tuple(curves), Objective("a", "max"), steps)


def asked(context, entries=4):
    new = Curve("new", np.full(entries, 0.3))
    short = Curve("short", np.full(entries, 0.6), np.array([1.0, 2.0]), np.array([0.1, 0.15]))
    queries = [Query(c, s) for c in (new, short) for s in (context.max_step // 2, context.max_step)]
    return queries + [Query(c, context.max_step) for c in context.curves]


def assert_sound(told, count):
    stacked = np.stack([told.low, told.median, told.high])
    assert stacked.shape == (3, count)
    assert np.isfinite(stacked).all()
    assert np.isfinite(told.mean).all()
    assert np.isfinite(told.sd).all()
    assert (np.diff(stacked, axis=0) >= 0).all()


@pytest.mark.parametrize(("count", "entries"), [(1, 1), (1, 4), (2, 16), (40, 24), (200, 4), (60, 70), (3, 0)])
def test_any_number_of_trials_and_entries(small, count, entries):
    context = run_of(count, entries)
    assert isinstance(small, CurvePredictor)
    assert_sound(small.predict(context, asked(context, entries)), count + 4)


@pytest.mark.parametrize("steps", [1, 2, 5, 1000])
def test_any_number_of_steps(small, steps):
    context = run_of(5, steps=steps)
    assert_sound(small.predict(context, [Query(c, steps) for c in context.curves]), 5)


@pytest.mark.parametrize(
    "values",
    [
        lambda n, rng: np.full(n, 0.7),
        lambda n, rng: np.full(n, math.nan),
        lambda n, rng: np.append(rng.random(n - 1), math.nan),
        lambda n, rng: -np.exp(rng.normal(0, 200, n).clip(-600, 600)),
        lambda n, rng: 1e300 * rng.standard_normal(n),
        lambda n, rng: np.where(rng.random(n) < 0.3, math.inf, rng.random(n)),
    ],
    ids=["constant", "nan", "diverged", "huge range", "huge", "infinite"],
)
@pytest.mark.parametrize("mode", ["max", "min"])
def test_any_values(small, values, mode):
    context = run_of(12, values=values)
    context = Context(context.curves, Objective("a", mode), T)
    assert_sound(small.predict(context, asked(context)), 16)


def test_the_order_of_trials_does_not_matter(small):
    context = run_of(30)
    queries = asked(context)
    mixed = Context(tuple(context.curves[i] for i in np.random.default_rng(1).permutation(30)), context.objective, T)
    a, b = small.predict(context, queries), small.predict(mixed, queries)
    for name in ("low", "median", "high"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-4, atol=1e-4)


def test_the_order_of_hyperparameters_does_not_matter(small):
    order = [2, 0, 3, 1]

    def turned(curve):
        return Curve(curve.key, curve.vector[order], curve.steps, curve.values)

    context = run_of(30)
    mixed = Context(tuple(map(turned, context.curves)), context.objective, T)
    queries = asked(context)
    a = small.predict(context, queries)
    b = small.predict(mixed, [Query(turned(q.curve), q.step) for q in queries])
    np.testing.assert_allclose(a.median, b.median, rtol=1e-3, atol=1e-3)


def test_other_questions_change_no_answer(small):
    context = run_of(10)
    queries = asked(context)
    alone = [small.predict(context, [q]).median[0] for q in queries]
    np.testing.assert_allclose(small.predict(context, queries).median, alone, rtol=1e-4, atol=1e-4)


def test_a_trial_is_forecast_alike_in_and_out_of_the_context(small):
    # It never attends to itself; only the scale and the statistics of the context know of it.
    context = run_of(60, seed=4)
    told = small.predict(context, [Query(context.curves[7], T)])
    copy = Curve("copy", context.curves[7].vector, context.curves[7].steps, context.curves[7].values)
    others = Context(context.curves[:7] + context.curves[8:], context.objective, T)
    again = small.predict(others, [Query(copy, T)])
    assert again.median[0] == pytest.approx(told.median[0], abs=0.05)


def test_a_run_without_values_is_answered(small):
    empty = Context((), Objective("a", "max"), T)
    lost = run_of(3, values=lambda n, rng: np.full(n, math.nan))
    assert_sound(small.predict(empty, asked(empty)), 4)
    assert_sound(small.predict(lost, asked(lost)), 7)
    assert_sound(small.predict(empty, []), 0)


def test_what_is_believed_of_ends(small):
    context = run_of(12)
    done = Curve("done", np.full(4, 0.5), np.arange(1.0, T + 1), np.linspace(0, 1, T))
    lost = Curve("lost", np.full(4, 0.5), np.arange(1.0, 3), np.array([0.3, math.nan]))
    context = Context((*context.curves, done, lost), context.objective, T)
    scale = Scale.of(context)
    ends = small.ends(context, scale, context.curves)
    assert ends is not None
    assert ends.mean.shape == ends.var.shape == ends.reached.shape == (14,)
    assert (ends.var > 0).all()
    assert ends.mean[12] == pytest.approx(scale.apply(done.values[-1:])[0])
    assert ends.mean[13] == ends.reached[13] == FLOOR


def test_bins_hold_a_density():
    logits = torch.randn(5, bins.BINS)
    edges = bins.edges()
    middle = (edges[1:] + edges[:-1]) / 2
    density = bins.log_density(logits[:, None].expand(5, bins.BINS, -1), middle.expand(5, -1)).exp()
    np.testing.assert_allclose((density * edges.diff()).sum(-1), 1.0, rtol=1e-4)
    levels = torch.tensor([0.05, 0.5, 0.95])
    found = bins.quantiles(logits, levels)
    below = ((middle[None, :, None] < found[:, None]) * logits.softmax(-1)[..., None]).sum(1)
    assert (below - levels).abs().max() < 0.05
    mean, var = bins.moments(logits)
    assert mean.shape == var.shape == (5,)


@pytest.mark.parametrize("seed", range(12))
def test_problems_are_sound(seed):
    found = sample(seed, tokens=300)
    b, n, steps = found.z.shape
    assert found.vectors.shape[:2] == (b, n)
    assert found.vectors.shape[2] <= MOST_ENTRIES
    assert 1 <= found.context <= MOST_TRIALS
    assert found.vectors.min() >= 0
    assert found.vectors.max() <= 1
    assert found.z.isfinite().all()
    assert found.z.min() >= FLOOR
    assert found.z.max() <= CEILING
    assert (found.seen[:, : found.context] >= 1).all()
    assert (found.seen <= steps).all()
    # No trial goes on after it diverged.
    before = torch.arange(steps) < (found.seen - 1)[..., None]
    assert not (found.lost & before).any()


def test_equal_seeds_give_equal_problems():
    a, b, c = sample(5, 300), sample(5, 300), sample(6, 300)
    assert torch.equal(a.z, b.z)
    assert a.z.shape != c.z.shape or not torch.equal(a.z, c.z)


def test_problems_have_the_scale_that_forecasters_use():
    found = sample(21, 300)
    for i in range(3):
        told = [found.z[i, j, : int(found.seen[i, j])] for j in range(found.context)]
        reported = torch.cat(told)
        reported = reported[reported > FLOOR]
        assert reported.max() == pytest.approx(1.0, abs=1e-4)


def test_training_learns_and_goes_on(tmp_path):
    settings = Settings(rate=3e-3, warm_up=5, tokens=150)
    one = Training(tmp_path, settings, SMALL, torch.device("cpu"))
    problems = sample(77, 600)
    before = float(answers(one.network, problems, 1).loss.detach())
    for _ in range(25):
        one.learn()
    assert float(answers(one.network, problems, 1).loss.detach()) < before - 0.2
    one.save("weights")
    again = Training(tmp_path, Settings(rate=1.0), Shape(), torch.device("cpu"))
    assert again.settings == settings
    assert (again.step, again.network.shape) == (25, SMALL)
    assert one.learn() == again.learn()
    for mine, theirs in zip(one.network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_a_new_training_may_start_from_the_shipped_network(tmp_path):
    one = Training(tmp_path, Settings(tokens=150), SMALL, torch.device("cpu"), warm=True)
    first = weights.load()[0]
    assert one.network.shape == first.shape
    for mine, theirs in zip(one.network.parameters(), first.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    assert np.isfinite(one.learn())
    assert one.step == 1


def test_a_cooled_training_can_go_on_from_before(tmp_path):
    one = Training(tmp_path, Settings(tokens=150, warm_up=1), SMALL, torch.device("cpu"))
    one.learn()
    one.save("weights")
    run(one, minutes=0.01, cooldown=0.01)
    assert one.step > 1
    assert (tmp_path / "cooled.safetensors").exists()
    assert Training(tmp_path, Settings(), SMALL, torch.device("cpu")).step == 1
    assert json.loads((tmp_path / "card.json").read_text())["parameters"] > 1000


def test_a_checkpoint_is_read_as_written(tmp_path):
    told = {"step": 3, "scores": [{"loss": 1.5}]}
    checkpoint.write(tmp_path / "c", {"a": {"x": torch.arange(3.0)}, "b": {"x": torch.ones(2, 2)}}, told)
    parts, read = checkpoint.read(tmp_path / "c")
    assert read == told
    assert torch.equal(parts["a"]["x"], torch.arange(3.0))
    assert [p.name for p in tmp_path.iterdir()] == ["c"]


def test_checkpoints_of_one_training_ship_as_the_mean_of_their_weights(tmp_path):
    one, files = Training(tmp_path, Settings(tokens=150, warm_up=1), SMALL, torch.device("cpu")), []
    for name in ("early", "late"):
        one.learn()
        one.save(name)
        files.append(tmp_path / f"{name}.safetensors")
    ship.main([*map(str, files), "--mean", "--to", str(tmp_path / "shipped")])
    (network,) = weights.load(tmp_path / "shipped")
    early, late = (dict(ship.load(file)[0].named_parameters()) for file in files)
    for name, parameter in network.named_parameters():
        assert torch.allclose(parameter, (early[name] + late[name]) / 2, atol=1e-3), "up to half precision"
        assert not torch.equal(early[name], late[name])
    card = json.loads((tmp_path / "shipped" / "card.json").read_text())
    assert [training["steps"] for training in card["training"]] == [1, 2]
    assert card["shipped"] == "the mean of the weights of the above"


def shipped_copy(folder):
    torch.manual_seed(0)
    weights.write(folder, [Network(SMALL), Network(SMALL)], {"what": "a test"})
    return folder


def test_weights_are_read_as_written(tmp_path):
    networks = weights.load(shipped_copy(tmp_path))
    assert [n.shape for n in networks] == [SMALL, SMALL]
    assert not any(p.requires_grad for n in networks for p in n.parameters())


@pytest.mark.parametrize("damage", ["flip", "cut", "gone", "other", "shape", "card", "empty card"])
def test_damaged_weights_are_refused(tmp_path, damage):
    folder = shipped_copy(tmp_path)
    path, card = folder / "network-1.safetensors", folder / "card.json"
    raw = path.read_bytes()
    if damage == "flip":
        path.write_bytes(raw[:-5] + bytes([raw[-5] ^ 1]) + raw[-4:])
    elif damage == "cut":
        path.write_bytes(raw[:1000])
    elif damage == "gone":
        path.unlink()
    elif damage == "other":
        shutil.copy(folder / "network-2.safetensors", path)
    elif damage == "shape":
        card.write_text(card.read_text().replace('"width": 32', '"width": 64'))
    else:
        card.write_text("{" if damage == "card" else "{}")
    with pytest.raises(DataError, match="nstall the package again"):
        weights.load(folder)


def test_where_no_weights_are_it_says_so(tmp_path):
    assert weights.unavailable(tmp_path) == "no weights are shipped"


def test_the_shipped_weights_load():
    assert weights.unavailable() == ""
    assert sum(f.stat().st_size for f in weights.SHIPPED.iterdir()) < weights.LARGEST
    card = json.loads((weights.SHIPPED / weights.CARD).read_text())
    assert card["coverage_on_held_out_synthetic"]
    context = run_of(20)
    assert_sound(LearnedForecaster.shipped().predict(context, asked(context)), 24)


def test_torch_is_imported_when_it_is_asked_for():
    code = (
        "import sys, automl_gpt_ray.curves.learned.forecaster as f, automl_gpt_ray.curves.learned.weights as w;"
        "assert 'torch' not in sys.modules; sys.modules['torch'] = None;"
        "import importlib.util as u; find = u.find_spec;"
        "u.find_spec = lambda name, *a: None if name == 'torch' else find(name, *a); print(w.unavailable())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("torch is not installed (pip install")
