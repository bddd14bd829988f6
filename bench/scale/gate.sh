#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What an item costs must not grow with the number of workers: counted where the
# count is the same each time, on the simulated machine.
exec ./scale/simulate --gate
