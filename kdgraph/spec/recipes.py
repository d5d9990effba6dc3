"""Named sets of edges, for `edges: default`: texts in the spec language, read as a user's own are."""

from __future__ import annotations

DEFAULT = """\
neck:                                         # what the student sees
  taps: neck.*
  criterion: {cwd: {norm: batch}}
  weight: {cosine: {from: 1.0, to: 0.1}}
  until: -10                                  # off when mosaic closes; a run of 10 epochs or less keeps it on
cls:                                          # what it calls it, at every anchor
  taps: head.cls
  criterion: {qfl: {beta: 1.0}}
  mask: all
  weight: {cosine: {from: 1.0, to: 0.1}}
  until: -10
dfl:                                          # where it puts the sides, where the teacher is sure
  taps: head.dfl
  criterion: {kl: {temperature: 1.0}}
  mask: teacher_score
  weight: {cosine: {from: 1.5, to: 0.15}}
  until: -10
"""

RECIPES: dict[str, str] = {"default": DEFAULT}
"""Name of a recipe -> the text of its edges."""
