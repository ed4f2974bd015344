#!/bin/sh
# Runs two models, or two quantisations of one, on an eval and compares them problem by problem.
# Usage: compare.sh MODEL MODEL EVAL [flags of bench, such as -k 4 or --limit 50]
set -eu
first=$1 second=$2 eval=$3
shift 3
now=$(date +%s)
localrl bench "$first" "$eval" --name "first-$now" "$@"
localrl bench "$second" "$eval" --name "second-$now" "$@"
localrl runs compare "first-$now" "second-$now"
