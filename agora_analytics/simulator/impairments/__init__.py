"""Impairments of simulated calls: causes of poor quality, the users on whom they act, and their symptoms in the metrics.

A model of capture, encoder, network and playback computes the symptoms, second by second. It has no thresholds of a
diagnosis, so that a diagnosis can be measured with it.
"""
