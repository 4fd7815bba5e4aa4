"""A variant's name says what differs from the default, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmp.errors import DMPError
from dmp.methods import Variant, method_names


@pytest.mark.parametrize("method", method_names())
def test_method_alone_is_its_own_name(method):
    assert Variant.parse(method).name == method


@pytest.mark.parametrize(
    "name",
    [
        "dmp,masked_start=true,position=prepend,prompts=0.195",
        "dmp,position=prepend,prompts=3",
        "prompt-tuning,weights=one-over-n",
        "prompt-tuning,learning_rate_factor=one-over-n",
        "baseline,sampling_seed=1000",
        "fine-tuning,ema_decay=0.998",
        "fine-tuning,ema_decay=baseline",
        "dmp,iterations_factor=0.5",
        "released",
        "released,type=hard",
        "released,depth=2,position=prepend,prompts=50,type=hard",
        "released,condition=t+c,position=prepend",
        "released,hard_weights=one,importance_on=soft,type=hard",
    ],
)
def test_canonical_names_read_back(name):
    assert Variant.parse(name).name == name


def test_released_differs_from_paper_where_the_public_code_does():
    paper, released = (Variant.parse(name).options.model_dump() for name in ("dmp", "released"))
    assert {name: value for name, value in released.items() if value != paper[name]} == {
        "condition": "t+c",
        "gate_noise": True,
        "gate_init": 0.0,
        "gate_learning_rate_factor": 10.0,
        "importance": "summed",
    }


def test_released_hard_selection_and_prepending_are_the_public_codes_own():
    def more(text):
        plain, asked = (Variant.parse(name).options.model_dump() for name in ("released", text))
        return {name: value for name, value in asked.items() if value != plain[name]}

    hard = {
        "type": "hard", "hard_weights": "renormalised", "top_rounding": "down",
        "importance_on": "applied", "load": "probability",
    }  # fmt: skip
    prepend = {"position": "prepend", "condition": "t"}
    assert more("released,type=hard") == hard
    assert more("released,position=prepend") == prepend
    half = {"depth": "half", "prepended": "stays"}
    assert more("released,position=prepend,type=hard,depth=half") == hard | prepend | half
    assert more("released,type=hard,load=indicator,hard_weights=one") == {
        k: v for k, v in hard.items() if k not in ("load", "hard_weights")
    }


def test_spelling_out_what_the_public_code_does_changes_nothing():
    spelt = "released,type=hard,importance_on=applied,top_rounding=down,load=probability"
    assert Variant.parse(spelt).name == "released,type=hard"
    assert Variant.parse("released,position=prepend,condition=t").name == (
        "released,position=prepend"
    )


def test_spelling_out_a_default_changes_nothing():
    assert Variant.parse("dmp,gate=linear,depth=all,importance_weight=1").name == "dmp"


@given(
    st.permutations(["depth=1", "selection=uniform", "importance_weight=0", "iterations=7"]),
)
def test_order_of_options_does_not_matter(options):
    name = "dmp,depth=1,importance_weight=0,iterations=7,selection=uniform"
    assert Variant.parse(",".join(["dmp", *options])).name == name
    assert Variant.parse(name).name == name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dpm", r"unknown method 'dpm': did you mean 'dmp'\? accepted: adaln, baseline, b"),
        ("dmp,selektion=uniform", r"unknown option 'selektion' .* did you mean 'selection'\?"),
        ("dmp,gate=liner", r"'gate' = 'liner': unknown gate: did you mean 'linear'\?"),
        ("dmp,depth=0", r"'depth.*greater than or equal to 1"),
        ("dmp,depth", r"'depth' is not of the form key=value"),
        ("dmp,depth=1,depth=2", r"'depth' is given twice"),
        (
            "baseline,depth=1",
            r"option 'depth' of 'baseline'.*accepted: recipe, sampling_seed, sampling_steps",
        ),
        ("continued,learning_rate=1", r"unknown option 'learning_rate' of 'continued'"),
        ("dmp,type=hard,hard_gradient=no", r"'hard_gradient' = 'no': Input should be 'straight"),
        ("dmp,hard_weights=one-over-k", r"hard_weights = one-over-k has no effect with type = so"),
        ("released,importance_on=applied", r"importance_on = applied has no effect with type = so"),
        ("released,gate_noise=false,type=hard", r"load = probability is .* needs gate_noise = tru"),
        ("dmp,iterations=9,iterations_factor=2", r"gives iterations and iterations_factor"),
        ("dmp,ema_decay=baselin", r"ema_decay"),
        ("dmp,learning_rate=1,learning_rate_factor=2", r"gives learning_rate and learning_rate_f"),
        ("dmp,learning_rate_factor=1/16", r"learning_rate_factor.* = '1/16'"),
        ("fine-tuning,gate=linear", r"unknown option 'gate' of 'fine-tuning'"),
        ("dmp,importance_weight=-1", r"'importance_weight' = '-1'.*greater than or equal to 0"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(text, message):
    with pytest.raises(DMPError, match=message):
        Variant.parse(text)
