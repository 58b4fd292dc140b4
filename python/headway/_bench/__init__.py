# SPDX-License-Identifier: MIT
"""The benchmarks behind ``headway bench``: what Headway is measured against, in one run.

`_peers` builds the contestants, `_timing` measures them in turns, `_call` and `_map` say what is
measured, `_report` shows it.
"""
