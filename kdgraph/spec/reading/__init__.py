"""Nodes -> parts of a Spec: each reader returns a part, or raises SpecError with all faults of its node."""
