"""Cores, memory, threads, blocks and kernels: no domain words."""
