"""Data mixes: domain text alone, or with general text replayed."""

from __future__ import annotations

from dataclasses import dataclass

from adept_bench.errors import InputError


@dataclass(frozen=True)
class DomainOnly:
    replay_share: float = 0.0


@dataclass(frozen=True)
class Replayed:
    """`replay_share` of the training sequences are general text, resampled each of its epochs."""

    replay_share: float

    def __post_init__(self) -> None:
        if not 0 < self.replay_share < 1:
            raise InputError(f"options.replay_share: {self.replay_share}; expected a share above 0 and below 1")


def domain_only() -> DomainOnly:
    return DomainOnly()


def replayed(share: float) -> Replayed:
    return Replayed(share)
