"""Each option of the method against what it says, on a small backbone with random weights."""

import itertools
import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy import stats
from test_patch import DEPTH, TOKENS, WIDTH, make_backbone, make_inputs, patched
from torch import nn

from dmp.config import PatchConfig
from dmp.errors import DMPError
from dmp.methods import Variant
from dmp.patching import Patch, patch
from dmp.patching.losses import importance_loss, smooth_load_loss, top_probability
from dmp.patching.weights import apply_noise, select, to_weights

NO_GATE = {"gate": "none", "importance_weight": 0, "load_weight": 0}
STATIC = {**NO_GATE, "weights": "one"}
OPTIONS = {
    "paper": PatchConfig(),
    "prompt tuning": PatchConfig(**STATIC),
    "ranges": PatchConfig(**STATIC, timestep_ranges=2),
    "uniform": PatchConfig(selection="uniform"),
    "shallow": PatchConfig(depth=1),
    "attention": PatchConfig(gate="attention"),
    "literal": PatchConfig(gate="attention-literal"),
    "attention-released": PatchConfig(gate="attention-released"),
    "constant": PatchConfig(gate="constant"),
    "one-over-n": PatchConfig(**NO_GATE, weights="one-over-n"),
    "n-softmax": PatchConfig(weights="n-softmax"),
    "sigmoid": PatchConfig(weights="sigmoid"),
    "normalised": PatchConfig(block_index="normalised"),
    "embedded": PatchConfig(block_index="embedded"),
    "own-gate": PatchConfig(block_index="own-gate"),
    "hard": PatchConfig(type="hard"),
    "renormalised": PatchConfig(type="hard", hard_weights="renormalised"),
    "rounded down": PatchConfig(type="hard", top_share=0.72, top_rounding="down"),
    "on applied": PatchConfig(type="hard", importance_on="applied"),
    "pool": PatchConfig(mixture="pool"),
    "small pool": PatchConfig(mixture="pool", prompts=3),
    "t+c": PatchConfig(condition="t+c"),
    "permuted": PatchConfig(gate_timestep="permuted"),
    "later": PatchConfig(gate_timestep="permuted-in-sampling"),
    "noise": PatchConfig(gate_noise=True),
    "gate zero": PatchConfig(gate_init=0),
    "random": PatchConfig(prompt_init=0.3),
    "prepend": PatchConfig(position="prepend", prompts=3),
    "prepend share": PatchConfig(position="prepend", prompts=0.195),
    "carried": PatchConfig(position="prepend", prompts=3, prepended="carried"),
    "stays": PatchConfig(position="prepend", prompts=3, prepended="stays", depth=2),
    "masked": PatchConfig(position="prepend", prompts=3, masked_start=True),
    "prepend plain": PatchConfig(**STATIC, position="prepend", prompts=3),
    "grid": PatchConfig(grid=2, resize="nearest"),
    "smooth grid": PatchConfig(grid=2, resize="bicubic"),
    "released": Variant.parse("released").patch,
}


def run(config: PatchConfig, **change) -> tuple[nn.Module, Patch, torch.Tensor]:
    """A patched backbone with random patch, ready for sampling, and its output."""
    model, attached = patched(config, **change)
    attached.eval()
    attached.keep_weights = True
    return model, attached, model(*make_inputs())


