#!/bin/sh
# Makes the README's figures anew, with the README's own commands, those of the guide, and that of the benchmarks from
# their results. The first one needs a package index, and half an hour of two cores.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for task in ioi induction; do
    circuitsearch find "$task" --out "$work/$task"
    circuitsearch draw "$work/$task" --out "$here/$task-pico.svg"
    circuitsearch draw "$work/$task" --theme dark --out "$here/$task-pico-dark.svg"
    rm "$here/$task"-pico*-caption.*
done
tasks="ioi induction greater_than gendered_pronoun docstring country_facts agreement"
for task in $tasks; do
    circuitsearch find "$task" --n 64 --out "$work/all/$task"
done
(cd "$work/all" && circuitsearch specificity $tasks --out "$work/specificity")
cp "$work/specificity/specificity.svg" "$here/specificity.svg"
circuitsearch models get gemma3-270m
circuitsearch find ioi --model gemma3-270m --out "$work/real"
circuitsearch draw "$work/real" --out "$here/ioi-gemma3-270m.svg"
circuitsearch draw "$work/real" --theme dark --out "$here/ioi-gemma3-270m-dark.svg"
rm "$here"/ioi-gemma3-270m*-caption.*
circuitsearch models get smollm2
circuitsearch find ioi --model smollm2 --out "$work/smollm2"
look="--top 60 --model smollm2 --title"
prompt="When Mary and John went to the store, John gave a drink to"
for width in one-column two-column; do
    circuitsearch draw "$work/smollm2" $look "Indirect object identification in SmolLM2 135M" --prompt "$prompt" --width $width \
        --labels L9H9 --out "$here/ioi-smollm2-$width.svg"
    rm "$here/ioi-smollm2-$width-caption.txt" "$here/ioi-smollm2-$width-caption.tex"
done
python "$here/gallery.py" "$here"
python "$here/plots.py" "$here"
python "$here/../../benchmarks/speed_figure.py" "$here/speed.svg"
