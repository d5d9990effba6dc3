"""Distances between a student's tensor and a teacher's, one file per family."""

from __future__ import annotations

from kdgraph.nn.criteria.attention import Attention, ChannelSoftmax, SpatialSoftmax
from kdgraph.nn.criteria.base import Criterion
from kdgraph.nn.criteria.boxes import BoxL2, BoxOverlap
from kdgraph.nn.criteria.distributions import DecoupledFocal, LocalizationDistillation
from kdgraph.nn.criteria.feature import ChannelWise, Cosine, Mimic, Pearson, PredictionGuided, ScoreL2
from kdgraph.nn.criteria.fgd import FocalGlobal
from kdgraph.nn.criteria.gi import GeneralInstance
from kdgraph.nn.criteria.instance_masks import InstanceMasks
from kdgraph.nn.criteria.labelled import Decoupled, Normalised, RankMimicking
from kdgraph.nn.criteria.logits import (
    BinaryCrossEntropy,
    Correlation,
    KLDivergence,
    QualityFocal,
    StandardisedKL,
)
from kdgraph.nn.criteria.m2d2 import MultimodalDFL
from kdgraph.nn.criteria.mgd import MaskedGenerative
from kdgraph.nn.criteria.statistics import GramL2, MeanDiscrepancy, PooledL2
from kdgraph.nn.criteria.tasks import BoxAngle, Keypoints

__all__ = [
    "Attention",
    "BinaryCrossEntropy",
    "BoxAngle",
    "BoxL2",
    "BoxOverlap",
    "ChannelSoftmax",
    "ChannelWise",
    "Correlation",
    "Cosine",
    "Criterion",
    "Decoupled",
    "DecoupledFocal",
    "FocalGlobal",
    "GeneralInstance",
    "GramL2",
    "InstanceMasks",
    "KLDivergence",
    "Keypoints",
    "LocalizationDistillation",
    "MaskedGenerative",
    "MeanDiscrepancy",
    "Mimic",
    "MultimodalDFL",
    "Normalised",
    "Pearson",
    "PooledL2",
    "PredictionGuided",
    "QualityFocal",
    "RankMimicking",
    "ScoreL2",
    "SpatialSoftmax",
    "StandardisedKL",
]