@pytest.mark.parametrize("name", OPTIONS)
def test_what_says_that_it_starts_as_no_op_does(name):
    config, model, inputs = OPTIONS[name], make_backbone(), make_inputs()
    before = model(*inputs)
    patch(model, config).train(not config.gate_noise)  # which needs noise in training
    change = float((model(*inputs) - before).detach().abs().max())
    # Other numbers of tokens are other matrix shapes, whose sums round differently.
    tolerance = 1e-5 if config.masked_start else 0
    assert (change <= tolerance) == config.starts_as_no_op


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_reaches_the_output_trains_and_survives_a_file(tmp_path, name):
    config, inputs = OPTIONS[name], make_inputs()
    model, attached, output = run(config)
    assert not torch.equal(output, make_backbone()(*inputs))
    attached.save(tmp_path / "patch.safetensors")
    fresh = make_backbone()
    trainable = {name: p.requires_grad for name, p in fresh.named_parameters()}
    loaded = Patch.load(tmp_path / "patch.safetensors", fresh)
    assert loaded.config == config
    assert torch.equal(fresh(*inputs), output)
    loaded.remove()
    assert {name: p.requires_grad for name, p in fresh.named_parameters()} == trainable
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in fresh.modules())

    attached.train()
    noise = torch.randn(len(inputs[0]), *attached.prompts.shape[:2])
    attached.noise = noise if config.gate_noise else None
    loss = model(*inputs).square().mean()
    balancing = attached.balancing()
    if balancing is not None:
        loss = loss + balancing[0]
    loss.backward()
    untouched = {n for n, p in attached.named_parameters() if p.grad is None or not p.grad.any()}
    # Read literally, the attention gate uses no prompt.
    assert untouched == ({"prompts"} if name == "literal" else set())
    attached.remove()
    assert torch.equal(model(*inputs), make_backbone()(*inputs))


def test_other_options_give_other_outputs():
    outputs = {name: run(config)[2] for name, config in OPTIONS.items()}
    # What only matters in training, or at the start, is the same once the weights are given.
    same = {"noise", "gate zero", "random", "later", "on applied"}
    for a, b in itertools.combinations(set(outputs) - same - {"prepend share", "released"}, 2):
        assert not torch.allclose(outputs[a], outputs[b]), (a, b)


# -- weights ---------------------------------------------------------------------------------------


def logits(rows: int = 4, columns: int = 8) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(3)).double()


def test_normalisations_have_the_means_that_they_are_named_for():
    values = logits()
    e = np.exp(values.numpy())
    softmax = torch.tensor(e / e.sum(1, keepdims=True))
    torch.testing.assert_close(to_weights(values, PatchConfig()), softmax)
    scaled = to_weights(values, PatchConfig(weights="n-softmax"))
    torch.testing.assert_close(scaled, 8 * softmax)
    expected = torch.tensor(1 / (1 + np.exp(-values.numpy())))
    torch.testing.assert_close(to_weights(values, PatchConfig(weights="sigmoid")), expected)


@pytest.mark.parametrize("weights", ["one", "one-over-k", "renormalised"])
def test_hard_selection_keeps_the_largest(weights):
    soft = logits().softmax(1)
    hard = select(soft, PatchConfig(type="hard", hard_weights=weights)).numpy()
    for row, kept in zip(soft.numpy(), hard, strict=True):
        top = np.argsort(row)[-6:]  # 75 % of 8
        assert set(np.flatnonzero(kept)) == set(top)
        expected = {"one": np.ones(6), "one-over-k": np.ones(6) / 6}
        expected["renormalised"] = row[top] / row[top].sum()
        np.testing.assert_allclose(kept[top], expected[weights])


def test_share_that_is_no_whole_number_of_prompts_is_rounded_as_asked():
    soft = logits(columns=50).softmax(1)
    for rounding, count in (("nearest", 38), ("down", 37)):
        config = PatchConfig(type="hard", top_rounding=rounding)
        assert (select(soft, config) > 0).sum(1).tolist() == [count] * len(soft)


def test_gradient_of_hard_selection_is_the_soft_one_or_none():
    direction = torch.arange(8.0).double()
    gradients = {}
    for name, options in {
        "soft": {},
        "through": {"type": "hard"},
        "none": {"type": "hard", "hard_gradient": "none"},
    }.items():
        values = logits().requires_grad_()
        config = PatchConfig(**options)
        weights = select(to_weights(values, config), config)
        total = (weights * direction).sum() + 0 * values.sum()
        (gradients[name],) = torch.autograd.grad(total, values)
    torch.testing.assert_close(gradients["through"], gradients["soft"])
    assert gradients["soft"].abs().sum() > 0
    assert not gradients["none"].any()


