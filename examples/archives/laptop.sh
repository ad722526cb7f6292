#!/bin/sh
# An archive on one computer. Stop it when you like, and start it again: it does the rest.
#
#     sh laptop.sh MODEL cases.csv masks
set -u
lightm-unet predict "$1" --manifest "$2" --output "$3" --statistics
lightm-unet merge "$3" --manifest "$2" --output "$3/table"
