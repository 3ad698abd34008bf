#!/usr/bin/env bash
# The stored results that methods are compared by at equal acquisition (docs/acquisition.md), in the order they are run.
#
#     experiments/paths.sh [--jobs N]        about 25 s a cell on two cores; goes on where it was interrupted
#
# Every method over its whole grid, on test items and held-out text; held-out losses and validation accuracy at eight
# points of the training, which change no number of it. Core methods, ADEPT by both probes and controls under all five seeds;
# other variants, mathematics and the one-pass corpus under three. Seed by seed over both kinds of base: what there is at any
# time can be compared.
set -euo pipefail
cd "$(dirname "$0")/.."

core=vanilla,full,replay,llama-pro,frozen,lora,adept
controls=adept-last,replay-untested
variants=adept-no-stage1,adept-no-stage2,adept-uniform-expansion,adept-one-range,adept-released-range
variants+=,adept-as-released,adept-as-released-deepspeed

paths() { adept-bench run --rates all --set training.evaluate_every=50 --results results "$@" > /dev/null; }

for seed in 0 1 2; do
  paths --suite medical --preset lab-redundant --seeds $seed --methods $core,adept-probe-text "$@"
  paths --suite medical --preset lab --seeds $seed --methods $core,adept-probe-text "$@"
done
for seed in 3 4; do
  paths --suite medical --preset lab-redundant --seeds $seed --methods $core,adept-probe-text "$@"
  paths --suite medical --preset lab --seeds $seed --methods $core,adept-probe-text "$@"
done
for preset in lab-redundant lab; do # of the place of the copies, and of what is replayed
  paths --suite medical --preset $preset --seeds 0,1,2,3,4 --methods $controls "$@"
done
for preset in lab-redundant lab; do
  paths --suite medical --preset $preset --seeds 0,1,2 --methods $variants "$@"
done
paths --suite math --preset lab --seeds 0,1,2 --methods $core "$@"
# a domain corpus that is read once: does what the rest shows depend on 7.2 passes?
paths --suite medical --preset lab-once --seeds 0,1,2 --methods $core "$@"
