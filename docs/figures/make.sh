#!/bin/sh
# Makes the README's figures anew, with the README's own commands, those of the guide, and that of the benchmarks from
# their results.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
for task in ioi induction; do
    circuitsearch find "$task" --out "$room/$task"
    circuitsearch draw "$room/$task" --out "$here/$task-pico.svg"
    circuitsearch draw "$room/$task" --theme dark --out "$here/$task-pico-dark.svg"
done
python "$here/gallery.py" "$here"
python "$here/plots.py" "$here"
python "$here/../../benchmarks/speed_figure.py" "$here/speed.svg"
