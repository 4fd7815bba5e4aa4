"""What must fail after a training, or would mean nothing, is refused when the files are read."""

import pytest
from harness import edit_yaml

from dmp.config.evaluation import EXTRACTORS
from dmp.errors import DMPError
from dmp.metrics.features import FEATURE_EXTRACTORS_REGISTRY
from dmp.reporting.figures import check_figures
from dmp.studies import load_plan
from dmp.studies.loading import file_names

# Of 1,797 digits a fifth is held out, and a fifth is the extractor's.
SCALE = [
    ({"data": {"held_out": 0.7999}}, r"pretraining.batch_size = 32 is more than the 1 training im"),
    ({"data": {"held_out": 0.9999}}, r"data': held_out = 0.9999 and extractor = 0.2 leave no"),
    ({"data": {"held_out": 0.0001}}, r"data.held_out = 0.0001 of 1797 images is 0; accepted: 2"),
    ({"data": {"extractor": 0.0001}}, r"data.extractor = 0.0001 of 1797 images is 0"),
    ({"pretraining": {"batch_size": 1080}}, r"batch_size = 1080 is more than the 1079 training"),
    ({"training": {"batch_size": 1080}}, r"training.batch_size = 1080 is more than the 1079"),
    ({"pretraining": {"learning_rate": 0}}, r"pretraining.learning_rate' = 0: .*greater than"),
    ({"pretraining": {"learning_rate": "fast"}}, r"learning_rate' = 'fast': .*valid number"),
    ({"training": {"iterations": 0}}, r"training.iterations' = 0: .*greater than or equal to 1"),
    ({"evaluation": {"timesteps_per_image": 1001}}, r"timesteps_per_image = 1001 is more than the"),
    ({"evaluation": {"metrics": ["fdi"]}}, r"metrics.0: unknown metric 'fdi': did you mean 'fid'"),
    (
        {"evaluation": {"second_opinion": {"name": "dataset-classifier"}}},
        r"evaluation.second_opinion is the extractor itself",
    ),
    (
        {"evaluation": {"second_opinion": {"name": "inception"}}},
        r"second_opinion.name = 'inception': did you mean 'inception-v3-compat'",
    ),
    (
        {"evaluation": {"second_opinion": {"name": "vgg16", "epochs": 3}}},
        r"evaluation.second_opinion.epochs has no meaning with name = vgg16",
    ),
    (
        {"evaluation": {"extractor": {"name": "dataset-classifier", "weights": "x.pt"}}},
        r"evaluation.extractor.weights has no meaning with name = dataset-classifier",
    ),
    (
        {"evaluation": {"bins": 1001, "splits": 801}},
        r"evaluation.bins = 1001 is more than the 1000 timesteps.*"
        r"tasks.\S+.evaluation.splits = 801 is more than the 800 samples of sampling.samples",
    ),
    (
        {"training": {"learning_rat": 1}},
        r"unknown key 'tasks.unconditional.training.learning_rat': did you mean 'learning",
    ),
    (
        {"data": {"name": "digitz"}},
        r"digits.yaml: tasks.\S+.data.name: unknown dataset 'digitz': did you mean 'digits'\?",
    ),
    (
        {"backbone": {"patch_size": 3}},
        r"patch_size = 3 does not divide the 8-pixel images of 'digits'",
    ),
    ({"backbone": {"num_heads": 7}}, r"hidden_size = \d+ is not a multiple of 4 × num_heads = 28"),
    ({"sampling": {"steps": 2000}}, r"sampling.steps = 2000 is more than the 1000 timesteps"),
    (
        {"sampling": {"samples": 1}},
        r"'tasks.\S+.sampling.samples' = 1: .*greater than or equal to 2",
    ),
    (
        {"evaluation": {"gate_timesteps": 1001}},
        r"evaluation.gate_timesteps = 1001 is more than the 1000 timesteps",
    ),
    (
        {"evaluation": {"kid_subset_size": 801}},
        r"evaluation.kid_subset_size = 801 is more than the 800 samples",
    ),
    (
        {"evaluation": {"reference": "held-out", "kid_subset_size": 360}},
        r"evaluation.kid_subset_size = 360 is more than the 359 real images that samples are",
    ),
    (
        {"evaluation": {"reference_features": 240}},
        r"evaluation.kid_subset_size = 250 is more than the 240 real images that samples are",
    ),
    (
        {"evaluation": {"neighbours": 800}},
        r"evaluation.neighbours = 800 is more than the 799 others of sampling.samples",
    ),
    (
        {"pretraining": {"learning_rate": float("inf")}},
        r"'tasks.\S+.pretraining.learning_rate' = inf: .*finite number",
    ),
    (
        {"pretraining": {"convergence_every": 5000}},
        r"checkpoints 5000 iterations apart do not fit into",
    ),
    ({"training": {"curve": 7}}, r"curve = 7 does not divide iterations = 200"),
]
COCO = {"format": "coco", "path": "coco/val2014", "captions": "c.json", "resolution": 64}
# Of the text-conditional task on disk, whose dataset is coco.
ON_DISK = [
    ({"data": {"source": {"path": ""}}}, r"data.source.path' = '': .*at least 1 character"),
    ({"data": {"source": {"path": "a\0b"}}}, r"source.path' = .*without control characters"),
    ({"data": {"source": {"captions": ""}}}, r"source.captions' = '': .*at least 1 character"),
    ({"data": {"source": {"convert": ["L", "L"]}}}, r"source.convert' = .*'L' is given twice"),
    ({"data": {"source": {"format": "folder"}}}, r"captions = .* no meaning in format 'folder'"),
    ({"data": {"name": "my photos"}}, r"data.name' = 'my photos': .*match pattern"),
    ({"data": {"name": "../photos"}}, r"data.name' = '../photos': .*match pattern"),
    ({"data": {"name": "FFHQ"}}, r"data.name = 'FFHQ' is the folder of ffhq; give one"),
    (
        {"data": {"name": "laio", "test": {**COCO, "format": "folder", "captions": None}}},
        r"data.test has no captions, which conditioning = text asks for",
    ),
    ({"data": {"test": {**COCO, "resolution": 32}}}, r"test.resolution = 32 has to be .*, 64:"),
    ({"conditioning": "class", "text": None}, r"conditioning = class, but 'coco' has one class"),
    ({"evaluation": {"metrics": ["fid", "fid"]}}, r"metrics' = .*: 'fid' is given twice"),
    ({"stands_for": "a\n| b"}, r"stands_for' = .*must be one line"),
    ({"pretraining": {"published": {"format": "public", "path": ""}}}, r"path' = '': .*at least 1"),
]
TOP = [
    ({"seeds": 10**30}, r"'seeds' = 10+: .*less than or equal to 1000"),
    ({"seeds": -1}, r"'seeds' = -1: .*greater than or equal to 1"),
    ({"seeds": "3"}, r"'seeds' = '3': .*valid integer"),
    ({"seeds": True}, r"'seeds' = True: .*valid integer"),
    ({"first_seed": 10**30}, r"'first_seed' = 10+: .*less than"),
    ({"tasks": {}}, r"'tasks': .*at least 1 item"),
    ({"defaults": 3}, r"'defaults' = 3: a mapping is needed"),
    ({"not_run": {"unconditional": "why not"}}, r"not_run: 'unconditional' is among the tasks"),
    ({"execution": {"sampling_shards": 801}}, r"sampling_shards = 801 is more than the 800 of"),
    ({"execution": {"threads": 10**9}}, r"'execution.threads' = 10+: .*less than"),
]
CELLS = {
    "dmp,batch_size=1080": r"batch_size = 1080 is more than the 1079 training images",
    "dmp,gate=linaer": r"unknown gate: did you mean 'linear'",
    "dmp,gate_temperature=0": r"'gate_temperature' = '0': .*greater than",
    "dmp,learning_rate=inf": r"'learning_rate' = 'inf': .*finite",
    "dmp,sampling_seed=-1": r"'sampling_seed' = '-1': .*greater than",
    "dmp,sampling_seed=9999999999": r"'sampling_seed' = '9999999999': .*less than",
    "dmp,sampling_steps=1001": r"sampling_steps = 1001 is more than the 1000 timesteps",
    "lora,rank=49": r"rank = 49 is more than the 48 of hidden_size",
    "prompt-tuning,timestep_ranges=1001": r"timestep_ranges = 1001 is more than the 1000",
}
STUDY = [
    ({"metrics": ["fid", "fid"]}, r"metrics: 'fid' is given twice"),
    ({"scales": ["digist"]}, r"scales.0 = 'digist': did you mean 'digits'"),
    ({"cells": []}, r"'cells' = \[\]: .*at least 1 item"),
    ({"comparisons": [{"variant": "dmp", "against": "dmp"}]}, r"'dmp' is compared with itself"),
    ({"comparisons": 2 * [{"variant": "dmp", "against": "baseline"}]}, r"comparison in \S+ is"),
    ({"figures": [{"kind": "curv"}]}, r"figures.0.kind = 'curv': did you mean 'curve'"),
    ({"figures": [{"kind": "curve", "task": "uncond"}]}, r"figures.0.task = .uncond.: did"),
    ({"figures": 2 * [{"kind": "curve"}]}, r"figures: 'curve of every task' is given twice"),
    (
        {"figures": [{"kind": "curve", "options": {"metric": "fdi"}}]},
        r"figures.0.options: 'metric' = 'fdi': .*did you mean 'fid'",
    ),
    (
        {"figures": [{"kind": "gate", "options": {"variant": "dpm"}}]},
        r"figures.0.options.variant = 'dpm': did you mean 'dmp'",
    ),
]
CLAIMS = [
    (lambda d: d["claims"][0].update(study="table22"), r"C01.study = .table22.: did you"),
    (
        lambda d: d["claims"][0]["evidence"][0].update(task="uncondtional"),
        r"unknown task 'uncondtional': did you mean 'unconditional'",
    ),
    (lambda d: d["endpoints"][0].update(metric="fdi"), r"unknown metric 'fdi': did you mean 'fid'"),
    (lambda d: d["endpoints"][0].update(better="higher"), r"'fid': better = higher, but lower is"),
    (
        lambda d: d["claims"][0]["evidence"][0].update(against="dmp", variant="dmp"),
        r"'dmp' is compared with itself",
    ),
]


