"""Reinforcement learning on this machine: the engine's rollouts, verifiers' rewards, an adapter that learns.

The parts: `batch` (what an update learns from), `losses` (pure functions of arrays), `trainer` (the contract
of what computes an update), and a folder for each library that does: `torch`, imported nowhere else.
"""
