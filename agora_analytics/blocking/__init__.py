"""The same clients for code that does not await: scripts, notebooks, threads, forked workers.

Each class has the methods, parameters and documentation of its asynchronous twin. A client has one thread with an event
loop, which is entered once a page. Observers are called in that thread. Ctrl-C cancels the running call.

Example:
    from agora_analytics.blocking import Agora, harvest

    with Agora.from_env() as client:
        for call in client.calls("6h"):
            print(call.created_at, call.cname)
        report = harvest(client, since="1d", store="calls.store")
"""

from typing import TYPE_CHECKING

from agora_analytics.lazy import lazy_names

if TYPE_CHECKING:
    from agora_analytics.blocking.agora import Agora as Agora
    from agora_analytics.blocking.agora import AgoraBeta as AgoraBeta
    from agora_analytics.blocking.agora import Follow as Follow
    from agora_analytics.blocking.agora import Insights as Insights
    from agora_analytics.blocking.agora import Realtime as Realtime
    from agora_analytics.blocking.apsaravideo import ApsaraVideo as ApsaraVideo
    from agora_analytics.blocking.harvesting import estimate as estimate
    from agora_analytics.blocking.harvesting import harvest as harvest
    from agora_analytics.blocking.harvesting import harvest_insights as harvest_insights
    from agora_analytics.blocking.opentok import OpenTok as OpenTok
    from agora_analytics.blocking.signaling import Signaling as Signaling
    from agora_analytics.blocking.wrappers import Pages as Pages

# `harvest` needs the extra [store], which a client does not
__all__, __getattr__ = lazy_names(
    __name__,
    {
        "agora": ("Agora", "AgoraBeta", "Follow", "Insights", "Realtime"),
        "apsaravideo": ("ApsaraVideo",),
        "harvesting": ("estimate", "harvest", "harvest_insights"),
        "opentok": ("OpenTok",),
        "signaling": ("Signaling",),
        "wrappers": ("Pages",),
    },
)
