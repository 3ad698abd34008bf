"""Typed, strict configuration: presets, suites and what they resolve to."""
