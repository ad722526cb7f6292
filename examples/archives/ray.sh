#!/bin/sh
# An archive on a Ray cluster: on this computer, or on one that is running.
#
#     pip install 'lightm-unet[ray]'        (on every node, of one version)
#     ray start --head                      (on one machine)
#     ray start --address=HEAD:6379         (on the others)
#     sh ray.sh MODEL cases.csv masks HEAD:6379
#
# Images and masks lie on a file system that all nodes see under the same path. Without an address
# a cluster is started on this computer.
set -u
lightm-unet predict "$1" --manifest "$2" --output "$3" --statistics --engine ray ${4:+--ray-address "$4"}
lightm-unet merge "$3" --manifest "$2" --output "$3/table"
