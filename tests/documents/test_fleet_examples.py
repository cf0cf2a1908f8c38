"""The files in `examples/fleet/` fit the package and each other: commands, extras, secrets, exit codes."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib

import pytest

from agora_analytics.kit.config_file import read_config
from tests.documents.blocks import ROOT

FLEET = ROOT / "examples" / "fleet"
UNIT = "agora-worker@.service"
ETC = "/etc/agora-analytics"


@pytest.fixture(scope="module")
def compose():
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load((FLEET / "docker-compose.yaml").read_text("utf-8"))


@pytest.fixture(scope="module")
def unit():
    """The lines of the service, by key."""
    lines = (FLEET / UNIT).read_text("utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def assert_is_command(text):
    """Assert that a text has a command of the command line, with options that it knows."""
    pytest.importorskip("typer")
    from agora_analytics.cli.app import command_line

    words = shlex.split(re.search(r"agora-analytics (.+)$", text)[1])
    command = command_line()
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    known = {option for parameter in command.params for option in parameter.opts}
    assert set(words) <= known


def test_configuration_can_be_read():
    config = read_config(FLEET / "fleet.toml")
    assert config.queue
    assert all(account.harvest.store.startswith("s3://") for account in config.accounts.values())
    assert all(account.harvest.since and account.harvest.every for account in config.accounts.values())


@pytest.mark.parametrize("service", ["init", "worker"])
def test_services_run_commands_that_exist(compose, service):
    shell, option, command = compose["services"][service]["command"]
    assert (shell, option) == ("sh", "-c")
    assert " exec agora-analytics " in command  # so that the signal reaches it
    assert_is_command(command)


def test_each_service_has_an_image_and_what_it_names(compose):
    kinds = {"secrets": set(), "configs": set()}
    for service in compose["services"].values():
        assert service["image"]
        assert service["restart"] in {"no", "unless-stopped"}
        for name, condition in service.get("depends_on", {}).items():
            assert name in compose["services"]
            assert condition["condition"] in {"service_healthy", "service_completed_successfully"}
        for kind, used in kinds.items():
            used |= {each if isinstance(each, str) else each["source"] for each in service.get(kind, ())}
    assert kinds == {kind: set(compose[kind]) for kind in kinds}
    assert "healthcheck" in compose["services"]["postgres"]


def test_worker_has_the_configuration_and_the_secrets_that_it_names(compose):
    worker = compose["services"]["worker"]
    assert worker["environment"]["AGORA_CONFIG"] == f"{ETC}/fleet.toml"
    assert f"./fleet.toml:{ETC}/fleet.toml:ro" in worker["volumes"]
    with (FLEET / "fleet.toml").open("rb") as file:
        accounts = tomllib.load(file)["account"]
    named = {value for account in accounts for key, value in account.items() if key.endswith("_secret_file")}
    targets = {each["target"] for each in worker["secrets"] if isinstance(each, dict)}
    assert targets == {f"{ETC}/{path}" for path in named}


def test_image_installs_extras_that_exist(compose):
    extras = re.search(r"'agora-analytics\[(.+)\]'", compose["x-image"]["build"]["dockerfile_inline"])[1]
    with (ROOT / "pyproject.toml").open("rb") as file:
        known = tomllib.load(file)["project"]["optional-dependencies"]
    assert {*extras.split(","), "fleet"} <= known.keys()


def test_unit_starts_a_worker_again_unless_a_setting_is_wrong(unit):
    pytest.importorskip("typer")
    from agora_analytics.cli.runner import WRONG_SETTING

    assert_is_command(unit["ExecStart"])
    assert unit["Restart"] == "always"
    assert unit["RestartPreventExitStatus"] == str(WRONG_SETTING)


@pytest.mark.skipif(sys.platform != "linux", reason="needs systemd-analyze")
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_accepts_the_unit(tmp_path):
    """The program exists only on the machine of a reader, so it is replaced."""
    text = re.sub(r"/\S+/agora-analytics ", "/bin/true ", (FLEET / UNIT).read_text("utf-8"))
    path = tmp_path / UNIT.replace("@", "@1")
    path.write_text(text, "utf-8")
    words = ["systemd-analyze", "verify", "--man=no", str(path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert [line for line in done.stderr.splitlines() if "agora-worker" in line] == []
