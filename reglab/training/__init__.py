"""Training one run: the step, the loop around it, and everything that makes it stop and go on."""
