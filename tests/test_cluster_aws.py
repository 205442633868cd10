"""What `ray up cluster.yaml` does at AWS before it starts a machine: Ray's own code against a mock of EC2 and IAM."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from moto import mock_aws
from ray.autoscaler._private.aws.config import bootstrap_aws
from ray.autoscaler._private.aws.node_provider import AWSNodeProvider
from ray.autoscaler._private.util import prepare_config

ROOT = Path(__file__).parents[1]


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """EC2 in this process, without a network, and without the half minute that Ray waits for a new role."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("ray.autoscaler._private.aws.config.time.sleep", lambda seconds: None)
    with mock_aws(config={"iam": {"load_aws_managed_policies": True}}):
        yield boto3.resource("ec2", region_name="us-west-2")


def bootstrap(aws: Any, without_group: str | None = None) -> tuple[dict[str, Any], str]:
    """The node types as Ray would start them once a user has filled in a security group, and the group's id."""
    group = aws.create_security_group(GroupName="mine", Description="mine", VpcId=next(iter(aws.vpcs.all())).id)
    merged = prepare_config(yaml.safe_load((ROOT / "cluster.yaml").read_text()))
    for name, node_type in merged["available_node_types"].items():
        node_type["node_config"]["SecurityGroupIds"] = [group.id]
        if name == without_group:
            del node_type["node_config"]["SecurityGroupIds"]
    node_types: dict[str, Any] = bootstrap_aws(merged)["available_node_types"]
    return node_types, group.id


def world_open(aws: Any) -> list[str]:
    """Names of the security groups that let the whole world in somewhere."""
    return [
        group.group_name
        for group in aws.security_groups.all()
        for rule in group.ip_permissions
        if any(cidr["CidrIp"] == "0.0.0.0/0" for cidr in rule["IpRanges"])
    ]


def test_ray_takes_the_users_group_and_key_and_opens_nothing(aws: Any) -> None:
    node_types, group = bootstrap(aws)
    assert set(node_types) == {"head", "gpu", "cpu"}
    for node_type in node_types.values():
        assert node_type["node_config"]["SecurityGroupIds"] == [group]
        assert node_type["node_config"]["KeyName"] == "KEY-PAIR"
    assert world_open(aws) == []


def test_for_a_machine_without_a_group_ray_opens_ssh_to_the_world(aws: Any) -> None:
    bootstrap(aws, without_group="cpu")  # why cluster.yaml names one for every machine
    assert world_open(aws) == ["ray-autoscaler-zoetrope"]


def test_workers_get_no_role(aws: Any) -> None:
    node_types, _ = bootstrap(aws)
    assert [name for name, t in node_types.items() if "IamInstanceProfile" in t["node_config"]] == []


def test_ray_finds_out_cpus_and_gpus(aws: Any) -> None:
    merged = prepare_config(yaml.safe_load((ROOT / "cluster.yaml").read_text()))
    node_types = AWSNodeProvider.fillout_available_node_types_resources(merged)["available_node_types"]
    found = {name: (t["resources"]["CPU"], t["resources"].get("GPU", 0)) for name, t in node_types.items()}
    assert found == {"head": (8, 0), "gpu": (48, 4), "cpu": (16, 0)}
    decode = {name: t["resources"].get("decode", 0) for name, t in node_types.items()}
    assert decode == {"head": 0, "gpu": 0, "cpu": 16}  # for feed.resource
