"""An impairment: one cause of poor quality, when it acts, and on which users."""

from typing import Literal, get_args

from attrs import field, frozen
from attrs.validators import in_

from agora_analytics.simulator.ground_truth.participants import place_of
from agora_analytics.simulator.ground_truth.records import SessionTruth

ImpairmentCause = Literal[
    "uplink_loss",
    "downlink_loss",
    "high_delay",
    "low_bitrate",
    "cpu",
    "capture_stopped",
    "silent_microphone",
    "reconnects",
    "join_failure",
    "server_loss",
]
"""The causes of poor quality that the simulator can plant."""

IMPAIRMENT_CAUSES: tuple[ImpairmentCause, ...] = get_args(ImpairmentCause)
"""All values of `ImpairmentCause`."""


@frozen(kw_only=True)
class Impairment:
    """One cause of poor quality. It acts on the users for whom all given fields match; without any, on the whole app.

    Server users are affected only if `uid` names them. `server_loss` acts on all streams, or on those from and to a
    region; it has no other field.

    Attributes:
        cause: what is wrong.
        severity: from 0, hardly noticeable, to 1, unusable.
        since, until: when it acts, in epoch seconds.
        uid: only on this user.
        device_type, platform, sdk_version, network: only on sessions with these values.
        region: only on users in this country. `server_loss` acts on the server there.
        intermittent: it is on for 8 to 20 s and off for 5 to 12 s, again and again; `low_bitrate` is on for 26 to 38 s.

    Raises:
        ValueError: `cause` is unknown, or a `server_loss` names users.

    Example:
        >>> Impairment(cause="cpu", severity=0.8, since=0, until=60, device_type="Android (14.0)").uid is None
        True
    """

    cause: ImpairmentCause = field(validator=in_(IMPAIRMENT_CAUSES))
    severity: float
    since: float
    until: float
    uid: str | None = None
    device_type: str | None = None
    platform: str | None = None
    sdk_version: str | None = None
    network: str | None = None
    region: str | None = None
    intermittent: bool = False

    def __attrs_post_init__(self) -> None:
        of_users = (self.uid, self.device_type, self.platform, self.sdk_version, self.network)
        if self.cause == "server_loss" and any(each is not None for each in of_users):
            raise ValueError("server_loss acts on a region or on the whole app; give no other field")

    def acts_on(self, session: SessionTruth) -> bool:
        """Return whether a session has the fields that this impairment names."""
        return (
            (session.uid == self.uid if self.uid is not None else not session.server)
            and self.device_type in (None, session.device_type)
            and self.platform in (None, session.platform)
            and self.sdk_version in (None, session.sdk_version)
            and self.network in (None, session.network)
            and self.region in (None, place_of(session.uid)[0])
        )
