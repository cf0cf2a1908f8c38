import re
import signal
import sqlite3
import time

import attrs
import pytest

from agora_analytics.agora.plans import ENTERPRISE
from agora_analytics.simulator import Dirt, Simulator, serve_in_thread
from agora_analytics.store import open_store


def rows(folder):
    store = open_store(folder)
    (sums,) = store.sql("select count(*), sum(value), sum(epoch(ts)) from metrics").fetchall()
    counts = store.counts()
    return (counts["calls"], counts["sessions"], counts["metrics"], *map(float, sums))


def truth(world):
    totals = world.totals(server_users=True)
    counts = (totals.calls, totals.sessions, totals.points)
    return (*counts, float(totals.points), totals.value_sum, float(totals.ts_sum))


def test_harvest_is_complete_and_a_second_run_fetches_nothing(command, base_url, world, tmp_path):
    words = ("harvest", "--since", "1d", "--out", tmp_path / "store")
    first = command(*words)
    assert first.returncode == 0, first.stderr
    assert rows(tmp_path / "store") == pytest.approx(truth(world))
    assert re.search(r"calls\s+12\n", first.stdout)
    second = command(*words)
    assert second.returncode == 0
    assert re.search(r"calls\s+0  new; 12 were already in the store", second.stdout)


@pytest.mark.slow
def test_quiet_harvest_writes_nothing_unless_something_is_wrong(command, base_url, world, tmp_path):
    words = ("harvest", "--since", "1d", "--out", tmp_path / "store", "--quiet")
    done = command(*words)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert rows(tmp_path / "store") == pytest.approx(truth(world))
    refused = command(*words, env={"AGORA_CUSTOMER_SECRET": "wrong"})
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (77, "", 1)


