#!/bin/sh
# Make one virtual environment a peer package: sh benchmarks/peers/make.sh FOLDER [PYTHON]
# EAP_IG=FOLDER takes EAP-IG from a checkout. Why each pin: benchmarks/peers/README.md
set -eu

[ $# -ge 1 ] || { echo "usage: $0 FOLDER [PYTHON]" >&2; exit 2; }
folder=$1
python=${2:-python3.11}

new_environment() {
    "$python" -m venv "$folder/$1"
    "$folder/$1/bin/pip" install --quiet torch==2.13.0
}

new_environment auto-circuit
"$folder/auto-circuit/bin/pip" install --quiet \
    torch==2.13.0 auto-circuit==1.0.1 transformer-lens==2.18.0 transformers==4.57.6 attrs==26.1.0
"$folder/auto-circuit/bin/pip" install --quiet --no-deps numpy==2.4.6 pandas==3.1.1

new_environment transformer-lens
"$folder/transformer-lens/bin/pip" install --quiet torch==2.13.0 transformer-lens==4.3.0 transformers==5.24.0

new_environment interpkit
"$folder/interpkit/bin/pip" install --quiet torch==2.13.0 interpkit==0.7.0 transformers==5.24.0

new_environment eap-ig
"$folder/eap-ig/bin/pip" install --quiet \
    torch==2.13.0 transformer-lens==2.18.0 transformers==4.57.6 \
    "${EAP_IG:-git+https://github.com/hannamw/EAP-IG@795f5607b25638935aec89aee3c1cb4bd9ed72f1}"
"$folder/eap-ig/bin/pip" install --quiet --no-deps numpy==2.4.6 pandas==3.1.1

for peer in auto-circuit transformer-lens interpkit eap-ig; do
    echo "$folder/$peer/bin/python is ready"
done
