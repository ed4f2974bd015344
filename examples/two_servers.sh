#!/bin/sh
# One run whose problems two OpenAI-compatible servers share, each as fast as it can.
# Usage: two_servers.sh MODEL EVAL URL URL [flags of bench]
set -eu
model=$1 eval=$2 one=$3 two=$4
shift 4
exec localrl bench "$model" "$eval" --endpoint "$one" --endpoint "$two" "$@"
