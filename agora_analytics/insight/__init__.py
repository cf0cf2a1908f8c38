"""Answers from a store: how good calls were, why, and whether they got worse."""

from typing import TYPE_CHECKING

from agora_analytics.lazy import lazy_names

if TYPE_CHECKING:
    from agora_analytics.insight.compare_periods import Comparison as Comparison
    from agora_analytics.insight.compare_periods import GroupComparison as GroupComparison
    from agora_analytics.insight.compare_periods import compare as compare
    from agora_analytics.insight.diagnosis.diagnose import diagnose as diagnose
    from agora_analytics.insight.diagnosis.diagnose_live import diagnose_live as diagnose_live
    from agora_analytics.insight.diagnosis.diagnosis import CallDiagnosis as CallDiagnosis
    from agora_analytics.insight.diagnosis.diagnosis import Evidence as Evidence
    from agora_analytics.insight.mix import MixChange as MixChange
    from agora_analytics.insight.mix import ShareChange as ShareChange
    from agora_analytics.insight.quality_report.make_report import report as report
    from agora_analytics.insight.quality_report.report_records import MeasureRate as MeasureRate
    from agora_analytics.insight.quality_report.report_records import MediaScore as MediaScore
    from agora_analytics.insight.quality_report.report_records import MissingData as MissingData
    from agora_analytics.insight.quality_report.report_records import NamedCalls as NamedCalls
    from agora_analytics.insight.quality_report.report_records import PanelGroup as PanelGroup
    from agora_analytics.insight.quality_report.report_records import QualityReport as QualityReport
    from agora_analytics.insight.quality_report.report_records import ReportChange as ReportChange
    from agora_analytics.insight.quality_report.report_records import ReportLimit as ReportLimit
    from agora_analytics.insight.quality_report.report_records import ReportPanel as ReportPanel
    from agora_analytics.insight.quality_report.report_records import TimeInterval as TimeInterval
    from agora_analytics.insight.quality_report.report_records import WorstCall as WorstCall
    from agora_analytics.insight.scores import score as score

__all__, __getattr__ = lazy_names(
    __name__,
    {
        "compare_periods": ("Comparison", "GroupComparison", "compare"),
        "diagnosis.diagnose": ("diagnose",),
        "diagnosis.diagnose_live": ("diagnose_live",),
        "diagnosis.diagnosis": ("CallDiagnosis", "Evidence"),
        "mix": ("MixChange", "ShareChange"),
        "quality_report.make_report": ("report",),
        "quality_report.report_records": (
            "MeasureRate",
            "MediaScore",
            "MissingData",
            "NamedCalls",
            "PanelGroup",
            "QualityReport",
            "ReportChange",
            "ReportLimit",
            "ReportPanel",
            "TimeInterval",
            "WorstCall",
        ),
        "scores": ("score",),
    },
)
