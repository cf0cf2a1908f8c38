"""Scores of audio and video, published thresholds, and the time that a sample covers. Pure formulas and data.

The views `audio_scores` and `video_scores` of a store are the same formulas in SQL; `agora_analytics.insight` queries them.
"""
