"""A diagnosis in words."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from agora_analytics.insight.diagnosis.rules import Cause

if TYPE_CHECKING:
    from agora_analytics.insight.diagnosis.diagnosis import CallDiagnosis

_WORDS: Mapping[Cause, str] = {
    "uplink_loss": "packets were lost in the uplink of {party}",
    "downlink_loss": "packets were lost in the downlink of {party}",
    "server_loss": "packets were lost between servers, for several users at once",
    "high_delay": "the round trip between {party} and the server was long",
    "low_bitrate": "the network of {party} had too little capacity",
    "cpu": "the processor of {party} was too busy",
    "capture_stopped": "the camera of {party} delivered hardly any frames",
    "silent_microphone": "the microphone of {party} delivered silence",
    "reconnects": "{party} lost the connection",
    "join_failure": "attempts of {party} to join failed",
    "none": "nothing was wrong that a person would notice",
    "unknown": "there is not enough data",
}


def cause_in_words(cause: Cause, party: str | None) -> str:
    """Return what a cause is, as a sentence without capital letter and full stop.

    Example:
        >>> cause_in_words("cpu", "1042")
        'the processor of 1042 was too busy'
    """
    return _WORDS[cause].format(party=party)


def verdict(diagnosis: "CallDiagnosis") -> str:
    """Return a diagnosis as one sentence.

    Example:
        >>> from agora_analytics.insight.diagnosis.diagnosis import CallDiagnosis
        >>> verdict(CallDiagnosis(call_id="c", uid="7", side="receiver", cause="cpu", party="7", confidence=0.9))
        "7's own side: the processor of 7 was too busy."
    """
    words = cause_in_words(diagnosis.cause, diagnosis.party)
    if diagnosis.side == "receiver":
        return f"{diagnosis.uid}'s own side: {words}."
    if diagnosis.side == "sender":
        return f"The side of {diagnosis.party}, another participant: {words}."
    if diagnosis.side == "server":
        return f"The servers' side: {words}."
    return f"{words[0].upper()}{words[1:]}."