def check(ablations) -> None:
    for study in load_plan("digits", ablations).studies.values():
        check_figures(study)


@pytest.mark.parametrize(("changes", "message"), SCALE, ids=lambda each: str(each)[:60])
def test_settings_of_tasks_fit_each_other(ablations, changes, message):
    def change(data: dict) -> None:
        for section, values in changes.items():
            data["defaults"][section].update(values)

    edit_yaml(ablations / "scales/digits.yaml", change)
    with pytest.raises(DMPError, match=message):
        check(ablations)


def merge(into: dict, changes: dict) -> None:
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value


@pytest.mark.parametrize(("changes", "message"), ON_DISK, ids=lambda each: str(each)[:60])
def test_datasets_on_disk_are_possible(ablations, changes, message):
    path = ablations / "scales/paper-smoke.yaml"
    edit_yaml(path, lambda data: merge(data["tasks"]["text-conditional"], changes))
    with pytest.raises(DMPError, match=message):
        load_plan("paper-smoke", ablations)


def test_a_dataset_is_not_named_as_the_test_of_another(ablations):
    def change(data: dict) -> None:
        data["tasks"]["text-conditional"]["data"]["test"] = COCO
        data["tasks"]["class-conditional"]["data"]["name"] = "coco-test"

    edit_yaml(ablations / "scales/paper-smoke.yaml", change)
    with pytest.raises(DMPError, match="'coco-test' is the folder of the test of task 'text-cond"):
        load_plan("paper-smoke", ablations)


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        *(("scales/digits.yaml", *case) for case in TOP),
        *(("studies/table2.yaml", *case) for case in STUDY),
    ],
    ids=lambda each: str(each)[:60],
)
def test_settings_of_a_scale_are_possible_and_names_of_a_study_exist_and_are_given_once(
    ablations, file, changes, message
):
    edit_yaml(ablations / file, lambda data: data.update(changes))
    with pytest.raises(DMPError, match=message):
        check(ablations)