def test_noise_starts_with_the_released_deviation_and_is_off_outside_training():
    values, condition, noise = logits(), torch.randn(4, 5).double(), torch.randn(4, 8)
    noisy, deviation = apply_noise(values, condition, torch.zeros(5, 8).double(), noise)
    assert float(deviation[0, 0]) == pytest.approx(math.log(2) + 0.01)
    torch.testing.assert_close(noisy, values + noise.double() * deviation)
    assert apply_noise(values, condition, torch.zeros(5, 8), None) == (values, None)
    model = make_backbone()
    attached = patch(model, PatchConfig(gate_noise=True))
    with pytest.raises(DMPError, match="no noise was set"):
        model(*make_inputs())
    attached.eval()
    model(*make_inputs())


# -- gates -----------------------------------------------------------------------------------------


def test_attention_that_chooses_is_a_softmax_over_prompts():
    model, attached, _ = run(OPTIONS["attention"])
    t = model.t_embedder.forward(make_inputs()[1])
    gate = attached.gate
    for i in range(DEPTH):
        scores = gate.key(t) @ gate.query(attached.prompts[i]).T / math.sqrt(WIDTH)
        torch.testing.assert_close(attached.weights()[i], scores.softmax(1))


def test_attention_read_literally_adds_the_value_of_the_timestep_to_every_token():
    model, attached, _ = run(OPTIONS["literal"])
    seen = []
    model.blocks[1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    x, t, y = make_inputs()
    model(x, t, y)
    tokens = model.x_embedder(x) + model.pos_embed
    value = attached.gate.value(model.t_embedder.forward(t))[:, None]
    condition = model.t_embedder.forward(t) + model.y_embedder(y)
    expected = model.blocks[0].forward(tokens + value, condition) + value
    torch.testing.assert_close(seen[0], expected, rtol=1e-4, atol=1e-4)
    assert attached.weights() == []


def test_prompts_are_no_part_of_literal_attention():
    model, attached, output = run(OPTIONS["literal"])
    with torch.no_grad():
        attached.prompts.add_(100.0)
    assert torch.equal(model(*make_inputs()), output)


def test_constant_gate_sees_no_timestep_and_every_other_does():
    for name in ("constant", "attention", "embedded", "own-gate", "pool"):
        _, attached, _ = run(OPTIONS[name])
        weights = torch.stack(attached.weights())
        same = torch.allclose(weights[:, :1].expand_as(weights), weights)
        assert same == (name == "constant"), name
        assert not torch.allclose(weights[0], weights[1]), name


@pytest.mark.parametrize(("name", "value"), [("raw", 2.0), ("normalised", 1.0)])
def test_block_index_enters_as_its_name_says(name, value):
    model, attached, _ = run(PatchConfig(block_index=name))
    t = model.t_embedder.forward(make_inputs()[1])
    fed = torch.cat([t, torch.full((len(t), 1), value)], dim=1)
    torch.testing.assert_close(attached.weights()[2], attached.gate.linear(fed).softmax(1))


def test_condition_is_added_where_it_is_asked_for():
    model, attached, _ = run(PatchConfig(condition="t+c", selection="uniform"))
    _, t, y = make_inputs()
    fed = model.t_embedder.forward(t) + model.y_embedder(y)
    torch.testing.assert_close(attached.weights()[0], attached.gate.linear(fed).softmax(1))


def test_permuted_gate_is_told_another_time_and_the_backbone_the_true_one():
    x, t, y = make_inputs()
    model, attached, output = run(PatchConfig(gate_timestep="permuted", selection="uniform"))
    permutation = attached.permutation
    assert sorted(permutation.tolist()) == list(range(1000))
    fed = model.t_embedder.forward(permutation[t])
    torch.testing.assert_close(attached.weights()[0], attached.gate.linear(fed).softmax(1))
    true = run(PatchConfig(selection="uniform"))[2]
    assert not torch.allclose(output, true)
    with torch.no_grad():
        attached.prompts.zero_()
    assert torch.equal(model(x, t, y), make_backbone()(x, t, y))


def test_permutation_after_training_leaves_training_alone():
    outputs = {}
    for when in ("true", "permuted-in-sampling"):
        model, attached, sampled = run(PatchConfig(gate_timestep=when))
        attached.train()
        outputs[when] = model(*make_inputs()), sampled
    assert torch.equal(outputs["true"][0], outputs["permuted-in-sampling"][0])
    assert torch.equal(*outputs["true"])
    assert not torch.allclose(*outputs["permuted-in-sampling"])


@pytest.mark.parametrize("name", ["pool", "small pool"])
def test_pool_lets_each_token_mix_all_prompts(name):
    model, attached, _ = run(OPTIONS[name])
    assert attached.prompts.shape[1] == (TOKENS if name == "pool" else 3)
    x, t, _ = make_inputs()
    seen = []
    model.blocks[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(x, t, torch.zeros(len(x)).long())
    tokens = (model.x_embedder(x) + model.pos_embed).detach().numpy()
    fed = torch.cat([model.t_embedder.forward(t), torch.zeros(len(t), 1)], dim=1)
    scores = attached.gate.linear(fed).detach().numpy()
    prompts = attached.prompts[0].detach().numpy()
    for b in range(len(x)):
        for n in range(TOKENS):
            a = np.exp(scores[b] + prompts @ tokens[b, n] / math.sqrt(WIDTH) - 50)
            mixed = tokens[b, n] + (a / a.sum()) @ prompts
            np.testing.assert_allclose(seen[0][b, n].detach(), mixed, rtol=1e-3, atol=1e-3)


# -- ranges of timesteps ---------------------------------------------------------------------------


def test_each_range_has_the_output_of_prompts_that_are_its_own_alone():
    """Four timesteps in one batch against a model for each range, patched by hand."""
    x, _, y = make_inputs(batch=4)
    inputs = x, torch.tensor([0, 499, 500, 999]), y
    model, attached = patched(OPTIONS["ranges"])
    found, of_first = model(*inputs), torch.tensor([True, True, False, False])
    for prompts, own in zip(attached.prompts.chunk(2, dim=1), (of_first, ~of_first), strict=True):
        other = make_backbone()
        patch(other, OPTIONS["prompt tuning"]).prompts.data.copy_(prompts)
        expected = other(*inputs)
        torch.testing.assert_close(found[own], expected[own])
        assert (found[~own] - expected[~own]).abs().max() > 1e-3


def test_more_ranges_than_timesteps_are_refused():
    with pytest.raises(DMPError, match="timestep_ranges = 1001 is more than the 1000 timesteps"):
        patch(make_backbone(), PatchConfig(**STATIC, timestep_ranges=1001))


# -- position --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["prepend", "carried", "stays", "prepend plain"])
def test_prepended_prompts_go_through_the_blocks_and_leave(name):
    """The oracle prepends and strips by hand, block by block."""
    config = OPTIONS[name]
    model, attached, actual = run(config)
    x, t, y = make_inputs()
    condition = model.t_embedder.forward(t) + model.y_embedder(y)
    weights = torch.ones(DEPTH, len(x), 3) if config.gate == "none" else attached.weights()
    tokens, front = model.x_embedder(x) + model.pos_embed, torch.zeros(len(x), 3, WIDTH)
    attached.remove()
    for i, block in enumerate(model.blocks):
        if i < config.blocks(DEPTH):
            own = weights[i][:, :, None] * attached.prompts[i]
            front = front + own if name == "carried" else own
        both = block(torch.cat([front, tokens], dim=1), condition)
        front, tokens = both[:, :3], both[:, 3:]
    expected = model.unpatchify(model.final_layer(tokens, condition))
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


def test_masked_start_goes_from_no_prompts_to_plain_prepending():
    masked, attached, _ = run(OPTIONS["masked"])
    inputs = make_inputs()
    plain = make_backbone()
    theirs = patch(plain, OPTIONS["prepend"])
    theirs.load_state_dict({k: v for k, v in attached.state_dict().items() if k != "fade"})
    with torch.no_grad():
        attached.fade.fill_(0.0)
        torch.testing.assert_close(masked(*inputs), make_backbone()(*inputs), rtol=1e-4, atol=1e-4)
        attached.fade.fill_(1.0)
        torch.testing.assert_close(masked(*inputs), plain(*inputs), rtol=1e-4, atol=1e-4)


def test_share_of_prompts_is_the_papers_fifty_of_256():
    config = PatchConfig(position="prepend", prompts=0.195)
    assert config.count(256) == 50
    assert config.count(16) == 3
    assert PatchConfig(position="prepend", prompts=300).count(256) == 300
    assert PatchConfig(position="prepend").count(256) == 256


# -- initialisation --------------------------------------------------------------------------------


def test_initial_prompts_have_the_deviation_asked_for_and_are_a_function_of_the_seed():
    drawn = [patch(make_backbone(), PatchConfig(prompt_init=0.3), s).prompts for s in (0, 0, 1)]
    assert float(drawn[0].std()) == pytest.approx(0.3, rel=0.1)
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_initial_gate_scales():
    default, none, ten = (
        patch(make_backbone(), PatchConfig(gate_init=scale)).gate.linear.weight
        for scale in (1, 0, 10)
    )
    assert not none.any()
    torch.testing.assert_close(ten, 10 * default)
    assert float(default.abs().max()) <= 1 / math.sqrt(WIDTH + 1)


# -- balancing -------------------------------------------------------------------------------------


def used(seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, 4, 6, generator=generator).double().softmax(-1)


def test_forms_of_the_importance_loss():
    weights = used()
    w = weights.numpy()

    def cv2(values, epsilon, ddof=0):
        return values.var(ddof=ddof) / (values.mean() ** 2 + epsilon)

    blocks = np.array([[cv2(row, 1e-5) for row in block] for block in w])
    expected = {
        "per-block": blocks.sum(0).mean(),
        "per-block-mean": blocks.mean(),
        "summed": cv2(w.sum(0).ravel(), 1e-10, ddof=1),
        "batch": sum(cv2(block.mean(0), 1e-5) for block in w),
    }
    for form, value in expected.items():
        assert float(importance_loss(weights, form)) == pytest.approx(value), form
    assert float(importance_loss(weights[:, :1], "summed")) == 0


@pytest.mark.parametrize("weights", ["one", "renormalised"])
def test_importance_looks_at_the_weights_asked_for(weights):
    config = PatchConfig(type="hard", hard_weights=weights)
    model, attached, _ = run(config)
    applied = [w.detach().numpy() for w in attached.weights()]
    t = model.t_embedder.forward(make_inputs()[1])
    soft = []
    for i in range(DEPTH):
        fed = torch.cat([t, torch.full((len(t), 1), float(i))], dim=1)
        soft.append(attached.gate.linear(fed).softmax(1).detach().numpy())
    for on, seen in (("soft", soft), ("applied", applied)):
        attached.config = config.model_copy(update={"importance_on": on})
        expected = sum(w.var(1) / (w.mean(1) ** 2 + 1e-5) for w in seen).mean()
        assert float(attached.balancing()[1]["loss/importance"]) == pytest.approx(expected, 1e-4)


def test_probability_of_the_top_agrees_with_drawing_the_noise_again():
    generator = np.random.default_rng(0)
    clean = torch.tensor(generator.normal(size=6))
    deviation = torch.tensor(generator.uniform(0.5, 1.5, size=6))
    noisy = clean + deviation * torch.tensor(generator.normal(size=6))
    probability = top_probability(clean, noisy, deviation, 4).numpy()
    for k in range(6):
        again = clean[k].item() + deviation[k].item() * generator.normal(size=20_000)
        others = np.delete(noisy.numpy(), k)
        share = (again[:, None] > others).sum(1) >= 2  # beats two of five: among the top four
        error = stats.norm.ppf(0.9999) * math.sqrt(0.25 / len(share))
        assert abs(share.mean() - probability[k]) < error


def test_smooth_load_loss_has_a_gradient_and_is_zero_for_equal_load():
    assert float(smooth_load_loss(torch.full((2, 3, 4), 0.5))) == 0
    model = make_backbone()
    attached = patch(model, PatchConfig(gate_noise=True, load="smooth", importance_weight=0))
    attached.noise = torch.randn(5, DEPTH, TOKENS, generator=torch.Generator().manual_seed(0))
    model(*make_inputs())
    total, terms = attached.balancing()
    (gradient,) = torch.autograd.grad(total, attached.gate.linear.weight)
    assert gradient.abs().sum() > 0
    assert float(terms["loss/load"]) == pytest.approx(float(total.detach()))


def test_released_load_of_hard_selection_is_about_batch_times_kept_whatever_the_gate():
    for scale in (0.1, 3.0):
        model = make_backbone()
        options = {"type": "hard", "gate_noise": True, "load": "probability"}
        attached = patch(model, PatchConfig(**options, gate_init=scale))
        attached.noise = torch.randn(5, DEPTH, TOKENS, generator=torch.Generator().manual_seed(0))
        model(*make_inputs())
        assert float(attached.balancing()[1]["loss/load"]) == pytest.approx(5 * 12, rel=0.1)


def test_epsilon_of_the_paper_takes_away_two_fifths_at_256_prompts():
    weights = (torch.randn(1, 1, 256, generator=torch.Generator().manual_seed(0)) * 0.1).softmax(-1)
    share = importance_loss(weights) / importance_loss(weights, epsilon=0.0)
    assert float(share) == pytest.approx(0.604, abs=0.001)


# -- what cannot be --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hard_weights": "one-over-k"}, "hard_weights = one-over-k has no effect with type"),
        ({"top_rounding": "down"}, "top_rounding = down has no effect with type = soft"),
        ({"importance_on": "applied"}, "importance_on = applied has no effect with type = soft"),
        ({"prepended": "stays", "depth": 1}, "prepended = stays has no effect with position = add"),
        (
            {"prepended": "stays", "position": "prepend"},
            "prepended = stays has no effect with depth = all",
        ),
        (
            {"prepended": "stays", "position": "prepend", "depth": 1, "masked_start": True},
            "prepended = stays is not accepted with masked_start = true",
        ),
        ({"prompts": 3}, "prompts = 3 has no effect with position = add"),
        ({"gate": "constant", "block_index": "embedded"}, "needs gate = linear"),
        ({**STATIC, "selection": "uniform"}, "no effect without a gate"),
        ({"gate": "none", "weights": "one"}, "must be 0 without a gate"),
        ({**NO_GATE}, "weights = softmax is not accepted with gate = none: one, one-over-n"),
        ({"weights": "one"}, "weights = one is not accepted with gate = linear: softmax"),
        ({"load": "smooth"}, "needs gate_noise = true"),
        ({"type": "hard", "weights": "sigmoid"}, "defined for weights = softmax, not sigmoid"),
        ({"mixture": "pool", "position": "prepend"}, "mixture = pool is defined for position"),
        ({"gate": "attention", "mixture": "pool"}, "defined for gate = linear"),
        ({"gate": "attention-literal", "type": "hard"}, "defined for type = soft"),
        ({"gate": "attention", "selection": "uniform"}, "an attention gate sees no block"),
        ({"gate": "constant", "condition": "t+c"}, "sees neither timestep nor condition"),
        ({"selection": "uniform", "block_index": "embedded"}, "no effect with selection"),
        ({"timestep_ranges": 2}, "timestep_ranges = 2 is defined for gate = none"),
        ({"grid": 4}, "grid = 4 has no effect with resize = none"),
        ({"resize": "bicubic", "position": "prepend"}, "resize = bicubic has no effect with pos"),
        ({"resize": "bicubic", "mixture": "pool"}, "no effect with mixture = pool"),
        (
            {"type": "hard", "hard_weights": "renormalised", "hard_gradient": "none"},
            "have a gradient of their own",
        ),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        PatchConfig(**options)


def test_a_low_temperature_makes_the_gate_choose_and_one_changes_no_bit():
    logits = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    plain = to_weights(logits, PatchConfig())
    assert torch.equal(plain, logits.softmax(dim=1))
    cold = to_weights(logits, PatchConfig(gate_temperature=1e-3))
    assert torch.equal(cold.argmax(dim=1), logits.argmax(dim=1))
    assert (cold.max(dim=1).values > 0.99).all()
    hot = to_weights(logits, PatchConfig(gate_temperature=1e6))
    torch.testing.assert_close(hot, torch.full((5, 7), 1 / 7), atol=1e-5, rtol=0)
