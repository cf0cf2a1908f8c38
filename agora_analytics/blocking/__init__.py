"""The same library for code that does not await: scripts, notebooks, threads, forked workers.

Each name here has the methods, parameters and words of its asynchronous twin. One thread with an event loop serves a
client for life; it is entered once a page. Observers are called in that thread. Ctrl-C cancels what runs.

Example:
    from agora_analytics.blocking import Agora, harvest

    with Agora.from_env() as client:
        for call in client.calls("6h"):
            print(call.created_at, call.cname)
        report = harvest(client, since="1d", store="calls.store")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agora_analytics.blocking.agora import Agora as Agora
    from agora_analytics.blocking.apsaravideo import ApsaraVideo as ApsaraVideo
    from agora_analytics.blocking.beta import AgoraBeta as AgoraBeta
    from agora_analytics.blocking.harvesting import estimate as estimate
    from agora_analytics.blocking.harvesting import harvest as harvest
    from agora_analytics.blocking.harvesting import harvest_insights as harvest_insights
    from agora_analytics.blocking.opentok import OpenTok as OpenTok
    from agora_analytics.blocking.pages import Pages as Pages
    from agora_analytics.blocking.signaling import Signaling as Signaling

__all__ = [
    "Agora",
    "AgoraBeta",
    "ApsaraVideo",
    "OpenTok",
    "Pages",
    "Signaling",
    "estimate",
    "harvest",
    "harvest_insights",
]

_MODULE_OF = {
    "Agora": "agora",
    "AgoraBeta": "beta",
    "ApsaraVideo": "apsaravideo",
    "OpenTok": "opentok",
    "Pages": "pages",
    "Signaling": "signaling",
    "estimate": "harvesting",
    "harvest": "harvesting",
    "harvest_insights": "harvesting",
}


def __getattr__(name: str) -> Any:  # `harvest` needs the extra [store], which a client alone does not
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