@pytest.mark.parametrize(
    ("study", "task", "variant", "message"),
    [
        *(("table2", "unconditional", *case) for case in CELLS.items()),
        (
            *("table3", "unconditional-large", "dmp,iterations=7"),
            "curve = 5 does not divide iterations = 7",
        ),
        (
            *("table3", "unconditional-large", "dmp,depth=13"),
            r"\d+: variant 'dmp,depth=13'.*has 6 blocks; accepted: 1 to 6",
        ),
        (
            *("table3", "unconditional-larg", "dmp"),
            r"\d+: unknown task 'unconditional-larg': did you mean 'uncondit",
        ),
    ],
    ids=str,
)
def test_variants_of_cells_fit_their_task_and_its_curve(ablations, study, task, variant, message):
    cell = {"task": task, "variant": variant}
    edit_yaml(ablations / f"studies/{study}.yaml", lambda data: data["cells"].append(cell))
    with pytest.raises(DMPError, match=f"{study}.yaml: cells.*{message}"):
        check(ablations)


@pytest.mark.parametrize(
    ("change", "message"), CLAIMS, ids=["study", "task", "metric", "direction", "itself"]
)
def test_names_of_claims_exist(ablations, change, message):
    edit_yaml(ablations / "claims.yaml", change)
    with pytest.raises(DMPError, match=message):
        check(ablations)


