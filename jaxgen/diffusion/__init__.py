"""Diffusion, small and orthogonal: schedules, what networks predict, weights of losses, samplers, what is done to a
denoiser, edits of images, likelihoods. Everything is a pure function; see each file."""
