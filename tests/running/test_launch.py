"""A command in several processes: what each says is said, and what each returns is returned."""

import sys

import pytest
from harness import ROOT, run_command

from dmp.config import PatchConfig
from dmp.errors import DMPError
from dmp.methods import find_method
from dmp.running.launch import training_gpus
from dmp.running.processes import check_shared
from dmp.studies.execution import Execution, Resources


@pytest.mark.parametrize(("scale", "status"), [("smoke", 0), ("smok", 2)])
def test_every_process_runs_the_command_and_its_status_comes_back(scale, status):
    code = (
        "import sys; from dmp.running.launch import ProcessFailedError, launch\n"
        f"try: launch(2, ['check', '--scale', '{scale}', '--ablations', '{ROOT}/ablations'])\n"
        "except ProcessFailedError as error: print(error); sys.exit(error.status)"
    )
    process = run_command(sys.executable, "-c", code)
    assert process.returncode == status, process.stdout + process.stderr
    said = process.stdout + process.stderr
    if status == 0:
        assert said.count("unique runs on") == 2
    else:
        assert "unknown scale 'smok'" in said
        assert "of 2 ended with status 2" in said


def test_batch_has_to_be_shared_evenly():
    check_shared(8, [], 4)
    check_shared(7, [], 1)
    with pytest.raises(DMPError, match="batch_size = 8 cannot be shared by 3 processes"):
        check_shared(8, [], 3)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"importance": "batch"}, "importance = batch"),
        ({"importance": "summed"}, "importance = summed"),
        ({"load": "smooth", "gate_noise": True}, "load = smooth"),
        ({"load": "probability", "gate_noise": True}, "load = probability"),
    ],
)
def test_losses_that_mix_images_are_refused_or_trained_in_one_process(options, named):
    mixing = find_method("dmp").batch_losses(PatchConfig(**options))
    with pytest.raises(DMPError, match=f"{named}: this loss mixes the images"):
        check_shared(8, mixing, 2)
    check_shared(8, mixing, 1)
    assert training_gpus(Resources(gpus=4), mixing) == 1
    assert training_gpus(Resources(gpus=4), []) == 4
    assert training_gpus(Resources(gpus=0), mixing) == 0


def test_training_alone_uses_several_gpus():
    execution = Execution(gpus=4, gpu_share=50, stages={"evaluate": {"mem_mb": 9000}})
    assert [execution.resources(s).gpus for s in ("train", "sample", "merge")] == [4, 1, 0]
    assert execution.resources("evaluate") == Resources(
        gpus=1, gpu_share=50, mem_mb=9000, runtime=60
    )
    with pytest.raises(ValueError, match=r"stages.sample.gpus = 2: only pretrain and train"):
        Execution(stages={"sample": {"gpus": 2}})
