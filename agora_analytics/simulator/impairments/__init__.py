"""Impairments of simulated calls: what goes wrong, whom it affects, and which symptoms follow in the metrics.

A model of capture, encoder, network and playback produces the symptoms, second by second. It has no thresholds of a
diagnosis, so that a diagnosis can be measured with it.
"""