def test_names_of_extractors_are_those_that_there_are():
    assert {*FEATURE_EXTRACTORS_REGISTRY} - {*EXTRACTORS} == set()
    assert {*EXTRACTORS} - {*FEATURE_EXTRACTORS_REGISTRY} <= {
        "random-network",
        "dataset-classifier",
    }


def test_exponent_without_a_point_is_a_number(ablations):
    path = ablations / "scales/digits.yaml"
    path.write_text(path.read_text().replace("learning_rate: 2.0e-3", "learning_rate: 2e-3"))
    training = load_plan("digits", ablations).scale.tasks["unconditional"].training
    assert training.learning_rate == 0.002


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my study.yaml", "my study.yaml: its name may have letters, digits"),
        ("-x.yaml", "-x.yaml: its name may have letters, digits"),
        ("x.yml", r"x.yml: its name has to end with .yaml; rename it"),
        ("TABLE2.yaml", r"TABLE2.yaml differs in capitals alone, and their results share a folder"),
    ],
)
@pytest.mark.parametrize("folder", ["studies", "sweeps"])
def test_names_of_files_serve_as_those_of_results(ablations, folder, name, message):
    names = {"studies": "table2.yaml", "sweeps": "depth.yaml"}
    place = ablations / folder
    name = name.replace("TABLE2", names[folder].removesuffix(".yaml").upper())
    (place / name).write_bytes((place / names[folder]).read_bytes())
    with pytest.raises(DMPError, match=message.replace("TABLE2", name.removesuffix(".yaml"))):
        file_names(ablations, folder)


def test_what_editors_leave_is_no_study(ablations):
    known = file_names(ablations, "studies")
    for name in (".#table2.yaml", "._table2.yaml", "table2.yaml~", "table2.yaml.orig"):
        (ablations / "studies" / name).symlink_to("nowhere")
    assert file_names(ablations, "studies") == known


@pytest.mark.parametrize("name", ["", "../studies/table2", "/etc/passwd", "digits.yaml", "-h"])
def test_scale_is_named_as_its_file(ablations, name):
    with pytest.raises(DMPError, match="unknown scale"):
        load_plan(name, ablations)
