"""Distances between a student's tensor and a teacher's, one file per family."""

from __future__ import annotations

from kdgraph.nn.criteria.base import Criterion
from kdgraph.nn.criteria.boxes import BoxL2
from kdgraph.nn.criteria.feature import ChannelWise, Cosine, Mimic, Pearson, ScoreL2
from kdgraph.nn.criteria.logits import BinaryCrossEntropy, KLDivergence, QualityFocal

__all__ = [
    "BinaryCrossEntropy",
    "BoxL2",
    "ChannelWise",
    "Cosine",
    "Criterion",
    "KLDivergence",
    "Mimic",
    "Pearson",
    "QualityFocal",
    "ScoreL2",
]
