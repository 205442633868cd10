"""kuberay.yaml: the parts of a RayJob that a run needs, since there is no KubeRay here to ask.

The field names are those of the `ray.io/v1` types of KubeRay 1.5 and newer. An API server refuses others or drops them
without a word, so a misspelt `authOptions` would be a cluster without a token.
"""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "kuberay.yaml").read_text()
JOB: dict[str, Any] = yaml.safe_load(TEXT)
CLUSTER = JOB["spec"]["rayClusterSpec"]
HEAD = CLUSTER["headGroupSpec"]
WORKERS = {group["groupName"]: group for group in CLUSTER["workerGroupSpecs"]}
GROUPS = {"head": HEAD, **WORKERS}
GIB = 2**30

JOB_FIELDS = {
    "entrypoint",
    "submissionMode",
    "shutdownAfterJobFinishes",
    "ttlSecondsAfterFinished",
    "backoffLimit",
    "rayClusterSpec",
}
CLUSTER_FIELDS = {
    "rayVersion",
    "authOptions",
    "enableInTreeAutoscaling",
    "autoscalerOptions",
    "headGroupSpec",
    "workerGroupSpecs",
}
HEAD_FIELDS = {"serviceType", "rayStartParams", "template"}
WORKER_FIELDS = {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"}


def pod(name: str) -> dict[str, Any]:
    """The pod of a group."""
    spec: dict[str, Any] = GROUPS[name]["template"]["spec"]
    return spec


def container(name: str) -> dict[str, Any]:
    """The container of a group, its only one."""
    (only,) = pod(name)["containers"]
    return dict(only)


def gib(quantity: str) -> int:
    """Bytes of a quantity such as 16Gi."""
    match = re.fullmatch(r"(\d+)Gi", quantity)
    assert match is not None
    return int(match[1]) * GIB


def test_it_is_a_ray_job_with_fields_that_exist() -> None:
    assert (JOB["apiVersion"], JOB["kind"]) == ("ray.io/v1", "RayJob")
    assert set(JOB["spec"]) <= JOB_FIELDS
    assert set(CLUSTER) <= CLUSTER_FIELDS
    assert set(HEAD) <= HEAD_FIELDS
    for group in WORKERS.values():
        assert set(group) <= WORKER_FIELDS


def test_the_token_is_on_and_nothing_leaves_the_cluster() -> None:
    assert CLUSTER["authOptions"] == {"mode": "token"}
    assert HEAD["serviceType"] == "ClusterIP"


def test_a_shell_on_the_way_changes_nothing_in_the_entrypoint() -> None:
    words = shlex.split(JOB["spec"]["entrypoint"])
    assert words[:4] == ["python", "-m", "pipeline", "run"]
    assert " ".join(words) == JOB["spec"]["entrypoint"]
    assert not set("&|;<>$`'\"\\()*?#~") & set(JOB["spec"]["entrypoint"])


def test_the_recipe_is_in_the_image_and_the_store_on_the_volume() -> None:
    _, _, _, _, recipe, store = shlex.split(JOB["spec"]["entrypoint"])
    assert (ROOT / recipe.removeprefix("/home/ray/zoetrope/")).exists()
    (mount,) = [m["mountPath"] for m in container("head")["volumeMounts"] if m["name"] == "store"]
    assert store.startswith(f"store={mount}/")


def test_versions_agree() -> None:
    assert CLUSTER["rayVersion"] == ray.__version__
    assert {container(name)["image"].rpartition(":")[2] for name in GROUPS} == {ray.__version__}


@pytest.mark.parametrize("name", ["head", "gpu", "cpu"])
def test_shared_memory_is_more_than_the_default(name: str) -> None:
    mounts = {mount["mountPath"]: mount["name"] for mount in container(name)["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod(name)["volumes"]}
    shm = volumes[mounts["/dev/shm"]]["emptyDir"]
    limits = container(name)["resources"]["limits"]
    assert shm["medium"] == "Memory"
    assert GROUPS[name]["rayStartParams"]["object-store-memory"] == str(4 * GIB)
    assert 2 * 4 * GIB <= gib(shm["sizeLimit"]) <= gib(limits["memory"]) // 2
    assert volumes[mounts["/mnt/zoetrope"]]["persistentVolumeClaim"]["claimName"]


def test_only_gpu_workers_ask_for_gpus() -> None:
    asked = {name: container(name)["resources"]["limits"].get("nvidia.com/gpu") for name in GROUPS}
    assert asked == {"head": None, "gpu": "4", "cpu": None}
    assert CLUSTER["enableInTreeAutoscaling"] is True
    for group in WORKERS.values():
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


def test_parameters_of_ray_start_are_strings() -> None:
    for group in GROUPS.values():  # the type is map[string]string: a number is refused
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
    assert all(isinstance(entry["value"], str) for name in GROUPS for entry in container(name)["env"])


def test_what_a_user_edits_is_marked_and_little() -> None:
    assert len([line for line in TEXT.splitlines() if "# EDIT" in line]) == 4
