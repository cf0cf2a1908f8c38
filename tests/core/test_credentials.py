"""Credentials with whitespace or invisible characters are refused by every client, and never shown."""

import pytest

from agora_analytics.agora.beta import AsyncAgoraBeta
from agora_analytics.agora.client import AsyncAgora
from agora_analytics.apsaravideo import AsyncApsaraVideo
from agora_analytics.core.sent_text import check_credential
from agora_analytics.errors import ConfigurationError
from agora_analytics.opentok import AsyncOpenTok, ProjectKey
from agora_analytics.signaling import AsyncSignaling, Basic, LegacyToken, Token

MARK = "s3cr3t-mark"
FORMS = {
    "line break of a file": "{}\n",
    "carriage return of a file": "{}\r\n",
    "space before": " {}",
    "space after": "{} ",
    "space inside": "{} {}",
    "tab": "\t{}",
    "no-break space": "{}\u00a0",
    "zero-width space": "\u200b{}",
    "byte order mark": "\ufeff{}",
    "NUL": "{}\x00",
    "half of a surrogate pair": "{}\ud800",
}
CLIENTS = {
    "customer_id of Agora": ("customer_id", lambda text: AsyncAgora(text, "s", app_id="a")),
    "customer_secret of Agora": ("customer_secret", lambda text: AsyncAgora("i", text, app_id="a")),
    "app_id of Agora": ("app_id", lambda text: AsyncAgora("i", "s", app_id=text)),
    "customer_secret of the beta": ("customer_secret", lambda text: AsyncAgoraBeta("i", text, app_id="a")),
    "customer_id of Signaling": ("customer_id", lambda text: AsyncSignaling(Basic(text, "s"), app_id="a")),
    "customer_secret of Signaling": (
        "customer_secret",
        lambda text: AsyncSignaling(Basic("i", text), app_id="a"),
    ),
    "token of Signaling": ("token", lambda text: AsyncSignaling(Token(text), app_id="a")),
    "legacy token of Signaling": ("token", lambda text: AsyncSignaling(LegacyToken("u", text), app_id="a")),
    "current token of Signaling": ("token", lambda text: Token(lambda: text).headers()),
    "app_id of Signaling": ("app_id", lambda text: AsyncSignaling(Basic("i", "s"), app_id=text)),
    "secret of OpenTok": ("secret", lambda text: AsyncOpenTok(ProjectKey("45000001", text))),
    "id of ApsaraVideo": ("access_key_id", lambda text: AsyncApsaraVideo(text, "s", app_id="a")),
    "secret of ApsaraVideo": ("access_key_secret", lambda text: AsyncApsaraVideo("i", text, app_id="a")),
    "token of ApsaraVideo": (
        "security_token",
        lambda text: AsyncApsaraVideo("i", "s", security_token=text, app_id="a"),
    ),
    "app_id of ApsaraVideo": ("app_id", lambda text: AsyncApsaraVideo("i", "s", app_id=text)),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("client", CLIENTS)
def test_whitespace_in_a_credential_is_refused_without_showing_it(client, form):
    name, create = CLIENTS[client]
    text = FORMS[form].format(MARK, MARK)
    with pytest.raises(ConfigurationError, match=f"^{name} contains a space") as caught:
        create(text)
    assert MARK not in f"{caught.value!r} {caught.value} {caught.value.__context__!r}"


def test_credential_that_is_not_text_is_refused():
    with pytest.raises(ConfigurationError, match="secret is not a text but bytes"):
        check_credential("secret", MARK.encode())


@pytest.mark.parametrize("text", ["a-b_c.d:e/f+g=", "p\u00e4ssw\u00f6rd", "x" * 500])
def test_other_characters_are_accepted(text):
    check_credential("secret", text)
