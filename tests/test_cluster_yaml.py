"""cluster.yaml as Ray's launcher reads it: Ray's own schema, and what its defaults make of the file.

Ray fills in what a cluster file leaves out, and some of that is unsafe: a dashboard on 0.0.0.0, a nightly wheel, ssh
open to the world. Its schema accepts all of these, so they are looked for here, in what comes out of the merge.
"""

import copy
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.autoscaler.v2.instance_manager.config import AutoscalingConfig

ROOT = Path(__file__).parents[1]
CLUSTER = ROOT / "cluster.yaml"
GIB = 2**30
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
COMMANDS = (
    "initialization_commands",
    "setup_commands",
    "head_setup_commands",
    "worker_setup_commands",
    "head_start_ray_commands",
    "worker_start_ray_commands",
)


def written() -> dict[str, Any]:
    """The file as it is."""
    loaded: dict[str, Any] = yaml.safe_load(CLUSTER.read_text())
    return loaded


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The file with Ray's defaults merged in, as `ray up` sees it in the repository's folder."""
    monkeypatch.chdir(ROOT)
    merged: dict[str, Any] = prepare_config(written())
    return merged


def start_parameters(command: str) -> dict[str, Any]:
    """The options of the `ray start` in a command, read by Ray's own parser; what it does not know, it refuses."""
    from ray.scripts.scripts import start  # loads all of Ray, which warns about its own use of pydantic

    words = shlex.split(command.partition("ray start ")[2].replace("$RAY_HEAD_IP", "10.0.0.1"))
    return dict(start.make_context("start", words).params)


def start_command(config: dict[str, Any], kind: str) -> str:
    """The one command of `head` or `worker` that starts Ray."""
    (command,) = [command for command in config[f"{kind}_start_ray_commands"] if "ray start" in command]
    return str(command)


def shm_bytes(options: list[str]) -> int:
    """What `--shm-size=...g` in docker's options gives."""
    (size,) = [match[1] for option in options if (match := re.fullmatch(r"--shm-size=(\d+)g", option))]
    return int(size) * GIB


def docker_of(config: dict[str, Any], node_type: str) -> tuple[str, list[str]]:
    """Image and options of the container of a node type, as the autoscaler puts them together."""
    docker = AutoscalingConfig(copy.deepcopy(config), skip_content_hash=True).get_docker_config(node_type)
    kind = "head" if node_type == config["head_node_type"] else "worker"
    return docker["image"], docker["run_options"] + docker.get(f"{kind}_run_options", [])


def test_ray_accepts_it(config: dict[str, Any]) -> None:
    validate_config(config)


def test_the_check_can_fail(config: dict[str, Any]) -> None:
    with pytest.raises(Exception, match="surprise"):
        validate_config({**config, "surprise": 1})


@pytest.mark.parametrize("key", COMMANDS)
def test_no_list_of_commands_is_left_to_ray(key: str) -> None:
    assert key in written()  # a list that is left out becomes Ray's own; an empty one stays empty


def test_no_default_command_of_ray_survives(config: dict[str, Any]) -> None:
    everything = "\n".join(command for key in COMMANDS for command in config[key])
    for unsafe in ("ray-wheels", "3.0.0.dev", "nightly", "latest", "0.0.0.0", "anaconda3"):
        assert unsafe not in everything


@pytest.mark.parametrize("key", COMMANDS)
def test_a_shell_can_read_every_command(config: dict[str, Any], key: str) -> None:
    for command in config[key]:
        # As Ray wraps it: a YAML comment that ended up inside a command would swallow the bracket.
        wrapped = f"source ~/.bashrc; export OMP_NUM_THREADS=1 && ({command})"
        assert subprocess.run(["bash", "-n", "-c", wrapped], capture_output=True).returncode == 0, command


def test_the_dashboard_listens_on_loopback_only(config: dict[str, Any]) -> None:
    assert start_parameters(start_command(config, "head"))["dashboard_host"] == "127.0.0.1"


def test_the_head_scales_the_cluster(config: dict[str, Any]) -> None:
    assert start_parameters(start_command(config, "head"))["autoscaling_config"] == "~/ray_bootstrap_config.yaml"


@pytest.mark.parametrize("kind", ["head", "worker"])
def test_every_ray_start_asks_for_the_token(config: dict[str, Any], kind: str) -> None:
    assert "RAY_AUTH_MODE=token ray start" in start_command(config, kind)


def test_everything_in_the_container_has_the_token(config: dict[str, Any]) -> None:
    options = config["docker"]["run_options"]
    assert "-e RAY_AUTH_MODE=token" in options
    (path,) = [option.partition("=")[2] for option in options if "RAY_AUTH_TOKEN_PATH" in option]
    assert config["file_mounts"][path] == "~/.ray/auth_token"
    # Outside the container it would have no effect, and look as if it had.
    assert not [command for command in config["initialization_commands"] if "RAY_AUTH" in command]


@pytest.mark.parametrize("node_type", ["head", "gpu", "cpu"])
def test_shared_memory_holds_the_ring_beside_the_object_store(config: dict[str, Any], node_type: str) -> None:
    _, options = docker_of(config, node_type)
    kind = "head" if node_type == config["head_node_type"] else "worker"
    object_store_bytes = start_parameters(start_command(config, kind))["object_store_memory"]
    # A ring has 2 * feed.workers + 1 slots (pipeline/feed/local.py). 32 clips of 16 frames of 224 x 224 on each of
    # four GPUs with eight feed workers; one such rank where there is no GPU.
    ring_bytes = (2 * 8 + 1) * 32 * 16 * 224 * 224 * 3
    ranks = 4 if node_type == "gpu" else 1
    assert object_store_bytes == 4 * GIB
    assert shm_bytes(options) >= object_store_bytes + ranks * ring_bytes


def test_versions_are_pinned_to_the_tested_one(config: dict[str, Any]) -> None:
    tested = re.search(r"^ray==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert tested is not None
    assert tested[1] == ray.__version__
    for said in (CLUSTER, ROOT / "docs" / "cluster.md"):
        assert f'"ray[default]=={tested[1]}"' in said.read_text()
    images = {name: docker_of(config, name)[0] for name in config["available_node_types"]}
    prefix = f"rayproject/ray:{ray.__version__}-py311-"
    assert images == {"head": f"{prefix}cpu", "gpu": f"{prefix}gpu", "cpu": f"{prefix}cpu"}
    assert config["file_mounts"]["/home/ray/constraints.txt"] == "constraints.txt"
    assert "pip install --no-cache-dir --requirement /home/ray/constraints.txt" in config["setup_commands"]


def test_head_and_workers_are_what_the_page_says(config: dict[str, Any]) -> None:
    types = config["available_node_types"]
    assert {name: (t["min_workers"], t["max_workers"]) for name, t in types.items()} == {
        "head": (0, 0),
        "gpu": (0, 4),
        "cpu": (0, 8),
    }
    assert config["max_workers"] == 12
    assert "--gpus all" in docker_of(config, "gpu")[1]
    assert "--gpus all" not in docker_of(config, "cpu")[1]


def test_what_a_user_edits_is_marked_and_little() -> None:
    marked = [line for line in CLUSTER.read_text().splitlines() if "# EDIT" in line]
    assert len(marked) == 6
    for placeholder in ("KEY-PAIR", "ami-EDIT", "sg-EDIT", "fs-EDIT", "us-west-2"):
        lines = [line for line in CLUSTER.read_text().splitlines() if placeholder in line]
        assert lines
        assert set(lines) <= set(marked)