def test_dry_run_reports_the_cost_and_stores_nothing(command, base_url, tmp_path):
    done = command("harvest", "--since", "1d", "--out", tmp_path / "store", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "12 calls to visit" in done.stdout
    assert re.search(r"call/metrics\s+12\s+10,000", done.stdout)
    assert "suffices" in done.stdout
    assert "Nothing was stored. This estimate took 1 request (call/lists 1)." in done.stdout
    assert not (tmp_path / "store").exists()


@pytest.mark.slow
def test_options_override_the_environment(command, base_url, tmp_path):
    done = command(
        *("harvest", "--since", "1d", "--out", tmp_path / "store", "--plan", "enterprise"),
        *("--base-url", base_url, "--ledger", tmp_path / "mine"),
        env={"AGORA_PLAN": "standard", "AGORA_BASE_URL": "http://127.0.0.1:9", "AGORA_LEDGER": "/proc/no"},
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "mine").exists()


@pytest.mark.slow
def test_harvest_names_a_damaged_file_and_fetches_it_again(command, base_url, world, tmp_path):
    store = tmp_path / "store"
    words = ("harvest", "--since", "1d", "--out", store, "--no-durable", "--verify")
    assert command(*words).returncode == 0
    damaged = open_store(store).files("sessions")[0]
    damaged.write_bytes(b"")
    query = command("sql", "--store", store, "select count(*) from sessions")
    assert query.returncode == 74
    assert f"{damaged}: the file is damaged" in query.stderr
    done = command(*words)
    assert done.returncode == 0, done.stderr
    assert re.search(r"damaged\s+1  ", done.stdout)
    assert f"{damaged.relative_to(store)}: it is empty" in done.stdout
    assert rows(store) == pytest.approx(truth(world))
    assert not re.search(r"damaged\s+1  ", command(*words).stdout)


@pytest.mark.slow
def test_unreadable_record_ends_the_first_run_with_65_and_later_ones_with_0(command, world, tmp_path):
    dirt = Dirt(share=1, kinds=("milliseconds",), only={"call/sessions"})
    words = ("harvest", "--since", "1d", "--out", tmp_path / "store", "--plan", "enterprise")
    with serve_in_thread(Simulator(world, "enterprise", dirt=dirt)) as url:
        first = command(*words, env={"AGORA_BASE_URL": url})
        second = command(*words, env={"AGORA_BASE_URL": url})
    assert first.returncode == 65, first.stderr
    sessions = sum(len(call.sessions) for call in world.calls)
    assert re.search(r"calls\s+12\n", first.stdout)
    assert f"{sessions} records could not be read, the first is " in first.stderr
    assert "everything else is stored" in first.stderr
    assert (second.returncode, second.stderr) == (0, "")
    assert re.search(rf"known\s+{sessions}  records could not be read by earlier runs", second.stdout)


@pytest.mark.slow
def test_ledger_persists_across_processes(command, base_url, tmp_path):
    command("harvest", "--since", "1d", "--out", tmp_path / "store")
    assert (tmp_path / "state/agora-analytics/ledger.sqlite3").exists()
    done = command("quota", env={"AGORA_CUSTOMER_SECRET": None, "AGORA_APP_ID": None})
    assert done.returncode == 0, done.stderr
    assert re.search(r"call/metrics\s+9,988\s+12\s+10,000", done.stdout)


@pytest.mark.slow
def test_exhausted_quota_is_reported_and_harvest_resumes_later(command, start, world, environment, tmp_path):
    less = {
        name: attrs.evolve(limits, per_day=7) if name == "call/metrics" else limits
        for name, limits in ENTERPRISE.limits.items()
    }
    words = ("harvest", "--since", "1d", "--until", "10m", "--out", tmp_path / "store")
    simulator = Simulator(world, plan=attrs.evolve(ENTERPRISE, limits=less))
    with serve_in_thread(simulator) as url:
        ended = command(*words, "--base-url", url)
    assert ended.returncode == 75, ended.stderr
    assert re.search(r"7 calls are done, 5 are left", ended.stderr)
    assert re.search(
        r"--since \S+Z --until \S+Z at \d{4}-\d\d-\d\dT00:00:00Z \(in .+\)$", ended.stderr.strip()
    )
    assert "Traceback" not in ended.stderr
    with serve_in_thread(Simulator(world)) as url:  # another host is another account: its day has just begun
        again = command(*words, "--base-url", url)
    assert again.returncode == 0, again.stderr
    assert rows(tmp_path / "store") == pytest.approx(truth(world))


@pytest.mark.slow
def test_used_up_quota_in_the_ledger_fails_fast(command, base_url, environment, tmp_path):
    words = ("harvest", "--since", "1d", "--out", tmp_path / "store")
    command(*words, "--dry-run")  # so that the ledger knows the account
    with sqlite3.connect(tmp_path / "state/agora-analytics/ledger.sqlite3") as ledger:
        ledger.execute("UPDATE day SET spent = 10000")
    ledger.close()
    ended = command(*words)
    assert ended.returncode == 75
    assert ended.stderr.count("\n") == 1
    assert "calls that are not listed yet" in ended.stderr
    assert re.search(r"call/lists\s+0\s+10,000", command("quota").stdout)


def wait_for_units(process, folder, count=2):
    while len(list(folder.rglob("*.parquet"))) < count:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


@pytest.mark.slow
def test_killed_harvest_resumes_to_the_same_rows(start, command, base_url, world, tmp_path):
    words = ("harvest", "--since", "1d", "--until", "10m", "--out", tmp_path / "store")
    process = start(*words)
    wait_for_units(process, tmp_path / "store")
    process.kill()
    process.communicate()
    again = command(*words)
    assert again.returncode == 0, again.stderr
    assert rows(tmp_path / "store") == pytest.approx(truth(world))


@pytest.mark.slow
def test_ctrl_c_in_a_harvest_is_one_line(start, base_url, tmp_path):
    process = start("harvest", "--since", "1d", "--out", tmp_path / "store")
    wait_for_units(process, tmp_path / "store")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert (
        err
        == "agora-analytics: stopped; the stored rows are safe, and the same command continues from there\n"
    )


@pytest.mark.slow
def test_insight_metrics_are_stored_with_the_calls(command, base_url, tmp_path):
    words = ("harvest", "--since", "3d", "--out", "store", "--insight", "join-success-rate")
    done = command(*words)
    assert done.returncode == 0, done.stderr
    assert re.search(r"insight days +[23]\n", done.stdout)
    rates = open_store(tmp_path / "store").sql(
        "select count(*) from quality where metric = 'join_success_rate' and unit = 'ratio'"
    )
    assert rates.fetchall()[0][0] >= 48


def test_unknown_insight_metric_is_refused_before_a_request(fails, tmp_path):
    words = ("harvest", "--since", "3d", "--out", "store", "--base-url", "http://127.0.0.1:9", "--insight")
    assert "did you mean 'joinSuccessRate'" in fails(2, *words, "joinSucessRate")
    assert not (tmp_path / "store").exists()


@pytest.mark.slow
def test_reserve_and_value_apply_to_the_harvest_and_its_estimate(command, base_url, tmp_path):
    words = ("harvest", "--since", "1d", "--out", tmp_path / "store", "--reserve", "9990", "--value", "users")
    cost = command(*words, "--dry-run")
    assert re.search(r"call/metrics\s+12\s+10\s", cost.stdout)
    assert "does not suffice" in cost.stdout
    done = command(*words)
    assert done.returncode == 75, done.stderr
    assert "10 calls are done, 2 are left" in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--reserve", "-1"), "--reserve"),
        (("--reserve", "10000"), "reserve=10000 leaves nothing of the 10000 requests a day"),
        (("--reserve", "many"), "--reserve"),
        (("--value", "size"), "'size' is not one of 'calls', 'users', 'minutes'"),
    ],
)
def test_bad_reserve_or_value_is_refused_before_a_request(command, tmp_path, options, message):
    done = command("harvest", "--since", "1d", "--out", tmp_path / "store", *options)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "store").exists()
