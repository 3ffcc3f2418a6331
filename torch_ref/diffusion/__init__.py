"""Diffusion as the papers print it, step by step, and the documented process."""
