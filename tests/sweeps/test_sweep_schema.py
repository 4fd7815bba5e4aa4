"""A sweep says what it means, or is refused in one line that names file, key and value."""

import pytest
import yaml
from fake_sweep import choice, number
from harness import ROOT, TINY_SWEEP, run_command

from dmp.config import PatchConfig
from dmp.errors import DMPError
from dmp.methods import TrainingOptions, Variant
from dmp.sweeps.loading import load_space, load_sweep, study_name, sweep_fingerprint

GOOD = {key: TINY_SWEEP[key] for key in ("title", "task", "base", "trials", "parameters")}
GOOD["objectives"] = ["fid", "added_parameters"]


def load(tmp_path, plan, **changes):
    folder = tmp_path / "sweeps"
    folder.mkdir(exist_ok=True)
    (folder / "try.yaml").write_text(yaml.safe_dump(GOOD | changes))
    sweep = load_sweep(tmp_path, "try")
    return sweep, load_space(tmp_path, sweep, plan)


def test_bounds_are_those_of_the_task(tmp_path, plan):
    _, space = load(tmp_path, plan)
    # Digits: 8 by 8 pixels in patches of 2.
    assert (space.parameters[1].low, space.parameters[1].high) == (1, 16)


def test_points_leave_out_what_has_no_effect_and_name_variants(tmp_path, plan):
    _, space = load(tmp_path, plan)
    for values, name in (
        ({"position": "add", "prompts": 4}, "dmp"),
        ({"position": "prepend", "prompts": 4}, "dmp,position=prepend,prompts=4"),
    ):
        point = space.fill(lambda parameter, values=values: values[parameter.name])
        assert Variant.parse(space.variant(point)).name == name


def test_names_hold_numbers_exactly(tmp_path, plan):
    _, space = load(tmp_path, plan, **only(number("importance_weight", 0.001, 10, kind="log")))
    point = space.fill(lambda _: 0.123456)
    assert point == {"importance_weight": 0.123}
    parsed = Variant.parse(space.variant(point))
    assert parsed.patch.importance_weight == 0.123
    assert Variant.parse(parsed.name) == parsed


def only(parameter):
    return {"parameters": [parameter]}


def parameter(**changes):
    return {"parameters": [GOOD["parameters"][0], GOOD["parameters"][1] | changes]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trails": 3}, r"try.yaml: unknown key 'trails': did you mean 'trials'\?"),
        (parameter(hgih=3), r"unknown key '\S+hgih': did you mean 'high'\?"),
        (parameter(name="promts"), r"unknown parameter 'promts': did you mean 'prompts'\?"),
        (parameter(name="position"), "parameter 'position' is given twice"),
        (parameter(low=5, high=5), "low = 5 must be below high = 5"),
        (parameter(low=20), "no value at scale 'smoke': low = 20 is 20 and high = tokens is 16"),
        (parameter(low=0), "greater than or equal to"),
        (parameter(when={"positoin": "prepend"}), r"when.positoin.*did you mean 'position'\?"),
        (parameter(when={"position": "append"}), "'append' can never hold: position is 'add' or"),
        (parameter(when={}), "'dmp,position=add,prompts=1'.*prompts = 1 has no effect"),
        ({"base": "dmp,position=prepend"}, "parameter 'position' is fixed by base"),
        ({"base": "fine-tuning"}, "unknown parameter 'position': .* accepted: batch_size"),
        ({"base": "dpm"}, r"unknown method 'dpm': did you mean 'dmp'\?"),
        ({"task": "unconditoinal"}, r"unknown task 'unconditoinal'"),
        ({"objectives": ["added_parameters"]}, "is least without prompts"),
        ({"objectives": ["fid", "fid"]}, "one is given twice"),
        ({"objectives": ["fdi"]}, "'fid', 'denoising_mse' or 'added_parameters'"),
        ({"pruning": {"at": [0.5]}}, "pruning needs one objective, not fid, added_parameters"),
        (
            {"pruning": {"at": [0.5]}, "objectives": ["fid"], "seeds": 2},
            "pruning needs seeds = 1, not 2",
        ),
        ({"pruning": {"at": [1.5]}, "objectives": ["fid"]}, "less than 1"),
        ({"sampler": {"kind": "qmc", "startup": 3}}, "startup has no effect with kind = qmc"),
        ({"sampler": {"kind": "random"}}, "'tpe' or 'qmc'"),
        ({"trials": 0}, "greater than or equal to"),
        ({"id": "other"}, "'id' is the name of the file"),
        (only(number("top_share", 0.1234, 0.5, kind="float")), "more than 3 significant digits"),
        (only(number("prompt_init", 0, 1, kind="log")), "must be above 0 with kind = log"),
        (only(choice("type", "soft", "soft")), "'soft' is given twice"),
        (
            only(number("depth", 3, 9)),
            "try.yaml: parameters: no point can exist for task 'unconditional' at scale 'smoke'; "
            "'dmp,depth=3': depth = 3, but the backbone has 2 blocks",
        ),
    ],
)
def test_bad_input_is_one_line(tmp_path, plan, changes, message):
    with pytest.raises(DMPError, match=message):
        load(tmp_path, plan, **changes)


def test_conditions_that_exclude_each_other_are_refused(tmp_path, plan):
    parameters = [
        choice("type", "soft", "hard"),
        number("top_share", 0.2, 0.8, kind="float", when={"type": "hard"}),
        choice("gate_noise", True, False, when={"type": "soft", "top_share": 0.2}),
    ]
    with pytest.raises(DMPError, match="'gate_noise': its conditions can never hold together"):
        load(tmp_path, plan, parameters=parameters)


def test_unknown_sweep_names_the_known_ones():
    with pytest.raises(DMPError, match=r"unknown sweep 'dept'.*did you mean 'depth'\?"):
        load_sweep(ROOT / "ablations", "dept")


def test_any_option_of_patch_and_training_is_a_parameter_without_an_edit(tmp_path, plan):
    for name in ("gate_init", "ema_decay"):
        assert name in {*PatchConfig.model_fields, *TrainingOptions.model_fields}
        _, space = load(tmp_path, plan, **only(number(name, 0.1, 0.9, kind="float")))
        assert space.parameters[0].name == name


def test_study_changes_with_the_question_and_not_with_the_effort(tmp_path, plan):
    sweep, _ = load(tmp_path, plan)
    more, _ = load(tmp_path, plan, trials=9, workers=3, title="Another")
    assert study_name(more, plan) == study_name(sweep, plan)
    assert sweep_fingerprint(more, plan) != sweep_fingerprint(sweep, plan)
    for changes in ({"seeds": 2}, {"base": "dmp,depth=1"}, {"sampler": {"seed": 9}}):
        other, _ = load(tmp_path, plan, **changes)
        assert study_name(other, plan) != study_name(sweep, plan), changes


@pytest.mark.parametrize("scale", ["digits", "paper"])
def test_check_says_what_is_left_out_whatever_the_numerics_of_the_scale(scale):
    process = run_command("dmp", "sweep", "check", "--scale", scale)
    assert process.returncode == 0, process.stderr
    assert f"prompt-count: left out at scale '{scale}': grid = 3" in process.stdout
    assert "depth: 16 trials over depth, selection" in process.stdout


def test_worker_starts_at_a_scale_with_portable_numerics(tmp_path):
    # Without a baseline it gets as far as its first trial, whose error names what is missing.
    process = run_command(
        *("dmp", "sweep", "work", "smoke", "--scale", "smoke", "--results", str(tmp_path))
    )
    assert "trial 0: dmp" in process.stdout
    assert "numerics" not in process.stderr
