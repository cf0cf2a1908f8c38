"""`--ledger` with the URL of a server: the count is there, and the URL's password is nowhere."""


def test_calls_are_counted_on_the_server(command, base_url, postgres):
    ledger = ("--ledger", postgres.dsn.replace("postgres@", "postgres:hidden-word@"))
    calls = command("calls", "--since", "7h", *ledger)
    assert (calls.returncode, calls.stderr) == (0, "")
    quota = command("quota", *ledger)
    assert quota.returncode == 0
    assert f"Ledger: 127.0.0.1/{postgres.name}" in quota.stdout
    assert "9,999" in quota.stdout
    assert "hidden-word" not in quota.stdout + quota.stderr


def test_server_that_is_away_is_one_line(command, base_url):
    done = command(
        "calls", "--since", "7h", "--deadline", "5", "--ledger", "redis://:hidden-word@127.0.0.1:1"
    )
    assert done.returncode == 69
    (line,) = done.stderr.splitlines()
    assert line.startswith("agora-analytics: Redis at 127.0.0.1:1 is unavailable")
    assert "hidden-word" not in line
