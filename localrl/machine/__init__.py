"""What this machine is: processor, memory and accelerator, probed once; or a machine described in words."""
